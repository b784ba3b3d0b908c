//! A tenant's own provider vouches for its people: sign-in by OpenID Connect, for pages.
//!
//! ```text
//! page ─► GET …/sign-in ─► the provider ─► GET …/callback ─► a session with a cookie ─► back to the page
//!          state, nonce and verifier are kept in the tenant; the browser holds the state in a cookie
//! ```
//!
//! Each tenant has an address of its own to come back to. What the provider says counts in this tenant only: the session that it opens
//! leads to no other one. Somebody is known by issuer and subject; the first time, a user of this tenant with the same e-mail is taken
//! for her if the provider has verified it. Who is no user stays out, unless the tenant says what new ones are.

pub(crate) mod http;
pub(crate) mod protocol;
mod sql;
pub(crate) mod turns;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use storepulse_shared::ids::TenantId;
use utoipa::ToSchema;
use uuid::Uuid;

use self::protocol::{Identity, Kept, OidcError, Registration, check_issuer};
use self::sql::ProviderRow;
use super::session::opening::{self, OpenedAs, Opening};
use super::user::{self, FirstPassword, NewUser};
use super::{Role, names};
use crate::app::App;
use crate::audit::{self, Actor, Deed};
use crate::auth::cookie::Cookie;
use crate::db::TenantTx;
use crate::operator::{Refusal, text};
use crate::problem::ApiError;

/// Longest id or secret that a provider has given us, characters.
const CREDENTIAL_CHARS_MAX: usize = 1_000;

/// People of a tenant who are at its provider, at most.
const VISITS_MAX: i64 = 10_000;

/// A tenant's provider; its secret is nowhere.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct IdentityProvider {
    /// Its address.
    pub issuer: String,
    /// What it calls us.
    pub client_id: String,
    /// Whether it has given us a secret.
    pub has_client_secret: bool,
    /// What somebody becomes whom it vouches for and who is no user yet; null: she stays out.
    pub new_users_are: Option<Role>,
    /// To be told to the provider: where it sends people back to.
    pub redirect_uri: String,
    /// Where people of this tenant sign in with it.
    pub sign_in: String,
}

/// A provider to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewProvider {
    /// Its address: `https://login.example.com`.
    pub issuer: String,
    /// What it calls us.
    pub client_id: String,
    /// The secret that it has given us; none for one that does without.
    pub client_secret: Option<String>,
    /// `user` or `viewer`: what somebody becomes whom it vouches for and who is no user yet. She stays out if it is left out.
    pub new_users_are: Option<Role>,
}

/// Why somebody who came back is not signed in; what a page shows words for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The tenant has none, or is none.
    NoProvider,
    /// It cannot be reached, or makes no sense.
    ProviderUnreachable,
    /// It says no, or what it says is not true.
    ProviderRefused,
    /// This browser has not begun this, or too long ago, or has been here before.
    VisitUnknown,
    /// Whom it vouches for is no user here.
    NotAUser,
    /// The tenant is suspended.
    TenantSuspended,
}

impl Fault {
    /// As it stands in the page's address.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::NoProvider => "no_provider",
            Self::ProviderUnreachable => "provider_unreachable",
            Self::ProviderRefused => "provider_refused",
            Self::VisitUnknown => "visit_unknown",
            Self::NotAUser => "not_a_user",
            Self::TenantSuspended => "tenant_suspended",
        }
    }
}

/// What stops somebody: a fault that she is told, or one of ours.
#[derive(Debug)]
pub(crate) enum Stop {
    Fault(Fault),
    Ours(ApiError),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<sqlx::Error> for Stop {
    fn from(error: sqlx::Error) -> Self {
        Self::Ours(error.into())
    }
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Ours(refusal.into())
    }
}

/// The tenant's provider, if it has one.
pub(crate) async fn show(app: &App, tx: &mut TenantTx) -> Result<IdentityProvider, Refusal> {
    let row = sql::find(tx).await?;
    let row = row.ok_or_else(|| Refusal::NotThere("the tenant has no provider".to_owned()))?;
    shown(app, tx.tenant(), row)
}

