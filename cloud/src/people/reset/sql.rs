//! `password_resets`.

use std::time::Duration;

use uuid::Uuid;

use crate::db::TenantTx;

/// An active user of an active tenant whom mail reaches, by its name or its email; it stays as it is until this transaction ends.
pub(super) async fn lock_user(tx: &mut TenantTx, name: &str) -> Result<Option<Uuid>, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query_scalar!(
        "select u.user_id from users u join tenants t on t.tenant_id = u.tenant_id
        where u.tenant_id = $1 and (u.user_name = $2 or u.email = $2) and u.email is not null
          and u.deactivated_at is null and t.status = 'active' for no key update of u",
        tenant,
        name,
    )
    .fetch_optional(tx.connection())
    .await
}

/// Deletes those of a user that have been over for a day.
pub(super) async fn forget_old(tx: &mut TenantTx, user: Uuid) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query!(
        "delete from password_resets where tenant_id = $1 and user_id = $2 and expires_at < now() - interval '1 day'",
        tenant,
        user,
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

pub(super) async fn count_recent(
    tx: &mut TenantTx,
    user: Uuid,
    within: Duration,
) -> Result<i64, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query_scalar!(
        r#"select count(*) as "recent!" from password_resets
        where tenant_id = $1 and user_id = $2 and created_at > now() - make_interval(secs => $3)"#,
        tenant,
        user,
        within.as_secs_f64(),
    )
    .fetch_one(tx.connection())
    .await
}

pub(super) async fn insert(
    tx: &mut TenantTx,
    reset: Uuid,
    user: Uuid,
    good_for: Duration,
) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query!(
        "insert into password_resets (tenant_id, reset_id, user_id, expires_at)
        values ($1, $2, $3, now() + make_interval(secs => $4))",
        tenant,
        reset,
        user,
        good_for.as_secs_f64(),
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// A link that is good, and whose.
pub(super) struct OpenRow {
    pub reset_id: Uuid,
    pub user_id: Uuid,
    pub user_name: String,
    pub email: Option<String>,
}

pub(super) async fn find_open(tx: &mut TenantTx, hash: &[u8; 32]) -> Result<Option<OpenRow>, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query_as!(
        OpenRow,
        "select r.reset_id, r.user_id, u.user_name, u.email
        from password_resets r join users u on u.tenant_id = r.tenant_id and u.user_id = r.user_id
        join tenants t on t.tenant_id = r.tenant_id
        where r.tenant_id = $1 and r.token_hash = $2 and r.used_at is null and r.expires_at > now()
          and u.deactivated_at is null and t.status = 'active'",
        tenant,
        hash.as_slice(),
    )
    .fetch_optional(tx.connection())
    .await
}

/// Uses up whatever is open of a user: what was sent before leads nowhere.
pub(in crate::people) async fn close_all(tx: &mut TenantTx, user: Uuid) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query!(
        "update password_resets set used_at = now() where tenant_id = $1 and user_id = $2 and used_at is null",
        tenant,
        user,
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Uses one up, and all others of the user with it; `false` if it was not good any more.
pub(super) async fn use_open(tx: &mut TenantTx, reset: Uuid, user: Uuid) -> Result<bool, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    let done = sqlx::query!(
        "update password_resets set used_at = now()
        where tenant_id = $1 and reset_id = $2 and used_at is null and expires_at > now()",
        tenant,
        reset,
    );
    if done.execute(tx.connection()).await?.rows_affected() == 0 {
        return Ok(false);
    }
    close_all(tx, user).await?;
    Ok(true)
}
