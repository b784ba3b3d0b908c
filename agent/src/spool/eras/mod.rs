//! By which clock a batch was dated, and what that makes of its times when it is sent.
//!
//! A batch remembers the boot and the base of the clock that dated it (see [`crate::time`]), and never mixes two: when
//! the clock was set, the next sample goes into a new batch. Rows of an open batch and bodies of sealed ones stay as they
//! were written; the header's `offset-ms` repairs both on the way, computed when the batch is handed out:
//!
//! - the truth of its boot is known: `ok`, or `repaired` with the offset. From then on its header says the same for ever.
//! - it is not, but the boot is over: `unsure`. Times that cannot have been (before the agent was built, after the next
//!   boot) are moved to where they can have been at the latest, so that a store from 1970 is not outside all retention.
//! - it is not yet: `unsure`. The uplink asks for the time before it sends such a batch.
//! - somebody else's clock dated it (a push that does not agree with ours): `unsure`, unless that clock is known to be
//!   right, because the truth is known.

use rusqlite::params;
use storepulse_shared::batch::{Clock, Frame, Lane};

use super::SpoolError;
use super::core::Core;
use crate::time::{BUILD_MS, BoxClock, Dating, Truth};

/// Pushed samples this close to our clock were dated by it, or by one that agrees with it.
const SAME_CLOCK_MS: u64 = 60_000;
/// How far back what was remembered moves with a clock that is set: as long as anything is.
const REMEMBERED_MS: i64 = 7 * 24 * 3_600 * 1_000;

/// By which clock what is appended was dated.
#[derive(Debug, Default)]
pub(super) struct Dates {
    clock: Option<BoxClock>,
    boot_no: i64,
    /// What is appended at the moment was dated by somebody else.
    others: bool,
    /// The base that `idempotency_keys` are dated by.
    keys_base_ms: Option<i64>,
}

impl Dates {
    /// Boot and base of the clock that showed this a moment ago.
    pub(super) fn of(&self, now_ms: i64) -> (Option<i64>, Option<i64>) {
        match &self.clock {
            Some(clock) if !self.others => (Some(self.boot_no), Some(clock.base_of(now_ms))),
            _ => (None, None),
        }
    }

    /// The true time when our clock shows this; 0 while it is not known. Without a clock of our own the caller's counts.
    pub(super) fn true_time(&self, now_ms: i64) -> i64 {
        let Some(clock) = &self.clock else { return now_ms };
        clock.truth().map_or(0, |truth| now_ms.saturating_add(truth.offset_of(clock.base_of(now_ms), now_ms)))
    }

    /// The clock, for a spool that takes the place of this one.
    pub(super) fn take_clock(&mut self) -> Option<BoxClock> {
        self.clock.take()
    }

    fn truth(&self) -> Option<Truth> {
        self.clock.as_ref().and_then(BoxClock::truth)
    }
}

/// What a batch remembers of its clock.
struct Dated {
    /// Boot and base.
    by: Option<(i64, i64)>,
    /// What its header said last.
    said: Option<Dating>,
    /// The middle of its times.
    around_ms: i64,
}

impl Core {
    /// From now on samples are dated by this clock. What an earlier process learnt in this boot is told to it.
    pub(super) fn keep_time(&mut self, clock: BoxClock) -> Result<(), SpoolError> {
        self.execute("begin immediate")?;
        self.change("insert into boots (boot_id) values (?1) on conflict do nothing", [clock.boot_id()])?;
        let boot_no = self
            .db()
            .prepare_cached("select no from boots where boot_id = ?1")?
            .query_row([clock.boot_id()], |row| row.get(0))?;
        // What is left of an earlier boot is among the oldest batches, where the search begins.
        self.change(
            "delete from boots where no <> ?1 and not exists (select 1 from batches where boot_no = boots.no)",
            [boot_no],
        )?;
        self.execute("commit")?;
        if let Some(truth) = self.stored_truth(boot_no)? {
            clock.remember(truth);
        }
        self.dates = Dates { clock: Some(clock), boot_no, ..Dates::default() };
        Ok(())
    }

