//! From the one table of an older system, `metrics(store_id, device_id, metric, value, timestamp)`, to a tenant with stores:
//! while its writers go on, as often as it is interrupted, and every row once.
//!
//! ```text
//! pass 1   rows of transactions below H1, which had all ended when it began      piece by piece: a range of blocks,
//! pass 2   rows from H1 to below H2                                              read in one statement, stored in one
//! …        until the writers have gone elsewhere                                 transaction with how far it has come
//! ```
//!
//! The old table is never locked and never written: each statement reads a piece of it and holds what every `select` holds, for
//! its own time. A row belongs to the pass in which the number of the transaction that wrote it (`xmin`) lies; below H every
//! transaction has ended, so a later look finds the same rows, wherever new ones were put. The samples of a piece take the road
//! of those that come over HTTP (series, columns, receipt in `streams`, `losses`) in the same transaction that says that the
//! piece is done. So a killed takeover goes on behind its last commit.
//!
//! What can happen to the old table meanwhile:
//! - *Inserts* are found by a later pass; so are rows that were *changed*, as the newer value of their series and time.
//! - *Deleted* rows that were taken stay here.
//! - *VACUUM*, also with FREEZE, changes nothing. What writes the table anew (VACUUM FULL, CLUSTER, TRUNCATE) moves rows under
//!   a pass, which is refused then; `--again` reads all once more, and a sample that is here already stays one. What gives every
//!   row a new transaction, too (ALTER TABLE … TYPE, `pg_repack`), makes the next pass do the same by itself.
//! - 2^30 transactions: a takeover that takes longer is refused. A row of transactions ago so many that its 32 bits have come
//!   round to the numbers of today is taken for a new one: it is taken once the old server has passed that number.
//!
//! `source` reads the old table, `rows` makes batches of it, `piece` stores one, `account` compares, `sql` is ours.

mod account;
mod piece;
mod rows;
mod source;
mod sql;

use std::collections::{BTreeMap, BTreeSet};

use sqlx::postgres::PgConnectOptions;
use storepulse_shared::ids::{StoreId, TenantId};

pub use self::account::{Account, OfStore, Refused};
use self::source::{AHEAD, Horizon, Source};
use self::sql::State;
use crate::db::Db;
use crate::ingest::SeriesCache;
use crate::tenant::profile;
use crate::tenant::status::Status;

/// Passes of one run at most.
const PASSES_MAX: usize = 20;
/// Below every number of a transaction. Its digits are those of a `bigint`: one less would make the old server compare decimals.
const FIRST: i64 = i64::MIN + 1;
/// A pass that finds fewer rows than this is the last of its run: writers that go on always leave some.
const FEW_ROWS: u64 = 10_000;

/// What to take over.
#[derive(Debug, Clone)]
pub struct Request {
    /// Who gets it.
    pub tenant: TenantId,
    /// The older system's database, by a login that may read the table.
    pub from: PgConnectOptions,
    /// The table there.
    pub table: String,
    /// Read all of it once more.
    pub again: bool,
}

/// How to.
#[derive(Debug, Clone)]
pub struct How {
    /// Blocks of the old table that are read and stored at once.
    pub blocks: i64,
    /// Stop there as if killed, when it comes there for the so manieth time.
    pub stop_after: Option<(Stage, u32)>,
}

/// Where a takeover can be interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// The pass is written down.
    Begun,
    /// A piece is read.
    Read,
    /// Its stores are there.
    Stores,
    /// Its series are there.
    Series,
    /// It is stored, and nothing is committed yet.
    Stored,
    /// It is committed.
    Committed,
}

impl Stage {
    /// All of them, in their order.
    pub const ALL: [Self; 6] =
        [Self::Begun, Self::Read, Self::Stores, Self::Series, Self::Stored, Self::Committed];
}

/// How far it is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Progress {
    /// The pass of this run, from 1.
    pub pass: usize,
    /// Blocks that are done of it.
    pub done: i64,
    /// All blocks of it.
    pub blocks: i64,
    /// Rows read in this run.
    pub rows: u64,
}

