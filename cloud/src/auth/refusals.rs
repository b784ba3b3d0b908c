//! Known keys that were turned away: counted in memory, and told in the tenant's audit, at most one entry a key and minute.
//!
//! A key that nobody knows belongs to no tenant: it is counted in `/metrics` only.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde_json::json;
use storepulse_shared::ids::{StoreId, TenantId};

use super::StoreAuth;
use crate::audit::{self, Actor, Deed};
use crate::db::Db;

/// Keys remembered between two writings; the refusals of others are not told.
const REMEMBERED_MAX: usize = 10_000;

/// What was refused since the last writing, by key.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<BTreeMap<(TenantId, StoreId, String), Counts>>);

/// How often, by the code of the answer.
type Counts = BTreeMap<&'static str, u64>;

impl Refusals {
    /// This key was turned away.
    pub(super) fn note(&self, auth: &StoreAuth, code: &'static str) {
        let mut refused = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (auth.tenant.clone(), auth.store.clone(), auth.key_id.to_string());
        if refused.len() < REMEMBERED_MAX || refused.contains_key(&key) {
            *refused.entry(key).or_default().entry(code).or_default() += 1;
        }
    }

    /// Writes them down, each in a transaction of its own: what cannot be written is forgotten.
    pub(crate) async fn write(&self, db: &Db) -> Result<(), sqlx::Error> {
        let refused = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        for ((tenant, store, key_id), counts) in refused {
            let subject = format!("store:{store}");
            let actor = Actor::Agent { store, key_id };
            let deed =
                Deed { action: "key.refused", subject: &subject, detail: json!({ "refused": counts }) };
            let mut tx = db.control().await?;
            audit::record(&mut tx, &tenant, &actor, deed).await?;
            tx.commit().await?;
        }
        Ok(())
    }
}
