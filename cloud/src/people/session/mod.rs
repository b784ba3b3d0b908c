//! Sessions: opened with a password, renewed with a refresh token that is good once, ended by whoever has them.

pub(crate) mod http;
pub(crate) mod sql;

use std::net::IpAddr;
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use storepulse_shared::ids::TenantId;
use storepulse_shared::key::RefreshToken;
use utoipa::ToSchema;
use uuid::Uuid;

use super::password::{Password, sign_in_failed};
use super::token::ACCESS_TTL;
use super::{Permission, Role, names, user};
use crate::app::{App, rfc3339};
use crate::audit::{self, Actor, Deed};
use crate::auth::{Person, tenant_suspended};
use crate::db::TenantTx;
use crate::operator::{Refusal, text};
use crate::problem::ApiError;

/// How long a session lasts that is not renewed.
const IDLE_MAX: Duration = Duration::from_secs(30 * 24 * 3600);
/// How long a session lasts in all.
const AGE_MAX: Duration = Duration::from_secs(180 * 24 * 3600);
/// Sessions of a user that are open at once; one more ends the one that was renewed longest ago.
const OPEN_MAX: i64 = 50;
/// Longest name of a device, characters.
const DEVICE_CHARS_MAX: usize = 200;
/// Longest statement of looking a user up.
const LOOK_MAX: Duration = Duration::from_secs(5);

/// Who wants to sign in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignIn {
    /// The tenant's id.
    pub tenant: String,
    /// The user's name, or its email.
    pub user: String,
    #[schema(value_type = String)]
    pub password: Password,
    /// What signs in, as it is to be shown in the list of sessions.
    pub device: Option<String>,
}

/// What a session is used with.
#[derive(Serialize, ToSchema)]
pub(crate) struct Tokens {
    /// For `Authorization: Bearer`.
    pub access_token: String,
    /// `Bearer`.
    pub token_type: &'static str,
    /// Seconds.
    pub expires_in: u64,
    /// Good for one renewal. Used twice, it ends the session.
    pub refresh_token: String,
    /// Nothing but `PUT /v1/me/password` is open until the password is changed.
    pub must_change_password: bool,
}

/// An open session.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Session {
    pub session_id: Uuid,
    /// What signed in, as it called itself.
    pub device: String,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339.
    pub refreshed_at: String,
    /// RFC 3339.
    pub expires_at: String,
    /// The one that asks.
    pub current: bool,
}

/// Opens a session.
pub(crate) async fn sign_in(app: &App, from: Option<IpAddr>, asked: SignIn) -> Result<Tokens, ApiError> {
    let device = asked.device.as_deref().unwrap_or("unnamed");
    text::check_text("device", device, DEVICE_CHARS_MAX)?;
    take_attempt(app, from)?;
    let found = find(app, &asked).await?;
    // No password opens a user who may not sign in.
    let may_sign_in = found.as_ref().filter(|(_, row)| !row.is_deactivated);
    let hash = may_sign_in.and_then(|(_, row)| row.password_hash.clone());
    let is_right = is_right(app, from, asked.password, hash.clone()).await?;
    let (Some((tenant, row)), true) = (found, is_right) else {
        app.metrics.refusals.count("sign_in_failed");
        return Err(sign_in_failed());
    };
    if row.tenant_status != "active" {
        return Err(tenant_suspended());
    }
    open(app, &tenant, &row, hash.as_deref(), device).await
}

/// The user that somebody says to be. What cannot name a tenant or a user names none.
async fn find(app: &App, asked: &SignIn) -> Result<Option<(TenantId, sql::SignInRow)>, ApiError> {
    let Ok(tenant) = asked.tenant.parse::<TenantId>() else { return Ok(None) };
    let name = match names::check_user_name(&asked.user) {
        Ok(name) => name,
        Err(_) => match names::check_email(&asked.user) {
            Ok(email) => email,
            Err(_) => return Ok(None),
        },
    };
    let mut tx = app.db.read(&tenant, LOOK_MAX).await?;
    let found = sql::find_user(&mut tx, &name).await?;
    tx.rollback().await?;
    Ok(found.map(|row| (tenant, row)))
}

