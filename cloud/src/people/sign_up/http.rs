//! `/v1/sign-ups`: only where the service is started with `--sign-up`; elsewhere there is no such route.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::request::Parts;
use storepulse_shared::answer::Problem;

use super::{Confirmation, NewSignUp, SignedUp};
use crate::app::App;
use crate::auth::{address, guess};
use crate::operator::request::Told;
use crate::people::attempts::take_strangers_turn;
use crate::problem::ApiError;

/// Ask to become a tenant; a link that proves the e-mail is sent
#[utoipa::path(
    post,
    path = "/v1/sign-ups",
    tag = "people",
    request_body = NewSignUp,
    responses(
        (status = 202, description = "a link is on its way"),
        (status = 400, description = "not understood", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "nobody signs up by herself here", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "the body is too large", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "a value cannot be taken; the detail says what is allowed", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "too many from this address; come back after Retry-After", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "busy; come back after Retry-After", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn sign_up(
    State(app): State<Arc<App>>,
    parts: Parts,
    Told(new): Told<NewSignUp>,
) -> Result<StatusCode, ApiError> {
    let (Some(outbox), Some(_)) = (&app.outbox, &app.sign_up_plan) else { return Err(ApiError::NotFound) };
    take_strangers_turn(&app, address(&parts))?;
    super::begin(&app, &new).await?;
    outbox.wake();
    Ok(StatusCode::ACCEPTED)
}

/// Become a tenant with the link's token, and its first admin
#[utoipa::path(
    post,
    path = "/v1/sign-ups/confirmation",
    tag = "people",
    request_body = Confirmation,
    responses(
        (status = 201, description = "the tenant, and its admin who can sign in now", body = SignedUp),
        (status = 400, description = "not understood", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "`sign_up_unknown`: one body for every reason; or nobody signs up by herself here", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "`tenant_exists`: choose another id; the link stays good", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "the body is too large", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "a value cannot be taken; the link stays good", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "too many that open nothing from this address; come back after Retry-After", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "busy; come back after Retry-After", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn confirm_sign_up(
    State(app): State<Arc<App>>,
    parts: Parts,
    Told(asked): Told<Confirmation>,
) -> Result<(StatusCode, Json<SignedUp>), ApiError> {
    let Some(plan) = &app.sign_up_plan else { return Err(ApiError::NotFound) };
    let signed_up = guess(&app, address(&parts), super::confirm(&app, plan, asked)).await?;
    Ok((StatusCode::CREATED, Json(signed_up)))
}
