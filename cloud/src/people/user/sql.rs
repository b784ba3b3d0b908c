//! `users`, `user_stores`.

use storepulse_shared::ids::StoreId;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::db::TenantTx;
use crate::mail::Language;
use crate::people::Role;

/// A user with the stores that are named for it.
#[derive(Debug)]
pub(crate) struct UserRow {
    pub user_id: Uuid,
    pub user_name: String,
    pub email: Option<String>,
    pub name: String,
    pub role: String,
    pub all_stores: bool,
    pub stores: Vec<String>,
    pub language: Option<String>,
    pub has_password: bool,
    pub has_authenticator: bool,
    pub must_change_password: bool,
    pub created_at: OffsetDateTime,
    pub deactivated_at: Option<OffsetDateTime>,
    pub last_signed_in_at: Option<OffsetDateTime>,
}

/// Which stores a user sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StoresSeen {
    All,
    /// In the order of their ids, as bytes.
    These(Vec<String>),
}

impl StoresSeen {
    pub(crate) fn of(all: bool, named: Vec<String>) -> Self {
        if all { Self::All } else { Self::These(named) }
    }

    /// `None` for all.
    pub(crate) fn into_named(self) -> Option<Vec<String>> {
        match self {
            Self::All => None,
            Self::These(stores) => Some(stores),
        }
    }
}

/// A user to be.
pub(super) struct NewRow<'a> {
    pub user_id: Uuid,
    pub user_name: &'a str,
    pub email: Option<&'a str>,
    pub name: &'a str,
    pub role: Role,
    pub all_stores: bool,
    pub language: Option<Language>,
    pub password_hash: Option<&'a str>,
    pub must_change_password: bool,
}

/// What can change of it.
pub(super) struct ChangedRow<'a> {
    pub email: Option<&'a str>,
    pub name: &'a str,
    pub role: Role,
    pub all_stores: bool,
    pub language: Option<Language>,
    pub is_active: bool,
}

/// Nobody else changes the tenant's people until this transaction ends.
pub(in crate::people) async fn lock(tx: &mut TenantTx) -> Result<(), sqlx::Error> {
    let name = format!("storepulse people {}", tx.tenant());
    sqlx::query!(r#"select pg_advisory_xact_lock(hashtextextended($1, 0))::text as "locked""#, name)
        .fetch_one(tx.connection())
        .await?;
    Ok(())
}

pub(super) async fn tenant_is_there(tx: &mut TenantTx) -> Result<bool, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query_scalar!(
        r#"select exists (select from tenants where tenant_id = $1 and status <> 'inactive') as "is_there!""#,
        tenant,
    )
    .fetch_one(tx.connection())
    .await
}

pub(in crate::people) async fn count(tx: &mut TenantTx) -> Result<i64, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query_scalar!(r#"select count(*) as "users!" from users where tenant_id = $1"#, tenant)
        .fetch_one(tx.connection())
        .await
}

/// Active admins besides this user.
pub(super) async fn other_admins(tx: &mut TenantTx, user: Uuid) -> Result<i64, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query_scalar!(
        r#"select count(*) as "admins!" from users
        where tenant_id = $1 and user_id <> $2 and role = 'admin' and deactivated_at is null"#,
        tenant,
        user,
    )
    .fetch_one(tx.connection())
    .await
}

