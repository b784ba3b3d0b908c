//! The spool: every accepted sample, until the cloud has it.
//!
//! # Purpose and promises
//! A SQLite database in the state folder (`spool.db`, WAL, `synchronous=FULL`). What [`Spool`] has accepted survives
//! SIGKILL and power loss, because a call returns after the commit that holds it; calls that arrive together share one
//! commit. Every opening for writing starts an **epoch**; batches are numbered 1, 2, 3 … within it, and a batch gets its
//! number when its first sample, event or loss enters it. What is sealed is never altered under its number once it may
//! have been sent. Samples are discarded in one function, [`discard`], and every discard is recorded and delivered.
//!
//! # Life of a batch
//! *open* (rows in `open_ticks`, `open_events`, `losses`) → *sealed* (a compressed body, exactly as it is sent) → *acked*
//! (kept for a while, first to be evicted) or *in quarantine* (refused by the cloud, kept for people, who can send it once
//! more: it is sealed anew under another number, and names the one that was told as a loss).
//! A spool that turns out to be damaged is set aside and salvaged by [`salvage`] while a new one takes its place.
//! A batch that somebody pushed to us enters sealed, with its sender's header, and is never altered.
//!
//! # Rooms
//! `writer` owns the connection and groups commits; `core` holds what is open; `append`, `seal`, `queue`, `settle`,
//! `epochs`, `forward` and `discard` each own one movement; `eras` knows by which clock what was dated; `sealed` is a batch
//! as it leaves the box; `wear` counts what the disk writes; `status` and `inspect` look; `export` writes what waits into a
//! file; `quarantine` is what people do with what the cloud refused. When to send and what to make of an answer is decided by
//! the uplink.

mod advice;
mod append;
mod bursts;
mod check;
mod closed;
mod core;
mod damage;
mod discard;
mod epochs;
mod eras;
mod export;
mod forward;
mod inspect;
mod label;
mod losses;
mod open;
mod quarantine;
mod queue;
mod restored;
mod seal;
mod sealed;
mod settle;
mod split;
mod status;
mod thin;
mod wear;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use storepulse_shared::batch::{Event, Frame, Lane};
use storepulse_shared::ids::BatchId;
use tokio::sync::Notify;

pub use self::core::{BYTES_MIN, Limits};
pub use self::damage::salvage::run as salvage;
pub use self::export::{ExportError, Exported, export};
pub use self::forward::{Forwarded, PushVerdict, Pushed, Sender};
pub use self::inspect::{BatchEntry, Finding, Verified, list, verify};
pub use self::quarantine::{
    QuarantineItem, Replayed, Unreplayable, body as quarantined_body, list as quarantine,
};
pub use self::queue::{Next, Outgoing, Reach, Wish};
pub use self::settle::Settlement;
pub use self::status::{EpochStatus, LaneStatus, LossesOfReason, Quarantined, SpoolStatus};
pub use self::wear::{LINE_WAIT_MAX, PUSH_WAIT_MAX, TICK_WAIT_MAX, WritesStatus};
use self::writer::Writer;
use crate::time::{BoxClock, Truth};

/// The database in the state folder.
pub const FILE: &str = "spool.db";

/// Why the spool cannot be used, or refused a call.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The folder or file cannot be used.
    #[error("spool {path}: {why}")]
    Open {
        /// The folder or file.
        path: PathBuf,
        /// What is wrong and the way out.
        why: String,
    },
    /// The database refused; nothing of the call was stored.
    #[error("spool {path}: {why}")]
    Refused {
        /// The database.
        path: PathBuf,
        /// What is wrong and the way out.
        why: String,
    },
    /// The commit that would have held the call failed. Callers see it as [`Self::Refused`].
    #[error("spool: the commit failed: {0}")]
    Commit(String),
    /// SQLite refused. Callers see it as [`Self::Refused`].
    #[error("spool: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// What stands in the database is not what we wrote.
    #[error("spool: {0}")]
    Damaged(String),
    /// The writer has stopped.
    #[error("spool: closed")]
    Closed,
}

impl SpoolError {
    /// Whether it says that the file does not hold what was written into it, and not that it cannot be read.
    pub(crate) fn is_damage(&self) -> bool {
        damage::is_damage(self)
    }

    fn open(path: &Path, why: impl ToString) -> Self {
        Self::Open { path: path.to_owned(), why: why.to_string() }
    }