/// Opens a session for a user whose password was right.
async fn open(
    app: &App,
    tenant: &TenantId,
    row: &sql::SignInRow,
    hash: Option<&str>,
    device: &str,
) -> Result<Tokens, ApiError> {
    let mut tx = app.db.tenant(tenant).await?;
    // Meanwhile it may have been deactivated, or have another password.
    if !sql::lock_user(&mut tx, row.user_id, hash).await? {
        return Err(sign_in_failed());
    }
    sql::forget_old(&mut tx, row.user_id).await?;
    sql::end_oldest(&mut tx, row.user_id, OPEN_MAX - 1).await?;
    let session = Uuid::new_v4();
    sql::insert(&mut tx, session, row.user_id, device, IDLE_MAX).await?;
    let refresh = RefreshToken::issue(tenant);
    sql::insert_refresh(&mut tx, session, &refresh.hash()).await?;
    let actor = Actor::Person { user: row.user_id };
    let deed = Deed { action: "session.opened", subject: &subject(session), detail: json!({}) };
    audit::record_in(&mut tx, &actor, deed).await?;
    tx.commit().await?;
    let role = Role::of_column(&row.role)?;
    let permissions = Permission::known(&row.permissions);
    tokens(app, (tenant, row.user_id, session), role, &permissions, &refresh, row.must_change_password)
}

/// Renews a session. A token that was used before ends it: one of the two who have it has stolen it.
pub(crate) async fn refresh(app: &App, token: &RefreshToken) -> Result<Tokens, ApiError> {
    let tenant = token.tenant();
    let mut tx = app.db.tenant(tenant).await?;
    let Some(row) = sql::lock_refresh(&mut tx, &token.hash()).await? else {
        return Err(ApiError::Unauthorized);
    };
    if row.is_used {
        if sql::end(&mut tx, row.session_id, "reused").await? {
            let actor = Actor::Person { user: row.user_id };
            let deed =
                Deed { action: "session.token_reused", subject: &subject(row.session_id), detail: json!({}) };
            audit::record_in(&mut tx, &actor, deed).await?;
            app.metrics.refusals.count("refresh_token_reused");
        }
        tx.commit().await?;
        return Err(ApiError::Unauthorized);
    }
    if !row.is_open {
        return Err(ApiError::Unauthorized);
    }
    if row.tenant_status != "active" {
        // Nothing was used up: it is renewed once the tenant is active again.
        return Err(tenant_suspended());
    }
    let next = RefreshToken::issue(tenant);
    sql::forget_used(&mut tx, row.session_id).await?;
    sql::use_refresh(&mut tx, &token.hash()).await?;
    sql::insert_refresh(&mut tx, row.session_id, &next.hash()).await?;
    sql::renew(&mut tx, row.session_id, IDLE_MAX, AGE_MAX).await?;
    tx.commit().await?;
    let role = Role::of_column(&row.role)?;
    let permissions = Permission::known(&row.permissions);
    let whose = (tenant, row.user_id, row.session_id);
    tokens(app, whose, role, &permissions, &next, row.must_change_password)
}

/// Ends one session of a user.
pub(crate) async fn end(
    tx: &mut TenantTx,
    person: &Person,
    session: Uuid,
    how: &'static str,
) -> Result<(), Refusal> {
    let is_hers = sql::is_of(tx, session, person.user).await?;
    if !is_hers {
        return Err(Refusal::NotThere(format!("there is no open session {session}")));
    }
    if sql::end(tx, session, how).await? {
        let deed = Deed { action: "session.ended", subject: &subject(session), detail: json!({}) };
        audit::record_in(tx, &person.actor(), deed).await?;
    }
    Ok(())
}

