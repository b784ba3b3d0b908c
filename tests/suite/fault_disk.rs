//! The spool on a disk that fails at every single step of its life, one after the other: full, with errors, without power.
//!
//! A life is short and has everything: creation, appending, sealing, handing out, acknowledging, reopening, evicting. Each
//! trial lives it with a fault one step later than the trial before, until a life passes without meeting the fault. Then the
//! power goes, and what is left is delivered from a good disk. The trial knows what was accepted and what was delivered.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use storepulse_agent::spool::{
    Limits, Next, Outgoing, Reach, Settlement, Spool, SpoolError, Wish, WriterHandle,
};
use storepulse_shared::batch::decode::decode;
use storepulse_shared::batch::{Clock, Column, Event, Frame, Lane};
use storepulse_shared::gzip;
use storepulse_shared::ids::BatchId;
use storepulse_testbed::fault_vfs::{Counted, Fault, FaultDisk, Strike, Then};
use storepulse_testbed::wait;

use crate::setting::folder;

const NOW: i64 = 1_763_700_000_000;
const ROOMY: Limits = Limits { bytes_max: 64 << 20, batch_samples_max: 1_000 };
/// Acked and critical batches are discarded at the next opportunity.
const CRAMPED: Limits = Limits { bytes_max: 1, batch_samples_max: 1_000 };
/// A life has at least this many writes; fewer would mean that the trials do not reach into it.
const WRITES_MIN: u64 = 100;

const LOCK_LIMIT: Duration = Duration::from_secs(30);

/// Sends whatever is there, sealing what is open.
fn at_once() -> Wish {
    Wish { age: [Duration::ZERO; 3], clock: Clock::Ok, in_flight: vec![], reach: Some(Reach::Backlog) }
}

/// The power is gone, and with it the rest of the life.
#[derive(Debug)]
struct PowerGone;

struct Life {
    dir: PathBuf,
    disk: FaultDisk,
    fault: Fault,
    spool: Option<(Spool, WriterHandle)>,
    record: Record,
    errors: Vec<String>,
}

/// What the world outside the spool knows.
#[derive(Default)]
struct Record {
    offered: u64,
    accepted: BTreeSet<u64>,
    delivered: BTreeMap<BatchId, Vec<u8>>,
}

impl Record {
    fn deliver(&mut self, outgoing: &Outgoing) {
        let known = self.delivered.insert(outgoing.batch, outgoing.body.clone());
        assert!(known.is_none_or(|known| known == outgoing.body), "{} has two bodies", outgoing.batch);
    }

    /// Every value that was delivered, as often as it was, and how many samples were reported as discarded.
    fn contents(&self) -> (Vec<u64>, u64) {
        let (mut values, mut reported) = (Vec::new(), 0);
        for body in self.delivered.values() {
            let text = gzip::inflate(body, 16 << 20).unwrap();
            let batch = decode(&text).unwrap();
            let columns = batch.frames.iter().flat_map(|frame| &frame.columns);
            values.extend(columns.flat_map(|column| &column.values).map(|value| *value as u64));
            reported += batch.losses.iter().map(|loss| loss.samples).sum::<u64>();
        }
        (values, reported)
    }
}

impl Life {
    fn begin(dir: &Path, fault: Fault, at: u64) -> Self {
        std::fs::create_dir(dir).unwrap();
        let strike = Strike { fault, at, counted: Counted::All };
        let disk = FaultDisk::attach(dir, Some(strike), at).unwrap();
        let (record, errors) = (Record::default(), Vec::new());
        Self { dir: dir.to_owned(), disk, fault, spool: None, record, errors }
    }

    async fn live(&mut self) -> Result<(), PowerGone> {
        self.open(ROOMY).await?;
        for lane in [Lane::Normal, Lane::Normal, Lane::Bulk] {
            self.append(lane).await?;
        }
        let event = Event { device: "d".into(), t: NOW, kind: "k".into(), text: "t".into() };
        self.ask(async |spool| spool.record(vec![event.clone()], NOW).await).await?;
        self.send(2).await?;
        self.append(Lane::Normal).await?;
        self.hand_out().await?;
        self.close();
        self.open(ROOMY).await?;
        self.append(Lane::Normal).await?;
        self.send(1).await?;
        self.append(Lane::Bulk).await?;
        self.append(Lane::Critical).await?;
        self.ask(async |spool| spool.seal_all(NOW).await).await?;
        self.close();
        self.open(CRAMPED).await?;
        self.append(Lane::Normal).await?;
        self.send(1).await?;
        // Two into one open batch: a writer that forgets the first over a failed second would open another.
        self.append(Lane::Normal).await?;
        self.append(Lane::Normal).await
    }