    /// Names the database and the way out, before the error leaves this room.
    fn at(self, path: &Path) -> Self {
        let why = match self {
            Self::Sqlite(error) => advice::advice(&error),
            Self::Commit(why) => format!("the commit failed: {why}"),
            error => return error,
        };
        Self::Refused { path: path.to_owned(), why }
    }
}

/// The spool, opened for writing. Clones share one writer.
#[derive(Debug, Clone)]
pub struct Spool {
    writer: Writer,
    /// Told whenever a batch was begun or sealed.
    news: Arc<Notify>,
    /// Told whenever a damaged database was set aside.
    replaced: Arc<Notify>,
}

/// Joins the writer: everything accepted before is committed when it returns.
#[derive(Debug)]
pub struct WriterHandle(std::thread::JoinHandle<()>);

impl WriterHandle {
    /// Waits until all clones of the [`Spool`] are gone and the database is closed.
    pub fn join(self) {
        if self.0.join().is_err() {
            tracing::error!("the spool's writer panicked");
        }
    }
}

impl Spool {
    /// Opens the spool in a folder for writing: makes it if it is new, seals what an earlier epoch left open, and
    /// begins an epoch.
    ///
    /// # Errors
    /// Another agent has it open, it is from a newer version, or the folder cannot be written; the message says which
    /// and what to do.
    pub fn open(dir: &Path, limits: Limits, now_ms: i64) -> Result<(Self, WriterHandle), SpoolError> {
        let load = |opened, aside: Option<&Path>| core::Core::load(opened, limits, aside, now_ms);
        Self::start(dir, limits, load)
    }

    /// The same, with the clock of the box: every batch remembers by which clock it was dated, and is repaired when the
    /// true time is learnt. Without it (above) the header says what the wish says.
    ///
    /// # Errors
    /// As above.
    pub fn open_dated(
        dir: &Path,
        limits: Limits,
        clock: BoxClock,
    ) -> Result<(Self, WriterHandle), SpoolError> {
        Self::start(dir, limits, |opened, aside: Option<&Path>| {
            let mut core = core::Core::load(opened, limits, aside, clock.now_ms())?;
            core.keep_time(clock.clone())?;
            core.wear.keep_time(clock.clone());
            Ok(core)
        })
    }

    fn start(
        dir: &Path,
        limits: Limits,
        load: impl Fn(open::Opened, Option<&Path>) -> Result<core::Core, SpoolError>,
    ) -> Result<(Self, WriterHandle), SpoolError> {
        let path = dir.join(FILE);
        let budget = open::Budget::of(limits.bytes_max);
        let core = open::for_writing(dir, budget, load).map_err(|e| e.at(&path))?;
        let (news, replaced) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (writer, thread) = Writer::start(core, path.into(), Arc::clone(&news), Arc::clone(&replaced))
            .map_err(|e| SpoolError::open(dir, e))?;
        Ok((Self { writer, news, replaced }, WriterHandle(thread)))
    }

    /// From now on calls that can wait do so as long as it takes to write no more than this in a day; see [`WritesStatus`].
    ///
    /// # Errors
    /// The database refused.
    pub async fn limit_writes(&self, bytes_a_day_max: Option<u64>) -> Result<(), SpoolError> {
        self.writer
            .write(move |core| {
                core.wear.limit(bytes_a_day_max);
                Ok(())
            })
            .await
    }

    /// Accepts frames into the open batch of a lane; returns once they are durable. Frames that are not critical can wait
    /// for others to share a commit with, [`TICK_WAIT_MAX`] at most.
    ///
    /// # Errors
    /// Nothing of them was stored.
    pub async fn append(
        &self,
        lane: Lane,
        frames: Vec<Frame<'static>>,
        now_ms: i64,
    ) -> Result<(), SpoolError> {
        self.append_within(TICK_WAIT_MAX, lane, frames, now_ms).await
    }

    /// As [`Self::append`], with the longest that frames can wait.
    ///
    /// # Errors
    /// Nothing of them was stored.
    pub async fn append_within(
        &self,
        wait_max: Duration,
        lane: Lane,
        frames: Vec<Frame<'static>>,
        now_ms: i64,
    ) -> Result<(), SpoolError> {
        let patience = if lane == Lane::Critical { Duration::ZERO } else { wait_max };
        self.writer.write_within(patience, move |core| core.append_frames(lane, &frames, now_ms)).await
    }

