//! Stores that send batches made beforehand, each under new numbers of an epoch of its own.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use reqwest::StatusCode;
use reqwest::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, USER_AGENT};
use storepulse_agent::time::now_ms;
use storepulse_shared::answer::Ack;
use storepulse_shared::batch::encode::encode;
use storepulse_shared::batch::header::{BatchHeader, BodyDigest, NAME};
use storepulse_shared::batch::{Batch, Clock, Lane};
use storepulse_shared::gzip;
use storepulse_shared::ids::{BatchId, Epoch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::super::reference::ReferenceStore;
use super::Rig;
use super::ack::{Timetable, Turns};
use crate::cloud::http_client;
use crate::store::Store;

/// Different batches that are sent over and over; the cloud tells batches apart by their numbers alone.
const POOL: usize = 64;
/// How far back the samples lie: within what a tenant keeps, and never ahead of the cloud's clock.
const BACK: Duration = Duration::from_secs(60 * 24 * 3600);
/// What an agent says of itself: version and host.
pub(super) const AGENT: (&str, &str) = ("0.1.0", "figures");

/// A batch as it is sent.
pub(super) struct Body {
    pub(super) gzipped: Vec<u8>,
    digest: BodyDigest,
    samples: u32,
}

/// What was sent and stored.
#[derive(Debug, Default)]
pub(in crate::figures) struct Sent {
    pub(in crate::figures) samples: usize,
    pub(in crate::figures) bytes: usize,
    /// For each ack.
    waits: Vec<Duration>,
}

/// What became of batches that may be refused.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Told {
    pub(super) taken: usize,
    pub(super) refused: usize,
}

impl Told {
    #[expect(clippy::cast_precision_loss, reason = "counts of this run are far below 2^52")]
    pub(super) fn per_second(self, seconds: f64) -> f64 {
        (self.taken + self.refused) as f64 / seconds
    }

    pub(super) fn in_words(self, seconds: f64) -> String {
        format!(
            "{:.0} batches/s, {} of {} taken",
            self.per_second(seconds),
            self.taken,
            self.taken + self.refused
        )
    }
}

/// Senders that send until they are ended, whatever they are told.
pub(super) struct Flood {
    stop: CancellationToken,
    tasks: JoinSet<anyhow::Result<(Sender, Told)>>,
}

impl Flood {
    /// Ends it, and gives the senders back.
    pub(super) async fn end(mut self, senders: &mut Senders) -> anyhow::Result<Told> {
        self.stop.cancel();
        let mut sum = Told::default();
        while let Some(done) = self.tasks.join_next().await {
            let (sender, told) = done??;
            senders.all.push(sender);
            sum.taken += told.taken;
            sum.refused += told.refused;
        }
        Ok(sum)
    }
}

pub(in crate::figures) struct Senders {
    pub(super) pool: Arc<Vec<Body>>,
    pub(super) all: Vec<Sender>,
}

pub(super) struct Sender {
    pub(super) store: Store,
    pub(super) epoch: Epoch,
    client: reqwest::Client,
    url: String,
    last_seq: u64,
}

impl Senders {
    /// One for each of the rig's eight stores, with batches of this size to send over and over.
    pub(super) fn connect(rig: &Rig, size: usize) -> anyhow::Result<Self> {
        let mut senders = Self::of(rig, &rig.stores)?;
        let from_ms = now_ms() - i64::try_from(BACK.as_millis())?;
        senders.load(&ReferenceStore::open(from_ms).batches(POOL, size))?;
        Ok(senders)
    }

    /// One for each of these stores, with nothing to send yet.
    pub(in crate::figures) fn of(rig: &Rig, stores: &[Store]) -> anyhow::Result<Self> {
        let ca = rig.ca();
        let all = stores.iter().map(|store| Sender::new(rig.url(), &ca, store));
        Ok(Self { pool: Arc::default(), all: all.collect::<anyhow::Result<_>>()? })
    }

