//! `identity_providers`, `user_identities`, `provider_visits`.

use uuid::Uuid;

use super::protocol::Kept;
use crate::db::TenantTx;

/// A tenant's provider, and in which state the tenant is.
pub(super) struct ProviderRow {
    pub issuer: String,
    pub client_id: String,
    pub client_secret: Option<String>,
    pub new_users_are: Option<String>,
    pub tenant_status: String,
}

pub(super) async fn find(tx: &mut TenantTx) -> Result<Option<ProviderRow>, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query_as!(
        ProviderRow,
        "select p.issuer, p.client_id, p.client_secret, p.new_users_are, t.status as tenant_status
        from identity_providers p join tenants t on t.tenant_id = p.tenant_id where p.tenant_id = $1",
        tenant,
    )
    .fetch_optional(tx.connection())
    .await
}

pub(super) async fn put(tx: &mut TenantTx, row: &ProviderRow) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query!(
        "insert into identity_providers (tenant_id, issuer, client_id, client_secret, new_users_are)
        values ($1, $2, $3, $4, $5)
        on conflict (tenant_id) do update set issuer = excluded.issuer, client_id = excluded.client_id,
            client_secret = excluded.client_secret, new_users_are = excluded.new_users_are, updated_at = now()",
        tenant,
        row.issuer,
        row.client_id,
        row.client_secret,
        row.new_users_are,
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// `false` if there was none.
pub(super) async fn delete(tx: &mut TenantTx) -> Result<bool, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    let done = sqlx::query!("delete from identity_providers where tenant_id = $1", tenant);
    Ok(done.execute(tx.connection()).await?.rows_affected() == 1)
}

/// Deletes what nobody came back from within ten minutes.
pub(super) async fn forget_old_visits(tx: &mut TenantTx) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query!(
        "delete from provider_visits where tenant_id = $1 and created_at < now() - interval '10 minutes'",
        tenant,
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Deletes all of them.
pub(super) async fn forget_visits(tx: &mut TenantTx) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query!("delete from provider_visits where tenant_id = $1", tenant).execute(tx.connection()).await?;
    Ok(())
}

pub(super) async fn count_visits(tx: &mut TenantTx) -> Result<i64, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query_scalar!(r#"select count(*) as "visits!" from provider_visits where tenant_id = $1"#, tenant)
        .fetch_one(tx.connection())
        .await
}

pub(super) async fn insert_visit(
    tx: &mut TenantTx,
    hash: &[u8; 32],
    kept: &Kept,
    return_to: &str,
) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query!(
        "insert into provider_visits (tenant_id, state_hash, nonce, verifier, return_to) values ($1, $2, $3, $4, $5)",
        tenant,
        hash.as_slice(),
        kept.nonce,
        kept.verifier,
        return_to,
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Somebody who is at the provider.
pub(super) struct VisitRow {
    pub nonce: String,
    pub verifier: String,
    pub return_to: String,
}

/// Whoever comes back first has it.
pub(super) async fn take_visit(tx: &mut TenantTx, hash: &[u8; 32]) -> Result<Option<VisitRow>, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query_as!(
        VisitRow,
        "delete from provider_visits
        where tenant_id = $1 and state_hash = $2 and created_at > now() - interval '10 minutes'
        returning nonce, verifier, return_to",
        tenant,
        hash.as_slice(),
    )
    .fetch_optional(tx.connection())
    .await
}

/// A user whom the provider knows.
pub(super) struct KnownRow {
    pub user_id: Uuid,
    pub is_active: bool,
}

pub(super) async fn find_identity(
    tx: &mut TenantTx,
    (issuer, subject): (&str, &str),
) -> Result<Option<KnownRow>, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query_as!(
        KnownRow,
        r#"select u.user_id, u.deactivated_at is null as "is_active!" from user_identities i
        join users u on u.tenant_id = i.tenant_id and u.user_id = i.user_id
        where i.tenant_id = $1 and i.issuer = $2 and i.subject = $3"#,
        tenant,
        issuer,
        subject,
    )
    .fetch_optional(tx.connection())
    .await
}

/// A user with the e-mail of somebody.
pub(super) struct EmailRow {
    pub user_id: Uuid,
    pub is_active: bool,
    /// As somebody else.
    pub is_known_already: bool,
}

pub(super) async fn find_by_email(
    tx: &mut TenantTx,
    email: &str,
    issuer: &str,
) -> Result<Option<EmailRow>, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query_as!(
        EmailRow,
        r#"select user_id, deactivated_at is null as "is_active!",
            exists (select from user_identities i where i.tenant_id = $1 and i.user_id = u.user_id and i.issuer = $3)
                as "is_known_already!"
        from users u where tenant_id = $1 and email = $2"#,
        tenant,
        email,
        issuer,
    )
    .fetch_optional(tx.connection())
    .await
}

pub(super) async fn insert_identity(
    tx: &mut TenantTx,
    (issuer, subject): (&str, &str),
    user: Uuid,
) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query!(
        "insert into user_identities (tenant_id, issuer, subject, user_id) values ($1, $2, $3, $4)",
        tenant,
        issuer,
        subject,
        user,
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}