    /// Accepts events into the critical lane; returns once they are durable.
    ///
    /// # Errors
    /// Nothing of them was stored.
    pub async fn record(&self, events: Vec<Event<'static>>, now_ms: i64) -> Result<(), SpoolError> {
        self.writer.write(move |core| core.append_events(&events, now_ms)).await
    }

    /// Takes what somebody pushed; returns once it is durable, or with the answer it had before. It can wait for others,
    /// [`PUSH_WAIT_MAX`] at most.
    ///
    /// # Errors
    /// Nothing of it was stored.
    pub async fn push(&self, pushed: Pushed, now_ms: i64) -> Result<PushVerdict, SpoolError> {
        self.writer.write_within(PUSH_WAIT_MAX, move |core| core.push(&pushed, now_ms)).await
    }

    /// Seals what is due and hands out the next batch to send, marked as sent.
    ///
    /// # Errors
    /// The database refused.
    pub async fn next(&self, wish: Wish, now_ms: i64) -> Result<Next, SpoolError> {
        self.writer.write(move |core| core.next_to_send(&wish, now_ms)).await
    }

    /// Records what became of a batch that was sent.
    ///
    /// # Errors
    /// The database refused; the batch will be sent again.
    pub async fn settle(&self, id: i64, settlement: Settlement, now_ms: i64) -> Result<(), SpoolError> {
        self.writer.write(move |core| core.settle(id, &settlement, now_ms)).await
    }

    /// Seals everything that is open, for an orderly stop.
    ///
    /// # Errors
    /// The database refused; the next opening seals it.
    pub async fn seal_all(&self, now_ms: i64) -> Result<(), SpoolError> {
        self.writer.write(move |core| core.seal_all(now_ms)).await
    }

    /// Seals the content of a batch in quarantine as a new batch, which names what it recovers; returns the new number.
    ///
    /// # Errors
    /// The database refused; or, inside, why this batch cannot be replayed. Nothing was changed then.
    pub async fn replay(
        &self,
        item: BatchId,
        now_ms: i64,
    ) -> Result<Result<BatchId, Unreplayable>, SpoolError> {
        self.writer.write(move |core| core.replay(item, now_ms)).await
    }

    /// Discards a batch in quarantine for good; `false` if there is none of this number. Its loss stays told.
    ///
    /// # Errors
    /// The database refused; it is still there.
    pub async fn discard_quarantined(&self, item: BatchId, now_ms: i64) -> Result<bool, SpoolError> {
        self.writer.write(move |core| core.discard_quarantined(item, now_ms)).await
    }

    /// Keeps what is known of the true time of this boot, for samples that outlive it.
    ///
    /// # Errors
    /// The database refused.
    pub async fn keep_truth(&self, truth: Truth) -> Result<(), SpoolError> {
        self.writer.write(move |core| core.keep_truth(&truth)).await
    }

    /// What is in it, as the writer sees it.
    ///
    /// # Errors
    /// The database refused.
    pub async fn status(&self) -> Result<SpoolStatus, SpoolError> {
        self.writer
            .write(|core| Ok(SpoolStatus { writes: core.wear.status(), ..status::read(core.db())? }))
            .await
    }

    /// Whether it still takes changes; it costs nothing, however much waits.
    ///
    /// # Errors
    /// The database refused.
    pub async fn probe(&self) -> Result<(), SpoolError> {
        self.writer.write(|core| Ok(core.db().query_row("select version from spool", [], |_| Ok(()))?)).await
    }

    /// Waits until a damaged database has been set aside since the last call.
    async fn replaced(&self) {
        self.replaced.notified().await;
    }

    async fn write<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut core::Core) -> Result<T, SpoolError> + Send + 'static,
    ) -> Result<T, SpoolError> {
        self.writer.write(change).await
    }

    /// Waits until a batch has been begun or sealed since the last call.
    pub async fn news(&self) {
        self.news.notified().await;
    }
}

/// What is in a spool that no agent has open, read without changing it.
///
/// # Errors
/// There is none, or it cannot be read.
pub fn look(dir: &Path) -> Result<SpoolStatus, SpoolError> {
    status::read(&open::for_reading(dir)?).map_err(|e| e.at(&dir.join(FILE)))
}
