//! An operator enters a tenant: for a stated reason, for a while, and on the tenant's own record.
//!
//! An operator's key manages tenants and reads none. Whoever has to look into one enters it and gets an `entry_<tenant>_<token>`, which
//! opens what people of this tenant may open, as far as the role `operator` has the permissions, and in no other tenant anything.
//! What is done with it stands in the tenant's audit under the operator's name. Revoking the key ends its entries.

pub(crate) mod http;
pub(crate) mod sql;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;
use storepulse_shared::ids::TenantId;
use storepulse_shared::key::EntryToken;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::app::rfc3339;
use crate::audit::{self, Actor, Deed};
use crate::db::ControlTx;
use crate::operator::{Refusal, text};

/// How long an entry is good, unless somebody says otherwise.
const MINUTES: u32 = 60;
/// And at most.
const MINUTES_MAX: u32 = 12 * 60;
/// Longest reason, characters.
const REASON_CHARS_MAX: usize = 500;

/// Why an operator enters.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewEntry {
    /// What stands in the tenant's audit: a ticket's number, for example.
    pub reason: String,
    /// 1 to 720; 60 if it is left out.
    pub minutes: Option<u32>,
}

/// An operator is inside.
#[derive(Serialize, ToSchema)]
pub(crate) struct Entry {
    pub entry_id: Uuid,
    /// RFC 3339.
    pub expires_at: String,
    /// For `Authorization: Bearer`. It cannot be shown again.
    pub token: String,
}

/// Lets an operator in.
pub(crate) async fn enter(
    tx: &mut ControlTx,
    tenant: &TenantId,
    (name, credential_id): (&str, &str),
    new: &NewEntry,
) -> Result<Entry, Refusal> {
    text::check_text("reason", &new.reason, REASON_CHARS_MAX)?;
    let minutes = new.minutes.unwrap_or(MINUTES);
    if !(1..=MINUTES_MAX).contains(&minutes) {
        return Err(Refusal::Value(format!("minutes: {minutes}; allowed are 1 to {MINUTES_MAX}")));
    }
    if !sql::tenant_is_there(tx, tenant).await? {
        return Err(Refusal::NoTenant(tenant.clone()));
    }
    // Held until the entry is written: whoever revokes the key ends it, too.
    if !sql::lock_key(tx, credential_id).await? {
        return Err(Refusal::conflict("key_revoked", "the operator's key was revoked"));
    }
    sql::forget_old(tx, tenant).await?;
    let (token, entry_id) = (EntryToken::issue(tenant), Uuid::new_v4());
    let row = sql::NewRow {
        entry_id,
        hash: token.hash(),
        operator: name,
        credential_id,
        reason: &new.reason,
        good_for: Duration::from_secs(60 * u64::from(minutes)),
    };
    let expires_at = sql::insert(tx, tenant, &row).await?;
    let actor = Actor::Operator { name: name.to_owned(), credential_id: credential_id.to_owned() };
    let detail = json!({ "reason": new.reason, "minutes": minutes });
    let deed = Deed { action: "operator.entered", subject: &subject(entry_id), detail };
    audit::record(tx, tenant, &actor, deed).await?;
    Ok(Entry { entry_id, expires_at: rfc3339(expires_at), token: token.expose().to_owned() })
}

/// Ends an entry before its time.
pub(crate) async fn leave(
    tx: &mut ControlTx,
    tenant: &TenantId,
    actor: &Actor,
    entry: Uuid,
) -> Result<(), Refusal> {
    if !sql::end(tx, tenant, entry).await? {
        return Err(Refusal::NotThere(format!("no operator is inside by {entry}")));
    }
    let deed = Deed { action: "operator.left", subject: &subject(entry), detail: json!({}) };
    Ok(audit::record(tx, tenant, actor, deed).await?)
}

/// As the audit names an entry.
fn subject(entry: Uuid) -> String {
    format!("entry:{entry}")
}
