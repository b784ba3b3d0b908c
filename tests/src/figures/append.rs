//! Appending to the spool, in samples a second until they are durable.
//!
//! One call after the other, each waited for, as a single collector does: no two calls share a commit. A call of 50 is
//! five ticks of a device with ten metrics, one of 500 fifty of them, one of 1 a single value. The spool has the limits
//! that an agent has by default, so it also seals a batch every 5,000 samples; that is inside (with single
//! samples a slow disk does not get there in our time, but then it is one commit in 5,000).
//!
//! Both take turns of a few calls, and what is told is all calls by all their time, not a median: a checkpoint and a seal
//! fall into few turns and belong to the price all the same, and a disk that is throttled in bursts throttles both.
//!
//! The limit is a plain SQLite database in the same folder, WAL and `synchronous=FULL` as the spool, one table, one row a
//! sample, the same number of samples a commit.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, params};
use storepulse_agent::spool::{Limits, Spool};
use storepulse_shared::batch::{Column, Frame, Lane};

use super::figure::Figure;
use super::progress;
use super::reference::EPOCH_MS;

/// How long both together take.
const TIME: Duration = Duration::from_secs(9);
/// Calls of a turn.
const TURN: usize = 16;
/// Turns before the first that counts.
const WARM_UP: usize = 4;
const METRICS: [&str; 10] = ["m0", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "m9"];
/// Far from full.
const LIMITS: Limits = Limits { bytes_max: 4 << 30, batch_samples_max: 5_000 };

/// Samples a commit.
pub(super) const SIZES: [usize; 3] = [1, 50, 500];

pub(super) async fn measure(size: usize, dir: &Path) -> anyhow::Result<Figure> {
    let (spool, writer) = Spool::open(&dir.join("spool"), LIMITS, EPOCH_MS)?;
    let mut plain = Plain::open(&dir.join("plain.db"), size)?;
    let mut source = Source { size, tick: 0 };
    let (mut turns, mut value, mut limit) = (0, Duration::ZERO, Duration::ZERO);
    for turn in 0.. {
        let calls: Vec<_> = (0..TURN).map(|_| source.frame()).collect();
        let (of_spool, of_plain) = if turn % 2 == 0 {
            (append_all(&spool, calls).await?, plain.append_all()?)
        } else {
            let of_plain = plain.append_all()?;
            (append_all(&spool, calls).await?, of_plain)
        };
        if turn >= WARM_UP {
            (turns, value, limit) = (turns + 1, value + of_spool, limit + of_plain);
        }
        if value + limit >= TIME {
            break;
        }
    }
    drop(spool);
    writer.join();
    let rate = |taken: Duration| per_second(turns * TURN * size, taken);
    progress::say(&format!("    {} commits each", turns * TURN))?;
    Ok(Figure::new(rate(value)).beside(rate(limit)).ratio_at_least(0.5).binding())
}

async fn append_all(spool: &Spool, calls: Vec<Frame<'static>>) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    for frame in calls {
        spool.append(Lane::Normal, vec![frame], EPOCH_MS).await?;
    }
    Ok(begun.elapsed())
}

#[expect(clippy::cast_precision_loss, reason = "counts of this run are far below 2^52")]
fn per_second(samples: usize, taken: Duration) -> f64 {
    samples as f64 / taken.as_secs_f64()
}

/// A device whose values go on for ever.
struct Source {
    size: usize,
    tick: i64,
}

impl Source {
    fn frame(&mut self) -> Frame<'static> {
        let metrics = METRICS.len().min(self.size);
        let ticks = self.size / metrics;
        let times: Vec<i64> = (0..ticks).map(|_| self.next_time()).collect();
        let columns = METRICS.iter().take(metrics).enumerate().map(|(at, name)| Column {
            series: (*name).into(),
            values: times.iter().map(|time| value(*time, at)).collect(),
        });
        Frame { device: "pos-01".into(), kind: "pos".into(), columns: columns.collect(), times }
    }

    fn next_time(&mut self) -> i64 {
        self.tick += 1;
        EPOCH_MS + self.tick * 1_000
    }
}

/// A value with one decimal that does not stay the same.
#[expect(clippy::cast_precision_loss, reason = "less than a thousand")]
fn value(time: i64, at: usize) -> f64 {
    ((time / 1_000 * 7) % 601) as f64 / 10.0 + at as f64
}

/// What somebody would write who needs no batches, no epochs and no delivery.
struct Plain {
    db: Connection,
    size: usize,
    tick: i64,
}

impl Plain {
    fn open(path: &Path, size: usize) -> anyhow::Result<Self> {
        let db = Connection::open(path)?;
        db.pragma_update(None, "journal_mode", "wal")?;
        db.pragma_update(None, "synchronous", "full")?;
        db.execute_batch(
            "create table samples (series integer not null, t integer not null, value real not null)",
        )?;
        Ok(Self { db, size, tick: 0 })
    }

    fn append_all(&mut self) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        for _ in 0..TURN {
            let tx = self.db.transaction()?;
            let mut insert =
                tx.prepare_cached("insert into samples (series, t, value) values (?1, ?2, ?3)")?;
            for at in 0..self.size {
                let time = EPOCH_MS + self.tick * 1_000;
                let series = at % METRICS.len();
                insert.execute(params![i64::try_from(series)?, time, value(time, series)])?;
            }
            drop(insert);
            tx.commit()?;
            self.tick += 1;
        }
        Ok(begun.elapsed())
    }
}
