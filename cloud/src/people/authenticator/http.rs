//! `/v1/me/authenticator`: the second factor of whoever is signed in; and taking away that of somebody who has lost it.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::http::request::Parts;
use axum::http::{HeaderName, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::app::App;
use crate::auth::{PersonAuth, SessionAuth, address, doubt_user};
use crate::operator::request::{Named, Told};
use crate::people::answers::ChangeRefusals;
use crate::people::password::Password;
use crate::people::{may, session, user};
use crate::problem::ApiError;

const NO_STORE: [(HeaderName, &str); 1] = [(CACHE_CONTROL, "no-store")];

/// Who sets one up shows that it is her.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewAuthenticator {
    /// The user's password.
    #[schema(value_type = String)]
    password: Password,
}

/// What an authenticator is told, once.
#[derive(Serialize, ToSchema)]
pub(crate) struct AuthenticatorSecret {
    /// To be typed in: base32.
    secret: String,
    /// To be shown as a picture: `otpauth://totp/…`.
    uri: String,
}

/// What the authenticator shows.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FirstCode {
    /// Six digits.
    #[schema(value_type = String)]
    code: Password,
}

/// For when the authenticator is lost.
#[derive(Serialize, ToSchema)]
pub(crate) struct RecoveryCodes {
    /// Each is good once. They cannot be shown again.
    recovery_codes: Vec<String>,
}

/// Who takes it away shows that it is her.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Removal {
    /// The user's password.
    #[schema(value_type = String)]
    password: Password,
    /// Of the authenticator, or a recovery code.
    #[schema(value_type = Option<String>)]
    code: Option<Password>,
}

/// Set up an authenticator: a second factor; it counts once its first code has come
#[utoipa::path(
    post,
    path = "/v1/me/authenticator",
    tag = "people",
    security(("access_token" = []), ("cookie" = [])),
    request_body = NewAuthenticator,
    responses((status = 201, description = "what the authenticator is told", body = AuthenticatorSecret), ChangeRefusals)
)]
pub(crate) async fn begin_authenticator(
    State(app): State<Arc<App>>,
    parts: Parts,
    auth: SessionAuth,
    Told(new): Told<NewAuthenticator>,
) -> Result<(StatusCode, [(HeaderName, &'static str); 1], Json<AuthenticatorSecret>), ApiError> {
    auth.check_password_is_own()?;
    session::confirm_password(&app, address(&parts), &auth, new.password).await?;
    let mut tx = app.db.tenant(&auth.tenant).await?;
    let made = super::begin(&mut tx, auth.user).await?;
    let user = user::show(&mut tx, auth.user).await?;
    tx.commit().await?;
    let account = format!("{} ({})", user.user_name, auth.tenant);
    let told = AuthenticatorSecret { secret: made.base32(), uri: made.uri("StorePulse", &account) };
    Ok((StatusCode::CREATED, NO_STORE, Json(told)))
}

/// Show that the authenticator works; from now on its codes are asked for
#[utoipa::path(
    post,
    path = "/v1/me/authenticator/confirmation",
    tag = "people",
    security(("access_token" = []), ("cookie" = [])),
    request_body = FirstCode,
    responses((status = 200, description = "codes for when it is lost", body = RecoveryCodes), ChangeRefusals)
)]
pub(crate) async fn confirm_authenticator(
    State(app): State<Arc<App>>,
    parts: Parts,
    auth: SessionAuth,
    Told(first): Told<FirstCode>,
) -> Result<([(HeaderName, &'static str); 1], Json<RecoveryCodes>), ApiError> {
    auth.check_password_is_own()?;
    let account = auth.user.to_string();
    session::take_attempt(&app, address(&parts), &account)?;
    let mut tx = app.db.tenant(&auth.tenant).await?;
    let recovery_codes = super::confirm(&mut tx, auth.user, &first.code).await?;
    tx.commit().await?;
    app.attempts.give_back(address(&parts), Some(&account));
    doubt_user(&app, &auth.tenant, auth.user);
    Ok((NO_STORE, Json(RecoveryCodes { recovery_codes })))
}

/// Take one's authenticator away
#[utoipa::path(
    post,
    path = "/v1/me/authenticator/removal",
    tag = "people",
    security(("access_token" = []), ("cookie" = [])),
    request_body = Removal,
    responses((status = 204, description = "no code is asked for any more"), ChangeRefusals)
)]
pub(crate) async fn remove_authenticator(
    State(app): State<Arc<App>>,
    parts: Parts,
    auth: SessionAuth,
    Told(removal): Told<Removal>,
) -> Result<StatusCode, ApiError> {
    auth.check_password_is_own()?;
    session::confirm_password(&app, address(&parts), &auth, removal.password).await?;
    let mut tx = app.db.tenant(&auth.tenant).await?;
    let passed = super::pass(&mut tx, auth.user, removal.code.as_ref()).await?;
    if let Err(error) = super::refuse(passed) {
        tx.commit().await?;
        return Err(error);
    }
    super::remove(&mut tx, &auth.actor(), auth.user).await?;
    tx.commit().await?;
    doubt_user(&app, &auth.tenant, auth.user);
    Ok(StatusCode::NO_CONTENT)
}

/// Take the authenticator of a user away who has lost it, and her recovery codes
#[utoipa::path(
    delete,
    path = "/v1/users/{user_id}/authenticator",
    tag = "people",
    security(("access_token" = []), ("cookie" = []), ("person_token" = []), ("entry_token" = [])),
    params(("user_id" = Uuid, Path, description = "the user")),
    responses((status = 204, description = "no code is asked for any more"), ChangeRefusals)
)]
pub(crate) async fn remove_users_authenticator(
    State(app): State<Arc<App>>,
    auth: PersonAuth<may::ManageUsers>,
    Named(user): Named<Uuid>,
) -> Result<StatusCode, ApiError> {
    user::check_not_own(&auth.actor(), user, "POST /v1/me/authenticator/removal")?;
    let mut tx = app.db.tenant(&auth.tenant).await?;
    super::remove(&mut tx, &auth.actor(), user).await?;
    tx.commit().await?;
    doubt_user(&app, &auth.tenant, user);
    Ok(StatusCode::NO_CONTENT)
}
