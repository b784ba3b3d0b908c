//! `authenticators`, `recovery_codes`.

use uuid::Uuid;

use crate::db::TenantTx;

/// An authenticator that codes are asked of.
pub(super) struct Confirmed {
    pub secret: Vec<u8>,
    pub last_step: i64,
    /// Of the last while.
    pub wrong_codes: i32,
}

/// Holds the row: of two who come with the same code, one is the second.
pub(super) async fn lock_confirmed(
    tx: &mut TenantTx,
    user: Uuid,
    wrong_for_s: f64,
) -> Result<Option<Confirmed>, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query_as!(
        Confirmed,
        r#"select secret, last_step,
            case when wrong_since > now() - make_interval(secs => $3) then wrong_codes else 0 end as "wrong_codes!"
        from authenticators where tenant_id = $1 and user_id = $2 and confirmed_at is not null for no key update"#,
        tenant,
        user,
        wrong_for_s,
    )
    .fetch_optional(tx.connection())
    .await
}

pub(super) async fn set_step(tx: &mut TenantTx, user: Uuid, step: i64) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query!(
        "update authenticators set last_step = $3, wrong_codes = 0, wrong_since = null where tenant_id = $1 and user_id = $2",
        tenant,
        user,
        step,
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

pub(super) async fn count_wrong(tx: &mut TenantTx, user: Uuid, wrong_for_s: f64) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query!(
        "update authenticators set
            wrong_codes = case when wrong_since > now() - make_interval(secs => $3) then wrong_codes + 1 else 1 end,
            wrong_since = case when wrong_since > now() - make_interval(secs => $3) then wrong_since else now() end
        where tenant_id = $1 and user_id = $2",
        tenant,
        user,
        wrong_for_s,
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// `false` if there is one that codes are asked of. One that was never shown to work gives way.
pub(super) async fn begin(tx: &mut TenantTx, user: Uuid, secret: &[u8]) -> Result<bool, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    let done = sqlx::query!(
        "insert into authenticators as here (tenant_id, user_id, secret) values ($1, $2, $3)
        on conflict (tenant_id, user_id) do update set secret = excluded.secret, created_at = now()
        where here.confirmed_at is null",
        tenant,
        user,
        secret,
    );
    Ok(done.execute(tx.connection()).await?.rows_affected() == 1)
}

/// The secret of one that waits for its first code. One that has waited for an hour waits no more.
pub(super) async fn lock_unconfirmed(tx: &mut TenantTx, user: Uuid) -> Result<Option<Vec<u8>>, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query_scalar!(
        "select secret from authenticators
        where tenant_id = $1 and user_id = $2 and confirmed_at is null and created_at > now() - interval '1 hour'
        for no key update",
        tenant,
        user,
    )
    .fetch_optional(tx.connection())
    .await
}

pub(super) async fn confirm(tx: &mut TenantTx, user: Uuid, step: i64) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query!(
        "update authenticators set confirmed_at = now(), last_step = $3 where tenant_id = $1 and user_id = $2",
        tenant,
        user,
        step,
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// `false` if there was none.
pub(super) async fn remove(tx: &mut TenantTx, user: Uuid) -> Result<bool, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query!("delete from recovery_codes where tenant_id = $1 and user_id = $2", tenant, user)
        .execute(tx.connection())
        .await?;
    // So that every process is told of the tenant: who deletes a row tells of nobody in particular.
    sqlx::query!(
        "update authenticators set confirmed_at = null where tenant_id = $1 and user_id = $2",
        tenant,
        user
    )
    .execute(tx.connection())
    .await?;
    let done = sqlx::query!("delete from authenticators where tenant_id = $1 and user_id = $2", tenant, user);
    Ok(done.execute(tx.connection()).await?.rows_affected() == 1)
}

pub(super) async fn replace_recovery_codes(
    tx: &mut TenantTx,
    user: Uuid,
    hashes: &[Vec<u8>],
) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query!("delete from recovery_codes where tenant_id = $1 and user_id = $2", tenant, user)
        .execute(tx.connection())
        .await?;
    sqlx::query!(
        "insert into recovery_codes (tenant_id, user_id, code_hash) select $1, $2, h from unnest($3::bytea[]) h",
        tenant,
        user,
        hashes,
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// `false` if there is none that is still good.
pub(super) async fn use_recovery_code(
    tx: &mut TenantTx,
    user: Uuid,
    hash: &[u8; 32],
) -> Result<bool, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    let done = sqlx::query!(
        "update recovery_codes set used_at = now()
        where tenant_id = $1 and user_id = $2 and code_hash = $3 and used_at is null",
        tenant,
        user,
        hash.as_slice(),
    );
    Ok(done.execute(tx.connection()).await?.rows_affected() == 1)
}
