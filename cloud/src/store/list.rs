//! `GET /v1/stores`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use storepulse_shared::answer::Problem;
use utoipa::ToSchema;

use super::sql::stores as sql;
use crate::app::{App, rfc3339};
use crate::auth::StoreAuth;
use crate::problem::ApiError;

/// A store.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Store {
    /// Its id.
    id: String,
    /// What people call it.
    name: String,
    /// `active` or `suspended`.
    status: String,
    /// When the last batch was committed, RFC 3339.
    last_received: Option<String>,
}

/// The stores that the credential may see.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Stores {
    stores: Vec<Store>,
}

/// List the stores that the credential may see
#[utoipa::path(
    get,
    path = "/v1/stores",
    tag = "stores",
    security(("store_key" = [])),
    params(("X-Tenant-ID" = Option<String>, Header, description = "may repeat the tenant of the key; another one is refused")),
    responses(
        (status = 200, description = "a store key sees its own store", body = Stores),
        (status = 401, description = "no key, or one that opens nothing", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "suspended, or X-Tenant-ID names another tenant", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "busy; come back after Retry-After", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn list_stores(
    State(app): State<Arc<App>>,
    auth: StoreAuth,
) -> Result<Json<Stores>, ApiError> {
    let mut tx = app.db.tenant(&auth.tenant).await?;
    let row = sql::find_store(&mut tx, &auth.store).await?;
    Ok(Json(Stores { stores: row.into_iter().map(Store::from).collect() }))
}

impl From<sql::StoreRow> for Store {
    fn from(row: sql::StoreRow) -> Self {
        let last_received = row.last_received_at.map(rfc3339);
        Self { id: row.store_id, name: row.name, status: row.status, last_received }
    }
}
