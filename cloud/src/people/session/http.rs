//! `/v1/session` (sign in, renew, sign out) and `/v1/me` (who is calling, her password, her sessions).

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, SET_COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use storepulse_shared::answer::Problem;
use storepulse_shared::key::RefreshToken;
use utoipa::ToSchema;
use uuid::Uuid;

use super::opening::SignedIn;
use super::{Session, SignIn, Tokens};
use crate::app::App;
use crate::auth::{PersonAuth, SessionAuth, Via, Who, address, cookie, doubt_user, guess};
use crate::operator::request::{Named, Told};
use crate::people::answers::{ChangeRefusals, ReadRefusals};
use crate::people::may;
use crate::people::password::Password;
use crate::people::user::{self, User};
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
    /// 12 characters (or as many as the tenant wants) to 256 bytes.
    #[schema(value_type = String)]
    new: Password,
}

/// Who is calling.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Me {
    tenant: String,
    /// `operator`, for one who has entered the tenant; a user's own is the user's.
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    /// What she may do, with what she calls with.
    permissions: Vec<String>,
    /// Of a page: to be repeated in `X-CSRF-Token` with whatever changes something.
    #[serde(skip_serializing_if = "Option::is_none")]
    csrf_token: Option<String>,
    /// Nothing else is open before: `change_password`, or `set_up_authenticator`, which the tenant wants of everybody; null for nothing.
    first: Option<&'static str>,
    /// Null for a program of hers, and for an operator.
    session_id: Option<Uuid>,
    /// Left out for an operator.
    #[serde(flatten)]
    user: Option<User>,
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
        (status = 200, description = "a session; of a page with a cookie", body = SignedIn),
        (status = 400, description = "not understood", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "`sign_in_failed`: one body for every reason; or, behind a right password, what is wrong with the code", body = Problem, content_type = "application/problem+json"),
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
) -> Result<Response, ApiError> {
    if asked.page {
        check_no_form(&parts)?;
    }
    tell(super::sign_in(&app, address(&parts), asked).await?)
}

/// Refuses what the form of another site could have sent, which would sign its visitor in as somebody else: JSON by its name is sent
/// from other sites only after asking, and we let none.
fn check_no_form(parts: &Parts) -> Result<(), ApiError> {
    let media_type =
        parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim();
    if media_type.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let detail = "a page signs in with Content-Type: application/json";
    Err(ApiError::refused(StatusCode::BAD_REQUEST, "bad_body", detail))
}

/// Tells whoever has signed in; a page with its cookie.
pub(crate) fn tell(signed_in: SignedIn) -> Result<Response, ApiError> {
    let cookie = match &signed_in {
        SignedIn::Page(page) => page.cookie.as_ref().map(cookie::Cookie::set).transpose()?,
        SignedIn::Program(_) => None,
    };
    let mut response = (NO_STORE, Json(signed_in)).into_response();
    if let Some(cookie) = cookie {
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
    Ok(response)
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
        (status = 429, description = "too many that open nothing from this address; come back after Retry-After", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "busy; come back after Retry-After", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn refresh_session(
    State(app): State<Arc<App>>,
    parts: Parts,
    Told(renewal): Told<Renewal>,
) -> Result<([(HeaderName, &'static str); 1], Json<Tokens>), ApiError> {
    let renewed = match renewal.refresh_token.parse::<RefreshToken>() {
        Ok(token) => guess(&app, address(&parts), super::refresh(&app, &token)).await,
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
    security(("access_token" = []), ("cookie" = [])),
    responses((status = 204, description = "the session has ended"), ChangeRefusals)
)]
pub(crate) async fn sign_out(State(app): State<Arc<App>>, auth: SessionAuth) -> Result<Response, ApiError> {
    let mut tx = app.db.tenant(&auth.tenant).await?;
    super::end(&mut tx, &auth, auth.session.id, "signed_out").await?;
    tx.commit().await?;
    doubt_user(&app, &auth.tenant, auth.user);
    let mut response = StatusCode::NO_CONTENT.into_response();
    if auth.session.csrf_token.is_some() {
        response.headers_mut().insert(SET_COOKIE, HeaderValue::from_static(cookie::CLEARED));
    }
    Ok(response)
}

/// Show who is calling
#[utoipa::path(
    get,
    path = "/v1/me",
    tag = "people",
    security(("access_token" = []), ("cookie" = []), ("person_token" = []), ("entry_token" = [])),
    responses((status = 200, description = "who it is, with what she may do", body = Me), ReadRefusals)
)]
pub(crate) async fn show_me(
    State(app): State<Arc<App>>,
    auth: PersonAuth<may::BeKnown>,
) -> Result<([(HeaderName, &'static str); 1], Json<Me>), ApiError> {
    let (user, role) = match auth.who {
        Who::User { id, .. } => {
            let mut tx = app.db.tenant(&auth.tenant).await?;
            let user = user::show(&mut tx, id).await?;
            tx.rollback().await?;
            (Some(user), None)
        }
        Who::Operator { .. } => (None, Some(auth.role())),
    };
    let (session_id, csrf_token) = match &auth.via {
        Via::Session(session) => (Some(session.id), session.csrf_token.clone()),
        Via::Token | Via::Entry(_) => (None, None),
    };
    let permissions = auth.permissions.iter().map(|may| may.as_str().to_owned()).collect();
    let tenant = auth.tenant.to_string();
    Ok((NO_STORE, Json(Me { tenant, role, permissions, csrf_token, first: auth.first(), session_id, user })))
}

/// Change one's password; all other sessions end
#[utoipa::path(
    put,
    path = "/v1/me/password",
    tag = "people",
    security(("access_token" = []), ("cookie" = [])),
    request_body = PasswordChange,
    responses((status = 204, description = "it is changed"), ChangeRefusals)
)]
pub(crate) async fn change_password(
    State(app): State<Arc<App>>,
    parts: Parts,
    auth: SessionAuth,
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
    security(("access_token" = []), ("cookie" = [])),
    responses((status = 200, description = "the newest first", body = Sessions), ReadRefusals)
)]
pub(crate) async fn list_sessions(
    State(app): State<Arc<App>>,
    auth: SessionAuth,
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
    security(("access_token" = []), ("cookie" = [])),
    params(("session_id" = Uuid, Path, description = "the session")),
    responses((status = 204, description = "it has ended"), ChangeRefusals)
)]
pub(crate) async fn end_session(
    State(app): State<Arc<App>>,
    auth: SessionAuth,
    Named(session): Named<Uuid>,
) -> Result<StatusCode, ApiError> {
    let mut tx = app.db.tenant(&auth.tenant).await?;
    super::end(&mut tx, &auth, session, "ended").await?;
    tx.commit().await?;
    doubt_user(&app, &auth.tenant, auth.user);
    Ok(StatusCode::NO_CONTENT)
}
