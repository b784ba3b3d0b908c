//! `/v1/users`: the people of one's own tenant.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderName, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{FirstPassword, NewUser, User, UserChange};
use crate::app::App;
use crate::auth::{PersonAuth, doubt_user};
use crate::mail::Kind;
use crate::operator::request::{Asked, Named, Told, page_limit};
use crate::outbox;
use crate::people::answers::{ChangeRefusals, ReadRefusals};
use crate::people::may;
use crate::people::password::Password;
use crate::problem::ApiError;

/// Which users.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct UsersQuery {
    /// Only those whose user name comes after this one.
    after: Option<String>,
    /// At most so many, 1 to 1000; 100 if it is left out.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<i64>,
}

/// Users in the order of their names.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Users {
    users: Vec<User>,
}

/// A user with a password that it has to change first of all.
#[derive(Serialize, ToSchema)]
pub(crate) struct UserWithPassword {
    #[serde(flatten)]
    user: User,
    /// It cannot be shown again.
    password: String,
}

type Shown = ([(HeaderName, &'static str); 1], Json<UserWithPassword>);

/// List the users of one's tenant
#[utoipa::path(
    get,
    path = "/v1/users",
    tag = "people",
    security(("access_token" = []), ("cookie" = []), ("person_token" = []), ("entry_token" = [])),
    params(UsersQuery),
    responses((status = 200, description = "in the order of their names", body = Users), ReadRefusals)
)]
pub(crate) async fn list_users(
    State(app): State<Arc<App>>,
    auth: PersonAuth<may::ReadUsers>,
    Asked(query): Asked<UsersQuery>,
) -> Result<Json<Users>, ApiError> {
    let limit = page_limit(query.limit)?;
    let mut tx = app.db.tenant(&auth.tenant).await?;
    // The database takes no NUL, and no name holds one.
    let after = query.after.as_deref().map(|after| after.replace('\0', ""));
    let users = super::list(&mut tx, after.as_deref(), limit).await?;
    tx.rollback().await?;
    Ok(Json(Users { users }))
}

/// Make a user; its first password is in the answer, and nowhere else
#[utoipa::path(
    post,
    path = "/v1/users",
    tag = "people",
    security(("access_token" = []), ("cookie" = []), ("person_token" = []), ("entry_token" = [])),
    request_body = NewUser,
    responses((status = 201, description = "the user", body = UserWithPassword), ChangeRefusals)
)]
pub(crate) async fn create_user(
    State(app): State<Arc<App>>,
    auth: PersonAuth<may::ManageUsers>,
    Told(new): Told<NewUser>,
) -> Result<(StatusCode, [(HeaderName, &'static str); 1], Json<UserWithPassword>), ApiError> {
    let password = Password::make();
    let hash = app.hashing.hash(password.clone()).await?;
    let mut tx = app.db.tenant(&auth.tenant).await?;
    let user = super::create(&mut tx, &auth.actor(), &new, Some(&hash), FirstPassword::SeenByOthers).await?;
    tx.commit().await?;
    let (no_store, shown) = with_password(user, &password);
    Ok((StatusCode::CREATED, no_store, shown))
}

/// Show a user of one's tenant
#[utoipa::path(
    get,
    path = "/v1/users/{user_id}",
    tag = "people",
    security(("access_token" = []), ("cookie" = []), ("person_token" = []), ("entry_token" = [])),
    params(("user_id" = Uuid, Path, description = "the user")),
    responses((status = 200, description = "the user", body = User), ReadRefusals)
)]
pub(crate) async fn show_user(
    State(app): State<Arc<App>>,
    auth: PersonAuth<may::ReadUsers>,
    Named(user): Named<Uuid>,
) -> Result<Json<User>, ApiError> {
    let mut tx = app.db.tenant(&auth.tenant).await?;
    let user = super::show(&mut tx, user).await?;
    tx.rollback().await?;
    Ok(Json(user))
}

/// Change a user: its role, its stores, whether it may sign in; it counts within five seconds
#[utoipa::path(
    patch,
    path = "/v1/users/{user_id}",
    tag = "people",
    security(("access_token" = []), ("cookie" = []), ("person_token" = []), ("entry_token" = [])),
    params(("user_id" = Uuid, Path, description = "the user")),
    request_body = UserChange,
    responses((status = 200, description = "the user as it is now", body = User), ChangeRefusals)
)]
pub(crate) async fn update_user(
    State(app): State<Arc<App>>,
    auth: PersonAuth<may::ManageUsers>,
    Named(user): Named<Uuid>,
    Told(change): Told<UserChange>,
) -> Result<Json<User>, ApiError> {
    let mut tx = app.db.tenant(&auth.tenant).await?;
    let user = super::update(&mut tx, &auth.actor(), user, &change).await?;
    tx.commit().await?;
    doubt_user(&app, &auth.tenant, user.user_id);
    Ok(Json(user))
}

/// Give a user a new first password; it is signed out everywhere
#[utoipa::path(
    post,
    path = "/v1/users/{user_id}/password",
    tag = "people",
    security(("access_token" = []), ("cookie" = []), ("person_token" = []), ("entry_token" = [])),
    params(("user_id" = Uuid, Path, description = "the user")),
    responses((status = 200, description = "the user, with the password", body = UserWithPassword), ChangeRefusals)
)]
pub(crate) async fn reset_password(
    State(app): State<Arc<App>>,
    auth: PersonAuth<may::ManageUsers>,
    Named(user): Named<Uuid>,
) -> Result<Shown, ApiError> {
    let password = Password::make();
    let hash = app.hashing.hash(password.clone()).await?;
    let mut tx = app.db.tenant(&auth.tenant).await?;
    let user = super::reset_password(&mut tx, &auth.actor(), user, &hash).await?;
    outbox::put(&app, &mut tx, Kind::PasswordChanged, user.user_id).await?;
    tx.commit().await?;
    doubt_user(&app, &auth.tenant, user.user_id);
    Ok(with_password(user, &password))
}

fn with_password(user: User, password: &Password) -> Shown {
    let password = password.expose().to_owned();
    ([(CACHE_CONTROL, "no-store")], Json(UserWithPassword { user, password }))
}