/// Sets or changes it.
pub(crate) async fn put(
    app: &App,
    tx: &mut TenantTx,
    actor: &Actor,
    new: NewProvider,
) -> Result<IdentityProvider, Refusal> {
    if app.public_url.is_none() {
        let detail = "this service does not know its own address: start it with --public-url";
        return Err(Refusal::conflict("public_url_missing", detail));
    }
    check_issuer(&new.issuer, app.providers_may_be_private)
        .map_err(|e| Refusal::Value(format!("issuer: {e}")))?;
    text::check_text("client_id", &new.client_id, CREDENTIAL_CHARS_MAX)?;
    if let Some(secret) = &new.client_secret {
        text::check_text("client_secret", secret, CREDENTIAL_CHARS_MAX).map_err(|_| {
            Refusal::Value(format!(
                "client_secret: allowed are 1 to {CREDENTIAL_CHARS_MAX} letters, digits and signs"
            ))
        })?;
    }
    if new.new_users_are == Some(Role::Admin) {
        let detail = "new_users_are: nobody becomes an admin by signing in; allowed are user and viewer";
        return Err(Refusal::Value(detail.to_owned()));
    }
    let detail =
        json!({ "issuer": new.issuer, "client_id": new.client_id, "new_users_are": new.new_users_are });
    let row = ProviderRow {
        issuer: new.issuer,
        client_id: new.client_id,
        client_secret: new.client_secret,
        new_users_are: new.new_users_are.map(|role| role.as_str().to_owned()),
        tenant_status: String::new(),
    };
    sql::put(tx, &row).await?;
    // Who is at the one before has nothing to tell this one.
    sql::forget_visits(tx).await?;
    audit::record_in(tx, actor, Deed { action: "provider.changed", subject: "provider", detail }).await?;
    shown(app, tx.tenant(), row)
}

/// Takes it away: nobody signs in with it any more, and who has goes on until her session ends.
pub(crate) async fn delete(tx: &mut TenantTx, actor: &Actor) -> Result<(), sqlx::Error> {
    if !sql::delete(tx).await? {
        return Ok(());
    }
    let deed = Deed { action: "provider.removed", subject: "provider", detail: json!({}) };
    audit::record_in(tx, actor, deed).await
}

/// Where to send a browser, and the state that it has to bring back.
pub(crate) async fn begin(app: &App, tenant: &TenantId, return_to: &str) -> Result<(String, String), Stop> {
    let mut tx = app.db.tenant(tenant).await?;
    let registration = registration(&sql::find(&mut tx).await?.ok_or(Fault::NoProvider)?)?;
    tx.rollback().await?;
    let redirect = redirect_uri(app, tenant.as_str()).ok_or(Fault::NoProvider)?;
    let turn = app.provider_turns.take(tenant).ok_or_else(busy)?;
    let begun = app.providers.begin(&registration, &redirect).await.map_err(|e| told(tenant, &e))?;
    drop(turn);
    let mut tx = app.db.tenant(tenant).await?;
    sql::forget_old_visits(&mut tx).await?;
    if sql::count_visits(&mut tx).await? >= VISITS_MAX {
        return Err(busy());
    }
    sql::insert_visit(&mut tx, &hash(&begun.state), &begun.kept, return_to).await?;
    tx.commit().await?;
    Ok((begun.url, begun.state))
}

/// Whoever comes back with this code, and the state that her browser was given: her session, and where she wanted to go.
pub(crate) async fn finish(
    app: &App,
    tenant: &TenantId,
    state: &str,
    code: Option<&str>,
    device: &str,
) -> Result<(Cookie, String), Stop> {
    let mut tx = app.db.tenant(tenant).await?;
    // Once, whatever comes of it.
    let visit = sql::take_visit(&mut tx, &hash(state)).await?.ok_or(Fault::VisitUnknown)?;
    let row = sql::find(&mut tx).await?.ok_or(Fault::NoProvider)?;
    tx.commit().await?;
    let registration = registration(&row)?;
    let redirect = redirect_uri(app, tenant.as_str()).ok_or(Fault::NoProvider)?;
    let code = code.ok_or(Fault::ProviderRefused)?;
    let kept = Kept { nonce: visit.nonce, verifier: visit.verifier };
    let turn = app.provider_turns.take(tenant).ok_or_else(busy)?;
    let identity = app.providers.finish(&registration, &redirect, &kept, code).await;
    drop(turn);
    let identity = identity.map_err(|e| told(tenant, &e))?;
    let mut tx = app.db.tenant(tenant).await?;
    user::sql::lock(&mut tx).await?;
    let user = user_of(&mut tx, &identity, row.new_users_are.as_deref()).await?;
    let how = Opening { opened_as: OpenedAs::Provider, device, for_page: true };
    let opened = opening::open(&mut tx, user, how).await?;
    tx.commit().await?;
    let cookie = opened.into_cookie();
    let cookie =
        cookie.ok_or_else(|| Stop::Ours(ApiError::Internal(anyhow::anyhow!("a page without a cookie"))))?;
    Ok((cookie, visit.return_to))
}

