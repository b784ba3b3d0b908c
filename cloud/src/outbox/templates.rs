//! A tenant's own words for its mails.

use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::sql;
use crate::audit::{self, Actor, Deed};
use crate::db::TenantTx;
use crate::mail::{Kind, Language, Own, check_own};
use crate::operator::Refusal;

/// Words of a mail.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MailTemplate {
    /// `invitation`, `password_reset` or `password_changed`.
    pub kind: String,
    /// `en`, `es` or `pt`.
    pub language: String,
    /// One line.
    pub subject: String,
    /// Paragraphs, with an empty line between them.
    pub text: String,
}

/// Words to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewTemplate {
    /// One line of at most 150 characters; `{tenant}`, `{tenant_id}`, `{name}` and `{good_for}` are filled in.
    pub subject: String,
    /// At most 5000 characters, paragraphs with an empty line between them. `{link}` is filled in, too: in a paragraph of its own it
    /// becomes a button.
    pub text: String,
}

/// Those that the tenant has written.
pub(super) async fn list(tx: &mut TenantTx) -> Result<Vec<MailTemplate>, sqlx::Error> {
    let shown = |row: sql::TemplateRow| MailTemplate {
        kind: row.kind,
        language: row.language,
        subject: row.subject,
        text: row.text,
    };
    Ok(sql::templates(tx).await?.into_iter().map(shown).collect())
}

/// Takes words for ours.
pub(super) async fn put(
    tx: &mut TenantTx,
    actor: &Actor,
    (kind, language): (&str, &str),
    new: NewTemplate,
) -> Result<MailTemplate, Refusal> {
    let (kind, language) = check(kind, language)?;
    let own = Own { subject: new.subject, text: new.text };
    check_own(kind, &own).map_err(Refusal::Value)?;
    let Own { subject, text } = own;
    let row = sql::TemplateRow { kind: kind.to_string(), language: language.to_string(), subject, text };
    sql::put_template(tx, &row).await?;
    record(tx, actor, "mail_template.changed", kind, language).await?;
    let sql::TemplateRow { kind, language, subject, text } = row;
    Ok(MailTemplate { kind, language, subject, text })
}

/// Takes ours again.
pub(super) async fn delete(
    tx: &mut TenantTx,
    actor: &Actor,
    (kind, language): (&str, &str),
) -> Result<(), Refusal> {
    let (kind, language) = check(kind, language)?;
    if sql::delete_template(tx, kind.as_str(), language.as_str()).await? {
        record(tx, actor, "mail_template.reset", kind, language).await?;
    }
    Ok(())
}

fn check(kind: &str, language: &str) -> Result<(Kind, Language), Refusal> {
    let kind = kind.parse().ok().filter(|kind| *kind != Kind::SignUp);
    let not_there = || {
        Refusal::NotThere(
            "mails are invitation, password_reset and password_changed, in en, es and pt".to_owned(),
        )
    };
    kind.zip(language.parse().ok()).ok_or_else(not_there)
}

async fn record(
    tx: &mut TenantTx,
    actor: &Actor,
    action: &str,
    kind: Kind,
    language: Language,
) -> Result<(), sqlx::Error> {
    let subject = format!("mail_template:{kind}/{language}");
    audit::record_in(tx, actor, Deed { action, subject: &subject, detail: json!({}) }).await
}
