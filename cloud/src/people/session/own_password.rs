//! The password of whoever is signed in: changed by herself, and shown once more where much depends on it.

use std::net::IpAddr;
use std::time::Duration;

use serde_json::json;

use super::sign_in::is_right;
use super::{sql, take_attempt};
use crate::app::App;
use crate::audit::{self, Deed};
use crate::auth::SessionAuth;
use crate::mail::Kind;
use crate::operator::Refusal;
use crate::outbox;
use crate::people::password::{Password, sign_in_failed};
use crate::people::rules::Rules;
use crate::people::{reset, user};
use crate::problem::ApiError;

/// Longest statement of looking a user up.
const LOOK_MAX: Duration = Duration::from_secs(5);

/// Changes the password of whoever is signed in; her other sessions end.
pub(crate) async fn change_password(
    app: &App,
    from: Option<IpAddr>,
    auth: &SessionAuth,
    old: Password,
    new: Password,
) -> Result<(), ApiError> {
    let mut tx = app.db.read(&auth.tenant, LOOK_MAX).await?;
    let row = sql::find_person(&mut tx, auth.user).await?.ok_or(ApiError::Unauthorized)?;
    let rules = Rules::of(&mut tx).await?;
    tx.rollback().await?;
    new.check(rules.password_chars_min, &row.user_name, row.email.as_deref())?;
    if old.expose() == new.expose() {
        return Err(
            Refusal::Value("password: it is the one that you have; choose another one".to_owned()).into()
        );
    }
    let account = auth.user.to_string();
    take_attempt(app, from, &account)?;
    if !is_right(app, (from, &account), old, row.password_hash.clone()).await? {
        return Err(sign_in_failed());
    }
    let hash = app.hashing.hash(new).await?;
    let mut tx = app.db.tenant(&auth.tenant).await?;
    if !sql::lock_user(&mut tx, auth.user, row.password_hash.as_deref()).await? {
        return Err(ApiError::Unauthorized);
    }
    sql::set_own_password(&mut tx, auth.user, &hash).await?;
    sql::end_all(&mut tx, auth.user, "password_changed", Some(auth.session.id)).await?;
    reset::sql::close_all(&mut tx, auth.user).await?;
    let subject = user::subject(auth.user);
    let deed = Deed { action: "user.password_changed", subject: &subject, detail: json!({}) };
    audit::record_in(&mut tx, &auth.actor(), deed).await?;
    outbox::put(app, &mut tx, Kind::PasswordChanged, auth.user).await?;
    Ok(tx.commit().await?)
}

/// Refuses whoever is signed in and does not know her own password: a page that was left open is not enough for everything.
pub(crate) async fn confirm_password(
    app: &App,
    from: Option<IpAddr>,
    auth: &SessionAuth,
    password: Password,
) -> Result<(), ApiError> {
    let mut tx = app.db.read(&auth.tenant, LOOK_MAX).await?;
    let row = sql::find_person(&mut tx, auth.user).await?.ok_or(ApiError::Unauthorized)?;
    tx.rollback().await?;
    let account = auth.user.to_string();
    take_attempt(app, from, &account)?;
    if is_right(app, (from, &account), password, row.password_hash).await? {
        Ok(())
    } else {
        Err(sign_in_failed())
    }
}
