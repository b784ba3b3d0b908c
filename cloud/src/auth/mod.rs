//! Who is calling: the credential of a request becomes a [`StoreAuth`] or an [`OperatorAuth`], or the
//! request ends here.
//!
//! Identity comes from the credential only: the key's hash finds the row, tenant and store come from the row. What a
//! host name or `X-Tenant-ID` says may agree or be refused; it never grants. A handler's signature says who may call
//! it: whatever takes a `StoreAuth` is for the agent of one store, whatever takes an [`OperatorAuth`] for an operator.

mod cache;
mod operator;
mod refusals;
mod sql;
mod uses;

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use storepulse_shared::ids::{StoreId, TenantId};
use storepulse_shared::key::StoreKey;

pub(crate) use self::cache::Seen;
pub(crate) use self::operator::{OperatorAuth, OperatorRow};
pub(crate) use self::refusals::Refusals;
pub(crate) use self::sql::KeyRow;
pub(crate) use self::uses::{KeyUses, WRITTEN_EVERY};
use crate::app::App;
use crate::problem::ApiError;

/// The header by which a client may say which tenant it believes to be.
pub(crate) const TENANT_HEADER: &str = "x-tenant-id";

/// The agent of one store, proved by its key.
#[derive(Debug, Clone)]
pub(crate) struct StoreAuth {
    /// From the key's row.
    pub(crate) tenant: TenantId,
    /// From the key's row.
    pub(crate) store: StoreId,
    /// The public part of the key, for logs.
    pub(crate) key_id: Arc<str>,
    /// How long the tenant keeps samples.
    pub(crate) retention_days: i32,
    /// The SHA-256 of the key.
    pub(crate) key_hash: [u8; 32],
    /// An operator waits for the agent to make a new key.
    pub(crate) rotate_key: bool,
}

impl StoreAuth {
    /// The store of a path, if it is the key's own. Whether another one exists is nobody's business.
    pub(crate) fn own_store(&self, store_id: &str) -> Result<&StoreId, ApiError> {
        if store_id == self.store.as_str() { Ok(&self.store) } else { Err(ApiError::NotFound) }
    }
}

impl FromRequestParts<Arc<App>> for StoreAuth {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let verdict = authenticate(parts, app).await;
        if let Err(ApiError::Unauthorized | ApiError::Forbidden { .. }) = &verdict {
            app.metrics.refused_credentials.inc();
        }
        verdict
    }
}

async fn authenticate(parts: &Parts, app: &App) -> Result<StoreAuth, ApiError> {
    let key: StoreKey = bearer(parts).and_then(|key| key.parse().ok()).ok_or(ApiError::Unauthorized)?;
    let row = find(app, &key).await?.ok_or(ApiError::Unauthorized)?;
    let closed = match (row.tenant_status.as_str(), row.store_status.as_str()) {
        ("active", "active") => None,
        ("active", _) => Some(("store_suspended", "the store is suspended; its data is held, not lost")),
        _ => Some(("tenant_suspended", "the tenant is not active; the store's data is held, not lost")),
    };
    let verdict = match closed {
        Some((code, detail)) => Err(ApiError::Forbidden { code, detail: detail.to_owned() }),
        None => claims_no_other_tenant(parts, &row.auth.tenant),
    };
    if let Err(ApiError::Forbidden { code, .. }) = &verdict {
        app.refusals.note(&row.auth, code);
    }
    verdict?;
    app.key_uses.note(&row.auth.tenant, row.auth.key_hash);
    Ok(row.auth.clone())
}

/// The row of an active key, or `None`.
async fn find(app: &App, key: &StoreKey) -> Result<Option<Arc<KeyRow>>, sqlx::Error> {
    let hash = key.hash();
    if let Some(row) = app.keys.get(&hash) {
        return Ok(Some(row));
    }
    let mut tx = app.db.control().await?;
    let found = sql::find_key(&mut tx, key.tenant(), &hash, key.origin()).await?;
    drop(tx);
    Ok(found.map(|row| app.keys.put(hash, row)))
}

/// What follows `Bearer`.
fn bearer(parts: &Parts) -> Option<&str> {
    let (scheme, key) = parts.headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    // RFC 9110: the scheme is compared ignoring case.
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}

/// Whoever says which tenant it believes to be must be right.
fn claims_no_other_tenant(parts: &Parts, tenant: &TenantId) -> Result<(), ApiError> {
    for claimed in parts.headers.get_all(TENANT_HEADER) {
        if claimed.as_bytes() != tenant.as_str().as_bytes() {
            let detail = "X-Tenant-ID names another tenant than the credential; leave it out or correct it";
            return Err(ApiError::Forbidden { code: "tenant_mismatch", detail: detail.to_owned() });
        }
    }
    Ok(())
}
