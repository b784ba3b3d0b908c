//! Signing in with a password, and with a second factor where the user has one.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use serde::Deserialize;
use storepulse_shared::ids::TenantId;
use utoipa::ToSchema;

use super::opening::{self, OpenedAs, Opening, SignedIn};
use super::sql;
use crate::app::App;
use crate::auth::tenant_suspended;
use crate::operator::text;
use crate::people::authenticator;
use crate::people::names;
use crate::people::password::{Password, sign_in_failed};
use crate::problem::ApiError;

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
    /// Of the user's authenticator, or a recovery code; where it has one.
    #[schema(value_type = Option<String>)]
    pub code: Option<Password>,
    /// What signs in, as it is to be shown in the list of sessions.
    pub device: Option<String>,
    /// Whether it is a page, which gets a cookie instead of tokens.
    #[serde(default)]
    pub page: bool,
}

/// Opens a session.
pub(crate) async fn sign_in(app: &App, from: Option<IpAddr>, asked: SignIn) -> Result<SignedIn, ApiError> {
    let device = asked.device.as_deref().unwrap_or("unnamed");
    check_device(device)?;
    let account = account_of(&asked);
    take_attempt(app, from, &account)?;
    let found = find(app, &asked).await?;
    // No password opens a user who may not sign in.
    let may_sign_in = found.as_ref().filter(|(_, row)| !row.is_deactivated);
    let hash = may_sign_in.and_then(|(_, row)| row.password_hash.clone());
    let is_right = is_right(app, (from, &account), asked.password, hash.clone()).await?;
    let (Some((tenant, row)), true) = (found, is_right) else {
        app.metrics.refusals.count("sign_in_failed");
        return Err(sign_in_failed());
    };
    if row.tenant_status != "active" {
        return Err(tenant_suspended());
    }
    let mut tx = app.db.tenant(&tenant).await?;
    // Meanwhile it may have been deactivated, or have another password.
    if !sql::lock_user(&mut tx, row.user_id, hash.as_deref()).await? {
        return Err(sign_in_failed());
    }
    let passed = authenticator::pass(&mut tx, row.user_id, asked.code.as_ref()).await?;
    if let Err(error) = authenticator::refuse(passed) {
        // That a code was wrong is remembered.
        tx.commit().await?;
        if passed == authenticator::Passed::Wrong {
            app.metrics.refusals.count("code_wrong");
            // One more attempt of the address; whether it was the last one is told by the next.
            let _ = app.attempts.take(from, Some(&account), Instant::now());
        }
        return Err(error);
    }
    let how = Opening { opened_as: OpenedAs::Password, device, for_page: asked.page };
    let opened = opening::open(&mut tx, row.user_id, how).await?;
    tx.commit().await?;
    opened.tell(app, &tenant, &row)
}

/// Refuses what cannot be the name of a device.
pub(crate) fn check_device(device: &str) -> Result<(), ApiError> {
    Ok(text::check_text("device", device, DEVICE_CHARS_MAX)?)
}

/// The user that somebody says to be. What cannot name a tenant or a user names none.
async fn find(app: &App, asked: &SignIn) -> Result<Option<(TenantId, sql::SignInRow)>, ApiError> {
    let Ok(tenant) = asked.tenant.parse::<TenantId>() else { return Ok(None) };
    let Some(name) = names::signs_in_as(&asked.user) else { return Ok(None) };
    let mut tx = app.db.read(&tenant, LOOK_MAX).await?;
    let found = sql::find_user(&mut tx, &name).await?;
    tx.rollback().await?;
    Ok(found.map(|row| (tenant, row)))
}

/// Whose password it is said to be, however it is written. What can be nobody's is all one.
fn account_of(asked: &SignIn) -> String {
    match names::signs_in_as(&asked.user) {
        Some(name) if asked.tenant.parse::<TenantId>().is_ok() => format!("{}/{name}", asked.tenant),
        _ => String::new(),
    }
}

/// One more password of this account may be looked at from this address.
pub(crate) fn take_attempt(app: &App, from: Option<IpAddr>, account: &str) -> Result<(), ApiError> {
    app.attempts.take(from, Some(account), Instant::now()).map_err(|retry_after| {
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
pub(super) async fn is_right(
    app: &App,
    (from, account): (Option<IpAddr>, &str),
    password: Password,
    hash: Option<String>,
) -> Result<bool, ApiError> {
    let verified = app.hashing.verify(password, hash).await;
    if !matches!(verified, Ok(false)) {
        app.attempts.give_back(from, Some(account));
    }
    verified
}