    /// An opening that is refused succeeds once the disk is mended.
    async fn open(&mut self, limits: Limits) -> Result<(), PowerGone> {
        let opened = match open_spool(&self.dir, limits).await {
            Ok(opened) => opened,
            Err(error) => {
                self.endure(error)?;
                open_spool(&self.dir, limits).await.expect("a mended disk")
            }
        };
        self.spool = Some(opened);
        Ok(())
    }

    fn close(&mut self) {
        if let Some((spool, writer)) = self.spool.take() {
            drop(spool);
            writer.join();
        }
    }

    /// A call that is refused succeeds once the disk is mended.
    async fn ask<T>(&mut self, call: impl AsyncFn(&Spool) -> Result<T, SpoolError>) -> Result<T, PowerGone> {
        let spool = self.spool.as_ref().unwrap().0.clone();
        match call(&spool).await {
            Ok(answer) => Ok(answer),
            Err(error) => {
                self.endure(error)?;
                Ok(call(&spool).await.expect("a mended disk"))
            }
        }
    }

    fn endure(&mut self, error: SpoolError) -> Result<(), PowerGone> {
        assert!(self.disk.struck(), "{error}");
        self.errors.push(error.to_string());
        if matches!(self.fault, Fault::PowerCut(_)) {
            return Err(PowerGone);
        }
        self.disk.mend();
        Ok(())
    }

    async fn append(&mut self, lane: Lane) -> Result<(), PowerGone> {
        self.record.offered += 1;
        let value = self.record.offered;
        let columns = vec![Column { series: "m".into(), values: vec![value as f64] }];
        let frame = Frame { device: "d".into(), kind: "host".into(), times: vec![NOW], columns };
        self.ask(async |spool| spool.append(lane, vec![frame.clone()], NOW).await).await?;
        self.record.accepted.insert(value);
        Ok(())
    }

    async fn hand_out(&mut self) -> Result<Option<Box<Outgoing>>, PowerGone> {
        match self.ask(async |spool| spool.next(at_once(), NOW).await).await? {
            Next::Send(outgoing) => Ok(Some(outgoing)),
            Next::Idle(_) => Ok(None),
        }
    }

    /// Sends up to so many batches, to a cloud that takes them all.
    async fn send(&mut self, batches: usize) -> Result<(), PowerGone> {
        for _ in 0..batches {
            let Some(outgoing) = self.hand_out().await? else { return Ok(()) };
            self.record.deliver(&outgoing);
            let acked = Settlement::Acked { through: vec![], acks_before: outgoing.acks_before };
            self.ask(async |spool| spool.settle(outgoing.id, acked.clone(), NOW).await).await?;
        }
        Ok(())
    }

    /// The power goes, and what is left is delivered from a good disk.
    async fn deliver_the_rest(mut self) -> (Record, Vec<String>) {
        self.disk.mend();
        self.disk.cut();
        self.close();
        let Self { dir, disk, mut record, errors, .. } = self;
        drop(disk);
        let _good = FaultDisk::attach(&dir, None, 0).unwrap();
        let (spool, writer) = open_spool(&dir, ROOMY).await.expect("the spool opens again");
        let files = std::fs::read_dir(&dir).unwrap().map(|file| file.unwrap().file_name());
        let aside: Vec<_> = files.filter(|name| name.to_string_lossy().starts_with("spool-")).collect();
        assert!(
            aside.is_empty(),
            "what a fault of the disk leaves was taken for damage: {aside:?} {errors:?}"
        );
        while let Next::Send(outgoing) = spool.next(at_once(), NOW).await.unwrap() {
            record.deliver(&outgoing);
            let acked = Settlement::Acked { through: vec![], acks_before: outgoing.acks_before };
            spool.settle(outgoing.id, acked, NOW).await.unwrap();
        }
        drop(spool);
        writer.join();
        std::fs::remove_dir_all(&dir).unwrap();
        (record, errors)
    }
}

