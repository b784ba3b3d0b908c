//! Wear of the flash: the bytes that the spool makes the disk write, and how long commits may wait to write fewer.
//!
//! # What is counted
//! Every block that SQLite gives the disk to write durably: the blocks of the write-ahead log that each commit touches (a
//! frame is 24 bytes longer than its page, and every commit is synced, so a block that two commits share is written
//! twice), and the pages that a checkpoint writes back, each once however often the log has it. Both are read from
//! SQLite's own account of the log (`wal_checkpoint(noop)` and the page numbers in the log's frames), since what was
//! asked for in bytes says little: a tick of 60 bytes costs blocks. The kernel's count of the thread (`write_bytes` of
//! `/proc/thread-self/io`) agrees within one per cent (2,405 commits, ticks and delivery, ext4: 26.66 MB here, 26.60 MB
//! there); it is not used, because not every kernel of a gateway has it and it stands still on some file systems. Not
//! counted: the wal-index, which is never synced, the file system's own journal, what opening and closing fold together,
//! and what the flash itself makes of a block. A clock that is set to another day begins another count.
//!
//! # How long a commit may wait
//! The budget of a day is handed out evenly, with an hour's worth in advance. As long as that much is left of what was
//! handed out, nothing waits. Below, the window opens in proportion, and is open as far as it goes when nothing is left.
//! It closes by itself as the day goes on, or as fewer bytes are written: there is no state but the count. Calls that come
//! within the window share a commit; one that must not wait takes all that wait with it.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, params};
use serde::Serialize;

use super::FILE;
use super::SpoolError;
use super::core::{integer, unsigned};
use super::open::PAGE_BYTES;
use crate::time::BoxClock;

/// The longest that a tick waits for others: less than a second, so that a device that is read every second misses no
/// tick, and a reading keeps the time of its tick.
pub const TICK_WAIT_MAX: Duration = Duration::from_millis(900);
/// The same for what a device says by itself: the next that it says may have to wait behind this and then as long again, and
/// a power cut must not take more than the last second.
pub const LINE_WAIT_MAX: Duration = Duration::from_millis(400);
const _: () = assert!(2 * LINE_WAIT_MAX.as_millis() < 1_000, "two lines one behind the other");
/// The same for a push: somebody waits for the answer.
pub const PUSH_WAIT_MAX: Duration = Duration::from_millis(250);
/// A window shorter than this would gather nothing.
const WINDOW_MIN: Duration = Duration::from_millis(10);

const DAY_MS: i64 = 86_400_000;
/// What is handed out of a day's budget in advance: an hour's worth.
const ADVANCE: u64 = 24;
/// The count is written down when it has grown by so much, with a commit that happens anyway.
const SAVED_EVERY_BYTES: u64 = 256 << 10;

const WAL_HEADER_BYTES: u64 = 32;
const FRAME_BYTES: u64 = 24 + PAGE_BYTES;

/// What was written, for people and monitoring.
#[derive(Debug, Clone, Default, Serialize)]
pub struct WritesStatus {
    /// The UTC day that is counted, in days since 1970.
    pub day: i64,
    /// Bytes written on it so far, as far as it is known.
    pub bytes: u64,
    /// What may be written in a day; `None`: nobody minds, or no agent runs.
    pub bytes_max: Option<u64>,
    /// Commits since the agent started.
    pub commits: u64,
    /// How long a commit waits now so that more calls share it, in milliseconds.
    pub window_ms: u64,
}

/// The running count of one day.
#[derive(Debug)]
pub(super) struct Wear {
    now: Now,
    day: i64,
    bytes: u64,
    /// Of these, what is not written down yet.
    unsaved: u64,
    bytes_max: Option<u64>,
    commits: u64,
    /// Frames in the log, and how many of them had been written back, when it was last looked at.
    log: Log,
}

/// The clock that days are counted by.
#[derive(Debug)]
enum Now {
    /// The clock of the box.
    Box(BoxClock),
    /// What the opening was told, and how long ago that was.
    Since(i64, Instant),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Log {
    frames: u64,
    written_back: u64,
}

impl Wear {
    pub(super) fn starting(now_ms: i64) -> Self {
        Self {
            now: Now::Since(now_ms, Instant::now()),
            day: now_ms.div_euclid(DAY_MS),
            bytes: 0,
            unsaved: 0,
            bytes_max: None,
            commits: 0,
            log: Log::default(),
        }
    }

