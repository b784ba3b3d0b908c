//! `/v1/invitations`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequestParts as _, State};
use axum::http::header::CACHE_CONTROL;
use axum::http::request::Parts;
use axum::http::{HeaderName, StatusCode};
use serde::Serialize;
use storepulse_shared::answer::Problem;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Acceptance, Accepted, Invitation, NewInvitation};
use crate::app::App;
use crate::auth::{PersonAuth, SessionAuth, address, guess};
use crate::operator::request::{Named, Told};
use crate::people::answers::{ChangeRefusals, ReadRefusals};
use crate::people::may;
use crate::problem::ApiError;

/// An invitation with its token.
#[derive(Serialize, ToSchema)]
pub(crate) struct InvitationWithToken {
    #[serde(flatten)]
    invitation: Invitation,
    /// For whom it was made. It cannot be shown again; null where a mail takes it to her.
    token: Option<String>,
}

/// Invitations, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Invitations {
    invitations: Vec<Invitation>,
}

/// Invite somebody to one's tenant; the token is in the answer, and nowhere else
#[utoipa::path(
    post,
    path = "/v1/invitations",
    tag = "people",
    security(("access_token" = []), ("cookie" = []), ("person_token" = []), ("entry_token" = [])),
    request_body = NewInvitation,
    responses((status = 201, description = "the invitation, good once, for seven days unless the tenant says otherwise", body = InvitationWithToken), ChangeRefusals)
)]
pub(crate) async fn create_invitation(
    State(app): State<Arc<App>>,
    auth: PersonAuth<may::ManageUsers>,
    Told(new): Told<NewInvitation>,
) -> Result<(StatusCode, [(HeaderName, &'static str); 1], Json<InvitationWithToken>), ApiError> {
    let mut tx = app.db.tenant(&auth.tenant).await?;
    let (invitation, token) = super::create(&app, &mut tx, &auth.actor(), &new).await?;
    tx.commit().await?;
    if let Some(outbox) = &app.outbox {
        outbox.wake();
    }
    let token = token.map(|token| token.expose().to_owned());
    let shown = InvitationWithToken { invitation, token };
    Ok((StatusCode::CREATED, [(CACHE_CONTROL, "no-store")], Json(shown)))
}

/// List the invitations of one's tenant
#[utoipa::path(
    get,
    path = "/v1/invitations",
    tag = "people",
    security(("access_token" = []), ("cookie" = []), ("person_token" = []), ("entry_token" = [])),
    responses((status = 200, description = "of the last ninety days, the newest first", body = Invitations), ReadRefusals)
)]
pub(crate) async fn list_invitations(
    State(app): State<Arc<App>>,
    auth: PersonAuth<may::ReadUsers>,
) -> Result<Json<Invitations>, ApiError> {
    let mut tx = app.db.tenant(&auth.tenant).await?;
    let invitations = super::list(&mut tx).await?;
    tx.rollback().await?;
    Ok(Json(Invitations { invitations }))
}

/// Take an open invitation back
#[utoipa::path(
    delete,
    path = "/v1/invitations/{invitation_id}",
    tag = "people",
    security(("access_token" = []), ("cookie" = []), ("person_token" = []), ("entry_token" = [])),
    params(("invitation_id" = Uuid, Path, description = "the invitation")),
    responses((status = 204, description = "it opens nothing"), ChangeRefusals)
)]
pub(crate) async fn revoke_invitation(
    State(app): State<Arc<App>>,
    auth: PersonAuth<may::ManageUsers>,
    Named(id): Named<Uuid>,
) -> Result<StatusCode, ApiError> {
    let mut tx = app.db.tenant(&auth.tenant).await?;
    super::revoke(&mut tx, &auth.actor(), id).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Accept an invitation: become a user, with a name and a password of one's own
#[utoipa::path(
    post,
    path = "/v1/invitations/accept",
    tag = "people",
    request_body = Acceptance,
    responses(
        (status = 201, description = "the user, who can sign in now", body = Accepted),
        (status = 400, description = "not understood", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "`join`, and nobody is signed in", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "`join`, and this session may not go on to other tenants", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "`invitation_unknown`: one body for every reason", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "the name is taken, or `join` is not possible; the invitation stays open", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "the body is too large", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "a value cannot be taken; the detail says what is allowed", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "too many that open nothing from this address; come back after Retry-After", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "busy; come back after Retry-After", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn accept_invitation(
    State(app): State<Arc<App>>,
    mut parts: Parts,
    Told(acceptance): Told<Acceptance>,
) -> Result<(StatusCode, Json<Accepted>), ApiError> {
    let signed_in = match acceptance.join {
        true => Some(SessionAuth::from_request_parts(&mut parts, &app).await?),
        false => None,
    };
    let accepted = guess(&app, address(&parts), super::accept(&app, signed_in.as_ref(), acceptance)).await?;
    Ok((StatusCode::CREATED, Json(accepted)))
}
