//! The one error of the HTTP side, and the one place where it becomes an answer.
//!
//! 4xx speaks to the caller: what is wrong, with which value, and the way out. 401 and 404 have one body each,
//! so that nobody learns from them what exists. 5xx is opaque, and its cause is logged once, here.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use storepulse_shared::answer::{PROBLEM_MEDIA_TYPE, Problem};
use storepulse_shared::ids::BatchId;
use storepulse_shared::request::HeadError;

/// Why a request was not served.
#[derive(Debug)]
pub(crate) enum ApiError {
    /// No key, or one that opens nothing: one body for every reason.
    Unauthorized,
    /// The key is known, but may not do this.
    Forbidden {
        /// The word that programs compare.
        code: &'static str,
        /// What the caller can do about it.
        detail: String,
    },
    /// Not there, or not yours: one body for both.
    NotFound,
    /// The request is wrong; the problem says how.
    Refused(Box<Problem>),
    /// Beyond a limit of the caller's own: come back.
    Limited {
        /// 429, or 503 for who would throw away what it sends.
        status: StatusCode,
        /// Which limit.
        detail: String,
        /// Its amount; 0 if that is nobody's business.
        limit: u64,
        /// When, in whole seconds.
        retry_after: Duration,
    },
    /// Too much at once: come back.
    Overloaded {
        /// When.
        retry_after: Duration,
    },
    /// Ours. The cause goes to the log, not to the caller.
    Internal(anyhow::Error),
}

impl ApiError {
    /// A refusal that closes nothing.
    #[must_use]
    pub(crate) fn refused(status: StatusCode, code: &str, detail: impl Into<String>) -> Self {
        Self::Refused(Box::new(Problem::of(status.as_u16(), code, detail)))
    }

    /// A refusal of a batch as a whole; its number must have been closed before.
    #[must_use]
    pub(crate) fn refused_batch(
        status: StatusCode,
        code: &str,
        detail: impl Into<String>,
        batch: BatchId,
    ) -> Self {
        let mut problem = Problem::of(status.as_u16(), code, detail);
        problem.batch = Some(batch);
        Self::Refused(Box::new(problem))
    }

    /// What was shown opens nothing: one more guess of whoever showed it.
    pub(crate) fn is_of_nothing(&self) -> bool {
        match self {
            Self::Unauthorized | Self::NotFound => true,
            Self::Refused(problem) => problem.status == StatusCode::NOT_FOUND.as_u16(),
            _ => false,
        }
    }

    /// The answer, and when to come back. The cause of an internal error is logged here, once.
    pub(crate) fn into_parts(self) -> (Problem, Option<Duration>) {
        let problem =
            |status: StatusCode, code: &str, detail: &str| Problem::of(status.as_u16(), code, detail);
        match self {
            Self::Unauthorized => {
                let detail = "the credential is missing, unknown, revoked or expired";
                (problem(StatusCode::UNAUTHORIZED, "unauthorized", detail), None)
            }
            Self::Forbidden { code, detail } => (problem(StatusCode::FORBIDDEN, code, &detail), None),
            Self::NotFound => {
                let detail = "there is no such thing, or it is not yours to see";
                (problem(StatusCode::NOT_FOUND, "not_found", detail), None)
            }
            Self::Refused(problem) => (*problem, None),
            Self::Limited { status, detail, limit, retry_after } => {
                let mut problem = problem(status, "rate_limited", &detail);
                problem.limit = Some(limit).filter(|limit| *limit > 0);
                (problem, Some(retry_after))
            }
            Self::Overloaded { retry_after } => {
                let detail = "the service is busy; come back after Retry-After";
                (problem(StatusCode::SERVICE_UNAVAILABLE, "overloaded", detail), Some(retry_after))
            }
            Self::Internal(cause) => {
                tracing::error!(cause = format!("{cause:#}"), "a request failed");
                let detail = "the service failed; nothing was stored; try again";
                (problem(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail), None)
            }
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (problem, retry_after) = self.into_parts();
        let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, axum::Json(problem)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_MEDIA_TYPE));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(wait) = retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
        }
        response
    }
}

impl From<Problem> for ApiError {
    fn from(problem: Problem) -> Self {
        Self::Refused(Box::new(problem))
    }
}

impl From<HeadError> for ApiError {
    fn from(error: HeadError) -> Self {
        Problem::from(error).into()
    }
}

impl From<sqlx::Error> for ApiError {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::PoolTimedOut => Self::Overloaded { retry_after: Duration::from_secs(5) },
            // 40P01 and 40001: two batches in each other's way; the agent tries again.
            sqlx::Error::Database(e) if matches!(e.code().as_deref(), Some("40P01" | "40001")) => {
                Self::Overloaded { retry_after: Duration::from_secs(1) }
            }
            error => Self::Internal(error.into()),
        }
    }
}
