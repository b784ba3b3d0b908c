//! `mails`, and what a mail is made of.

use storepulse_shared::ids::TenantId;
use uuid::Uuid;

use super::Waiting;
use crate::db::{ControlTx, TenantTx};

pub(super) async fn insert(tx: &mut TenantTx, kind: &str, subject: Uuid) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query!(
        "insert into mails (tenant_id, mail_id, kind, subject_id) values ($1, $2, $3, $4)",
        tenant,
        Uuid::new_v4(),
        kind,
        subject,
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Takes what is due, of whichever tenant; nobody else takes it for two minutes.
pub(super) async fn take_due(tx: &mut ControlTx, limit: i64) -> Result<Vec<Waiting>, sqlx::Error> {
    let rows = sqlx::query!(
        "update mails m set due_at = now() + interval '2 minutes', attempts = m.attempts + 1
        where (m.tenant_id, m.mail_id) in (
            select d.tenant_id, d.mail_id from mails d where d.due_at <= now() order by d.due_at limit $1
            for update skip locked)
        returning m.tenant_id, m.mail_id, m.kind, m.subject_id, m.attempts",
        limit,
    );
    let rows = rows.fetch_all(tx.connection()).await?;
    let waiting = rows.into_iter().map(|row| {
        let unreadable = || sqlx::Error::Decode(format!("{:?} is no kind of mail", row.kind).into());
        Ok(Waiting {
            tenant: row.tenant_id.parse().map_err(|e| sqlx::Error::Decode(Box::new(e)))?,
            mail_id: row.mail_id,
            kind: row.kind.parse().map_err(|()| unreadable())?,
            subject: row.subject_id,
            attempts: row.attempts,
        })
    });
    waiting.collect()
}

pub(super) async fn delete(tx: &mut ControlTx, tenant: &TenantId, mail: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!("delete from mails where tenant_id = $1 and mail_id = $2", tenant.as_str(), mail)
        .execute(tx.connection())
        .await?;
    Ok(())
}

pub(super) async fn put_off(
    tx: &mut ControlTx,
    tenant: &TenantId,
    mail: Uuid,
    by_s: f64,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update mails set due_at = now() + make_interval(secs => $3) where tenant_id = $1 and mail_id = $2",
        tenant.as_str(),
        mail,
        by_s,
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// How a tenant shows itself.
pub(super) struct BrandRow {
    pub company: String,
    pub name: Option<String>,
    pub colour: Option<String>,
    pub language: Option<String>,
}

/// `None` where the tenant is not active: nobody is written to.
pub(super) async fn brand(tx: &mut TenantTx) -> Result<Option<BrandRow>, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query_as!(
        BrandRow,
        r#"select t.company,
            max(s.value #>> '{}') filter (where s.name = 'branding_name') as name,
            max(s.value #>> '{}') filter (where s.name = 'branding_colour') as colour,
            max(s.value #>> '{}') filter (where s.name = 'language') as language
        from tenants t left join tenant_settings s on s.tenant_id = t.tenant_id and s.type = 'general'
        where t.tenant_id = $1 and t.status = 'active' group by t.tenant_id, t.company"#,
        tenant,
    )
    .fetch_optional(tx.connection())
    .await
}

/// Whom a mail is for.
pub(super) struct Recipient {
    pub email: String,
    pub name: String,
    pub language: Option<String>,
    /// Seconds until its link is over.
    pub good_for_s: f64,
}

/// Gives an open invitation another token; `None` if it is not open any more.
pub(super) async fn renew_invitation(
    tx: &mut TenantTx,
    invitation: Uuid,
    hash: &[u8; 32],
) -> Result<Option<Recipient>, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query_as!(
        Recipient,
        r#"update invitations set token_hash = $3
        where tenant_id = $1 and invitation_id = $2 and accepted_at is null and revoked_at is null and expires_at > now()
        returning email, '' as "name!", language, extract(epoch from expires_at - now())::float8 as "good_for_s!""#,
        tenant,
        invitation,
        hash.as_slice(),
    )
    .fetch_optional(tx.connection())
    .await
}

/// The same of a reset, if its user may still sign in.
pub(super) async fn renew_reset(
    tx: &mut TenantTx,
    reset: Uuid,
    hash: &[u8; 32],
) -> Result<Option<Recipient>, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query_as!(
        Recipient,
        r#"update password_resets r set token_hash = $3 from users u
        where r.tenant_id = $1 and r.reset_id = $2 and r.used_at is null and r.expires_at > now()
          and u.tenant_id = $1 and u.user_id = r.user_id and u.deactivated_at is null and u.email is not null
        returning u.email as "email!", u.name, u.language, extract(epoch from r.expires_at - now())::float8 as "good_for_s!""#,
        tenant,
        reset,
        hash.as_slice(),
    )
    .fetch_optional(tx.connection())
    .await
}

pub(super) async fn user(tx: &mut TenantTx, user: Uuid) -> Result<Option<Recipient>, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query_as!(
        Recipient,
        r#"select email as "email!", name, language, 0::float8 as "good_for_s!" from users
        where tenant_id = $1 and user_id = $2 and email is not null"#,
        tenant,
        user,
    )
    .fetch_optional(tx.connection())
    .await
}

/// Notes that an invitation has left, or why it never will.
pub(super) async fn note_invitation(
    tx: &mut TenantTx,
    invitation: Uuid,
    error: Option<&str>,
) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query!(
        "update invitations set mailed_at = case when $3::text is null then now() end, mail_error = $3
        where tenant_id = $1 and invitation_id = $2",
        tenant,
        invitation,
        error,
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// A tenant's own words for a mail.
pub(super) struct TemplateRow {
    pub kind: String,
    pub language: String,
    pub subject: String,
    pub text: String,
}

pub(super) async fn templates(tx: &mut TenantTx) -> Result<Vec<TemplateRow>, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query_as!(
        TemplateRow,
        "select kind, language, subject, text from mail_templates where tenant_id = $1 order by kind, language",
        tenant,
    )
    .fetch_all(tx.connection())
    .await
}

pub(super) async fn put_template(tx: &mut TenantTx, row: &TemplateRow) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query!(
        "insert into mail_templates (tenant_id, kind, language, subject, text) values ($1, $2, $3, $4, $5)
        on conflict (tenant_id, kind, language)
            do update set subject = excluded.subject, text = excluded.text, updated_at = now()",
        tenant,
        row.kind,
        row.language,
        row.subject,
        row.text,
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// `false` if there was none.
pub(super) async fn delete_template(
    tx: &mut TenantTx,
    kind: &str,
    language: &str,
) -> Result<bool, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    let done = sqlx::query!(
        "delete from mail_templates where tenant_id = $1 and kind = $2 and language = $3",
        tenant,
        kind,
        language,
    );
    Ok(done.execute(tx.connection()).await?.rows_affected() == 1)
}