/// A child that another test is starting holds our lock too, until it has become another program.
async fn open_spool(dir: &Path, limits: Limits) -> Result<(Spool, WriterHandle), SpoolError> {
    let opened = wait::until("the lock", LOCK_LIMIT, async || match Spool::open(dir, limits, NOW) {
        Err(SpoolError::Open { path, .. }) if path.ends_with("spool.lock") => Ok(None),
        opened => Ok(Some(opened)),
    });
    opened.await.unwrap()
}

/// Lives with a fault at step 1, 2, 3, … until it is not met any more; returns what was said of it.
async fn fails_at_every_step(fault: Fault) -> BTreeSet<String> {
    let home = folder().await;
    let mut errors = BTreeSet::new();
    for at in 1.. {
        let mut life = Life::begin(&home.join("spool"), fault, at);
        let whole = life.live().await.is_ok();
        let struck = life.disk.struck();
        let (record, said) = life.deliver_the_rest().await;
        let (values, reported) = record.contents();
        let stored: BTreeSet<u64> = values.iter().copied().collect();
        let context = format!("{fault:?} at step {at}: {values:?}, {reported} reported, {said:?}");
        assert_eq!(values.len(), stored.len(), "twice: {context}");
        assert!(stored.iter().all(|value| (1..=record.offered).contains(value)), "invented: {context}");
        let gone = record.accepted.difference(&stored).count() as u64;
        if whole {
            assert_eq!(gone, reported, "lost: {context}");
        } else {
            assert!(gone <= reported, "lost: {context}");
        }
        errors.extend(said.into_iter().map(|error| error.replace(&home.display().to_string(), "")));
        if !struck {
            assert!(at > WRITES_MIN && whole && reported > 0, "{context}");
            break;
        }
    }
    errors
}

#[tokio::test]
async fn a_full_disk_at_every_single_write_is_told_with_the_way_out_and_loses_nothing() {
    for error in fails_at_every_step(Fault::Full).await {
        assert!(error.contains("/spool/spool.db: ") && error.contains("room"), "{error}");
        assert!(error.contains("what was accepted before is safe"), "{error}");
    }
}

#[tokio::test]
async fn an_error_of_the_disk_at_every_single_step_is_told_with_the_way_out_and_loses_nothing() {
    for fault in [Fault::IoError, Fault::IoErrors] {
        for error in fails_at_every_step(fault).await {
            assert!(error.contains("/spool/spool.db: ") && error.contains("disk"), "{error}");
            assert!(error.contains("what was accepted before is safe"), "{error}");
        }
    }
}

#[tokio::test]
async fn a_power_cut_at_every_single_step_loses_nothing_that_was_accepted() {
    fails_at_every_step(Fault::PowerCut(Then::LiveOn)).await;
}

/// How many of twenty commits are there after a power cut; `None` if the database is damaged.
fn commits_left(dir: &Path, synchronous: &str, seed: u64) -> Option<i64> {
    let path = dir.join("any.db");
    let disk = FaultDisk::attach(dir, None, seed).unwrap();
    let db = rusqlite::Connection::open(&path).unwrap();
    db.pragma_update(None, "journal_mode", "wal").unwrap();
    db.pragma_update(None, "synchronous", synchronous).unwrap();
    db.execute_batch("create table t (n integer primary key)").unwrap();
    for n in 0..20 {
        db.execute("insert into t values (?1)", [n]).unwrap();
    }
    disk.cut();
    drop((db, disk));
    let db = rusqlite::Connection::open(&path).unwrap();
    let left = db.query_row("select count(*) from t", [], |row| row.get(0));
    drop(db);
    for file in std::fs::read_dir(dir).unwrap() {
        std::fs::remove_file(file.unwrap().path()).unwrap();
    }
    left.ok()
}

/// Otherwise none of the trials above would mean anything.
#[tokio::test]
async fn a_database_that_does_not_sync_loses_commits_on_this_disk_and_one_that_does_keeps_them() {
    let dir = folder().await;
    let left = |synchronous| (0..20).map(|seed| commits_left(&dir, synchronous, seed)).collect::<Vec<_>>();
    assert!(left("full").iter().all(|left| *left == Some(20)));
    for careless in ["normal", "off"] {
        let left = left(careless);
        assert!(left.iter().any(|left| *left != Some(20)), "{careless}: {left:?}");
    }
}