    /// Goes on with the count of before, if it is of this day.
    pub(super) fn load(&mut self, db: &Connection) -> Result<(), SpoolError> {
        let (day, bytes) = read(db)?;
        if day == self.day {
            self.bytes += bytes;
        }
        Ok(())
    }

    pub(super) fn keep_time(&mut self, clock: BoxClock) {
        self.now = Now::Box(clock);
    }

    /// Another database takes the place of this one; the count goes on.
    pub(super) fn go_on(&mut self, before: Self) {
        let bytes = before.bytes + self.bytes;
        *self = Self { log: self.log, bytes, unsaved: bytes, ..before };
    }

    /// What may be written in a day.
    pub(super) fn limit(&mut self, bytes_max: Option<u64>) {
        self.bytes_max = bytes_max;
    }

    /// Looks at what the last commit has written.
    pub(super) fn count(&mut self, db: &Connection, dir: &Path) -> Result<(), SpoolError> {
        let log = db.prepare_cached("pragma wal_checkpoint(noop)")?.query_row([], |row| {
            Ok(Log { frames: unsigned(row.get(1)?), written_back: unsigned(row.get(2)?) })
        })?;
        let before = std::mem::replace(&mut self.log, log);
        if log == before {
            return Ok(());
        }
        let begins_anew = log.frames < before.frames;
        let from = if begins_anew { 0 } else { before.frames };
        let mut blocks = blocks(from, log.frames);
        let from = if begins_anew { 0 } else { before.written_back };
        if log.written_back > from {
            // A log that cannot be read by name tells the most that it can be.
            let pages = pages(&dir.join(format!("{FILE}-wal")), from, log.written_back);
            blocks += pages.unwrap_or(log.written_back - from);
        }
        self.commits += u64::from(log.frames != before.frames);
        self.turn_day();
        self.bytes += blocks * PAGE_BYTES;
        self.unsaved += blocks * PAGE_BYTES;
        Ok(())
    }

    /// Writes the count down, in a transaction that has something else to write as well.
    pub(super) fn save(&mut self, db: &Connection) -> Result<(), rusqlite::Error> {
        if self.unsaved >= SAVED_EVERY_BYTES {
            db.prepare_cached("update spool set writes_day = ?1, writes_bytes = ?2")?
                .execute(params![self.day, integer(self.bytes)])?;
            self.unsaved = 0;
        }
        Ok(())
    }

    /// How long a commit may wait now.
    pub(super) fn window(&mut self) -> Duration {
        let Some(bytes_max) = self.bytes_max else { return Duration::ZERO };
        let now_ms = self.turn_day();
        window(bytes_max, self.bytes, now_ms.rem_euclid(DAY_MS))
    }

