//! `/v1/plans`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::{NewPlan, Plan};
use crate::app::App;
use crate::auth::OperatorAuth;
use crate::operator::answers::{ChangeRefusals, ReadRefusals};
use crate::operator::request::{Named, Told};
use crate::problem::ApiError;

/// The plans that there are.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Plans {
    /// By id.
    plans: Vec<Plan>,
}

/// List the plans
#[utoipa::path(
    get,
    path = "/v1/plans",
    tag = "tenants",
    security(("operator_key" = [])),
    responses((status = 200, description = "all of them", body = Plans), ReadRefusals)
)]
pub(crate) async fn list_plans(
    State(app): State<Arc<App>>,
    _: OperatorAuth,
) -> Result<Json<Plans>, ApiError> {
    let mut tx = app.db.control().await?;
    Ok(Json(Plans { plans: super::list(&mut tx).await? }))
}

/// Make or replace a plan; it counts for all of its tenants at once
#[utoipa::path(
    put,
    path = "/v1/plans/{plan}",
    tag = "tenants",
    security(("operator_key" = [])),
    params(("plan" = String, Path, description = "the plan: 1 to 50 of a-z, 0-9 and '-'")),
    request_body = NewPlan,
    responses((status = 200, description = "the plan as it is now", body = Plan), ChangeRefusals)
)]
pub(crate) async fn put_plan(
    State(app): State<Arc<App>>,
    auth: OperatorAuth,
    Named(plan): Named<String>,
    Told(new): Told<NewPlan>,
) -> Result<Json<Plan>, ApiError> {
    let mut tx = app.db.control().await?;
    let plan = super::put(&mut tx, &auth.actor(), &plan, &new).await?;
    tx.commit().await?;
    Ok(Json(plan))
}
