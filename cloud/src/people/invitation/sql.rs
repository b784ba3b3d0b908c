//! `invitations`.

use std::time::Duration;

use time::OffsetDateTime;
use uuid::Uuid;

use crate::db::TenantTx;
use crate::mail::Language;
use crate::people::Role;

/// An invitation with what has become of it.
#[derive(Debug)]
pub(super) struct InvitationRow {
    pub invitation_id: Uuid,
    pub email: String,
    pub role: String,
    pub stores: Option<Vec<String>>,
    pub state: String,
    pub created_at: OffsetDateTime,
    pub expires_at: OffsetDateTime,
    pub language: Option<String>,
    pub mailed_at: Option<OffsetDateTime>,
    pub mail_error: Option<String>,
}

/// One that can be accepted.
#[derive(Debug)]
pub(super) struct OpenRow {
    pub invitation_id: Uuid,
    pub email: String,
    pub role: String,
    pub stores: Option<Vec<String>>,
    pub language: Option<String>,
}

/// An invitation to be.
pub(super) struct NewRow<'a> {
    pub invitation_id: Uuid,
    pub hash: [u8; 32],
    pub email: &'a str,
    pub role: Role,
    pub stores: Option<&'a [String]>,
    pub language: Option<Language>,
    pub invited_by: &'a str,
    pub good_for: Duration,
}

pub(super) async fn insert(tx: &mut TenantTx, new: &NewRow<'_>) -> Result<InvitationRow, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query_as!(
        InvitationRow,
        r#"insert into invitations (tenant_id, invitation_id, token_hash, email, role, stores, language, invited_by, expires_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, now() + make_interval(secs => $9))
        returning invitation_id, email, role, stores, created_at, expires_at, language, mailed_at, mail_error, 'open' as "state!""#,
        tenant,
        new.invitation_id,
        new.hash.as_slice(),
        new.email,
        new.role.as_str(),
        new.stores,
        new.language.map(Language::as_str),
        new.invited_by,
        new.good_for.as_secs_f64(),
    )
    .fetch_one(tx.connection())
    .await
}

/// Deletes those that were made a year ago.
pub(super) async fn forget_old(tx: &mut TenantTx) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query!(
        "delete from invitations where tenant_id = $1 and created_at < now() - interval '1 year'",
        tenant
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

pub(super) async fn count_open(tx: &mut TenantTx) -> Result<i64, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query_scalar!(
        r#"select count(*) as "open!" from invitations
        where tenant_id = $1 and accepted_at is null and revoked_at is null and expires_at > now()"#,
        tenant,
    )
    .fetch_one(tx.connection())
    .await
}

/// Within a day, whatever became of them.
pub(super) async fn count_recent(tx: &mut TenantTx) -> Result<i64, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query_scalar!(
        r#"select count(*) as "recent!" from invitations where tenant_id = $1 and created_at > now() - interval '1 day'"#,
        tenant,
    )
    .fetch_one(tx.connection())
    .await
}

/// Whether a user has this email.
pub(super) async fn is_users(tx: &mut TenantTx, email: &str) -> Result<bool, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query_scalar!(
        r#"select exists (select from users where tenant_id = $1 and email = $2) as "is_users!""#,
        tenant,
        email,
    )
    .fetch_one(tx.connection())
    .await
}

/// Those of the last ninety days, the newest first.
pub(super) async fn list(tx: &mut TenantTx) -> Result<Vec<InvitationRow>, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query_as!(
        InvitationRow,
        r#"select invitation_id, email, role, stores, created_at, expires_at, language, mailed_at, mail_error,
            case when accepted_at is not null then 'accepted' when revoked_at is not null then 'revoked'
                when expires_at <= now() then 'over' else 'open' end as "state!"
        from invitations where tenant_id = $1 and created_at > now() - interval '90 days'
        order by created_at desc, invitation_id limit 2000"#,
        tenant,
    )
    .fetch_all(tx.connection())
    .await
}

/// `false` if none is open under this id.
pub(super) async fn revoke(tx: &mut TenantTx, id: Uuid) -> Result<bool, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    let done = sqlx::query!(
        "update invitations set revoked_at = now()
        where tenant_id = $1 and invitation_id = $2 and accepted_at is null and revoked_at is null and expires_at > now()",
        tenant,
        id,
    );
    Ok(done.execute(tx.connection()).await?.rows_affected() == 1)
}

/// By its token, if it can be accepted.
pub(super) async fn find_open(tx: &mut TenantTx, hash: &[u8; 32]) -> Result<Option<OpenRow>, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query_as!(
        OpenRow,
        "select i.invitation_id, i.email, i.role, i.stores, i.language
        from invitations i join tenants t on t.tenant_id = i.tenant_id
        where i.tenant_id = $1 and i.token_hash = $2 and t.status = 'active'
          and i.accepted_at is null and i.revoked_at is null and i.expires_at > now()",
        tenant,
        hash.as_slice(),
    )
    .fetch_optional(tx.connection())
    .await
}

/// Holds it until the transaction ends; `false` if it can be accepted no more.
pub(super) async fn lock_open(tx: &mut TenantTx, id: Uuid) -> Result<bool, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    let found = sqlx::query_scalar!(
        "select invitation_id from invitations
        where tenant_id = $1 and invitation_id = $2
          and accepted_at is null and revoked_at is null and expires_at > now()
        for no key update",
        tenant,
        id,
    );
    Ok(found.fetch_optional(tx.connection()).await?.is_some())
}

pub(super) async fn set_accepted(tx: &mut TenantTx, id: Uuid, user: Uuid) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query!(
        "update invitations set accepted_at = now(), accepted_by = $3 where tenant_id = $1 and invitation_id = $2",
        tenant,
        id,
        user,
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}
