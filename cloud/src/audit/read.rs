//! Entries as they are read: in the order of their chain, a page at a time.

use serde::Serialize;
use serde_json::value::RawValue;
use storepulse_shared::ids::TenantId;
use utoipa::ToSchema;

use super::sql::{self, EntryRow};
use crate::app::rfc3339;
use crate::db::ControlTx;
use crate::operator::Refusal;

/// Whose deeds.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Chain<'a> {
    /// What was done to a tenant.
    Tenant(&'a TenantId),
    /// What belongs to no tenant.
    Operators,
}

/// What somebody did.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditEntry)]
pub(crate) struct Entry {
    /// Numbered from 1 without gaps.
    pub no: i64,
    /// RFC 3339, to the microsecond.
    pub at: String,
    /// Who: `operator:<name>/<key>`, `command-line:<user>` or `agent:<store>/<key>`.
    pub actor: String,
    /// What: a verb like `tenant.suspended`.
    pub action: String,
    /// To what: `tenant:<id>`, `store:<id>`, `plan:<id>`, `operator:<name>/<key>`.
    pub subject: String,
    /// What there is to know of it; ids, never secrets. Its bytes are those that were hashed.
    #[schema(value_type = Object)]
    pub detail: Box<RawValue>,
    /// The hash of the entry before, 64 hex digits; empty in the first one.
    pub previous: String,
    /// SHA-256 over `previous` and the fields of this one.
    pub hash: String,
}

/// Entries after this number.
pub(crate) async fn page(
    tx: &mut ControlTx,
    chain: Chain<'_>,
    after: i64,
    limit: i64,
) -> Result<Vec<Entry>, Refusal> {
    if let Chain::Tenant(tenant) = chain
        && !sql::tenant_exists(tx, tenant).await?
    {
        return Err(Refusal::NoTenant(tenant.clone()));
    }
    let rows = rows(tx, chain, after, limit).await?;
    Ok(rows.into_iter().map(Entry::try_from).collect::<Result<_, _>>()?)
}

pub(super) async fn rows(
    tx: &mut ControlTx,
    chain: Chain<'_>,
    after: i64,
    limit: i64,
) -> Result<Vec<EntryRow>, sqlx::Error> {
    match chain {
        Chain::Tenant(tenant) => sql::entries(tx, tenant, after, limit).await,
        Chain::Operators => sql::entries_of_operators(tx, after, limit).await,
    }
}

/// Bytes as people compare them.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl TryFrom<EntryRow> for Entry {
    type Error = sqlx::Error;

    fn try_from(row: EntryRow) -> Result<Self, sqlx::Error> {
        let detail = RawValue::from_string(row.detail).map_err(|e| sqlx::Error::Decode(e.into()))?;
        Ok(Self {
            no: row.no,
            at: rfc3339(row.at),
            actor: row.actor,
            action: row.action,
            subject: row.subject,
            detail,
            previous: hex(&row.previous),
            hash: hex(&row.hash),
        })
    }
}
