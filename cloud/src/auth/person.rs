//! People, proved by an access token whose session is open.
//!
//! The token is believed as far as it says where to look. What counts is the session's row, with the user's role, permissions and
//! stores as they are now; it is remembered for a moment, and forgotten when the database tells of a change.

use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use sha2::{Digest as _, Sha256};
use storepulse_shared::ids::{StoreId, TenantId};
use uuid::Uuid;

use super::cache::Known;
use super::{bearer, sql, tenant_suspended};
use crate::app::{App, now_ms};
use crate::audit::Actor;
use crate::people::permission::Needed;
use crate::people::{Permission, Role};
use crate::problem::ApiError;

/// Longest that looking a session up takes.
const LOOK_MAX: Duration = Duration::from_secs(5);

/// Somebody who is signed in to a tenant, as she is now.
#[derive(Debug)]
pub(crate) struct Person {
    /// Whose user she is.
    pub(crate) tenant: TenantId,
    pub(crate) user: Uuid,
    pub(crate) session: Uuid,
    pub(crate) role: Role,
    /// What her role may do.
    pub(crate) permissions: Vec<Permission>,
    /// The stores that she sees, in the order of their ids; `None` for all.
    pub(crate) stores: Option<Vec<StoreId>>,
    /// How long the tenant keeps samples.
    pub(crate) retention_days: i32,
    /// First of all she changes her password.
    pub(super) must_change_password: bool,
    pub(super) tenant_is_active: bool,
    /// When the token is over, Unix seconds.
    pub(super) token_ends: i64,
}

impl Person {
    /// As the audit names her.
    pub(crate) fn actor(&self) -> Actor {
        Actor::Person { user: self.user }
    }

    /// Whether she sees this store, if there is such a one.
    pub(crate) fn sees(&self, store: &StoreId) -> bool {
        self.stores.as_ref().is_none_or(|stores| stores.contains(store))
    }

    /// Refuses what her role may not do.
    fn check(&self, needed: Option<Permission>) -> Result<(), ApiError> {
        let forbidden = |code, detail: String| Err(ApiError::Forbidden { code, detail });
        match needed {
            Some(_) if self.must_change_password => forbidden(
                "password_change_required",
                "change the password first: PUT /v1/me/password".to_owned(),
            ),
            Some(needed) if !self.permissions.contains(&needed) => forbidden(
                "permission_missing",
                format!(
                    "the role {} may not do this: it lacks {}; whoever manages the tenant's users can change that",
                    self.role,
                    needed.as_str()
                ),
            ),
            _ => Ok(()),
        }
    }
}

/// A person who may do what the handler needs ([`crate::people::may`]).
#[derive(Debug)]
pub(crate) struct PersonAuth<N> {
    person: Arc<Person>,
    needed: PhantomData<N>,
}

impl<N> Deref for PersonAuth<N> {
    type Target = Person;

    fn deref(&self) -> &Person {
        &self.person
    }
}

impl<N: Needed> FromRequestParts<Arc<App>> for PersonAuth<N> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let verdict = authenticate(parts, app, N::PERMISSION).await;
        if let Err(ApiError::Unauthorized | ApiError::Forbidden { .. }) = &verdict {
            app.metrics.refused_credentials.inc();
        }
        verdict.map(|person| Self { person, needed: PhantomData })
    }
}

/// What this process remembers of a user is not believed any more: who has changed something sees it in her next request. The other
/// processes are told by the database.
pub(crate) fn doubt_user(app: &App, tenant: &TenantId, user: Uuid) {
    app.people.doubt(|person| person.user == user && person.tenant == *tenant);
}

async fn authenticate(parts: &Parts, app: &App, needed: Option<Permission>) -> Result<Arc<Person>, ApiError> {
    let token = bearer(parts).ok_or(ApiError::Unauthorized)?;
    let person = find(app, token).await?;
    if !person.tenant_is_active {
        return Err(tenant_suspended());
    }
    if let Some(source) = app.resolution.contradiction(parts, &person.tenant) {
        let detail =
            format!("{} names another tenant than the credential; leave it out or correct it", source.name());
        return Err(ApiError::Forbidden { code: "tenant_mismatch", detail });
    }
    person.check(needed)?;
    Ok(person)
}

/// Whose session the token is of.
async fn find(app: &App, token: &str) -> Result<Arc<Person>, ApiError> {
    let hash: [u8; 32] = Sha256::digest(token.as_bytes()).into();
    if let Known::Opens(person) = app.people.get(&hash) {
        return if person.token_ends > now_ms() / 1_000 { Ok(person) } else { Err(ApiError::Unauthorized) };
    }
    let claims = app.signing.verify(token).ok_or(ApiError::Unauthorized)?;
    let as_of = app.people.as_of();
    let mut tx = app.db.read(&claims.tid, LOOK_MAX).await?;
    let found = sql::find_session(&mut tx, claims.sid, claims.sub).await?;
    tx.rollback().await?;
    let Some(row) = found else {
        app.people.remove(&hash);
        return Err(ApiError::Unauthorized);
    };
    Ok(app.people.put(hash, row.of(claims)?, as_of))
}
