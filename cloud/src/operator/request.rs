//! What operators' routes read of a request: names in its path, parameters, a small JSON body. What cannot be read is
//! answered with a problem that says what is allowed.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use storepulse_shared::answer::Problem;

use crate::app::App;
use crate::problem::ApiError;

/// Largest body, in bytes.
pub(crate) const BODY_BYTES_MAX: usize = 64 << 10;
/// Characters of what a parser says that are repeated.
const SAID_MAX: usize = 300;

/// Names in the path. A text that cannot name anything names nothing that is there.
#[derive(Debug)]
pub(crate) struct Named<T>(pub T);

impl<T: DeserializeOwned + Send + 'static> FromRequestParts<Arc<App>> for Named<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let names = Path::<T>::from_request_parts(parts, app).await;
        names.map(|Path(names)| Self(names)).map_err(|_| ApiError::NotFound)
    }
}

/// Parameters.
#[derive(Debug)]
pub(crate) struct Asked<T>(pub T);

impl<T: DeserializeOwned> FromRequestParts<Arc<App>> for Asked<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let asked = Query::<T>::from_request_parts(parts, app).await;
        asked.map(|Query(asked)| Self(asked)).map_err(|e| bad("bad_query", &e.body_text()))
    }
}

/// A body of at most [`BODY_BYTES_MAX`] bytes of JSON, whatever type it says it has.
#[derive(Debug)]
pub(crate) struct Told<T>(pub T);

impl<T: DeserializeOwned> FromRequest<Arc<App>> for Told<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &Arc<App>) -> Result<Self, ApiError> {
        let too_large = || {
            let detail = format!("a body of at most {BODY_BYTES_MAX} bytes is taken here");
            let mut problem = Problem::of(StatusCode::PAYLOAD_TOO_LARGE.as_u16(), "body_too_large", detail);
            problem.limit = Some(BODY_BYTES_MAX as u64);
            ApiError::from(problem)
        };
        let body: Bytes =
            axum::body::to_bytes(request.into_body(), BODY_BYTES_MAX).await.map_err(|_| too_large())?;
        serde_json::from_slice(&body).map(Self).map_err(|e| bad("bad_body", &e.to_string()))
    }
}

fn bad(code: &str, said: &str) -> ApiError {
    let said: String = said.chars().take(SAID_MAX).collect();
    ApiError::refused(StatusCode::BAD_REQUEST, code, said)
}

/// How much of a list, and from where.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct NumberedPage {
    /// Only what comes after this number.
    #[param(minimum = 0)]
    pub after: Option<i64>,
    /// At most so many, 1 to 1000; 100 if it is left out.
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<i64>,
}

/// Most of a list that one page holds.
pub(crate) const PAGE_MAX: i64 = 1_000;
const PAGE: i64 = 100;

/// How many of a list a page holds.
pub(crate) fn page_limit(limit: Option<i64>) -> Result<i64, ApiError> {
    match limit.unwrap_or(PAGE) {
        limit @ 1..=PAGE_MAX => Ok(limit),
        limit => Err(bad("bad_query", &format!("limit={limit}: 1 to {PAGE_MAX}"))),
    }
}

/// Tells a field that is null from one that is left out.
pub(crate) fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}