    /// Keeps what is known of the true time of this boot, for samples that outlive it.
    pub(super) fn keep_truth(&self, truth: &Truth) -> Result<(), SpoolError> {
        let text = serde_json::to_string(truth).map_err(|e| SpoolError::Damaged(format!("truth: {e}")))?;
        self.change("update boots set truth = ?2 where no = ?1", params![self.dates.boot_no, text])?;
        Ok(())
    }

    /// What the header of a batch says of its times. `otherwise` is for batches that no clock of ours dated.
    pub(super) fn date(&self, id: i64, otherwise: Clock) -> Result<Dating, SpoolError> {
        let dated = self.dated(id)?;
        let dating = match (dated.by, dated.said) {
            (None, said) => said.unwrap_or(Dating { offset_ms: 0, clock: otherwise }),
            (Some(_), Some(said)) if said.clock != Clock::Unsure => said,
            (Some((boot_no, base_ms)), _) => match self.truth_of(boot_no)? {
                Some(truth) => truth.date(base_ms, dated.around_ms),
                None => Dating { offset_ms: self.least_offset(boot_no, base_ms)?, clock: Clock::Unsure },
            },
        };
        if dated.by.is_some() && dated.said != Some(dating) {
            self.change(
                "update batches set offset_ms = ?2, clock = ?3 where id = ?1",
                params![id, dating.offset_ms, dating.clock.as_str()],
            )?;
        }
        Ok(dating)
    }

    /// New batches with the content of another one were dated by the same clock.
    pub(super) fn date_like(&self, ids: &[i64], model: i64) -> Result<(), SpoolError> {
        for id in ids {
            self.change(
                "update batches set (boot_no, base_ms, offset_ms, clock) =
                    (select boot_no, base_ms, offset_ms, clock from batches where id = ?2)
                where id = ?1",
                params![id, model],
            )?;
        }
        Ok(())
    }

    /// A time of a batch as the present clock would have given it: losses speak of batches that another one dated.
    pub(super) fn in_present_clock(&self, id: i64, time_ms: i64, now_ms: i64) -> Result<i64, SpoolError> {
        let (_, Some(present_ms)) = self.dates.of(now_ms) else { return Ok(time_ms) };
        let dated = self.dated(id)?;
        let off_then = match dated.by {
            Some((boot_no, base_ms)) if boot_no == self.dates.boot_no => {
                return Ok(time_ms - base_ms + present_ms);
            }
            Some((boot_no, base_ms)) => {
                self.truth_of(boot_no)?.map(|truth| truth.date(base_ms, time_ms).offset_ms)
            }
            None => Some(dated.said.map_or(0, |said| said.offset_ms)),
        };
        let off_now = self.dates.truth().map(|truth| truth.date(present_ms, now_ms).offset_ms);
        Ok(off_then.zip(off_now).map_or(time_ms, |(then, now)| time_ms + then - now))
    }

