//! Whose samples a request reads: those of one store, by its own key, or of all stores of a tenant, by an operator.
//!
//! Either way what is read goes through a transaction that is bound to the one tenant, and names the stores beside: whoever
//! reads for a [`Scope`] asks [`Scope::stores`] first, and for nothing else. A [`TenantScope`] in a handler's signature says
//! that an operator asks for a tenant that is there; whatever its status is, what it has sent can be read.

mod sql;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde::Deserialize;
use storepulse_shared::ids::{StoreId, TenantId};

use crate::app::App;
use crate::auth::{OperatorAuth, StoreAuth};
use crate::db::TenantTx;
use crate::operator::request::Named;
use crate::problem::ApiError;

/// Longest that looking a tenant up takes.
const STATEMENT_MAX: Duration = Duration::from_secs(10);

/// Whose samples are read.
#[derive(Debug, Clone)]
pub(crate) struct Scope {
    /// Whose stores they are.
    pub(crate) tenant: TenantId,
    /// The only one; `None` for all of the tenant.
    pub(crate) store: Option<StoreId>,
    /// How long the tenant keeps samples.
    pub(crate) retention_days: i32,
}

impl From<&StoreAuth> for Scope {
    fn from(auth: &StoreAuth) -> Self {
        let (tenant, store) = (auth.tenant.clone(), Some(auth.store.clone()));
        Self { tenant, store, retention_days: auth.retention_days }
    }
}

impl Scope {
    /// Whether stores have to be told apart in an answer.
    pub(crate) fn is_of_many(&self) -> bool {
        self.store.is_none()
    }

    /// What it is of, for the name of a file.
    pub(crate) fn name(&self) -> &str {
        self.store.as_ref().map_or(self.tenant.as_str(), StoreId::as_str)
    }

    /// The stores in the order of their ids, as bytes; those of a tenant as they are in this transaction of it.
    ///
    /// # Errors
    /// The server refused, or is away.
    pub(crate) async fn stores(&self, tx: &mut TenantTx) -> Result<Vec<StoreId>, sqlx::Error> {
        match &self.store {
            Some(store) => Ok(vec![store.clone()]),
            None => sql::stores(tx).await,
        }
    }
}

/// All stores of the tenant of the path, for an operator.
#[derive(Debug)]
pub(crate) struct TenantScope(pub(crate) Scope);

#[derive(Deserialize)]
struct InPath {
    tenant_id: TenantId,
}

impl FromRequestParts<Arc<App>> for TenantScope {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        OperatorAuth::from_request_parts(parts, app).await?;
        let Named(InPath { tenant_id: tenant }) = Named::from_request_parts(parts, app).await?;
        let mut tx = app.db.read(&tenant, STATEMENT_MAX).await?;
        let retention_days = sql::retention_days(&mut tx).await?.ok_or(ApiError::NotFound)?;
        tx.rollback().await?;
        Ok(Self(Scope { tenant, store: None, retention_days }))
    }
}
