//! A tenant's own row: who it is, which plan it has, in which state it is. Every change is in its audit.

pub(crate) mod http;
mod sql;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use storepulse_shared::ids::TenantId;
use utoipa::ToSchema;

use self::sql::TenantRow;
pub(crate) use self::sql::lock_domains;
use super::status::Status;
use crate::app::rfc3339;
use crate::audit::{self, Actor, Deed};
use crate::db::ControlTx;
use crate::operator::request::present;
use crate::operator::{Refusal, text};
use crate::{plan, settings};

/// A tenant as its operator sees it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Tenant {
    /// Its id.
    pub tenant_id: String,
    /// The company's name.
    pub company: String,
    /// Where it is in its life.
    pub status: Status,
    /// When it came there, RFC 3339.
    pub status_changed_at: String,
    /// Its plan.
    pub plan: String,
    /// How many stores it may have; null is as many as it likes.
    pub max_stores: Option<i32>,
    /// What says so: `plan` or `tenant`.
    pub max_stores_source: &'static str,
    /// How many it has.
    pub stores: i64,
    /// What it may send, where that differs from its plan; null is as the plan says.
    #[schema(value_type = Option<Object>)]
    pub limits: Option<Value>,
    /// How long its samples are kept, in days.
    pub retention_days: i32,
    /// Whether keys of an older system open.
    pub accept_imported_keys: bool,
    /// The host name of its own.
    pub custom_domain: Option<String>,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339.
    pub updated_at: String,
}

/// A tenant to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewTenant {
    /// 1 to 50 of a-z, 0-9 and '-'.
    #[schema(value_type = String)]
    pub tenant_id: TenantId,
    /// The company's name, 1 to 200 characters of any script.
    pub company: String,
    /// `basic` if it is left out.
    pub plan: Option<String>,
    /// As the plan says, if it is left out.
    pub max_stores: Option<i32>,
    /// 400 if it is left out.
    pub retention_days: Option<i32>,
    /// A host name of its own.
    pub custom_domain: Option<String>,
    /// Whether keys of an older system open; they do not if it is left out.
    pub accept_imported_keys: Option<bool>,
}

/// What is to change of a tenant; what is left out stays.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TenantChange {
    /// The company's name, 1 to 200 characters of any script.
    pub company: Option<String>,
    /// Its plan.
    pub plan: Option<String>,
    /// 0 to 100000; null is: as the plan says. Who has more stores than that keeps them.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<i32>)]
    pub max_stores: Option<Option<i32>>,
    /// What it may send, in the form of a plan's limits; null is: as the plan says.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<Object>)]
    pub limits: Option<Option<Map<String, Value>>>,
    /// 1 to 3660.
    pub retention_days: Option<i32>,
    /// A host name of its own; null takes it away.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    pub custom_domain: Option<Option<String>>,
    /// Whether keys of an older system open.
    pub accept_imported_keys: Option<bool>,
}

/// Creates a tenant, which is pending then.
pub(crate) async fn create(tx: &mut ControlTx, actor: &Actor, new: &NewTenant) -> Result<Tenant, Refusal> {
    let id = &new.tenant_id;
    let change = TenantChange {
        company: None,
        plan: new.plan.clone(),
        max_stores: new.max_stores.map(Some),
        limits: None,
        retention_days: new.retention_days,
        custom_domain: new.custom_domain.clone().map(Some),
        accept_imported_keys: new.accept_imported_keys,
    };
    text::check_name("company", &new.company)?;
    check(tx, id, &change).await?;
    if !sql::insert(tx, id, &new.company).await? {
        let detail = format!("there is a tenant {id} already; ids are never used again");
        return Err(Refusal::conflict("tenant_exists", detail));
    }
    sql::update(tx, id, &change).await?;
    check_features(tx, id, &change).await?;
    let tenant = show(tx, id).await?;
    let detail = json!({ "plan": tenant.plan, "max_stores": tenant.max_stores });
    record(tx, id, actor, Status::Pending.deed(), detail).await?;
    Ok(tenant)
}

