//! When keys were last used: remembered in memory by each request, written together now and then, so that no request writes.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use storepulse_shared::ids::TenantId;

use super::sql;
use crate::db::Db;

/// How often it is written.
pub(crate) const WRITTEN_EVERY: Duration = Duration::from_secs(60);
/// Keys remembered between two writings; the use of others is not written.
const REMEMBERED_MAX: usize = 200_000;

/// The keys that opened since the last writing, in the order in which their rows are locked.
#[derive(Debug, Default)]
pub(crate) struct KeyUses(Mutex<BTreeSet<(TenantId, [u8; 32])>>);

impl KeyUses {
    /// This one opened.
    pub(super) fn note(&self, tenant: &TenantId, hash: [u8; 32]) {
        let mut used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if used.len() < REMEMBERED_MAX {
            used.insert((tenant.clone(), hash));
        }
    }

    /// Writes them down. If that fails they are forgotten: the next use is soon.
    pub(crate) async fn write(&self, db: &Db) -> Result<(), sqlx::Error> {
        let used = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        if used.is_empty() {
            return Ok(());
        }
        let (tenants, hashes): (Vec<String>, Vec<Vec<u8>>) =
            used.into_iter().map(|(tenant, hash)| (tenant.to_string(), hash.to_vec())).unzip();
        let mut tx = db.control().await?;
        sql::note_uses(&mut tx, &tenants, &hashes).await?;
        tx.commit().await
    }
}
