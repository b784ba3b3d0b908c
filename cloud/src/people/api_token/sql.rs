//! `api_tokens`.

use std::time::Duration;

use time::OffsetDateTime;
use uuid::Uuid;

use crate::db::TenantTx;

/// A token as it is shown.
#[derive(Debug)]
pub(super) struct TokenRow {
    pub token_id: Uuid,
    pub name: String,
    pub scopes: Vec<String>,
    pub created_at: OffsetDateTime,
    pub expires_at: Option<OffsetDateTime>,
    pub last_used_at: Option<OffsetDateTime>,
}

/// Who makes many at once makes them one after the other.
pub(super) async fn lock_user(tx: &mut TenantTx, user: Uuid) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query!(
        "select user_id from users where tenant_id = $1 and user_id = $2 for no key update",
        tenant,
        user
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(())
}

pub(super) async fn count_open(tx: &mut TenantTx, user: Uuid) -> Result<i64, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query_scalar!(
        r#"select count(*) as "open!" from api_tokens
        where tenant_id = $1 and user_id = $2 and revoked_at is null and coalesce(expires_at > now(), true)"#,
        tenant,
        user,
    )
    .fetch_one(tx.connection())
    .await
}

/// Deletes those of a user that have been over for ninety days, and those beyond the newest two hundred.
pub(super) async fn forget_old(tx: &mut TenantTx, user: Uuid) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query!(
        "delete from api_tokens
        where tenant_id = $1 and user_id = $2 and (coalesce(revoked_at, expires_at) < now() - interval '90 days'
            or revoked_at is not null and token_id in (
                select token_id from api_tokens where tenant_id = $1 and user_id = $2
                order by created_at desc, token_id offset 200))",
        tenant,
        user,
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

pub(super) async fn insert(
    tx: &mut TenantTx,
    (token, user): (Uuid, Uuid),
    hash: &[u8; 32],
    name: &str,
    scopes: &[String],
    good_for: Option<Duration>,
) -> Result<TokenRow, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query_as!(
        TokenRow,
        "insert into api_tokens (tenant_id, token_id, user_id, token_hash, name, scopes, expires_at)
        values ($1, $2, $3, $4, $5, $6, now() + make_interval(secs => $7))
        returning token_id, name, scopes, created_at, expires_at, last_used_at",
        tenant,
        token,
        user,
        hash.as_slice(),
        name,
        scopes,
        good_for.map(|good_for| good_for.as_secs_f64()) as Option<f64>,
    )
    .fetch_one(tx.connection())
    .await
}

/// The newest first.
pub(super) async fn list(tx: &mut TenantTx, user: Uuid) -> Result<Vec<TokenRow>, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query_as!(
        TokenRow,
        "select token_id, name, scopes, created_at, expires_at, last_used_at from api_tokens
        where tenant_id = $1 and user_id = $2 and revoked_at is null and coalesce(expires_at > now(), true)
        order by created_at desc, token_id",
        tenant,
        user,
    )
    .fetch_all(tx.connection())
    .await
}

/// `false` if it is not hers, or open.
pub(super) async fn revoke(tx: &mut TenantTx, user: Uuid, token: Uuid) -> Result<bool, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    let done = sqlx::query!(
        "update api_tokens set revoked_at = now()
        where tenant_id = $1 and user_id = $2 and token_id = $3 and revoked_at is null",
        tenant,
        user,
        token,
    );
    Ok(done.execute(tx.connection()).await?.rows_affected() == 1)
}

/// All of a user's.
pub(in crate::people) async fn revoke_all(tx: &mut TenantTx, user: Uuid) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query!(
        "update api_tokens set revoked_at = now() where tenant_id = $1 and user_id = $2 and revoked_at is null",
        tenant,
        user,
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}