    pub(super) fn status(&mut self) -> WritesStatus {
        let window = self.window();
        WritesStatus {
            day: self.day,
            bytes: self.bytes,
            bytes_max: self.bytes_max,
            commits: self.commits,
            window_ms: u64::try_from(window.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// Begins a new count if it is another day, and says what time it is.
    fn turn_day(&mut self) -> i64 {
        let now_ms = match &self.now {
            Now::Box(clock) => clock.now_ms(),
            Now::Since(ms, at) => ms.saturating_add(i64::try_from(at.elapsed().as_millis()).unwrap_or(0)),
        };
        let day = now_ms.div_euclid(DAY_MS);
        if day != self.day {
            (self.day, self.bytes, self.unsaved) = (day, 0, 0);
        }
        now_ms
    }
}

/// The count as it was written down last: day and bytes.
pub(super) fn read(db: &Connection) -> Result<(i64, u64), SpoolError> {
    let mut statement = db.prepare_cached("select writes_day, writes_bytes from spool")?;
    Ok(statement.query_row([], |row| Ok((row.get(0)?, unsigned(row.get(1)?))))?)
}

/// Of a day's budget, what has been handed out at this time of the day, less what was written, against an hour's worth.
fn window(bytes_max: u64, written: u64, day_ms: i64) -> Duration {
    let advance = bytes_max / ADVANCE;
    let by_now =
        u128::from(bytes_max - advance) * u128::from(unsigned(day_ms)) / u128::from(unsigned(DAY_MS));
    let left = (u128::from(advance) + by_now).saturating_sub(u128::from(written));
    let missing = u128::from(advance).saturating_sub(left);
    let full = TICK_WAIT_MAX.as_millis();
    let window_ms = if left == 0 { full } else { full * missing / u128::from(advance.max(1)) };
    let window = Duration::from_millis(u64::try_from(window_ms).unwrap_or(u64::MAX));
    if window < WINDOW_MIN { Duration::ZERO } else { window }
}

/// Blocks of the log that hold the frames after the first `from`, up to `to`; with the log's header before the first frame.
const fn blocks(from: u64, to: u64) -> u64 {
    if to <= from {
        return 0;
    }
    let begin = if from == 0 { 0 } else { WAL_HEADER_BYTES + from * FRAME_BYTES };
    let end = WAL_HEADER_BYTES + to * FRAME_BYTES;
    end.div_ceil(PAGE_BYTES) - begin / PAGE_BYTES
}

/// Different pages in these frames of the log: what a checkpoint writes.
fn pages(wal: &Path, from: u64, to: u64) -> io::Result<u64> {
    let file = File::open(wal)?;
    let mut pages = HashSet::new();
    for frame in from..to {
        let mut number = [0; 4];
        file.read_exact_at(&mut number, WAL_HEADER_BYTES + frame * FRAME_BYTES)?;
        pages.insert(number);
    }
    Ok(pages.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;
    const HOUR_MS: i64 = DAY_MS / 24;

    #[test]
    fn nothing_waits_while_the_day_has_room() {
        assert_eq!(window(GIB, 0, 0), Duration::ZERO);
        assert_eq!(window(GIB, GIB / 4, DAY_MS / 2), Duration::ZERO);
        // Just as fast as the budget allows.
        assert_eq!(window(GIB, GIB / 2, DAY_MS / 2), Duration::from_millis(450));
    }

    #[test]
    fn the_window_opens_with_use_never_beyond_its_limit_and_closes_with_time() {
        let noon: Vec<Duration> = (0..=48).map(|half| window(GIB, GIB / 48 * half, DAY_MS / 2)).collect();
        assert!(noon.is_sorted() && noon[0].is_zero() && noon[48] == TICK_WAIT_MAX, "{noon:?}");
        let day: Vec<Duration> = (0..24).map(|hour| window(GIB, GIB / 2, hour * HOUR_MS)).collect();
        assert!(day.is_sorted_by(|a, b| a >= b), "{day:?}");
        assert_eq!((day[0], day[23]), (TICK_WAIT_MAX, Duration::ZERO));
        assert_eq!(window(GIB, GIB, DAY_MS - 1), TICK_WAIT_MAX, "the day's budget is used up");
        assert_eq!(window(1, 1, 0), TICK_WAIT_MAX);
        assert_eq!(window(u64::MAX, u64::MAX, DAY_MS - 1), TICK_WAIT_MAX);
    }

    #[test]
    fn a_commit_writes_every_block_that_it_touches() {
        assert_eq!(blocks(0, 1), 2, "header, frame of 4,120 bytes");
        assert_eq!(blocks(1, 2), 2);
        assert_eq!(blocks(7, 7), 0);
        assert_eq!(blocks(0, 1_000), 1_006);
    }

    #[test]
    fn a_checkpoint_writes_each_page_once_however_often_the_log_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let db = Connection::open(dir.path().join(FILE)).unwrap();
        db.pragma_update(None, "journal_mode", "wal").unwrap();
        db.pragma_update(None, "wal_autocheckpoint", 0).unwrap();
        db.execute_batch("create table a (n integer); insert into a values (0)").unwrap();
        db.query_row("pragma wal_checkpoint(truncate)", [], |_| Ok(())).unwrap();
        let mut wear = Wear::starting(0);
        let mut count = || {
            wear.count(&db, dir.path()).unwrap();
            (wear.bytes / PAGE_BYTES, wear.commits)
        };
        assert_eq!(count(), (0, 0));
        for n in 1..=10 {
            db.execute("update a set n = n + 1", []).unwrap();
            // One page a commit, which lies across two blocks of the log.
            assert_eq!(count(), (2 * n, n));
        }
        assert_eq!(count(), (20, 10), "nothing was written meanwhile");
        db.query_row("pragma wal_checkpoint(passive)", [], |_| Ok(())).unwrap();
        assert_eq!(count(), (21, 10));
        db.execute("update a set n = 11", []).unwrap();
        assert_eq!(count(), (23, 11), "the log begins anew");
    }
}
