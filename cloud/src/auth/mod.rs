//! Who is calling: the credential of a request becomes a [`StoreAuth`], a [`PersonAuth`] or an [`OperatorAuth`], or the
//! request ends here.
//!
//! Identity comes from the credential only: the key's hash finds the row, tenant and store come from the row. What a
//! host name or `X-Tenant-ID` says may agree or be refused ([`crate::resolution`]); it never grants. A handler's signature
//! says who may call it: whatever takes a `StoreAuth` is for the agent of one store, whatever takes an [`OperatorAuth`] for
//! an operator.
//!
//! A store's request is charged to its limits here, too, from its head: whoever has a `StoreAuth` is within them.

mod cache;
pub(crate) mod cookie;
mod failures;
mod lookups;
mod operator;
mod person;
mod person_sql;
mod sql;
mod uses;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use storepulse_shared::ids::{StoreId, TenantId};
use storepulse_shared::key::{Origin, StoreKey};

use self::cache::Known;
pub(crate) use self::cache::Seen;
pub(crate) use self::failures::{Failures, network};
pub(crate) use self::lookups::{Lookups, answer as answer_lookups};
pub(crate) use self::operator::{OperatorAuth, OperatorRow};
pub(crate) use self::person::{Person, PersonAuth, SessionAuth, Via, Who, doubt_entry, doubt_user};
use self::sql::Sought;
pub(crate) use self::uses::{KeyUses, write_now_and_then};
use crate::app::App;
use crate::limits::{Allowance, Charge, Exceeded, Limits};
use crate::problem::ApiError;
use crate::refusals::Reason;

/// Where Prometheus writes. It throws away what is answered with 429, unless it is configured otherwise
/// (`retry_on_http_429`), and keeps what is answered with 503.
const REMOTE_WRITE: &str = "/api/v1/write";

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
    /// The version of the agent's settings that is set, if any ever were.
    pub(crate) settings: Option<u64>,
    /// What it may still do.
    pub(crate) allowance: Arc<Allowance>,
}

impl StoreAuth {
    /// The store of a path, if it is the key's own. Whether another one exists is nobody's business.
    pub(crate) fn own_store(&self, store_id: &str) -> Result<&StoreId, ApiError> {
        if store_id == self.store.as_str() { Ok(&self.store) } else { Err(ApiError::NotFound) }
    }
}

/// An active key with what decides whether it opens.
#[derive(Debug)]
pub(crate) struct KeyRow {
    auth: StoreAuth,
    /// Why not, although the key is good.
    closed: Option<Reason>,
}

impl KeyRow {
    /// Whose it is.
    pub(crate) fn tenant(&self) -> &str {
        self.auth.tenant.as_str()
    }

