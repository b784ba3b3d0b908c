//! `/v1/me/tenants` and `/v1/session/switch`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::{JoinedTenant, Switch};
use crate::app::App;
use crate::auth::SessionAuth;
use crate::operator::request::Told;
use crate::people::answers::{ChangeRefusals, ReadRefusals};
use crate::people::session::http::tell;
use crate::people::session::opening::SignedIn;
use crate::problem::ApiError;

/// Tenants, by id.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct JoinedTenants {
    tenants: Vec<JoinedTenant>,
}

/// List the tenants that one may go on to without signing in again
#[utoipa::path(
    get,
    path = "/v1/me/tenants",
    tag = "people",
    security(("access_token" = []), ("cookie" = [])),
    responses((status = 200, description = "by id, the one of this session among them", body = JoinedTenants), ReadRefusals)
)]
pub(crate) async fn list_own_tenants(
    State(app): State<Arc<App>>,
    auth: SessionAuth,
) -> Result<Json<JoinedTenants>, ApiError> {
    Ok(Json(JoinedTenants { tenants: super::list(&app, &auth).await? }))
}

/// Go on to another tenant that one is joined to: a new session, of that tenant only
#[utoipa::path(
    post,
    path = "/v1/session/switch",
    tag = "people",
    security(("access_token" = []), ("cookie" = [])),
    request_body = Switch,
    responses((status = 200, description = "a session of the other tenant; the one that asks opens nothing there", body = SignedIn), ChangeRefusals)
)]
pub(crate) async fn switch_tenant(
    State(app): State<Arc<App>>,
    auth: SessionAuth,
    Told(asked): Told<Switch>,
) -> Result<Response, ApiError> {
    tell(super::switch(&app, &auth, asked).await?)
}
