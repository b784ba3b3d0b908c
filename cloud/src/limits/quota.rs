//! What a tenant has sent in the running day of UTC, for its daily quotas.
//!
//! What this process has let in, and what others have stored: the counts of the database, read now and then ([`READ_EVERY`]),
//! less what this process has stored itself. So it is exact for one process; others' batches are seen with the next reading,
//! and until then all processes together can let in what each of them would alone. After a start nothing is known until the
//! first reading, which the first request asks for. What is let in and then not stored (a duplicate, say) counts until the
//! process ends. The critical lane counts, and is never refused for it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::account::Cost;
use super::rules::Effective;

/// How often the database is asked, of tenants that send.
pub(super) const READ_EVERY: Duration = Duration::from_secs(30);
const DAY_S: u64 = 24 * 3_600;

/// One tenant's day.
#[derive(Debug, Default)]
pub(super) struct Quota(Mutex<Day>);

#[derive(Debug, Default)]
struct Day {
    /// Days since 1970.
    no: u64,
    /// By other processes, as the database said, and by this one before it was started.
    others: Cost,
    /// Let in by this process.
    let_in: Cost,
    /// Of that, stored.
    stored: Cost,
    /// Something was let in, or wanted to be, since the database was asked.
    is_stale: bool,
}

/// Which quota is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct UsedUp {
    pub(super) quantity: &'static str,
    pub(super) quota: u64,
    /// Until the day is over.
    pub(super) wait_s: u64,
}

impl Quota {
    /// Whether so much may still come today.
    pub(super) fn check(&self, limits: &Effective, cost: Cost, unix_s: u64) -> Result<(), UsedUp> {
        let mut day = self.day(unix_s);
        day.is_stale = true;
        let of = [
            ("samples", limits.daily_samples, day.others.samples + day.let_in.samples, cost.samples),
            ("bytes", limits.daily_bytes, day.others.bytes + day.let_in.bytes, cost.bytes),
        ];
        for (quantity, quota, used, cost) in of {
            if let Some(quota) = quota
                && used.saturating_add(cost.max(1)) > quota
            {
                return Err(UsedUp { quantity, quota, wait_s: DAY_S - unix_s % DAY_S });
            }
        }
        Ok(())
    }

    /// Counts what was let in.
    pub(super) fn add(&self, cost: Cost, unix_s: u64) {
        let mut day = self.day(unix_s);
        day.is_stale = true;
        add(&mut day.let_in, cost);
    }

    /// Counts what was stored of it.
    pub(super) fn has_stored(&self, cost: Cost, unix_s: u64) {
        add(&mut self.day(unix_s).stored, cost);
    }

    /// Before the database is asked: what of its answer is our own. `None`: nothing has happened since it was.
    pub(super) fn before_reading(&self, unix_s: u64) -> Option<Cost> {
        let mut day = self.day(unix_s);
        std::mem::take(&mut day.is_stale).then_some(day.stored)
    }

    /// What the database said, samples and bytes, when it was asked at that time.
    pub(super) fn has_read(&self, own: Cost, all: (u64, u64), asked_s: u64) {
        let mut day = self.day(asked_s);
        if day.no == asked_s / DAY_S {
            day.others.samples = all.0.saturating_sub(own.samples);
            day.others.bytes = all.1.saturating_sub(own.bytes);
        }
    }

    /// It could not be asked: it is the next time.
    pub(super) fn was_not_read(&self, unix_s: u64) {
        self.day(unix_s).is_stale = true;
    }

    fn day(&self, unix_s: u64) -> MutexGuard<'_, Day> {
        // Counts that a panic left half done are read anew.
        let mut day = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let no = unix_s / DAY_S;
        if day.no < no {
            *day = Day { no, ..Day::default() };
        }
        day
    }
}

fn add(sum: &mut Cost, cost: Cost) {
    sum.samples = sum.samples.saturating_add(cost.samples);
    sum.bytes = sum.bytes.saturating_add(cost.bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(samples: u64) -> Cost {
        Cost { requests: 1, samples, bytes: 0 }
    }

    #[test]
    fn a_day_holds_its_quota_and_the_next_one_another() {
        let limits = Effective { daily_samples: Some(100), ..Effective::default() };
        let quota = Quota::default();
        quota.check(&limits, samples(60), 1_000).unwrap();
        quota.add(samples(60), 1_000);
        let used_up = quota.check(&limits, samples(60), 1_000).unwrap_err();
        assert_eq!(used_up, UsedUp { quantity: "samples", quota: 100, wait_s: 85_400 });
        quota.check(&limits, samples(40), 1_000).unwrap();
        quota.check(&limits, samples(100), DAY_S + 1).unwrap();
    }

    #[test]
    fn what_others_have_stored_counts_once_it_is_read_and_ours_is_not_counted_twice() {
        let limits = Effective { daily_samples: Some(100), ..Effective::default() };
        let quota = Quota::default();
        quota.add(samples(30), 0);
        quota.has_stored(samples(30), 0);
        quota.add(samples(10), 0);
        let own = quota.before_reading(0).unwrap();
        quota.has_stored(samples(10), 0);
        quota.has_read(own, (80, 0), 0);
        quota.check(&limits, samples(10), 0).unwrap();
        assert!(quota.check(&limits, samples(11), 0).is_err(), "50 of others, 40 of ours");
        assert!(quota.before_reading(0).is_some());
        assert!(quota.before_reading(0).is_none(), "nothing has happened since");
        quota.has_read(own, (100, 0), 0);
        quota.check(&limits, samples(100), DAY_S).unwrap();
        quota.has_read(own, (100, 0), 0);
        quota.check(&limits, samples(100), DAY_S).unwrap();
    }
}
