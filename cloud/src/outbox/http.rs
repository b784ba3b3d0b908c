//! `/v1/mail-templates`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::templates::{self, MailTemplate, NewTemplate};
use crate::app::App;
use crate::auth::PersonAuth;
use crate::operator::request::{Named, Told};
use crate::people::answers::{ChangeRefusals, ReadRefusals};
use crate::people::may;
use crate::problem::ApiError;

/// Words of mails, by kind and language.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MailTemplates {
    templates: Vec<MailTemplate>,
}

/// List the words that one's tenant has written for its mails
#[utoipa::path(
    get,
    path = "/v1/mail-templates",
    tag = "people",
    security(("access_token" = []), ("cookie" = []), ("person_token" = []), ("entry_token" = [])),
    responses((status = 200, description = "by kind and language; what is not here is in our words", body = MailTemplates), ReadRefusals)
)]
pub(crate) async fn list_mail_templates(
    State(app): State<Arc<App>>,
    auth: PersonAuth<may::ReadUsers>,
) -> Result<Json<MailTemplates>, ApiError> {
    let mut tx = app.db.tenant(&auth.tenant).await?;
    let templates = templates::list(&mut tx).await?;
    tx.rollback().await?;
    Ok(Json(MailTemplates { templates }))
}

/// Put words of one's own in the place of ours
#[utoipa::path(
    put,
    path = "/v1/mail-templates/{kind}/{language}",
    tag = "people",
    security(("access_token" = []), ("cookie" = []), ("person_token" = []), ("entry_token" = [])),
    params(
        ("kind" = String, Path, description = "invitation, password_reset or password_changed"),
        ("language" = String, Path, description = "en, es or pt"),
    ),
    request_body = NewTemplate,
    responses((status = 200, description = "the words", body = MailTemplate), ChangeRefusals)
)]
pub(crate) async fn put_mail_template(
    State(app): State<Arc<App>>,
    auth: PersonAuth<may::ManageUsers>,
    Named((kind, language)): Named<(String, String)>,
    Told(new): Told<NewTemplate>,
) -> Result<Json<MailTemplate>, ApiError> {
    let mut tx = app.db.tenant(&auth.tenant).await?;
    let template = templates::put(&mut tx, &auth.actor(), (&kind, &language), new).await?;
    tx.commit().await?;
    Ok(Json(template))
}

/// Go back to our words
#[utoipa::path(
    delete,
    path = "/v1/mail-templates/{kind}/{language}",
    tag = "people",
    security(("access_token" = []), ("cookie" = []), ("person_token" = []), ("entry_token" = [])),
    params(
        ("kind" = String, Path, description = "invitation, password_reset or password_changed"),
        ("language" = String, Path, description = "en, es or pt"),
    ),
    responses((status = 204, description = "our words again"), ChangeRefusals)
)]
pub(crate) async fn reset_mail_template(
    State(app): State<Arc<App>>,
    auth: PersonAuth<may::ManageUsers>,
    Named((kind, language)): Named<(String, String)>,
) -> Result<StatusCode, ApiError> {
    let mut tx = app.db.tenant(&auth.tenant).await?;
    templates::delete(&mut tx, &auth.actor(), (&kind, &language)).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