/// Ends all sessions of a user, but this one.
pub(crate) async fn end_all(
    tx: &mut TenantTx,
    user: Uuid,
    how: &str,
    but: Option<Uuid>,
) -> Result<(), sqlx::Error> {
    sql::end_all(tx, user, how, but).await
}

/// Changes the password of whoever is signed in; her other sessions end.
pub(crate) async fn change_password(
    app: &App,
    from: Option<IpAddr>,
    person: &Person,
    old: Password,
    new: Password,
) -> Result<(), ApiError> {
    let mut tx = app.db.read(&person.tenant, LOOK_MAX).await?;
    let row = sql::find_person(&mut tx, person.user).await?.ok_or(ApiError::Unauthorized)?;
    tx.rollback().await?;
    new.check(&row.user_name, row.email.as_deref())?;
    if old.expose() == new.expose() {
        return Err(
            Refusal::Value("password: it is the one that you have; choose another one".to_owned()).into()
        );
    }
    take_attempt(app, from)?;
    if !is_right(app, from, old, row.password_hash.clone()).await? {
        return Err(sign_in_failed());
    }
    let hash = app.hashing.hash(new).await?;
    let mut tx = app.db.tenant(&person.tenant).await?;
    if !sql::lock_user(&mut tx, person.user, row.password_hash.as_deref()).await? {
        return Err(ApiError::Unauthorized);
    }
    sql::set_own_password(&mut tx, person.user, &hash).await?;
    sql::end_all(&mut tx, person.user, "password_changed", Some(person.session)).await?;
    let subject = user::subject(person.user);
    let deed = Deed { action: "user.password_changed", subject: &subject, detail: json!({}) };
    audit::record_in(&mut tx, &person.actor(), deed).await?;
    Ok(tx.commit().await?)
}

/// One more password from this address may be looked at.
fn take_attempt(app: &App, from: Option<IpAddr>) -> Result<(), ApiError> {
    app.attempts.take(from, Instant::now()).map_err(|retry_after| {
        app.metrics.refusals.count("sign_in_limited");
        ApiError::Limited {
            status: StatusCode::TOO_MANY_REQUESTS,
            detail: "too many wrong passwords came from this address; come back after Retry-After".to_owned(),
            limit: 0,
            retry_after,
        }
    })
}

/// Whether the password is the one of this hash. Only a wrong one costs the attempt that was taken: who could not be looked at for
/// want of a place comes again.
async fn is_right(
    app: &App,
    from: Option<IpAddr>,
    password: Password,
    hash: Option<String>,
) -> Result<bool, ApiError> {
    let verified = app.hashing.verify(password, hash).await;
    if !matches!(verified, Ok(false)) {
        app.attempts.give_back(from);
    }
    verified
}

/// The open sessions of a person, the newest first.
pub(crate) async fn list(tx: &mut TenantTx, person: &Person) -> Result<Vec<Session>, sqlx::Error> {
    let rows = sql::list(tx, person.user).await?;
    let shown = rows.into_iter().map(|row| Session {
        current: row.session_id == person.session,
        session_id: row.session_id,
        device: row.device,
        created_at: rfc3339(row.created_at),
        refreshed_at: rfc3339(row.refreshed_at),
        expires_at: rfc3339(row.expires_at),
    });
    Ok(shown.collect())
}

fn tokens(
    app: &App,
    whose: (&TenantId, Uuid, Uuid),
    role: Role,
    permissions: &[Permission],
    refresh: &RefreshToken,
    must_change_password: bool,
) -> Result<Tokens, ApiError> {
    Ok(Tokens {
        access_token: app.signing.sign(whose, role, permissions).map_err(ApiError::Internal)?,
        token_type: "Bearer",
        expires_in: ACCESS_TTL.as_secs(),
        refresh_token: refresh.expose().to_owned(),
        must_change_password,
    })
}

/// As the audit names a session.
fn subject(session: Uuid) -> String {
    format!("session:{session}")
}
