//! Settings of tenants and stores: which there are is in the [`catalogue`], what differs from its default is in the database.
//!
//! A value is checked when it is written, so whoever reads one may rely on its form. The effective value is that of the store,
//! else the tenant's, else for a feature the plan's, else the default; each comes with its source. A feature is denied unless
//! somebody allows it.

pub(crate) mod catalogue;
pub(crate) mod http;
mod rule;
mod sql;

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};
use storepulse_shared::ids::{StoreId, TenantId};
use utoipa::ToSchema;

pub(crate) use self::catalogue::{Kind, features};
use self::catalogue::{OF_STORES, OF_TENANTS, Setting};
use self::rule::Rule;
use crate::audit::{self, Actor, Deed};
use crate::db::ControlTx;
use crate::operator::Refusal;

/// Who says what a setting is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Source {
    /// Nobody.
    Default,
    /// The tenant's plan.
    Plan,
    /// The tenant.
    Tenant,
    /// The store.
    Store,
}

/// What a setting is, and who says so.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = EffectiveSetting)]
pub(crate) struct Effective {
    /// The value, of the form that the setting has; null if there is none.
    pub value: Value,
    /// Who says so.
    pub source: Source,
}

/// All settings of a tenant, by type and name.
pub(crate) type OfTenant = BTreeMap<&'static str, BTreeMap<&'static str, Effective>>;

/// All settings of a store, by name.
pub(crate) type OfStore = BTreeMap<&'static str, Effective>;

/// Longest value, in bytes of JSON.
const VALUE_BYTES_MAX: usize = 16 << 10;

