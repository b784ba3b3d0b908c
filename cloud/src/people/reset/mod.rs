//! A password that was forgotten: a link by mail, good once and for an hour, sets another one.
//!
//! Whoever asks is told the same, in the same time, whether there is such a user or not; of one user at most three are open within
//! an hour, so that nobody's mailbox is filled. Who reads a mailbox is not proved to be its owner in every tenant: the user's sessions
//! and tokens end, and it is joined to nobody any more. A second factor stays.

pub(crate) mod http;
pub(super) mod sql;

use std::time::Duration;

use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::json;
use storepulse_shared::ids::TenantId;
use storepulse_shared::key::ResetToken;
use utoipa::ToSchema;
use uuid::Uuid;

use super::password::Password;
use super::rules::Rules;
use super::{api_token, joined, names, session, user};
use crate::app::App;
use crate::audit::{self, Actor, Deed};
use crate::auth::doubt_user;
use crate::mail::Kind;
use crate::outbox;
use crate::problem::ApiError;

/// How long a link is good.
const GOOD_FOR: Duration = Duration::from_secs(3_600);
/// Links of a user within that time.
const OPEN_MAX: i64 = 3;
/// Longest statement of looking one up.
const LOOK_MAX: Duration = Duration::from_secs(5);

/// Who has forgotten her password.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Forgotten {
    /// The tenant's id.
    pub tenant: String,
    /// The user's name, or its email.
    pub user: String,
}

/// Who has got the link.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Redemption {
    /// As it came in the link.
    #[schema(value_type = String)]
    pub token: Password,
    /// 12 characters (or as many as the tenant wants) to 256 bytes.
    #[schema(value_type = String)]
    pub password: Password,
}

/// Somebody who can be looked for.
#[derive(Debug)]
pub(crate) struct Wanted {
    tenant: TenantId,
    name: String,
}

impl Forgotten {
    /// What cannot name anybody is nobody.
    fn wanted(&self) -> Option<Wanted> {
        Some(Wanted { tenant: self.tenant.parse().ok()?, name: names::signs_in_as(&self.user)? })
    }
}

/// Puts a mail down for the user, if there is one who can be written to.
pub(crate) async fn begin(app: &App, wanted: Wanted) -> Result<(), sqlx::Error> {
    let mut tx = app.db.tenant(&wanted.tenant).await?;
    let Some(user) = sql::lock_user(&mut tx, &wanted.name).await? else { return tx.rollback().await };
    sql::forget_old(&mut tx, user).await?;
    if sql::count_recent(&mut tx, user, GOOD_FOR).await? >= OPEN_MAX {
        return tx.commit().await;
    }
    let reset = Uuid::new_v4();
    sql::insert(&mut tx, reset, user, GOOD_FOR).await?;
    outbox::put(app, &mut tx, Kind::PasswordReset, reset).await?;
    tx.commit().await
}

/// Sets the password.
pub(crate) async fn redeem(app: &App, redemption: Redemption) -> Result<(), ApiError> {
    let unknown = || {
        app.metrics.refusals.count("reset_unknown");
        let detail = "the link is unknown, was used, or is over: ask for another one";
        ApiError::refused(StatusCode::NOT_FOUND, "reset_unknown", detail)
    };
    let token: ResetToken = redemption.token.expose().parse().map_err(|_| unknown())?;
    let tenant = token.tenant().clone();
    let mut tx = app.db.read(&tenant, LOOK_MAX).await?;
    let found = sql::find_open(&mut tx, &token.hash()).await?;
    let rules = Rules::of(&mut tx).await?;
    tx.rollback().await?;
    let row = found.ok_or_else(unknown)?;
    // What cannot be a password is told before one is hashed.
    redemption.password.check(rules.password_chars_min, &row.user_name, row.email.as_deref())?;
    let hash = app.hashing.hash(redemption.password).await?;
    let mut tx = app.db.tenant(&tenant).await?;
    if !sql::use_open(&mut tx, row.reset_id, row.user_id).await? {
        return Err(unknown());
    }
    user::sql::set_password(&mut tx, row.user_id, &hash, false).await?;
    session::end_all(&mut tx, row.user_id, "password_changed", None).await?;
    api_token::sql::revoke_all(&mut tx, row.user_id).await?;
    let actor = Actor::Reset { reset: row.reset_id };
    joined::part(&mut tx, &actor, row.user_id).await?;
    let deed =
        Deed { action: "user.password_changed", subject: &user::subject(row.user_id), detail: json!({}) };
    audit::record_in(&mut tx, &actor, deed).await?;
    outbox::put(app, &mut tx, Kind::PasswordChanged, row.user_id).await?;
    tx.commit().await?;
    doubt_user(app, &tenant, row.user_id);
    Ok(())
}
