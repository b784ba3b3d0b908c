//! `/v1/password-resets`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::request::Parts;
use storepulse_shared::answer::Problem;

use super::{Forgotten, Redemption};
use crate::app::App;
use crate::auth::{address, guess};
use crate::operator::request::Told;
use crate::people::attempts::take_strangers_turn;
use crate::problem::ApiError;

/// Ask for a link that sets another password
///
/// The answer is the same whether there is such a user or not.
#[utoipa::path(
    post,
    path = "/v1/password-resets",
    tag = "people",
    request_body = Forgotten,
    responses(
        (status = 202, description = "if there is such a user, and mail reaches it, a link is on its way"),
        (status = 400, description = "not understood", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "`mail_off`: this service sends no mail", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "the body is too large", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "too many from this address; come back after Retry-After", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "busy; come back after Retry-After", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn request_password_reset(
    State(app): State<Arc<App>>,
    parts: Parts,
    Told(forgotten): Told<Forgotten>,
) -> Result<StatusCode, ApiError> {
    let Some(outbox) = &app.outbox else {
        let detail =
            "this service sends no mail: whoever manages the tenant's users can give you another password";
        return Err(ApiError::refused(StatusCode::CONFLICT, "mail_off", detail));
    };
    take_strangers_turn(&app, address(&parts))?;
    if let Some(wanted) = forgotten.wanted() {
        outbox.want(wanted)?;
    }
    Ok(StatusCode::ACCEPTED)
}

/// Set another password with the link's token; one is signed out everywhere
#[utoipa::path(
    post,
    path = "/v1/password-resets/redemption",
    tag = "people",
    request_body = Redemption,
    responses(
        (status = 204, description = "it is set"),
        (status = 400, description = "not understood", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "`reset_unknown`: one body for every reason", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "the body is too large", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "the password cannot be taken; the link stays good", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "too many that open nothing from this address; come back after Retry-After", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "busy; come back after Retry-After", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn redeem_password_reset(
    State(app): State<Arc<App>>,
    parts: Parts,
    Told(redemption): Told<Redemption>,
) -> Result<StatusCode, ApiError> {
    guess(&app, address(&parts), super::redeem(&app, redemption)).await?;
    Ok(StatusCode::NO_CONTENT)
}
