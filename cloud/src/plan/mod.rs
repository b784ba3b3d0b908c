//! Plans: how many stores a tenant may have, its limits, and which features it may use unless it says otherwise itself. Rows
//! that are never deleted; a change counts for every tenant of the plan at once.

pub(crate) mod http;
mod sql;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use self::sql::PlanRow;
use crate::app::rfc3339;
use crate::audit::{self, Actor, Deed};
use crate::db::ControlTx;
use crate::limits::Limits;
use crate::operator::{Refusal, text};
use crate::settings;

/// Most stores that a plan may allow.
const STORES_MAX: i32 = 100_000;
/// Longest id, in bytes.
const ID_BYTES_MAX: usize = 50;
/// Longest limits, in bytes of JSON.
const LIMITS_BYTES_MAX: usize = 16 << 10;

/// A plan.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Plan {
    /// Its id.
    pub plan: String,
    /// What people call it.
    pub name: String,
    /// How many stores its tenants may have; null is as many as they like.
    pub max_stores: Option<i32>,
    /// What its tenants may send; what is not there is the service's default.
    #[schema(value_type = Object)]
    pub limits: Value,
    /// What it says of features; one that is not there is denied.
    #[schema(value_type = BTreeMap<String, bool>)]
    pub features: Value,
    /// RFC 3339.
    pub updated_at: String,
}

/// What a plan is to be, all of it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewPlan {
    /// 1 to 200 characters of any script.
    pub name: String,
    /// 1 to 100000; null or left out is as many as they like.
    pub max_stores: Option<i32>,
    /// What its tenants may send.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub limits: Map<String, Value>,
    /// What it says of features.
    #[serde(default)]
    pub features: BTreeMap<String, bool>,
}

/// All of them, by id.
pub(crate) async fn list(tx: &mut ControlTx) -> Result<Vec<Plan>, Refusal> {
    Ok(sql::list(tx).await?.into_iter().map(Plan::from).collect())
}

/// One of them.
pub(crate) async fn show(tx: &mut ControlTx, plan: &str) -> Result<Plan, Refusal> {
    let not_there = || Refusal::NotThere(format!("there is no plan {plan:.60?}"));
    sql::find(tx, plan).await?.map(Plan::from).ok_or_else(not_there)
}

/// Makes or replaces a plan.
pub(crate) async fn put(
    tx: &mut ControlTx,
    actor: &Actor,
    plan: &str,
    new: &NewPlan,
) -> Result<Plan, Refusal> {
    check(plan, new)?;
    let known = sql::find(tx, plan).await?;
    let features = json!(new.features);
    let limits = Value::Object(new.limits.clone());
    sql::put(tx, plan, new, &limits, &features).await?;
    let is_same = known.as_ref().is_some_and(|row| {
        row.name == new.name
            && row.max_stores == new.max_stores
            && row.limits == limits
            && row.features == features
    });
    if !is_same {
        let action = if known.is_some() { "plan.updated" } else { "plan.created" };
        let detail = json!({ "max_stores": new.max_stores, "limits": limits, "features": features });
        let deed = Deed { action, subject: &format!("plan:{plan}"), detail };
        audit::record_of_operators(tx, actor, deed).await?;
    }
    show(tx, plan).await
}

fn check(plan: &str, new: &NewPlan) -> Result<(), Refusal> {
    let is_edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_id = (1..=ID_BYTES_MAX).contains(&plan.len())
        && plan.chars().all(|c| is_edge(c) || c == '-')
        && plan.starts_with(is_edge)
        && plan.ends_with(is_edge);
    if !is_id {
        return Err(Refusal::Value(format!(
            "{plan:.60?} is no id of a plan: 1 to {ID_BYTES_MAX} of a-z, 0-9 and '-', with '-' neither first nor last"
        )));
    }
    text::check_name("name", &new.name)?;
    if let Some(max) = new.max_stores.filter(|max| !(1..=STORES_MAX).contains(max)) {
        return Err(Refusal::Value(format!("max_stores {max}: 1 to {STORES_MAX}, or null for any number")));
    }
    if let Some(unknown) = new.features.keys().find(|name| !settings::features().any(|f| f == name.as_str()))
    {
        let known: Vec<&str> = settings::features().collect();
        return Err(Refusal::Value(format!(
            "there is no feature {unknown:.60?}: there are {}",
            known.join(", ")
        )));
    }
    check_limits(&new.limits)
}

/// Of a plan, or of a tenant, which then has the last word.
pub(crate) fn check_limits(limits: &Map<String, Value>) -> Result<(), Refusal> {
    let limits = Value::Object(limits.clone());
    if limits.to_string().len() > LIMITS_BYTES_MAX {
        return Err(Refusal::Value(format!("limits: at most {LIMITS_BYTES_MAX} bytes")));
    }
    Limits::parse(&limits).map_err(|error| Refusal::Value(error.to_string()))?;
    Ok(())
}

impl From<PlanRow> for Plan {
    fn from(row: PlanRow) -> Self {
        Self {
            plan: row.plan,
            name: row.name,
            max_stores: row.max_stores,
            limits: row.limits,
            features: row.features,
            updated_at: rfc3339(row.updated_at),
        }
    }
}