pub(super) async fn insert(tx: &mut TenantTx, new: &NewRow<'_>) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query!(
        "insert into users (tenant_id, user_id, user_name, email, name, role, all_stores, password_hash, must_change_password,
            language)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        tenant,
        new.user_id,
        new.user_name,
        new.email,
        new.name,
        new.role.as_str(),
        new.all_stores,
        new.password_hash,
        new.must_change_password,
        new.language.map(Language::as_str),
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Always writes the row, so that every process is told.
pub(super) async fn update(
    tx: &mut TenantTx,
    user: Uuid,
    change: &ChangedRow<'_>,
) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query!(
        "update users set email = $3, name = $4, role = $5, all_stores = $6, updated_at = now(),
            deactivated_at = case when $7 then null else coalesce(deactivated_at, now()) end, language = $8
        where tenant_id = $1 and user_id = $2",
        tenant,
        user,
        change.email,
        change.name,
        change.role.as_str(),
        change.all_stores,
        change.is_active,
        change.language.map(Language::as_str),
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Replaces the stores that are named for a user.
pub(super) async fn set_stores(tx: &mut TenantTx, user: Uuid, stores: &[StoreId]) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query!("delete from user_stores where tenant_id = $1 and user_id = $2", tenant, user)
        .execute(tx.connection())
        .await?;
    let stores: Vec<String> = stores.iter().map(StoreId::to_string).collect();
    sqlx::query!(
        "insert into user_stores (tenant_id, user_id, store_id) select distinct $1, $2::uuid, s from unnest($3::text[]) s",
        tenant,
        user,
        &stores,
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Those of the stores that the tenant has.
pub(super) async fn known_stores(tx: &mut TenantTx, stores: &[StoreId]) -> Result<Vec<String>, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    let stores: Vec<String> = stores.iter().map(StoreId::to_string).collect();
    sqlx::query_scalar!(
        "select store_id from stores where tenant_id = $1 and store_id = any($2)",
        tenant,
        &stores
    )
    .fetch_all(tx.connection())
    .await
}

pub(in crate::people) async fn set_password(
    tx: &mut TenantTx,
    user: Uuid,
    password_hash: &str,
    must_change: bool,
) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query!(
        "update users set password_hash = $3, must_change_password = $4, updated_at = now()
        where tenant_id = $1 and user_id = $2",
        tenant,
        user,
        password_hash,
        must_change,
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// By the name that it signs in with.
pub(in crate::people) async fn id_of(
    tx: &mut TenantTx,
    user_name: &str,
) -> Result<Option<Uuid>, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query_scalar!(
        "select user_id from users where tenant_id = $1 and user_name = $2",
        tenant,
        user_name
    )
    .fetch_optional(tx.connection())
    .await
}

pub(super) async fn find(tx: &mut TenantTx, user: Uuid) -> Result<Option<UserRow>, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query_as!(
        UserRow,
        r#"select user_id, user_name, email, name, role, all_stores, must_change_password, created_at, deactivated_at, language,
            password_hash is not null as "has_password!",
            exists (select from authenticators a where a.tenant_id = $1 and a.user_id = u.user_id and a.confirmed_at is not null)
                as "has_authenticator!",
            array(select s.store_id from user_stores s where s.tenant_id = $1 and s.user_id = u.user_id
                order by s.store_id collate "C") as "stores!",
            (select max(s.created_at) from sessions s where s.tenant_id = $1 and s.user_id = u.user_id) as last_signed_in_at
        from users u where tenant_id = $1 and user_id = $2"#,
        tenant,
        user,
    )
    .fetch_optional(tx.connection())
    .await
}

/// In the order of their names, as bytes.
pub(super) async fn list(
    tx: &mut TenantTx,
    after: Option<&str>,
    limit: i64,
) -> Result<Vec<UserRow>, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query_as!(
        UserRow,
        r#"select user_id, user_name, email, name, role, all_stores, must_change_password, created_at, deactivated_at, language,
            password_hash is not null as "has_password!",
            exists (select from authenticators a where a.tenant_id = $1 and a.user_id = u.user_id and a.confirmed_at is not null)
                as "has_authenticator!",
            array(select s.store_id from user_stores s where s.tenant_id = $1 and s.user_id = u.user_id
                order by s.store_id collate "C") as "stores!",
            (select max(s.created_at) from sessions s where s.tenant_id = $1 and s.user_id = u.user_id) as last_signed_in_at
        from users u where tenant_id = $1 and user_name collate "C" > coalesce($2, '')
        order by user_name collate "C" limit $3"#,
        tenant,
        after,
        limit,
    )
    .fetch_all(tx.connection())
    .await
}