/// Takes over what is there, goes on where an earlier run ended, and compares. `hear` is told of every piece.
///
/// # Errors
/// The tenant or the table is not there or not fit, a row's store finds no place, the old table was rewritten in the middle of
/// a pass, or a database is away; nothing is lost by any of these, and the message says how to go on.
pub async fn run(
    db: &Db,
    request: &Request,
    how: &How,
    hear: impl FnMut(&Progress) + Send,
) -> anyhow::Result<Account> {
    let mut control = db.control().await?;
    let tenant = profile::show(&mut control, &request.tenant).await?;
    control.commit().await?;
    anyhow::ensure!(
        tenant.status == Status::Active,
        "tenant {} is not active: `tenant status --tenant {} active` makes it so",
        request.tenant,
        request.tenant
    );
    db.make_partitions().await?;
    let source = Source::open(&request.from, &request.table).await?;
    let mut work = Work {
        db,
        request,
        how,
        source,
        series: SeriesCache::default(),
        stores: BTreeSet::new(),
        retention_days: tenant.retention_days,
        reached: BTreeMap::new(),
        progress: Progress::default(),
        hear,
    };
    let state = work.take_all().await?;
    account::settle(db, &mut work.source, &request.tenant, how.blocks, &state).await
}

/// A run at work.
struct Work<'a, H> {
    db: &'a Db,
    request: &'a Request,
    how: &'a How,
    source: Source,
    series: SeriesCache,
    /// The tenant's stores, as far as they are known here.
    stores: BTreeSet<StoreId>,
    retention_days: i32,
    reached: BTreeMap<Stage, u32>,
    progress: Progress,
    hear: H,
}

impl<H: FnMut(&Progress) + Send> Work<'_, H> {
    /// Pass after pass, until one finds little. The last one is over.
    async fn take_all(&mut self) -> anyhow::Result<State> {
        let mut state = self.begin().await?;
        loop {
            let is_whole = state.next_block == 0;
            let before = self.progress.rows;
            self.progress.pass += 1;
            while state.next_block < state.blocks {
                state = self.take_piece(&state).await?;
                self.progress.done = state.next_block;
                self.progress.blocks = state.blocks;
                (self.hear)(&self.progress);
            }
            let found_few = is_whole && self.progress.rows - before < FEW_ROWS;
            if found_few || self.progress.pass >= PASSES_MAX {
                return Ok(state);
            }
            state = self.next_pass(&state).await?;
        }
    }

    /// Where it is to go on: in a pass that was interrupted, or in a new one.
    async fn begin(&mut self) -> anyhow::Result<State> {
        let mut tx = self.db.tenant(&self.request.tenant).await?;
        if self.request.again {
            sql::forget(&mut tx, &self.source.id).await?;
        }
        let known = sql::find(&mut tx, &self.source.id).await?;
        let known = match known {
            Some(state) => {
                tx.rollback().await?;
                state
            }
            None => {
                let now = self.source.horizon().await?;
                let state = State {
                    origin: now.next,
                    lower: FIRST,
                    upper: now.ended,
                    filenode: now.filenode,
                    next_block: 0,
                    blocks: now.blocks,
                };
                sql::begin(&mut tx, (&self.source.id, self.source.name()), &state).await?;
                tx.commit().await?;
                self.reach(Stage::Begun)?;
                state
            }
        };
        if known.next_block < known.blocks { Ok(known) } else { self.next_pass(&known).await }
    }

    /// What was written since the pass that is over.
    async fn next_pass(&mut self, over: &State) -> anyhow::Result<State> {
        let now: Horizon = self.source.horizon().await?;
        anyhow::ensure!(
            now.next < over.origin + AHEAD,
            "the takeover of {} has lasted {} transactions of the old server, more than can be told apart in its rows: \
             begin anew with --again",
            self.source.name(),
            now.next - over.origin
        );
        let upper = now.ended.max(over.upper);
        let next = State {
            lower: over.upper,
            upper,
            filenode: now.filenode,
            next_block: 0,
            blocks: now.blocks,
            ..*over
        };
        let mut tx = self.db.tenant(&self.request.tenant).await?;
        anyhow::ensure!(sql::go_on(&mut tx, &self.source.id, over, &next).await?, "{}", self.somebody_else());
        tx.commit().await?;
        self.reach(Stage::Begun)?;
        Ok(next)
    }

    fn somebody_else(&self) -> String {
        format!("another takeover of {} is at work: let it come to its end", self.source.name())
    }

    fn reach(&mut self, stage: Stage) -> anyhow::Result<()> {
        let times = self.reached.entry(stage).or_default();
        *times += 1;
        anyhow::ensure!(
            self.how.stop_after != Some((stage, *times)),
            "stopped after {stage:?}, as was asked"
        );
        Ok(())
    }
}
