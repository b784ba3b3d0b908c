//! `/v1/session` (sign in, renew, sign out) and `/v1/me` (who is signed in, her password, her sessions).

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::http::request::Parts;
use axum::http::{HeaderName, StatusCode};
use serde::{Deserialize, Serialize};
use storepulse_shared::answer::Problem;
use storepulse_shared::key::RefreshToken;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Session, SignIn, Tokens};
use crate::app::App;
use crate::auth::{PersonAuth, address, doubt_user};
use crate::operator::request::{Named, Told};
use crate::people::answers::{ChangeRefusals, ReadRefusals};
use crate::people::password::Password;
use crate::people::user::{self, User};
use crate::people::{Role, may};
use crate::problem::ApiError;

const NO_STORE: [(HeaderName, &str); 1] = [(CACHE_CONTROL, "no-store")];

/// What renews a session.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Renewal {
    /// As the session's last answer had it.
    refresh_token: String,
}

/// Another password.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PasswordChange {
    /// The one until now.
    #[schema(value_type = String)]
    old: Password,
    /// 10 characters to 256 bytes.
    #[schema(value_type = String)]
    new: Password,
}

/// Who is signed in.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Me {
    tenant: String,
    session_id: Uuid,
    role: Role,
    /// What the role may do.
    permissions: Vec<String>,
    #[serde(flatten)]
    user: User,
}

/// The sessions of whoever is signed in.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Sessions {
    sessions: Vec<Session>,
}

/// Sign in
///
/// A user who is not there is answered as one whose password is wrong, and as slowly.
#[utoipa::path(
    post,
    path = "/v1/session",
    tag = "people",
    request_body = SignIn,
    responses(
        (status = 200, description = "a session", body = Tokens),
        (status = 400, description = "not understood", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "`sign_in_failed`: one body for every reason", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "the tenant is not active", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "the body is too large", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "a value cannot be taken; the detail says what is allowed", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "too many wrong passwords from this address; come back after Retry-After", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "busy; come back after Retry-After", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn sign_in(
    State(app): State<Arc<App>>,
    parts: Parts,
    Told(asked): Told<SignIn>,
) -> Result<([(HeaderName, &'static str); 1], Json<Tokens>), ApiError> {
    Ok((NO_STORE, Json(super::sign_in(&app, address(&parts), asked).await?)))
}

/// Renew a session; the token is good once, and ends the session if it comes again
#[utoipa::path(
    post,
    path = "/v1/session/refresh",
    tag = "people",
    request_body = Renewal,
    responses(
        (status = 200, description = "new tokens of the same session", body = Tokens),
        (status = 400, description = "not understood", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "no session is open with it", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "the tenant is not active", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "the body is too large", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "busy; come back after Retry-After", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn refresh_session(
    State(app): State<Arc<App>>,
    Told(renewal): Told<Renewal>,
) -> Result<([(HeaderName, &'static str); 1], Json<Tokens>), ApiError> {
    let renewed = match renewal.refresh_token.parse::<RefreshToken>() {
        Ok(token) => super::refresh(&app, &token).await,
        Err(_) => Err(ApiError::Unauthorized),
    };
    if let Err(ApiError::Unauthorized) = &renewed {
        app.metrics.refused_credentials.inc();
    }
    Ok((NO_STORE, Json(renewed?)))
}

/// Sign out
#[utoipa::path(
    delete,
    path = "/v1/session",
    tag = "people",
    security(("access_token" = [])),
    responses((status = 204, description = "the session has ended"), ChangeRefusals)
)]
pub(crate) async fn sign_out(
    State(app): State<Arc<App>>,
    auth: PersonAuth<may::BeSignedIn>,
) -> Result<StatusCode, ApiError> {
    let mut tx = app.db.tenant(&auth.tenant).await?;
    super::end(&mut tx, &auth, auth.session, "signed_out").await?;
    tx.commit().await?;
    doubt_user(&app, &auth.tenant, auth.user);
    Ok(StatusCode::NO_CONTENT)
}

/// Show who is signed in
#[utoipa::path(
    get,
    path = "/v1/me",
    tag = "people",
    security(("access_token" = [])),
    responses((status = 200, description = "the user, with what it may do", body = Me), ReadRefusals)
)]
pub(crate) async fn show_me(
    State(app): State<Arc<App>>,
    auth: PersonAuth<may::BeSignedIn>,
) -> Result<Json<Me>, ApiError> {
    let mut tx = app.db.tenant(&auth.tenant).await?;
    let user = user::show(&mut tx, auth.user).await?;
    tx.rollback().await?;
    let permissions = auth.permissions.iter().map(|may| may.as_str().to_owned()).collect();
    let tenant = auth.tenant.to_string();
    Ok(Json(Me { tenant, session_id: auth.session, role: auth.role, permissions, user }))
}

/// Change one's password; all other sessions end
#[utoipa::path(
    put,
    path = "/v1/me/password",
    tag = "people",
    security(("access_token" = [])),
    request_body = PasswordChange,
    responses((status = 204, description = "it is changed"), ChangeRefusals)
)]
pub(crate) async fn change_password(
    State(app): State<Arc<App>>,
    parts: Parts,
    auth: PersonAuth<may::BeSignedIn>,
    Told(change): Told<PasswordChange>,
) -> Result<StatusCode, ApiError> {
    super::change_password(&app, address(&parts), &auth, change.old, change.new).await?;
    doubt_user(&app, &auth.tenant, auth.user);
    Ok(StatusCode::NO_CONTENT)
}

/// List one's open sessions
#[utoipa::path(
    get,
    path = "/v1/me/sessions",
    tag = "people",
    security(("access_token" = [])),
    responses((status = 200, description = "the newest first", body = Sessions), ReadRefusals)
)]
pub(crate) async fn list_sessions(
    State(app): State<Arc<App>>,
    auth: PersonAuth<may::BeSignedIn>,
) -> Result<Json<Sessions>, ApiError> {
    let mut tx = app.db.tenant(&auth.tenant).await?;
    let sessions = super::list(&mut tx, &auth).await?;
    tx.rollback().await?;
    Ok(Json(Sessions { sessions }))
}

/// End one of one's sessions
#[utoipa::path(
    delete,
    path = "/v1/me/sessions/{session_id}",
    tag = "people",
    security(("access_token" = [])),
    params(("session_id" = Uuid, Path, description = "the session")),
    responses((status = 204, description = "it has ended"), ChangeRefusals)
)]
pub(crate) async fn end_session(
    State(app): State<Arc<App>>,
    auth: PersonAuth<may::BeSignedIn>,
    Named(session): Named<Uuid>,
) -> Result<StatusCode, ApiError> {
    let mut tx = app.db.tenant(&auth.tenant).await?;
    super::end(&mut tx, &auth, session, "ended").await?;
    tx.commit().await?;
    doubt_user(&app, &auth.tenant, auth.user);
    Ok(StatusCode::NO_CONTENT)
}
