//! Why an operator was refused, in words for the terminal and for HTTP.

use axum::http::StatusCode;
use storepulse_shared::ids::{StoreId, TenantId};

use crate::problem::ApiError;

/// Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// 404.
    #[error("tenant {0} does not exist")]
    NoTenant(TenantId),
    /// 404.
    #[error("store {0} of tenant {1} does not exist")]
    NoStore(StoreId, TenantId),
    /// 404: something else, named in full.
    #[error("{0}")]
    NotThere(String),
    /// 409: what is there does not allow it.
    #[error("{detail}")]
    Conflict {
        /// The word that programs compare.
        code: &'static str,
        /// What is in the way, and the way out.
        detail: String,
    },
    /// 422: a value that cannot be taken; says what is allowed.
    #[error("{0}")]
    Value(String),
    /// 429: the tenant has as many stores as it may.
    #[error(
        "tenant {tenant} has {stores} stores and may have {max}: raise max_stores or choose a larger plan"
    )]
    StoreLimit {
        /// Whose.
        tenant: TenantId,
        /// It has.
        stores: i64,
        /// It may have.
        max: i32,
    },
    /// The database.
    #[error(transparent)]
    Sqlx(#[from] sqlx::Error),
}

impl Refusal {
    /// What is there does not allow it.
    pub(crate) fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Self::Conflict { code, detail: detail.into() }
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let detail = refusal.to_string();
        match refusal {
            Refusal::NoTenant(_) | Refusal::NoStore(..) | Refusal::NotThere(_) => Self::NotFound,
            Refusal::Conflict { code, .. } => Self::refused(StatusCode::CONFLICT, code, detail),
            Refusal::Value(_) => Self::refused(StatusCode::UNPROCESSABLE_ENTITY, "bad_value", detail),
            Refusal::StoreLimit { max, .. } => {
                let code = "store_limit";
                let mut problem = storepulse_shared::answer::Problem::of(429, code, detail);
                problem.limit = u64::try_from(max).ok();
                problem.into()
            }
            Refusal::Sqlx(error) => error.into(),
        }
    }
}