    fn of(found: sql::Found, hash: [u8; 32], app: &App) -> Self {
        let limits = |whose: &str, stored: Option<&serde_json::Value>| {
            let parsed = stored.map(Limits::parse).transpose();
            let parsed = parsed.inspect_err(|error| {
                tracing::error!(tenant = %found.tenant, %error, "the limits of the {whose} cannot be read; they do not count");
            });
            parsed.ok().flatten().unwrap_or_default()
        };
        let of_tenant = limits("tenant", found.tenant_limits.as_ref());
        let of_plan = limits("plan", found.plan_limits.as_ref());
        let allowance = app.limiter.allowance((&found.tenant, &found.store, &hash), (&of_tenant, &of_plan));
        let closed = match (found.tenant_status.as_str(), found.store_status.as_str()) {
            ("active", "active") => None,
            ("active", _) => Some(Reason::StoreSuspended),
            _ => Some(Reason::TenantSuspended),
        };
        let auth = StoreAuth {
            tenant: found.tenant,
            store: found.store,
            key_id: found.key_id,
            retention_days: found.retention_days,
            key_hash: hash,
            rotate_key: found.rotate_key,
            settings: found.settings,
            allowance: Arc::new(allowance),
        };
        Self { auth, closed }
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
    let row = find(app, &key, address(parts)).await?;
    if let Some(reason) = row.closed {
        let error = match reason {
            Reason::StoreSuspended => {
                let detail = "the store is suspended; its data is held, not lost".to_owned();
                ApiError::Forbidden { code: reason.word(), detail }
            }
            _ => tenant_suspended(),
        };
        return Err(refused(app, &row, reason, error));
    }
    if let Some(source) = app.resolution.contradiction(parts, &row.auth.tenant) {
        let reason = Reason::TenantMismatch;
        let detail =
            format!("{} names another tenant than the credential; leave it out or correct it", source.name());
        return Err(refused(app, &row, reason, ApiError::Forbidden { code: reason.word(), detail }));
    }
    if let Err(exceeded) = row.auth.allowance.charge(Charge::of(parts)) {
        let reason = if exceeded.is_daily { Reason::DailyQuota } else { Reason::RateLimited };
        return Err(refused(app, &row, reason, limited(parts, &exceeded)));
    }
    Ok(row.auth.clone())
}

fn refused(app: &App, row: &KeyRow, reason: Reason, error: ApiError) -> ApiError {
    app.metrics.refusals.count(reason.word());
    app.refusals.count(&row.auth, reason);
    error
}

fn limited(parts: &Parts, exceeded: &Exceeded) -> ApiError {
    let is_remote_write = parts.uri.path() == REMOTE_WRITE;
    ApiError::Limited {
        status: if is_remote_write { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::TOO_MANY_REQUESTS },
        detail: format!("more than {}; nothing was read; come back after Retry-After", exceeded.which),
        limit: exceeded.limit,
        retry_after: exceeded.retry_after,
    }
}

/// Agents and people of a tenant that is not active are told the same.
pub(crate) fn tenant_suspended() -> ApiError {
    let detail = "the tenant is not active; its data is held, not lost".to_owned();
    ApiError::Forbidden { code: Reason::TenantSuspended.word(), detail }
}

/// The row of an active key.
async fn find(app: &App, key: &StoreKey, from: Option<IpAddr>) -> Result<Arc<KeyRow>, ApiError> {
    let hash = key.hash();
    let known = app.keys.get(&hash);
    if let Known::Opens(row) = known {
        return Ok(row);
    }
    if matches!(known, Known::Nothing) {
        check_guess_of(app, from, key.origin())?;
    }
    let row = app.lookups.find(Sought { tenant: key.tenant().clone(), hash, origin: key.origin() }).await?;
    row.ok_or_else(|| {
        app.failures.count(from, key.origin(), Instant::now());
        ApiError::Unauthorized
    })
}

fn check_guess_of(app: &App, from: Option<IpAddr>, origin: Origin) -> Result<(), ApiError> {
    app.failures.check(from, origin, Instant::now()).map_err(|retry_after| {
        app.metrics.refusals.count("address_limited");
        ApiError::Limited {
            status: StatusCode::TOO_MANY_REQUESTS,
            detail:
                "too many credentials that open nothing came from this address; come back after Retry-After"
                    .to_owned(),
            limit: 0,
            retry_after,
        }
    })
}

/// Refuses one more secret of people's that nobody knows of yet, unseen, where too many that opened nothing came from.
fn check_guess(app: &App, from: Option<IpAddr>) -> Result<(), ApiError> {
    check_guess_of(app, from, Origin::Issued)
}

/// Does what somebody's secret is shown for, and counts it if it opens nothing.
pub(crate) async fn guess<T>(
    app: &App,
    from: Option<IpAddr>,
    opening: impl Future<Output = Result<T, ApiError>>,
) -> Result<T, ApiError> {
    check_guess(app, from)?;
    let opened = opening.await;
    if opened.as_ref().is_err_and(ApiError::is_of_nothing) {
        count_guess(app, from);
    }
    opened
}

/// It opened nothing.
fn count_guess(app: &App, from: Option<IpAddr>) {
    app.failures.count(from, Origin::Issued, Instant::now());
}

/// Who is at the other end of the connection.
pub(crate) fn address(parts: &Parts) -> Option<IpAddr> {
    parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(address)| address.ip())
}

/// What follows `Bearer`.
pub(crate) fn bearer(parts: &Parts) -> Option<&str> {
    let (scheme, key) = parts.headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    // RFC 9110: the scheme is compared ignoring case.
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}
