//! What the writer holds beside the database: the epoch, the open batches, the shapes. All of it can be read again
//! from the database at any time, and is, when a change is undone.

use std::collections::HashMap;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension as _, Params, params};
use storepulse_shared::batch::Lane;
use storepulse_shared::ids::{BatchId, Epoch};

use super::bursts::Bursts;
use super::eras::Dates;
use super::open::{Budget, Opened};
use super::wear::Wear;
use super::{SpoolError, check, damage};

/// What a spool may hold.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The cap on disk in bytes: database, WAL and all. At least [`BYTES_MIN`].
    pub bytes_max: u64,
    /// Samples at which an open batch is sealed.
    pub batch_samples_max: usize,
}

/// The least cap on disk that a spool works with.
pub const BYTES_MIN: u64 = 8 << 20;

/// States of a batch, as they stand in the database.
pub(super) mod state {
    pub(in crate::spool) const OPEN: i64 = 0;
    pub(in crate::spool) const SEALED: i64 = 1;
    pub(in crate::spool) const ACKED: i64 = 2;
    pub(in crate::spool) const QUARANTINED: i64 = 3;
}

/// How a lane stands in the database: most urgent first.
pub(super) const fn lane_number(lane: Lane) -> i64 {
    match lane {
        Lane::Critical => 0,
        Lane::Normal => 1,
        Lane::Bulk => 2,
    }
}

pub(super) fn lane_of(number: i64) -> Result<Lane, SpoolError> {
    Lane::ALL
        .into_iter()
        .find(|lane| lane_number(*lane) == number)
        .ok_or_else(|| SpoolError::Damaged(format!("lane {number} is unknown")))
}