/// The active user that the provider means; made or found by the verified e-mail, the first time.
async fn user_of(tx: &mut TenantTx, identity: &Identity, new_users_are: Option<&str>) -> Result<Uuid, Stop> {
    let whose = (identity.issuer.as_str(), identity.subject.as_str());
    if let Some(known) = sql::find_identity(tx, whose).await? {
        return if known.is_active { Ok(known.user_id) } else { Err(Fault::NotAUser.into()) };
    }
    let email = identity.email.as_deref().filter(|_| identity.email_verified);
    let email = email.and_then(|email| names::check_email(email).ok());
    let by_email = match &email {
        Some(email) => sql::find_by_email(tx, email, &identity.issuer).await?,
        None => None,
    };
    let actor = Actor::Provider { issuer: identity.issuer.clone() };
    let user = match (by_email, new_users_are) {
        (Some(found), _) if found.is_active && !found.is_known_already => found.user_id,
        (Some(_), _) | (None, None) => return Err(Fault::NotAUser.into()),
        (None, Some(role)) => {
            let new = NewUser {
                user_name: free_name(tx, identity, email.as_deref()).await?,
                name: identity.name.clone().filter(|name| names::check_shown_name(name).is_ok()),
                email,
                role: Role::of_column(role)?,
                stores: None,
                language: None,
            };
            user::create(tx, &actor, &new, None, FirstPassword::Chosen).await?.user_id
        }
    };
    sql::insert_identity(tx, whose, user).await?;
    let detail = json!({ "issuer": identity.issuer });
    let deed = Deed { action: "user.identified", subject: &user::subject(user), detail };
    audit::record_in(tx, &actor, deed).await?;
    Ok(user)
}

/// A name to sign in with that nobody has: as she is called at the provider, as far as that can be one.
async fn free_name(
    tx: &mut TenantTx,
    identity: &Identity,
    email: Option<&str>,
) -> Result<String, sqlx::Error> {
    let called = identity.preferred_username.as_deref().or(email).unwrap_or_default();
    let local = called.split('@').next().unwrap_or_default();
    let wanted = names::check_user_name(local).ok().filter(|name| name.len() <= 50);
    if let Some(name) = &wanted
        && user::sql::id_of(tx, name).await?.is_none()
    {
        return Ok(name.clone());
    }
    let digits = Uuid::new_v4().simple().to_string();
    Ok(format!("{}-{}", wanted.as_deref().unwrap_or("user"), &digits[..8]))
}

fn registration(row: &ProviderRow) -> Result<Registration, Stop> {
    if row.tenant_status != "active" {
        return Err(Fault::TenantSuspended.into());
    }
    Ok(Registration {
        issuer: row.issuer.clone(),
        client_id: row.client_id.clone(),
        client_secret: row.client_secret.clone(),
    })
}

/// For the log, where the admin's provider is looked for when somebody says that she cannot sign in.
fn told(tenant: &TenantId, error: &OidcError) -> Stop {
    tracing::warn!(%tenant, %error, "a tenant's provider has not signed somebody in");
    match error {
        OidcError::Refused(_) => Fault::ProviderRefused.into(),
        OidcError::Address(_) | OidcError::Provider(_) => Fault::ProviderUnreachable.into(),
    }
}

/// Of this tenant only: what one tenant's provider says cannot be taken for what another's does.
fn redirect_uri(app: &App, tenant: &str) -> Option<String> {
    app.public_url.as_ref().map(|url| format!("{url}/v1/providers/{tenant}/callback"))
}

fn shown(app: &App, tenant: &str, row: ProviderRow) -> Result<IdentityProvider, Refusal> {
    Ok(IdentityProvider {
        redirect_uri: redirect_uri(app, tenant).unwrap_or_default(),
        sign_in: format!("/v1/providers/{tenant}/sign-in"),
        issuer: row.issuer,
        client_id: row.client_id,
        has_client_secret: row.client_secret.is_some(),
        new_users_are: row.new_users_are.as_deref().map(Role::of_column).transpose()?,
    })
}

fn busy() -> Stop {
    Stop::Ours(ApiError::Overloaded { retry_after: Duration::from_secs(5) })
}

fn hash(state: &str) -> [u8; 32] {
    Sha256::digest(state.as_bytes()).into()
}