    /// What all of them send from now on.
    pub(in crate::figures) fn load(&mut self, batches: &[Batch<'_>]) -> anyhow::Result<()> {
        let bodies = batches.iter().map(|batch| {
            let gzipped = gzip::compress(&encode(batch));
            let digest = BodyDigest::of(&gzipped);
            Ok(Body { gzipped, digest, samples: u32::try_from(batch.samples())? })
        });
        self.pool = Arc::new(bodies.collect::<anyhow::Result<Vec<Body>>>()?);
        Ok(())
    }

    pub(in crate::figures) fn pool_len(&self) -> usize {
        self.pool.len()
    }

    /// Has each send so many batches, all at once.
    pub(in crate::figures) async fn send(&mut self, each: usize) -> anyhow::Result<Sent> {
        self.send_all(each, None).await
    }

    /// Has each send so many batches at its turns; returns how long each waited for its ack.
    pub(super) async fn send_by(
        &mut self,
        timetable: Timetable,
        each: usize,
    ) -> anyhow::Result<Vec<Duration>> {
        Ok(self.send_all(each, Some(timetable)).await?.waits)
    }

    /// Has each send so many batches that may be refused.
    pub(super) async fn send_refused(&mut self, each: usize) -> anyhow::Result<Told> {
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        for sender in self.all.drain(..) {
            tasks.spawn(sender.send_whatever(Arc::clone(&self.pool), each, None, stop.clone()));
        }
        Flood { stop: CancellationToken::new(), tasks }.end(self).await
    }

    /// Has each send a batch so often, until it is ended.
    pub(super) fn flood(&mut self, every: Duration) -> Flood {
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let of = u32::try_from(self.all.len()).unwrap_or(u32::MAX);
        for (no, sender) in (0..).zip(self.all.drain(..)) {
            let turns = Timetable::every(every).turns(no, of);
            tasks.spawn(sender.send_whatever(Arc::clone(&self.pool), usize::MAX, Some(turns), stop.clone()));
        }
        Flood { stop, tasks }
    }

    async fn send_all(&mut self, each: usize, timetable: Option<Timetable>) -> anyhow::Result<Sent> {
        let mut tasks = JoinSet::new();
        let of = u32::try_from(self.all.len())?;
        for (no, sender) in (0..).zip(self.all.drain(..)) {
            let turns = timetable.map(|table| table.turns(no, of));
            tasks.spawn(sender.send(Arc::clone(&self.pool), each, turns));
        }
        let mut sum = Sent::default();
        while let Some(done) = tasks.join_next().await {
            let (sender, sent) = done??;
            self.all.push(sender);
            sum.samples += sent.samples;
            sum.bytes += sent.bytes;
            sum.waits.extend(sent.waits);
        }
        Ok(sum)
    }
}

impl Sender {
    fn new(url: String, ca: &Path, store: &Store) -> anyhow::Result<Self> {
        let (store, client) = (store.clone(), http_client(Some(ca))?);
        Ok(Self { store, epoch: Epoch::random(), client, url, last_seq: 0 })
    }

    async fn send(
        mut self,
        pool: Arc<Vec<Body>>,
        count: usize,
        mut turns: Option<Turns>,
    ) -> anyhow::Result<(Self, Sent)> {
        let mut sent = Sent::default();
        for body in pool.iter().cycle().take(count) {
            let since = match &mut turns {
                Some(turns) => turns.next().await,
                None => Instant::now(),
            };
            self.last_seq += 1;
            self.send_one(body).await?;
            sent.waits.push(since.elapsed());
            sent.samples += body.samples as usize;
            sent.bytes += body.gzipped.len();
        }
        Ok((self, sent))
    }

    /// Sends until it is stopped; a refused number is used again.
    async fn send_whatever(
        mut self,
        pool: Arc<Vec<Body>>,
        count: usize,
        mut turns: Option<Turns>,
        stop: CancellationToken,
    ) -> anyhow::Result<(Self, Told)> {
        let mut told = Told::default();
        for body in pool.iter().cycle().take(count) {
            if let Some(turns) = &mut turns {
                turns.next().await;
            }
            if stop.is_cancelled() {
                break;
            }
            let header = self.header(body, self.last_seq + 1);
            let (status, answer) = self.post(body, &header).await?;
            match status {
                StatusCode::OK => {
                    self.last_seq += 1;
                    told.taken += 1;
                }
                StatusCode::TOO_MANY_REQUESTS => told.refused += 1,
                status => anyhow::bail!("the cloud says {status}: {}", String::from_utf8_lossy(&answer)),
            }
        }
        Ok((self, told))
    }

    async fn send_one(&self, body: &Body) -> anyhow::Result<()> {
        let header = self.header(body, self.last_seq);
        let (status, answer) = self.post(body, &header).await?;
        anyhow::ensure!(status.is_success(), "the cloud says {status}: {}", String::from_utf8_lossy(&answer));
        let ack: Ack = serde_json::from_slice(&answer).context("the cloud's answer")?;
        let is_whole =
            ack.batch == header.batch && !ack.duplicate && ack.processed == u64::from(body.samples);
        anyhow::ensure!(is_whole, "the cloud did not store all of it: {ack:?}");
        Ok(())
    }

    fn header(&self, body: &Body, seq: u64) -> BatchHeader {
        BatchHeader {
            batch: BatchId { epoch: self.epoch, seq },
            lane: Lane::Normal,
            samples: body.samples,
            sealed: seq,
            digest: body.digest,
            offset_ms: 0,
            clock: Clock::Ok,
            resumed: false,
            after: None,
        }
    }

    async fn post(&self, body: &Body, header: &BatchHeader) -> anyhow::Result<(StatusCode, Vec<u8>)> {
        let request = self
            .client
            .post(&self.url)
            .header(AUTHORIZATION, self.store.bearer())
            .header(CONTENT_TYPE, "application/json")
            .header(CONTENT_ENCODING, "gzip")
            .header(USER_AGENT, format!("storepulse-agent/{} ({})", AGENT.0, AGENT.1))
            .header(NAME, header.to_string())
            .body(body.gzipped.clone());
        let response = request.send().await?;
        Ok((response.status(), response.bytes().await?.to_vec()))
    }
}
