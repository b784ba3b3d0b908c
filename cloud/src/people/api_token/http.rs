//! `/v1/me/tokens`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderName, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{ApiToken, NewApiToken};
use crate::app::App;
use crate::auth::{SessionAuth, doubt_user};
use crate::operator::request::{Named, Told};
use crate::people::answers::{ChangeRefusals, ReadRefusals};
use crate::problem::ApiError;

/// A token with its secret.
#[derive(Serialize, ToSchema)]
pub(crate) struct ApiTokenWithSecret {
    #[serde(flatten)]
    shown: ApiToken,
    /// For `Authorization: Bearer`. It cannot be shown again.
    token: String,
}

/// Tokens, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ApiTokens {
    tokens: Vec<ApiToken>,
}

/// Make a token for one of one's programs; it is in the answer, and nowhere else
#[utoipa::path(
    post,
    path = "/v1/me/tokens",
    tag = "people",
    security(("access_token" = []), ("cookie" = [])),
    request_body = NewApiToken,
    responses((status = 201, description = "the token", body = ApiTokenWithSecret), ChangeRefusals)
)]
pub(crate) async fn create_token(
    State(app): State<Arc<App>>,
    auth: SessionAuth,
    Told(new): Told<NewApiToken>,
) -> Result<(StatusCode, [(HeaderName, &'static str); 1], Json<ApiTokenWithSecret>), ApiError> {
    auth.check_ready()?;
    let mut tx = app.db.tenant(&auth.tenant).await?;
    let (shown, token) = super::create(&mut tx, auth.user, &auth.permissions, &new).await?;
    tx.commit().await?;
    let shown = ApiTokenWithSecret { shown, token: token.expose().to_owned() };
    Ok((StatusCode::CREATED, [(CACHE_CONTROL, "no-store")], Json(shown)))
}

/// List the tokens of one's programs
#[utoipa::path(
    get,
    path = "/v1/me/tokens",
    tag = "people",
    security(("access_token" = []), ("cookie" = [])),
    responses((status = 200, description = "the newest first", body = ApiTokens), ReadRefusals)
)]
pub(crate) async fn list_tokens(
    State(app): State<Arc<App>>,
    auth: SessionAuth,
) -> Result<Json<ApiTokens>, ApiError> {
    let mut tx = app.db.tenant(&auth.tenant).await?;
    let tokens = super::list(&mut tx, auth.user).await?;
    tx.rollback().await?;
    Ok(Json(ApiTokens { tokens }))
}

/// Take a token of one of one's programs back
#[utoipa::path(
    delete,
    path = "/v1/me/tokens/{token_id}",
    tag = "people",
    security(("access_token" = []), ("cookie" = [])),
    params(("token_id" = Uuid, Path, description = "the token")),
    responses((status = 204, description = "it opens nothing"), ChangeRefusals)
)]
pub(crate) async fn revoke_token(
    State(app): State<Arc<App>>,
    auth: SessionAuth,
    Named(token): Named<Uuid>,
) -> Result<StatusCode, ApiError> {
    let mut tx = app.db.tenant(&auth.tenant).await?;
    super::revoke(&mut tx, auth.user, token).await?;
    tx.commit().await?;
    doubt_user(&app, &auth.tenant, auth.user);
    Ok(StatusCode::NO_CONTENT)
}