    /// Appends samples that were pushed with times of their own. Those that agree with our clock are taken as dated by it.
    /// Others are by a clock that we cannot judge; while the truth is known we can say what ours would have shown.
    pub(super) fn append_pushed(
        &mut self,
        lane: Lane,
        frames: &[Frame<'static>],
        now_ms: i64,
    ) -> Result<(), SpoolError> {
        let newest = frames.iter().filter_map(|frame| frame.times.last()).max();
        let agrees = newest.is_none_or(|newest| newest.abs_diff(now_ms) <= SAME_CLOCK_MS);
        let (_, Some(base_ms)) = self.dates.of(now_ms) else {
            return self.append_frames(lane, frames, now_ms);
        };
        match self.dates.truth() {
            _ if agrees => self.append_frames(lane, frames, now_ms),
            Some(truth) => {
                let offset_ms = truth.date(base_ms, now_ms).offset_ms;
                self.append_frames(lane, &shifted(frames, -offset_ms), now_ms)
            }
            None => {
                self.dates.others = true;
                let appended = self.append_frames(lane, frames, now_ms);
                self.dates.others = false;
                appended
            }
        }
    }

    /// Moves what is remembered for a time along with a clock that was set, so that it is forgotten neither at once nor
    /// never.
    pub(super) fn keep_ages(&mut self, now_ms: i64) -> Result<(), SpoolError> {
        let (_, Some(base_ms)) = self.dates.of(now_ms) else { return Ok(()) };
        let before_ms = self.dates.keys_base_ms.replace(base_ms).unwrap_or(base_ms);
        if before_ms != base_ms {
            let (by_ms, then_ms) = (base_ms - before_ms, now_ms - base_ms + before_ms);
            self.change(
                "update idempotency_keys set at_ms = at_ms + ?1 where at_ms between ?2 and ?3",
                params![by_ms, then_ms - REMEMBERED_MS, then_ms],
            )?;
        }
        Ok(())
    }

    fn dated(&self, id: i64) -> Result<Dated, SpoolError> {
        let row = self
            .db()
            .prepare_cached(
                "select boot_no, base_ms, offset_ms, clock, coalesce((t_min + t_max) / 2, opened_ms)
                from batches where id = ?1",
            )?
            .query_row([id], |row| {
                let by = row.get::<_, Option<i64>>(0)?.zip(row.get(1)?);
                let said = row.get::<_, Option<i64>>(2)?.zip(row.get::<_, Option<String>>(3)?);
                Ok((by, said, row.get(4)?))
            })?;
        let (by, said, around_ms) = row;
        let said =
            said.and_then(|(offset_ms, name)| Some(Dating { offset_ms, clock: Clock::from_name(&name)? }));
        Ok(Dated { by, said, around_ms })
    }

    fn truth_of(&self, boot_no: i64) -> Result<Option<Truth>, SpoolError> {
        if boot_no == self.dates.boot_no { Ok(self.dates.truth()) } else { self.stored_truth(boot_no) }
    }

    fn stored_truth(&self, boot_no: i64) -> Result<Option<Truth>, SpoolError> {
        let text: Option<String> = self
            .db()
            .prepare_cached("select (select truth from boots where no = ?1)")?
            .query_row([boot_no], |row| row.get(0))?;
        Ok(text.as_deref().and_then(|text| parse_truth(boot_no, text)))
    }

    /// What has at least to be added to the times of a boot that is over and whose truth nobody learnt. It ended before
    /// the next one began; where its times agree with that they stay, otherwise they are moved to that end.
    fn least_offset(&self, boot_no: i64, base_ms: i64) -> Result<i64, SpoolError> {
        let Some(present) = self.dates.truth() else { return Ok(0) };
        if boot_no >= self.dates.boot_no {
            return Ok(0);
        }
        let mut statement = self.db().prepare_cached(
            "select no, truth, (
                select coalesce(max(coalesce(t_max, opened_ms) - base_ms), 0) from batches where boot_no = boots.no
            )
            from boots where no >= ?1 and no < ?2 order by no desc",
        )?;
        let mut rows = statement.query([boot_no, self.dates.boot_no])?;
        // The latest that the boot looked at can have begun; from the present one back to the one in question.
        let mut latest_ms = present.time_at(0);
        while let Some(row) = rows.next()? {
            let truth = row.get::<_, Option<String>>(1)?.and_then(|text| parse_truth(boot_no, &text));
            let lasted_ms: i64 = row.get(2)?;
            let began_ms = truth.map_or(latest_ms - lasted_ms, |truth| truth.time_at(0));
            latest_ms = latest_ms.min(began_ms);
        }
        let possible = (BUILD_MS..=latest_ms).contains(&base_ms);
        Ok(if possible { 0 } else { latest_ms - base_ms })
    }
}

/// A truth that cannot be read is as good as none: its samples are marked as unsure.
fn parse_truth(boot_no: i64, text: &str) -> Option<Truth> {
    let parsed = serde_json::from_str(text);
    parsed
        .inspect_err(|error| tracing::warn!(boot_no, %error, "what was known of the time cannot be read"))
        .ok()
}

fn shifted(frames: &[Frame<'static>], by_ms: i64) -> Vec<Frame<'static>> {
    let mut frames = frames.to_vec();
    for time in frames.iter_mut().flat_map(|frame| &mut frame.times) {
        *time = time.saturating_add(by_ms);
    }
    frames
}

#[cfg(test)]
mod tests;