/// One tenant.
pub(crate) async fn show(tx: &mut ControlTx, tenant: &TenantId) -> Result<Tenant, Refusal> {
    let row = sql::find(tx, tenant).await?.ok_or_else(|| Refusal::NoTenant(tenant.clone()))?;
    Ok(row.try_into()?)
}

/// Those after this id, by id; of one state only, if one is given.
pub(crate) async fn list(
    tx: &mut ControlTx,
    after: &str,
    status: Option<Status>,
    limit: i64,
) -> Result<Vec<Tenant>, Refusal> {
    let rows = sql::list(tx, after, status.map(Status::as_str), limit).await?;
    Ok(rows.into_iter().map(Tenant::try_from).collect::<Result<_, _>>()?)
}

/// Changes what is given.
pub(crate) async fn update(
    tx: &mut ControlTx,
    actor: &Actor,
    tenant: &TenantId,
    change: &TenantChange,
) -> Result<Tenant, Refusal> {
    lock(tx, tenant).await?;
    let before = show(tx, tenant).await?;
    if let Some(company) = &change.company {
        text::check_name("company", company)?;
    }
    check(tx, tenant, change).await?;
    sql::update(tx, tenant, change).await?;
    check_features(tx, tenant, change).await?;
    let after = show(tx, tenant).await?;
    let detail = differences(&before, &after)?;
    if !detail.is_empty() {
        record(tx, tenant, actor, "tenant.updated", detail.into()).await?;
    }
    Ok(after)
}

/// Moves it to another state. To that where it is already nothing happens.
pub(crate) async fn set_status(
    tx: &mut ControlTx,
    actor: &Actor,
    tenant: &TenantId,
    to: Status,
) -> Result<Tenant, Refusal> {
    let from = lock(tx, tenant).await?;
    if from != to {
        from.check_move(to)?;
        sql::set_status(tx, tenant, to.as_str()).await?;
        record(tx, tenant, actor, to.deed(), json!({ "from": from, "to": to })).await?;
    }
    show(tx, tenant).await
}

/// Whoever has the tenant's row is alone with its state, its limits and the number of its stores.
pub(super) async fn lock(tx: &mut ControlTx, tenant: &TenantId) -> Result<Status, Refusal> {
    let status = sql::lock(tx, tenant).await?.ok_or_else(|| Refusal::NoTenant(tenant.clone()))?;
    Ok(Status::of_column(&status)?)
}

async fn record(
    tx: &mut ControlTx,
    tenant: &TenantId,
    actor: &Actor,
    action: &str,
    detail: Value,
) -> Result<(), sqlx::Error> {
    audit::record(tx, tenant, actor, Deed { action, subject: &format!("tenant:{tenant}"), detail }).await
}

/// What changed, from what to what; of a company's name only that it did.
fn differences(before: &Tenant, after: &Tenant) -> Result<Map<String, Value>, Refusal> {
    let as_map = |tenant: &Tenant| match serde_json::to_value(tenant) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) => Ok(Map::new()),
        Err(error) => Err(sqlx::Error::Encode(error.into())),
    };
    let (before, after) = (as_map(before)?, as_map(after)?);
    let changed = after.into_iter().filter(|(name, to)| name != "updated_at" && before.get(name) != Some(to));
    Ok(changed
        .map(|(name, to)| {
            let told =
                if name == "company" { json!({}) } else { json!({ "from": before.get(&name), "to": to }) };
            (name, told)
        })
        .collect())
}

/// After the change: its plan is the new one.
async fn check_features(tx: &mut ControlTx, tenant: &TenantId, change: &TenantChange) -> Result<(), Refusal> {
    match change.custom_domain {
        Some(Some(_)) => settings::require(tx, tenant, "custom_domain").await,
        _ => Ok(()),
    }
}

