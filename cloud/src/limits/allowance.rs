//! What a key may still do: its limits, and the accounts of its tenant, its store and itself. It comes with the key's row, so a
//! request costs no look-up.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::Notify;

use super::account::{Account, Book, Cost};
use super::charge::Charge;
use super::quota::Quota;
use super::rules::{Effective, Rule, Scope};

/// An account that several allowances share.
pub(super) type Shared = Arc<Mutex<Account>>;

/// What a key may still do.
#[derive(Debug)]
pub(crate) struct Allowance(Option<Counted>);

#[derive(Debug)]
pub(super) struct Counted {
    pub(super) limits: Effective,
    /// By scope.
    pub(super) accounts: [Shared; 3],
    pub(super) quota: Option<(Arc<Quota>, Arc<Notify>)>,
    /// From when the accounts count their time.
    pub(super) since: Instant,
}

/// It is too much. What was asked for was not taken from anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Exceeded {
    /// Which limit, in words.
    pub(crate) which: String,
    /// Its amount.
    pub(crate) limit: u64,
    /// When it fits if nobody else comes first; whole seconds, one at least.
    pub(crate) retry_after: Duration,
    /// Whether it is the quota of a day.
    pub(crate) is_daily: bool,
}

impl Allowance {
    pub(super) const fn counted(counted: Counted) -> Self {
        Self(Some(counted))
    }

    #[cfg(test)]
    pub(super) fn into_counted(self) -> Option<Counted> {
        self.0
    }

    /// For what a person does, and no agent.
    pub(crate) const fn unlimited() -> Self {
        Self(None)
    }

    /// Takes it from all accounts, or from none.
    ///
    /// # Errors
    /// The limit that keeps it longest.
    pub(crate) fn charge(&self, charge: Charge) -> Result<(), Exceeded> {
        let Some(counted) = &self.0 else { return Ok(()) };
        counted.charge_at(charge, counted.now_ms(), unix_s())
    }

    /// Tells what of it has been stored, and was not before.
    pub(crate) fn has_stored(&self, samples: u64, bytes: u64) {
        if let Some(Counted { quota: Some((quota, _)), .. }) = &self.0 {
            quota.has_stored(Cost { requests: 0, samples, bytes }, unix_s());
        }
    }

    /// Takes what the head did not tell, now that it is known: it may become debt.
    pub(crate) fn owe(&self, samples: u64, bytes: u64) {
        let Some(counted) = &self.0 else { return };
        let cost = Cost { requests: 0, samples, bytes };
        if cost != Cost::default() {
            let mut accounts = counted.accounts.each_ref().map(lock);
            counted.take(&mut accounts, Charge { book: Book::Ordinary, cost }, counted.now_ms(), unix_s());
        }
    }
}

impl Counted {
    pub(super) fn charge_at(&self, charge: Charge, now_ms: u64, unix_s: u64) -> Result<(), Exceeded> {
        let Charge { book, cost } = charge;
        if book == Book::Ordinary
            && let Some((quota, ask)) = &self.quota
        {
            ask.notify_one();
            quota.check(&self.limits, cost, unix_s).map_err(|used_up| Exceeded {
                which: format!("{} {} a day of the tenant", used_up.quota, used_up.quantity),
                limit: used_up.quota,
                retry_after: Duration::from_secs(used_up.wait_s),
                is_daily: true,
            })?;
        }
        // Everybody locks in this order.
        let mut accounts = self.accounts.each_ref().map(lock);
        let mut longest: Option<(u64, Rule, Scope)> = None;
        for (scope, account) in Scope::ALL.into_iter().zip(&mut accounts) {
            let wait = account.wait(book, &self.limits.rules[scope as usize], cost, now_ms);
            if let Some((wait_ms, rule)) = wait
                && longest.is_none_or(|(longest, ..)| wait_ms > longest)
            {
                longest = Some((wait_ms, rule, scope));
            }
        }
        let Some((wait_ms, rule, scope)) = longest else {
            self.take(&mut accounts, charge, now_ms, unix_s);
            return Ok(());
        };
        Err(Exceeded {
            which: format!("{rule} of the {}", scope.word()),
            limit: rule.amount,
            retry_after: Duration::from_secs(wait_ms.div_ceil(1_000).max(1)),
            is_daily: false,
        })
    }

    fn take(&self, accounts: &mut [MutexGuard<'_, Account>; 3], charge: Charge, now_ms: u64, unix_s: u64) {
        for (account, rules) in accounts.iter_mut().zip(&self.limits.rules) {
            account.take(charge.book, rules, charge.cost, now_ms);
        }
        if let Some((quota, _)) = &self.quota
            && charge.book != Book::Reading
        {
            quota.add(charge.cost, unix_s);
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX / 4)
    }
}

fn lock(account: &Shared) -> MutexGuard<'_, Account> {
    // Counts of a request that panicked are a little off, for one window.
    account.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The day that quotas count is the calendar's.
pub(super) fn unix_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