/// SQLite's integers; ours are far below its end.
pub(super) fn integer(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

pub(super) fn unsigned(n: i64) -> u64 {
    u64::try_from(n).unwrap_or_default()
}

/// The epoch that this opening began.
#[derive(Debug, Clone, Copy)]
pub(super) struct OwnEpoch {
    pub no: i64,
    pub epoch: Epoch,
}

/// A batch that is still being filled.
#[derive(Debug, Clone, Copy)]
pub(super) struct OpenBatch {
    pub id: i64,
    pub opened_ms: i64,
    /// Rows in `open_ticks` and `open_events`: the next `n`.
    pub rows: i64,
    pub samples: usize,
    /// First and last time of its samples.
    pub span: Option<(i64, i64)>,
    /// A guess at the bytes of its JSON, kept well below the limit.
    pub json_bytes: usize,
    /// Of the clock that dates it, if that is ours.
    pub base_ms: Option<i64>,
}

/// The writer's state.
#[derive(Debug)]
pub(super) struct Core {
    opened: Opened,
    pub(super) limits: Limits,
    pub(super) budget: Budget,
    pub(super) epoch: OwnEpoch,
    /// Which batches have been handed out, by row: a row can be another batch's by the time the answer comes.
    pub(super) handed_out: HashMap<i64, BatchId>,
    /// Epochs that this process has begun: their batches are not `resumed`.
    pub(super) begun: Vec<i64>,
    pub(super) open: [Option<OpenBatch>; 3],
    pub(super) shapes: HashMap<String, i64>,
    pub(super) bursts: Bursts,
    /// Answers recorded so far in the life of this spool.
    pub(super) acks: i64,
    /// Bytes of acked bodies that are still here.
    pub(super) acked_bytes: u64,
    /// Bytes written since the size of the database was last looked at.
    pub(super) unmeasured_bytes: usize,
    /// The database does not hold what was written into it.
    pub(super) is_damaged: bool,
    /// Bytes that the running transaction has written, about.
    pub(super) transaction_bytes: usize,
    /// A batch was begun or sealed since the uplink was last told.
    pub(super) news: bool,
    /// What is held here may not be what stands in the database: read it again before anything else.
    pub(super) stale: bool,
    /// By which clock what is appended was dated.
    pub(super) dates: Dates,
    /// What the disk had to write.
    pub(super) wear: Wear,
}

impl Core {
    /// Takes over an opened database: seals what is open from before, and begins an epoch. If it takes the place of one
    /// that was set aside, what matters of that is carried over first.
    pub(super) fn load(
        opened: Opened,
        limits: Limits,
        aside: Option<&Path>,
        now_ms: i64,
    ) -> Result<Self, SpoolError> {
        let mut core = Self {
            budget: opened.budget,
            opened,
            limits,
            epoch: OwnEpoch { no: 0, epoch: Epoch::random() },
            handed_out: HashMap::new(),
            begun: Vec::new(),
            open: [None; 3],
            shapes: HashMap::new(),
            bursts: Bursts::default(),
            acks: 0,
            acked_bytes: 0,
            unmeasured_bytes: usize::MAX,
            is_damaged: false,
            transaction_bytes: 0,
            news: false,
            stale: true,
            dates: Dates::default(),
            wear: Wear::starting(now_ms),
        };
        core.execute("begin immediate")?;
        core.reload()?;
        core.check_numbers()?;
        core.seal_all(now_ms)?;
        core.forget_empty_epochs()?;
        if let Some(aside) = aside {
            core.carry(aside)?;
        }
        core.begin_epoch(now_ms)?;
        core.wear.load(&core.opened.db)?;
        core.execute("commit")?;
        core.count_writes();
        core.opened.mark_open();
        core.name_epochs()?;
        Ok(core)
    }

    pub(super) fn db(&self) -> &Connection {
        &self.opened.db
    }

    /// Writes down, beside the database, which epochs have numbers on their way.
    pub(super) fn name_epochs(&self) -> Result<(), SpoolError> {
        damage::name_epochs(&self.opened.dir, &self.unsettled_epochs()?);
        Ok(())
    }

    /// Runs one statement of fixed text.
    pub(super) fn execute(&self, sql: &str) -> Result<(), rusqlite::Error> {
        self.db().prepare_cached(sql)?.execute([]).map(|_| ())
    }

    /// Runs one change; the statement is kept prepared.
    pub(super) fn change(&self, sql: &str, values: impl Params) -> Result<usize, rusqlite::Error> {
        self.db().prepare_cached(sql)?.execute(values)
    }

    /// Reads again what is open. Samples without a value are counted here, which only seals a little earlier.
    pub(super) fn reload(&mut self) -> Result<(), SpoolError> {
        self.stale = true;
        self.shapes.clear();
        self.bursts = Bursts::default();
        self.open = [None; 3];
        self.acked_bytes = self.count_acked_bytes()?;
        let acks = "select max(
            (select coalesce(max(acked_no), 0) from batches where state = 2),
            (select coalesce(max(acked_no), 0) from closed_numbers))";
        let acks: i64 = self.db().prepare_cached(acks)?.query_row([], |row| row.get(0))?;
        self.acks = acks;
        let mut statement = self.opened.db.prepare_cached(
            "select b.lane, b.id, b.opened_ms, coalesce(t.rows, 0), coalesce(t.bytes, 0), t.t_min, t.t_max,
                (select coalesce(max(n), 0) from open_events where batch_id = b.id),
                (select count(*) from losses where batch_id = b.id), b.base_ms
            from batches b
            left join (
                select batch_id, max(n) as rows, sum(length(vals)) as bytes, min(t) as t_min, max(t) as t_max
                from open_ticks group by batch_id
            ) t on t.batch_id = b.id
            where b.state = 0",
        )?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let lane: i64 = row.get(0)?;
            let (ticks, events, losses): (i64, i64, i64) = (row.get(3)?, row.get(7)?, row.get(8)?);
            let (t_min, t_max): (Option<i64>, Option<i64>) = (row.get(5)?, row.get(6)?);
            let samples = usize::try_from(row.get::<_, i64>(4)? / 8).unwrap_or_default();
            let extra = usize::try_from(ticks + events + losses).unwrap_or_default();
            let open = OpenBatch {
                id: row.get(1)?,
                opened_ms: row.get(2)?,
                rows: ticks.max(events),
                samples,
                span: t_min.zip(t_max),
                json_bytes: samples * 16 + extra * 256,
                base_ms: row.get(9)?,
            };
            let slot = usize::try_from(lane).ok().and_then(|lane| self.open.get_mut(lane));
            *slot.ok_or_else(|| SpoolError::Damaged(format!("lane {lane} is unknown")))? = Some(open);
        }
        drop(rows);
        drop(statement);
        self.reload_epoch()?;
        self.stale = false;
        Ok(())
    }

    /// The open batch of a lane; a new one gets its number here. One that another clock dates is sealed first.
    pub(super) fn open_batch(&mut self, lane: Lane, now_ms: i64) -> Result<OpenBatch, SpoolError> {
        let slot = slot(lane);
        let (boot_no, base_ms) = self.dates.of(now_ms);
        match self.open[slot] {
            Some(open) if open.base_ms == base_ms => return Ok(open),
            Some(_) => self.seal(lane, now_ms)?,
            None => {}
        }
        let seq = self.next_seq()?;
        self.change(
            "insert into batches (epoch_no, seq, lane, state, opened_ms, boot_no, base_ms)
            values (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![self.epoch.no, integer(seq), lane_number(lane), state::OPEN, now_ms, boot_no, base_ms],
        )?;
        let id = self.db().last_insert_rowid();
        self.news = true;
        let open =
            OpenBatch { id, opened_ms: now_ms, rows: 0, samples: 0, span: None, json_bytes: 0, base_ms };
        self.open[slot] = Some(open);
        Ok(open)
    }

    /// Remembers how far an open batch has been filled.
    pub(super) fn keep_open(&mut self, lane: Lane, open: OpenBatch) {
        self.open[slot(lane)] = Some(open);
    }

    /// The id of a shape, made if it is new.
    pub(super) fn shape(&mut self, device: &str, kind: &str, series: &str) -> Result<i64, SpoolError> {
        let key = format!("{device}\n{kind}\n{series}");
        if let Some(id) = self.shapes.get(&key) {
            return Ok(*id);
        }
        let known = self
            .db()
            .prepare_cached("select id from shapes where device = ?1 and kind = ?2 and series = ?3")?
            .query_row(params![device, kind, series], |row| row.get(0))
            .optional()?;
        let id = match known {
            Some(id) => id,
            None => {
                self.change(
                    "insert into shapes (device, kind, series, crc) values (?1, ?2, ?3, ?4)",
                    params![device, kind, series, check::shape_crc(device, kind, series)],
                )?;
                self.db().last_insert_rowid()
            }
        };
        if self.shapes.len() >= SHAPES_REMEMBERED_MAX {
            self.shapes.clear();
        }
        self.shapes.insert(key, id);
        Ok(id)
    }

    /// Sets the damaged database aside and goes on with a new one, in an epoch of its own.
    pub(super) fn replace(&mut self, now_ms: i64) -> Result<(), SpoolError> {
        let dir = self.opened.dir.clone();
        let lock = self.opened.give_up()?;
        let aside = damage::set_aside(&dir).map_err(|e| SpoolError::open(&dir, e))?;
        let opened = Opened::new(&dir, lock, self.budget)?;
        let clock = self.dates.take_clock();
        let wear = std::mem::replace(&mut self.wear, Wear::starting(now_ms));
        *self = Self::load(opened, self.limits, Some(&aside), now_ms)?;
        self.wear.go_on(wear);
        if let Some(clock) = clock {
            self.keep_time(clock)?;
        }
        tracing::error!(aside = %aside.display(), "the spool is damaged; it was set aside, and collection goes on");
        self.news = true;
        Ok(())
    }

    /// Writes down what was counted, if it is time.
    pub(super) fn save_writes(&mut self) -> Result<(), rusqlite::Error> {
        self.wear.save(&self.opened.db)
    }

    /// Counts what the last commit made the disk write.
    pub(super) fn count_writes(&mut self) {
        if let Err(error) = self.wear.count(&self.opened.db, &self.opened.dir) {
            tracing::debug!(%error, "what the spool has written could not be counted");
        }
    }

    /// The database as a killed process leaves it.
    #[cfg(test)]
    pub(super) fn into_opened(self) -> Opened {
        self.opened
    }

    /// Closes the database, which folds the WAL into it.
    pub(super) fn close(self) {
        self.opened.close();
    }
}

/// Shapes remembered at most; a pusher with ever new combinations costs look-ups, not memory.
const SHAPES_REMEMBERED_MAX: usize = 4_096;

pub(super) const fn slot(lane: Lane) -> usize {
    match lane {
        Lane::Critical => 0,
        Lane::Normal => 1,
        Lane::Bulk => 2,
    }
}
