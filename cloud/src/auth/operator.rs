//! Operators: who run StorePulse and manage its tenants, proved by an `operator_…` key that the command line has made.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use storepulse_shared::key::OperatorKey;

use super::cache::Known;
use super::{bearer, sql};
use crate::app::App;
use crate::audit::Actor;
use crate::problem::ApiError;

/// An operator, proved by a key.
#[derive(Debug, Clone)]
pub(crate) struct OperatorAuth {
    row: Arc<OperatorRow>,
}

/// A credential that opens.
#[derive(Debug)]
pub(crate) struct OperatorRow {
    /// The public part of the key.
    pub(super) credential_id: String,
    /// Whose it is.
    pub(super) name: String,
}

impl OperatorAuth {
    /// Whose key it is, and the public part of the key.
    pub(crate) fn names(&self) -> (&str, &str) {
        (&self.row.name, &self.row.credential_id)
    }

    /// As the audit names it.
    pub(crate) fn actor(&self) -> Actor {
        Actor::Operator { name: self.row.name.clone(), credential_id: self.row.credential_id.clone() }
    }
}

impl FromRequestParts<Arc<App>> for OperatorAuth {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let verdict = authenticate(parts, app).await;
        if let Err(ApiError::Unauthorized) = &verdict {
            app.metrics.refused_credentials.inc();
        }
        verdict
    }
}

async fn authenticate(parts: &Parts, app: &App) -> Result<OperatorAuth, ApiError> {
    let key: OperatorKey = bearer(parts).and_then(|key| key.parse().ok()).ok_or(ApiError::Unauthorized)?;
    let hash = key.hash();
    if let Known::Opens(row) = app.operators.get(&hash) {
        return Ok(OperatorAuth { row });
    }
    let as_of = app.operators.as_of();
    let mut tx = app.db.control().await?;
    let found = sql::find_operator(&mut tx, &hash).await?.ok_or(ApiError::Unauthorized)?;
    Ok(OperatorAuth { row: app.operators.put(hash, found, as_of) })
}