/// Refuses values that cannot be, each with what can be.
async fn check(tx: &mut ControlTx, tenant: &TenantId, change: &TenantChange) -> Result<(), Refusal> {
    if let Some(plan) = &change.plan {
        let plans = sql::plans(tx).await?;
        if !plans.contains(plan) {
            return Err(Refusal::Value(format!(
                "plan {plan:.60?} is not there: there are {}",
                plans.join(", ")
            )));
        }
    }
    if let Some(Some(max)) = change.max_stores
        && !(0..=STORES_MAX).contains(&max)
    {
        return Err(Refusal::Value(format!("max_stores {max}: 0 to {STORES_MAX}, or null for the plan's")));
    }
    if let Some(days) = change.retention_days
        && !(1..=RETENTION_DAYS_MAX).contains(&days)
    {
        return Err(Refusal::Value(format!("retention_days {days}: 1 to {RETENTION_DAYS_MAX}")));
    }
    if let Some(Some(limits)) = &change.limits {
        plan::check_limits(limits)?;
    }
    if let Some(Some(domain)) = &change.custom_domain {
        check_domain(domain)?;
        sql::lock_domains(tx).await?;
        if sql::domain_is_anothers(tx, tenant, domain).await? {
            let detail = format!("{domain} is the domain of another tenant");
            return Err(Refusal::conflict("domain_taken", detail));
        }
    }
    Ok(())
}

/// Most stores of a tenant.
const STORES_MAX: i32 = 100_000;
/// Longest time that samples are kept, in days.
const RETENTION_DAYS_MAX: i32 = 3_660;
/// Longest host name, in bytes (RFC 1035).
const DOMAIN_BYTES_MAX: usize = 253;
/// Longest part of one.
const LABEL_BYTES_MAX: usize = 63;

fn check_domain(domain: &str) -> Result<(), Refusal> {
    let is_inside = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let is_label = |label: &str| {
        (1..=LABEL_BYTES_MAX).contains(&label.len())
            && label.bytes().all(is_inside)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let is_number = |label: &str| label.bytes().all(|b| b.is_ascii_digit());
    let labels: Vec<&str> = domain.split('.').collect();
    let is_domain = domain.len() <= DOMAIN_BYTES_MAX
        && labels.len() > 1
        && labels.iter().all(|label| is_label(label))
        && !labels.last().is_some_and(|last| is_number(last));
    if is_domain {
        return Ok(());
    }
    Err(Refusal::Value(format!(
        "custom_domain {domain:.80?}: a host name in lower case (a-z, 0-9 and '-', at least two parts, at most \
         {DOMAIN_BYTES_MAX} characters), without scheme, port and path; other scripts as xn--…"
    )))
}

impl TryFrom<TenantRow> for Tenant {
    type Error = sqlx::Error;

    fn try_from(row: TenantRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            status: Status::of_column(&row.status)?,
            tenant_id: row.tenant_id,
            company: row.company,
            status_changed_at: rfc3339(row.status_changed_at),
            plan: row.plan,
            max_stores: row.max_stores.or(row.plans_max_stores),
            max_stores_source: if row.max_stores.is_some() { "tenant" } else { "plan" },
            stores: row.stores,
            limits: row.limits,
            retention_days: row.retention_days,
            accept_imported_keys: row.accept_imported_keys,
            custom_domain: row.custom_domain,
            created_at: rfc3339(row.created_at),
            updated_at: rfc3339(row.updated_at),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_is_a_host_name_and_nothing_else() {
        for domain in ["metrics.la-villa.do", "a.b", "xn--80ak6aa92e.com"] {
            assert!(check_domain(domain).is_ok(), "{domain}");
        }
        let long = format!("{}.com", "x".repeat(64));
        for domain in [
            "",
            "localhost",
            "La-Villa.do",
            "https://la-villa.do",
            "la-villa.do/x",
            "la-villa.do:443",
            "a..b",
            ".a.b",
            "a.b.",
            "-a.b",
            "10.0.0.1",
            "a b.c",
            "a\r\nhost: x.y",
            "../etc",
            "ñ.do",
            &long,
        ] {
            assert!(check_domain(domain).is_err(), "{domain}");
        }
    }
}
