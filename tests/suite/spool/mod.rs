//! The spool as its users see it, a file a risk.

mod acknowledgement;
mod corruption;
mod crash;
mod forwarding;
mod initialisation;
mod model;
mod order;
mod picky;
mod quarantine;
mod refusal;
mod sealing;
mod size_limit;
mod wear;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use storepulse_agent::spool::{
    BYTES_MIN, Limits, Next, Outgoing, Reach, Settlement, Spool, SpoolError, SpoolStatus, Wish, WriterHandle,
};
use storepulse_shared::batch::header::BatchHeader;
use storepulse_shared::batch::{Batch, Clock, Column, Event, Frame, Lane};
use storepulse_shared::gzip;

use crate::setting::folder;

const NOW: i64 = 1_763_700_000_000;
/// When nothing sealed at `NOW` is fresh any more.
const LATER: i64 = NOW + 600_000;
const LOCK_LIMIT: Duration = Duration::from_secs(30);
const LIMITS: Limits = Limits { bytes_max: 64 << 20, batch_samples_max: 1_000 };

/// Sends whatever is there, sealing what is open.
fn at_once() -> Wish {
    Wish { age: [Duration::ZERO; 3], clock: Clock::Ok, in_flight: vec![], reach: Some(Reach::Backlog) }
}

struct Bench {
    dir: PathBuf,
    spool: Option<(Spool, WriterHandle)>,
}

impl Bench {
    async fn new() -> Self {
        Self::with(LIMITS).await
    }

    async fn with(limits: Limits) -> Self {
        let mut bench = Self { dir: folder().await, spool: None };
        bench.reopen(limits);
        bench
    }

    fn reopen(&mut self, limits: Limits) {
        self.close();
        self.spool = Some(open_spool(&self.dir, limits));
    }

    /// Closes without sealing, as a killed process does.
    fn close(&mut self) {
        if let Some((spool, thread)) = self.spool.take() {
            drop(spool);
            thread.join();
        }
    }

    fn spool(&self) -> &Spool {
        &self.spool.as_ref().unwrap().0
    }

    async fn append(&self, lane: Lane, time: i64, value: f64) {
        self.spool().append(lane, vec![tick(time, value)], NOW).await.unwrap();
    }

    /// Appends one tick and seals it.
    async fn seal(&self, lane: Lane, value: f64) {
        self.append(lane, NOW, value).await;
        self.spool().seal_all(NOW).await.unwrap();
    }

    async fn record(&self, kind: &str, text: &str) {
        let (kind, text) = (kind.to_owned().into(), text.to_owned().into());
        let event = Event { device: "d".into(), t: NOW, kind, text };
        self.spool().record(vec![event], NOW).await.unwrap();
    }

    /// What is sent next, some time after it was sealed.
    async fn next(&self) -> Option<(BatchHeader, Outgoing)> {
        self.spool().seal_all(NOW).await.unwrap();
        self.next_of(at_once(), LATER).await
    }

    async fn next_of(&self, wish: Wish, now: i64) -> Option<(BatchHeader, Outgoing)> {
        match self.spool().next(wish, now).await.unwrap() {
            Next::Send(outgoing) => Some((outgoing.header.parse().unwrap(), *outgoing)),
            Next::Idle(_) => None,
        }
    }

    async fn ack(&self, outgoing: &Outgoing) {
        self.settle(outgoing, Settlement::Acked { through: vec![], acks_before: outgoing.acks_before }).await;
    }

    async fn settle(&self, outgoing: &Outgoing, settlement: Settlement) {
        self.spool().settle(outgoing.id, settlement, NOW).await.unwrap();
    }

    async fn status(&self) -> SpoolStatus {
        self.spool().status().await.unwrap()
    }

    /// Sends everything, as an uplink without a cloud would.
    async fn drain(&self) -> Vec<(BatchHeader, Vec<u8>)> {
        let mut sent = Vec::new();
        while let Some((header, outgoing)) = self.next().await {
            self.ack(&outgoing).await;
            sent.push((header, gzip::inflate(&outgoing.body, 16 << 20).unwrap()));
        }
        sent
    }
}

/// A child that another test is starting holds our lock too, until it has become another program.
fn open_spool(dir: &Path, limits: Limits) -> (Spool, WriterHandle) {
    let deadline = Instant::now() + LOCK_LIMIT;
    loop {
        match Spool::open(dir, limits, NOW) {
            Err(SpoolError::Open { path, .. })
                if path.ends_with("spool.lock") && Instant::now() < deadline =>
            {
                std::thread::sleep(Duration::from_millis(10));
            }
            opened => return opened.unwrap(),
        }
    }
}

fn tick(time: i64, value: f64) -> Frame<'static> {
    Frame {
        device: "d".into(),
        kind: "host".into(),
        times: vec![time],
        columns: vec![Column { series: "m".into(), values: vec![value] }],
    }
}

fn decode(body: &[u8]) -> Batch<'_> {
    storepulse_shared::batch::decode::decode(body).unwrap()
}

fn values(sent: &[(BatchHeader, Vec<u8>)]) -> Vec<f64> {
    sent.iter()
        .flat_map(|(_, body)| decode(body).frames)
        .flat_map(|f| f.columns.into_iter().flat_map(|c| c.values))
        .collect()
}

fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}
