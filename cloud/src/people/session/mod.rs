//! Sessions: opened with a password, renewed with a refresh token that is good once or by using a page, ended by whoever has them.

pub(crate) mod http;
pub(crate) mod opening;
mod own_password;
mod sign_in;
pub(crate) mod sql;

use std::time::Duration;

use serde::Serialize;
use serde_json::json;
use storepulse_shared::ids::TenantId;
use storepulse_shared::key::RefreshToken;
use utoipa::ToSchema;
use uuid::Uuid;

pub(crate) use self::own_password::{change_password, confirm_password};
pub(crate) use self::sign_in::{SignIn, check_device, sign_in, take_attempt};
use super::rules::Rules;
use super::token::ACCESS_TTL;
use super::{Permission, Role};
use crate::app::{App, rfc3339};
use crate::audit::{self, Actor, Deed};
use crate::auth::{SessionAuth, tenant_suspended};
use crate::db::TenantTx;
use crate::operator::Refusal;
use crate::problem::ApiError;

/// How long a session lasts in all.
const AGE_MAX: Duration = Duration::from_secs(180 * 24 * 3600);
/// Sessions of a user that are open at once; one more ends the one that was renewed longest ago.
pub(super) const OPEN_MAX: i64 = 50;

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
    let rules = Rules::of(&mut tx).await?;
    sql::renew(&mut tx, row.session_id, rules.session, AGE_MAX).await?;
    tx.commit().await?;
    let role = Role::of_column(&row.role)?;
    let permissions = Permission::known(&row.permissions);
    let whose = (tenant, row.user_id, row.session_id);
    tokens(app, whose, role, &permissions, &next, row.must_change_password)
}

/// Ends one session of a user.
pub(crate) async fn end(
    tx: &mut TenantTx,
    auth: &SessionAuth,
    session: Uuid,
    how: &'static str,
) -> Result<(), Refusal> {
    let is_hers = sql::is_of(tx, session, auth.user).await?;
    if !is_hers {
        return Err(Refusal::NotThere(format!("there is no open session {session}")));
    }
    if sql::end(tx, session, how).await? {
        let deed = Deed { action: "session.ended", subject: &subject(session), detail: json!({}) };
        audit::record_in(tx, &auth.actor(), deed).await?;
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

/// The open sessions of a person, the newest first.
pub(crate) async fn list(tx: &mut TenantTx, auth: &SessionAuth) -> Result<Vec<Session>, sqlx::Error> {
    let rows = sql::list(tx, auth.user).await?;
    let shown = rows.into_iter().map(|row| Session {
        current: row.session_id == auth.session.id,
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
pub(super) fn subject(session: Uuid) -> String {
    format!("session:{session}")
}
