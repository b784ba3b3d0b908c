//! Requests that were refused although they came with a key that opens, counted by tenant, key and reason.
//!
//! The service's own numbers tell the reasons and no tenant: anybody may read them. What concerns a tenant goes into its audit,
//! an entry a key and minute at most, with the counts since the one before, written in the background. Keys that open nothing
//! belong to nobody, and are counted only.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use storepulse_shared::ids::{StoreId, TenantId};
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::audit::{self, Actor, Deed};
use crate::auth::StoreAuth;

/// How soon the first refusal of a key is written.
const TICK: Duration = Duration::from_secs(5);
/// The shortest time between two entries of a key.
const ENTRY_EVERY: Duration = Duration::from_secs(60);
/// Keys followed. Beyond it refusals are only counted by reason.
const KEYS_MAX: usize = 20_000;

/// Why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// Too much in a window.
    RateLimited,
    /// Too much in a day.
    DailyQuota,
    /// The tenant is not active.
    TenantSuspended,
    /// The store is not.
    StoreSuspended,
    /// It was said to be for another tenant.
    TenantMismatch,
}

impl Reason {
    const ALL: [Self; 5] = [
        Self::RateLimited,
        Self::DailyQuota,
        Self::TenantSuspended,
        Self::StoreSuspended,
        Self::TenantMismatch,
    ];

    /// The word that programs compare.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::RateLimited => "rate_limited",
            Self::DailyQuota => "daily_quota",
            Self::TenantSuspended => "tenant_suspended",
            Self::StoreSuspended => "store_suspended",
            Self::TenantMismatch => "tenant_mismatch",
        }
    }
}

/// The refusals that no entry tells yet.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<HashMap<[u8; 32], OfKey>>);

#[derive(Debug)]
struct OfKey {
    tenant: TenantId,
    store: StoreId,
    key_id: Arc<str>,
    counts: [u64; Reason::ALL.len()],
    told: Option<Instant>,
}

/// An entry to be written.
#[derive(Debug)]
struct Entry {
    tenant: TenantId,
    store: StoreId,
    key_id: Arc<str>,
    counts: Value,
}

impl Refusals {
    /// Counts one.
    pub(crate) fn count(&self, auth: &StoreAuth, reason: Reason) {
        let mut keys = self.lock();
        if keys.len() >= KEYS_MAX && !keys.contains_key(&auth.key_hash) {
            return;
        }
        let of_key = keys.entry(auth.key_hash).or_insert_with(|| OfKey {
            tenant: auth.tenant.clone(),
            store: auth.store.clone(),
            key_id: Arc::clone(&auth.key_id),
            counts: [0; Reason::ALL.len()],
            told: None,
        });
        of_key.counts[reason as usize] += 1;
    }

    /// What may be told now, or everything if it is the last time. Keys that were not refused for as long as an entry lasts are
    /// forgotten.
    fn due(&self, now: Instant, is_last: bool) -> Vec<Entry> {
        let mut due = Vec::new();
        self.lock().retain(|_, of_key| {
            let is_told = of_key.told.is_some_and(|told| now.saturating_duration_since(told) < ENTRY_EVERY);
            if is_told && !is_last {
                return true;
            }
            let counts = std::mem::take(&mut of_key.counts);
            if counts == [0; Reason::ALL.len()] {
                return false;
            }
            of_key.told = Some(now);
            let told = Reason::ALL.iter().zip(counts).filter(|(_, count)| *count > 0);
            let counts: Map<String, Value> = told.map(|(r, n)| (r.word().to_owned(), n.into())).collect();
            due.push(Entry {
                tenant: of_key.tenant.clone(),
                store: of_key.store.clone(),
                key_id: Arc::clone(&of_key.key_id),
                counts: counts.into(),
            });
            true
        });
        due
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<[u8; 32], OfKey>> {
        // Counts that a panic left half done are a little off.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Until shutdown, and once more then: writes into the tenants' audits what is due. What cannot be written is lost but for the log.
pub(crate) async fn tell_now_and_then(app: Arc<App>, shutdown: CancellationToken) {
    let mut tick = tokio::time::interval(TICK);
    loop {
        let is_last = tokio::select! {
            () = shutdown.cancelled() => true,
            _ = tick.tick() => false,
        };
        for entry in app.refusals.due(Instant::now(), is_last) {
            if let Err(error) = write(&app, &entry).await {
                tracing::warn!(
                    tenant = %entry.tenant, key = %entry.key_id, counts = %entry.counts, %error,
                    "refusals could not be written into the audit"
                );
            }
        }
        if is_last {
            return;
        }
    }
}

async fn write(app: &App, entry: &Entry) -> Result<(), sqlx::Error> {
    let mut tx = app.db.control().await?;
    let actor = Actor::Key { key_id: entry.key_id.to_string() };
    let subject = format!("store:{}", entry.store);
    let detail = json!({ "refused": entry.counts });
    let deed = Deed { action: "request.refused", subject: &subject, detail };
    audit::record(&mut tx, &entry.tenant, &actor, deed).await?;
    tx.commit().await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Allowance;

    fn auth(key: u8) -> StoreAuth {
        StoreAuth {
            tenant: "acme".parse().unwrap(),
            store: "T01".parse().unwrap(),
            key_id: "00000000".into(),
            retention_days: 1,
            key_hash: [key; 32],
            rotate_key: false,
            settings: None,
            allowance: Allowance::unlimited().into(),
        }
    }

    #[test]
    fn a_key_has_an_entry_a_minute_at_most_and_it_tells_how_often() {
        let (refusals, now) = (Refusals::default(), Instant::now());
        for _ in 0..1_000 {
            refusals.count(&auth(1), Reason::RateLimited);
        }
        refusals.count(&auth(1), Reason::TenantMismatch);
        let due = refusals.due(now, false);
        assert_eq!(due.len(), 1);
        assert_eq!(due[0].counts, json!({"rate_limited": 1_000, "tenant_mismatch": 1}));
        refusals.count(&auth(1), Reason::DailyQuota);
        assert!(refusals.due(now + TICK, false).is_empty());
        assert_eq!(refusals.due(now + ENTRY_EVERY, false)[0].counts, json!({"daily_quota": 1}));
        assert!(refusals.due(now + ENTRY_EVERY * 3, false).is_empty());
        assert!(refusals.lock().is_empty(), "who is not refused any more is forgotten");
    }

    #[test]
    fn only_so_many_keys_are_followed() {
        let refusals = Refusals::default();
        for no in 0..KEYS_MAX + 10 {
            let mut auth = auth(0);
            auth.key_hash[..8].copy_from_slice(&no.to_be_bytes());
            refusals.count(&auth, Reason::RateLimited);
        }
        assert_eq!(refusals.lock().len(), KEYS_MAX);
    }
}