/// What every setting of a tenant is.
pub(crate) async fn of_tenant(tx: &mut ControlTx, tenant: &TenantId) -> Result<OfTenant, Refusal> {
    let features = sql::features_of_plan(tx, tenant).await?;
    let features = features.ok_or_else(|| Refusal::NoTenant(tenant.clone()))?;
    let own = sql::of_tenant(tx, tenant).await?;
    let mut all = OfTenant::new();
    for setting in OF_TENANTS {
        let of_tenant =
            own.iter().find(|row| row.r#type == setting.kind.as_str() && row.name == setting.name);
        let of_plan = || features.get(setting.name).filter(|_| setting.kind == Kind::Features);
        let effective = match (of_tenant, of_plan()) {
            (Some(row), _) => Effective { value: row.value.clone(), source: Source::Tenant },
            (None, Some(value)) => Effective { value: value.clone(), source: Source::Plan },
            (None, None) => Effective { value: setting.default(), source: Source::Default },
        };
        all.entry(setting.kind.as_str()).or_default().insert(setting.name, effective);
    }
    Ok(all)
}

/// What every setting of a store is.
pub(crate) async fn of_store(
    tx: &mut ControlTx,
    tenant: &TenantId,
    store: &StoreId,
) -> Result<OfStore, Refusal> {
    if !sql::store_exists(tx, tenant, store).await? {
        return Err(Refusal::NoStore(store.clone(), tenant.clone()));
    }
    let of_tenant = of_tenant(tx, tenant).await?;
    let own = sql::of_store(tx, tenant, store).await?;
    let effective = |setting: &Setting| {
        let of_store = own.iter().find(|row| row.name == setting.name);
        let of_tenant =
            || of_tenant.get(setting.kind.as_str()).and_then(|all| all.get(setting.name)).cloned();
        of_store
            .map(|row| Effective { value: row.value.clone(), source: Source::Store })
            .or_else(of_tenant)
            .unwrap_or_else(|| Effective { value: setting.default(), source: Source::Default })
    };
    Ok(OF_STORES.iter().map(|setting| (setting.name, effective(setting))).collect())
}

/// Whether a tenant may use a feature. One that is not known is denied.
pub(crate) async fn allows(tx: &mut ControlTx, tenant: &TenantId, feature: &str) -> Result<bool, Refusal> {
    let all = of_tenant(tx, tenant).await?;
    let found = all.get(Kind::Features.as_str()).and_then(|features| features.get(feature));
    Ok(found.is_some_and(|effective| effective.value == Value::Bool(true)))
}

/// Refuses what a tenant has no feature for. What it was given while it had the feature stays.
pub(crate) async fn require(tx: &mut ControlTx, tenant: &TenantId, feature: &str) -> Result<(), Refusal> {
    if allows(tx, tenant, feature).await? {
        return Ok(());
    }
    let detail = format!(
        "tenant {tenant} does not have the feature {feature}: set features.{feature} to true for it, or choose a plan that has it"
    );
    Err(Refusal::conflict("feature_denied", detail))
}

/// Sets a tenant's own value; `None` takes it away, and plan or default say again what it is.
pub(crate) async fn set_for_tenant(
    tx: &mut ControlTx,
    actor: &Actor,
    tenant: &TenantId,
    (kind, name): (&str, &str),
    value: Option<&Value>,
) -> Result<Effective, Refusal> {
    let setting = catalogue::of_tenants(kind, name)?;
    if !sql::lock_tenant(tx, tenant).await? {
        return Err(Refusal::NoTenant(tenant.clone()));
    }
    let changed = match value {
        Some(value) => {
            check(tx, setting, value).await?;
            if let Some(feature) = setting.needs() {
                require(tx, tenant, feature).await?;
            }
            sql::set_for_tenant(tx, tenant, setting.kind.as_str(), setting.name, value).await?
        }
        None => sql::unset_for_tenant(tx, tenant, setting.kind.as_str(), setting.name).await?,
    };
    if changed {
        let subject = format!("tenant:{tenant}");
        record(tx, tenant, actor, &subject, setting, value).await?;
    }
    let mut all = of_tenant(tx, tenant).await?;
    let effective = all.get_mut(setting.kind.as_str()).and_then(|all| all.remove(setting.name));
    Ok(effective.unwrap_or_else(|| Effective { value: setting.default(), source: Source::Default }))
}

/// Sets a store's own value; `None` takes it away, and tenant or default say again what it is.
pub(crate) async fn set_for_store(
    tx: &mut ControlTx,
    actor: &Actor,
    tenant: &TenantId,
    store: &StoreId,
    name: &str,
    value: Option<&Value>,
) -> Result<Effective, Refusal> {
    let setting = catalogue::of_stores(name)?;
    if !sql::store_exists(tx, tenant, store).await? {
        return Err(Refusal::NoStore(store.clone(), tenant.clone()));
    }
    let changed = match value {
        Some(value) => {
            check(tx, setting, value).await?;
            sql::set_for_store(tx, tenant, store, setting.name, value).await?
        }
        None => sql::unset_for_store(tx, tenant, store, setting.name).await?,
    };
    if changed {
        record(tx, tenant, actor, &format!("store:{store}"), setting, value).await?;
    }
    let effective = of_store(tx, tenant, store).await?.remove(setting.name);
    Ok(effective.unwrap_or_else(|| Effective { value: setting.default(), source: Source::Default }))
}

async fn check(tx: &mut ControlTx, setting: &Setting, value: &Value) -> Result<(), Refusal> {
    if value.to_string().len() > VALUE_BYTES_MAX {
        return Err(Refusal::Value(format!("{}: at most {VALUE_BYTES_MAX} bytes", setting.path())));
    }
    setting.rule.check(value).map_err(|allowed| {
        let value: String = value.to_string().chars().take(80).collect();
        Refusal::Value(format!("{}: {value} cannot be taken; allowed is {allowed}", setting.path()))
    })?;
    // Which time zones there are is known to the database only.
    if let (Rule::TimeZone, Some(zone)) = (setting.rule, value.as_str())
        && !sql::time_zone_exists(tx, zone).await?
    {
        return Err(Refusal::Value(format!(
            "{}: there is no time zone {zone}; allowed are the names of the IANA database, like America/Santo_Domingo",
            setting.path()
        )));
    }
    Ok(())
}

/// Tells the value only where it names no person and no place of theirs.
async fn record(
    tx: &mut ControlTx,
    tenant: &TenantId,
    actor: &Actor,
    subject: &str,
    setting: &Setting,
    value: Option<&Value>,
) -> Result<(), sqlx::Error> {
    let mut detail = json!({ "setting": setting.path() });
    if let Some(value) = value.filter(|_| setting.is_told) {
        detail["to"] = value.clone();
    }
    let action = if value.is_some() { "setting.changed" } else { "setting.reset" };
    audit::record(tx, tenant, actor, Deed { action, subject, detail }).await
}
