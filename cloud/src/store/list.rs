//! `GET /v1/stores`.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use storepulse_shared::answer::Problem;
use utoipa::ToSchema;

use super::sql::stores as sql;
use crate::app::{App, rfc3339};
use crate::people::may;
use crate::problem::ApiError;
use crate::scope::Reader;

/// Longest that one statement takes.
const STATEMENT_MAX: Duration = Duration::from_secs(10);

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
    security(("store_key" = []), ("access_token" = [])),
    params(("X-Tenant-ID" = Option<String>, Header, description = "may repeat the tenant of the key; another one is refused")),
    responses(
        (status = 200, description = "a store key sees its own store, a person those that are hers to see", body = Stores),
        (status = 401, description = "no key, or one that opens nothing", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "suspended, or X-Tenant-ID names another tenant", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "busy; come back after Retry-After", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn list_stores(
    State(app): State<Arc<App>>,
    Reader(scope, ..): Reader<may::ReadStores>,
) -> Result<Json<Stores>, ApiError> {
    let mut tx = app.db.read(&scope.tenant, STATEMENT_MAX).await?;
    let stores = scope.stores(&mut tx).await?;
    let rows = sql::find_stores(&mut tx, &stores).await?;
    tx.rollback().await?;
    Ok(Json(Stores { stores: rows.into_iter().map(Store::from).collect() }))
}

impl From<sql::StoreRow> for Store {
    fn from(row: sql::StoreRow) -> Self {
        let last_received = row.last_received_at.map(rfc3339);
        Self { id: row.store_id, name: row.name, status: row.status, last_received }
    }
}
