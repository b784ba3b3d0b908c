//! The second factor: an authenticator's codes (TOTP, RFC 6238: SHA-1, six digits, thirty seconds), and recovery codes for when it
//! is lost.
//!
//! A code is taken once, from one step before now to one after. Ten wrong ones behind a right password close the authenticator for a
//! quarter of an hour, but never the recovery codes, which nobody guesses: whoever knows a password cannot keep its owner out.

mod codes;
pub(crate) mod http;
mod sql;

use axum::http::StatusCode;
use serde_json::json;
use uuid::Uuid;

use self::codes::{Authenticator, recovery_hash};
use super::joined;
use super::password::Password;
use super::user;
use crate::app::now_ms;
use crate::audit::{self, Actor, Deed};
use crate::db::TenantTx;
use crate::operator::Refusal;
use crate::problem::ApiError;

/// Wrong codes, until the authenticator is closed for a while.
const WRONG_MAX: i32 = 10;
/// For how long they count, seconds.
const WRONG_FOR_S: f64 = 900.0;
/// Recovery codes that a user gets.
const RECOVERY_CODES: usize = 10;

/// What became of a second factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Passed {
    /// It was right, or the user has none.
    Yes,
    /// The user has one, and no code came.
    Missing,
    /// The code is wrong, or was taken before.
    Wrong,
    /// Too many were wrong; only a recovery code is looked at.
    Closed,
}

/// Looks at the code of a user whose password was right. The transaction has to be committed whatever comes of it: what is used up,
/// or was wrong, is remembered.
pub(crate) async fn pass(
    tx: &mut TenantTx,
    user: Uuid,
    code: Option<&Password>,
) -> Result<Passed, sqlx::Error> {
    let Some(row) = sql::lock_confirmed(tx, user, WRONG_FOR_S).await? else { return Ok(Passed::Yes) };
    let Some(code) = code.map(Password::expose) else { return Ok(Passed::Missing) };
    if let Some(hash) = recovery_hash(code) {
        let is_right = sql::use_recovery_code(tx, user, &hash).await?;
        if is_right {
            let deed =
                Deed { action: "user.recovery_code_used", subject: &user::subject(user), detail: json!({}) };
            audit::record_in(tx, &Actor::Person { user }, deed).await?;
        }
        return Ok(if is_right { Passed::Yes } else { Passed::Wrong });
    }
    if row.wrong_codes >= WRONG_MAX {
        return Ok(Passed::Closed);
    }
    match Authenticator::of(&row.secret).step_of(code, now_ms() / 1_000, row.last_step) {
        Some(step) => {
            sql::set_step(tx, user, step).await?;
            Ok(Passed::Yes)
        }
        None => {
            sql::count_wrong(tx, user, WRONG_FOR_S).await?;
            Ok(Passed::Wrong)
        }
    }
}

/// What whoever has not passed is told.
pub(crate) fn refuse(passed: Passed) -> Result<(), ApiError> {
    let (status, code, detail) = match passed {
        Passed::Yes => return Ok(()),
        Passed::Missing => (
            StatusCode::UNAUTHORIZED,
            "code_required",
            "this user has a second factor: send the code of the authenticator, or a recovery code, as `code`",
        ),
        Passed::Wrong => (
            StatusCode::UNAUTHORIZED,
            "code_wrong",
            "the code is wrong, or was used before: wait for the next one, or use a recovery code",
        ),
        Passed::Closed => (
            StatusCode::UNAUTHORIZED,
            "codes_closed",
            "too many wrong codes: come back in a quarter of an hour, or use a recovery code now",
        ),
    };
    Err(ApiError::refused(status, code, detail))
}

/// Gives a user an authenticator that is not asked for until it has been shown to work.
pub(crate) async fn begin(tx: &mut TenantTx, user: Uuid) -> Result<Authenticator, Refusal> {
    let new = Authenticator::make();
    if !sql::begin(tx, user, new.secret()).await? {
        let detail =
            "there is an authenticator already: take it away first (POST /v1/me/authenticator/removal)";
        return Err(Refusal::conflict("authenticator_exists", detail));
    }
    Ok(new)
}

/// The first right code: from now on one is asked for. The recovery codes are in the answer, and nowhere else.
pub(crate) async fn confirm(tx: &mut TenantTx, user: Uuid, code: &Password) -> Result<Vec<String>, Refusal> {
    let none = || {
        let detail =
            "there is no authenticator that waits for its first code: POST /v1/me/authenticator makes one";
        Refusal::conflict("authenticator_missing", detail)
    };
    let secret = sql::lock_unconfirmed(tx, user).await?.ok_or_else(none)?;
    let step = Authenticator::of(&secret).step_of(code.expose(), now_ms() / 1_000, 0);
    let step = step.ok_or_else(|| {
        let detail = "code: it is not the one that the authenticator shows; is the telephone's clock right?";
        Refusal::Value(detail.to_owned())
    })?;
    sql::confirm(tx, user, step).await?;
    let codes: Vec<String> = (0..RECOVERY_CODES).map(|_| codes::make_recovery_code()).collect();
    let hashes: Vec<Vec<u8>> = codes.iter().filter_map(|code| recovery_hash(code)).map(Vec::from).collect();
    sql::replace_recovery_codes(tx, user, &hashes).await?;
    let deed = Deed { action: "user.authenticator_set_up", subject: &user::subject(user), detail: json!({}) };
    audit::record_in(tx, &Actor::Person { user }, deed).await?;
    Ok(codes)
}

/// Takes it away.
pub(crate) async fn remove(tx: &mut TenantTx, actor: &Actor, user: Uuid) -> Result<(), Refusal> {
    user::show(tx, user).await?;
    if !sql::remove(tx, user).await? {
        return Err(Refusal::NotThere(format!("user {user} has no authenticator")));
    }
    if *actor != (Actor::Person { user }) {
        // Whoever can take factors away could become this user.
        joined::part(tx, actor, user).await?;
    }
    let deed =
        Deed { action: "user.authenticator_removed", subject: &user::subject(user), detail: json!({}) };
    Ok(audit::record_in(tx, actor, deed).await?)
}
