//! `joined_users`: of all tenants on the control tables, of one in a tenant.

use storepulse_shared::ids::TenantId;
use uuid::Uuid;

use crate::db::{ControlTx, TenantTx};

/// A tenant as its people know it.
#[derive(Debug)]
pub(super) struct TenantRow {
    pub tenant_id: String,
    pub company: String,
}

/// Where the person is a user, this tenant among them; only where the tenant is active.
pub(super) async fn tenants_of(
    tx: &mut ControlTx,
    tenant: &TenantId,
    user: Uuid,
) -> Result<Vec<TenantRow>, sqlx::Error> {
    sqlx::query_as!(
        TenantRow,
        r#"select t.tenant_id, t.company from tenants t
        where t.tenant_id = $1 or (t.status = 'active' and t.tenant_id in (
            select there.tenant_id from joined_users here
            join joined_users there on there.person_id = here.person_id
            where here.tenant_id = $1 and here.user_id = $2))
        order by t.tenant_id"#,
        tenant.as_str(),
        user,
    )
    .fetch_all(tx.connection())
    .await
}

/// Whose user it is; a new person, if nobody has said.
pub(super) async fn person_of(tx: &mut TenantTx, user: Uuid) -> Result<Uuid, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query!(
        "insert into joined_users (tenant_id, user_id, person_id) values ($1, $2, gen_random_uuid()) on conflict do nothing",
        tenant,
        user,
    )
    .execute(tx.connection())
    .await?;
    sqlx::query_scalar!(
        "select person_id from joined_users where tenant_id = $1 and user_id = $2",
        tenant,
        user
    )
    .fetch_one(tx.connection())
    .await
}

/// Holds an active user who is signed in with a password of her own, in this session; `false` if she is not any more.
pub(super) async fn lock_signed_in(
    tx: &mut TenantTx,
    user: Uuid,
    session: Uuid,
) -> Result<bool, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    let found = sqlx::query_scalar!(
        "select user_id from users
        where tenant_id = $1 and user_id = $2 and deactivated_at is null and not must_change_password for no key update",
        tenant,
        user,
    );
    if found.fetch_optional(tx.connection()).await?.is_none() {
        return Ok(false);
    }
    // A statement of its own: whoever had held the row may have ended it.
    sqlx::query_scalar!(
        r#"select exists (select from sessions
            where tenant_id = $1 and session_id = $2 and user_id = $3 and ended_at is null and expires_at > now()
              and opened_as <> 'provider') as "is_open!""#,
        tenant,
        session,
        user,
    )
    .fetch_one(tx.connection())
    .await
}

/// Nobody else joins this person until this transaction ends.
pub(super) async fn lock(tx: &mut ControlTx, person: Uuid) -> Result<(), sqlx::Error> {
    let name = format!("storepulse person {person}");
    sqlx::query!(r#"select pg_advisory_xact_lock(hashtextextended($1, 0))::text as "locked""#, name)
        .fetch_one(tx.connection())
        .await?;
    Ok(())
}

/// Of how many tenants a person is, whatever their state, and whether this one is among them.
pub(super) async fn count_of(
    tx: &mut ControlTx,
    person: Uuid,
    tenant: &TenantId,
) -> Result<(i64, bool), sqlx::Error> {
    let row = sqlx::query!(
        r#"select count(*) as "tenants!", coalesce(bool_or(tenant_id = $2), false) as "is_there!"
        from joined_users where person_id = $1"#,
        person,
        tenant.as_str(),
    );
    let row = row.fetch_one(tx.connection()).await?;
    Ok((row.tenants, row.is_there))
}

pub(super) async fn join(tx: &mut TenantTx, user: Uuid, person: Uuid) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query!(
        "insert into joined_users (tenant_id, user_id, person_id) values ($1, $2, $3)",
        tenant,
        user,
        person,
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// The user of another tenant who is the same person.
pub(super) async fn joined_to(
    tx: &mut ControlTx,
    tenant: &TenantId,
    user: Uuid,
    other: &TenantId,
) -> Result<Option<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "select there.user_id from joined_users here
        join joined_users there on there.person_id = here.person_id
        where here.tenant_id = $1 and here.user_id = $2 and there.tenant_id = $3 and there.tenant_id <> here.tenant_id",
        tenant.as_str(),
        user,
        other.as_str(),
    )
    .fetch_optional(tx.connection())
    .await
}

/// `false` if it is deactivated, or joined to nobody any more. Otherwise it stays as it is until this transaction ends.
pub(super) async fn lock_active(tx: &mut TenantTx, user: Uuid) -> Result<bool, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    let found = sqlx::query_scalar!(
        "select user_id from users where tenant_id = $1 and user_id = $2 and deactivated_at is null for no key update",
        tenant,
        user,
    );
    if found.fetch_optional(tx.connection()).await?.is_none() {
        return Ok(false);
    }
    // A statement of its own: whoever had held the row may have parted it.
    sqlx::query_scalar!(
        r#"select exists (select from joined_users where tenant_id = $1 and user_id = $2) as "is_joined!""#,
        tenant,
        user,
    )
    .fetch_one(tx.connection())
    .await
}

/// `false` if it was joined to nobody.
pub(super) async fn part(tx: &mut TenantTx, user: Uuid) -> Result<bool, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    let done = sqlx::query!("delete from joined_users where tenant_id = $1 and user_id = $2", tenant, user);
    Ok(done.execute(tx.connection()).await?.rows_affected() == 1)
}
