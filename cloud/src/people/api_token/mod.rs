//! Tokens of people's programs: `person_<tenant>_<token>`, with the scopes that their owner gives them.
//!
//! A scope is a permission. What a program may do is what both its scopes and its owner's role allow, of the stores that she sees, as
//! both are now; who may come in is people's to say, so no token has `users.manage`. A token opens nothing of her own account: no
//! password, no sessions, no other tokens. It goes with her: who is deactivated, or whose password somebody else has set, has none
//! that open.

pub(crate) mod http;
pub(crate) mod sql;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;
use storepulse_shared::ids::TenantId;
use storepulse_shared::key::PersonToken;
use utoipa::ToSchema;
use uuid::Uuid;

use self::sql::TokenRow;
use super::Permission;
use crate::app::rfc3339;
use crate::audit::{self, Actor, Deed};
use crate::db::TenantTx;
use crate::operator::{Refusal, text};

/// Tokens of a user that are open at once.
const OPEN_MAX: i64 = 50;
/// Longest name, characters.
const NAME_CHARS_MAX: usize = 100;
/// Days that a token may be good.
const DAYS_MAX: u32 = 3_650;

/// A token; the secret is nowhere.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ApiToken {
    pub token_id: Uuid,
    /// What it is for.
    pub name: String,
    /// What it may do, as far as its owner may.
    pub scopes: Vec<String>,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339; null: it does not end by itself.
    pub expires_at: Option<String>,
    /// RFC 3339, to the minute; null if it never was.
    pub last_used_at: Option<String>,
}

/// A token to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewApiToken {
    /// What it is for, 1 to 100 characters.
    pub name: String,
    /// Permissions: `metrics.read`, for example.
    pub scopes: Vec<String>,
    /// How many days it is good, 1 to 3650; it does not end by itself if it is left out.
    pub days: Option<u32>,
}

/// Makes one. Its secret is in the answer, and nowhere else.
pub(crate) async fn create(
    tx: &mut TenantTx,
    user: Uuid,
    has: &[Permission],
    new: &NewApiToken,
) -> Result<(ApiToken, PersonToken), Refusal> {
    text::check_text("name", &new.name, NAME_CHARS_MAX)?;
    let scopes = check_scopes(has, &new.scopes)?;
    if new.days.is_some_and(|days| !(1..=DAYS_MAX).contains(&days)) {
        return Err(Refusal::Value(format!("days: allowed are 1 to {DAYS_MAX}")));
    }
    sql::lock_user(tx, user).await?;
    sql::forget_old(tx, user).await?;
    let open = sql::count_open(tx, user).await?;
    if open >= OPEN_MAX {
        let detail = format!("{open} tokens are open, and no more are made: revoke those that nothing uses");
        return Err(Refusal::conflict("token_limit", detail));
    }
    let tenant: TenantId = tx.tenant().parse().map_err(|e| sqlx::Error::Decode(Box::new(e)))?;
    let (token, id) = (PersonToken::issue(&tenant), Uuid::new_v4());
    let good_for = new.days.map(|days| Duration::from_secs(u64::from(days) * 24 * 3_600));
    let row = sql::insert(tx, (id, user), &token.hash(), &new.name, &scopes, good_for).await?;
    let detail = json!({ "scopes": scopes, "days": new.days });
    let deed = Deed { action: "token.created", subject: &subject(id), detail };
    audit::record_in(tx, &Actor::Person { user }, deed).await?;
    Ok((row.into(), token))
}

/// Those that are open, the newest first.
pub(crate) async fn list(tx: &mut TenantTx, user: Uuid) -> Result<Vec<ApiToken>, sqlx::Error> {
    Ok(sql::list(tx, user).await?.into_iter().map(ApiToken::from).collect())
}

/// Takes one back.
pub(crate) async fn revoke(tx: &mut TenantTx, user: Uuid, token: Uuid) -> Result<(), Refusal> {
    if !sql::revoke(tx, user, token).await? {
        return Err(Refusal::NotThere(format!("there is no open token {token}")));
    }
    let deed = Deed { action: "token.revoked", subject: &subject(token), detail: json!({}) };
    Ok(audit::record_in(tx, &Actor::Person { user }, deed).await?)
}

/// Nobody gives away what she has not.
fn check_scopes(has: &[Permission], wanted: &[String]) -> Result<Vec<String>, Refusal> {
    // Whoever makes users can make one of every role, and with it any scope.
    let has: Vec<&str> =
        has.iter().filter(|may| **may != Permission::UsersManage).map(|may| may.as_str()).collect();
    let mut scopes = wanted.to_vec();
    scopes.sort();
    scopes.dedup();
    match scopes.iter().find(|scope| !has.contains(&scope.as_str())) {
        None if !scopes.is_empty() => Ok(scopes),
        fault => {
            let fault = fault.map_or_else(
                || "there are none".to_owned(),
                |scope| format!("{scope:.80?} is none of yours"),
            );
            Err(Refusal::Value(format!("scopes: {fault}; allowed are {}", has.join(", "))))
        }
    }
}

/// As the audit names a token.
fn subject(token: Uuid) -> String {
    format!("token:{token}")
}

impl From<TokenRow> for ApiToken {
    fn from(row: TokenRow) -> Self {
        Self {
            token_id: row.token_id,
            name: row.name,
            scopes: row.scopes,
            created_at: rfc3339(row.created_at),
            expires_at: row.expires_at.map(rfc3339),
            last_used_at: row.last_used_at.map(rfc3339),
        }
    }
}
