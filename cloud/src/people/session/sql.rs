//! `sessions`, `refresh_tokens`, and what a sign-in needs of `users`.

use std::time::Duration;

use time::OffsetDateTime;
use uuid::Uuid;

use crate::db::TenantTx;

/// A user who wants to sign in.
#[derive(Debug)]
pub(crate) struct SignInRow {
    pub user_id: Uuid,
    pub role: String,
    pub permissions: Vec<String>,
    pub password_hash: Option<String>,
    pub must_change_password: bool,
    pub is_deactivated: bool,
    pub tenant_status: String,
}

macro_rules! user_where {
    ($condition:literal, $tenant:expr, $value:expr) => {
        sqlx::query_as!(
            SignInRow,
            r#"select u.user_id, u.role, u.password_hash, u.must_change_password,
                u.deactivated_at is not null as "is_deactivated!", t.status as tenant_status,
                array(select p.permission from role_permissions p where p.role = u.role order by p.permission)
                    as "permissions!"
            from users u join tenants t on t.tenant_id = u.tenant_id
            where u.tenant_id = $1 and "#
                + $condition,
            $tenant,
            $value
        )
    };
}

/// By its id.
pub(crate) async fn find_user_by_id(tx: &mut TenantTx, user: Uuid) -> Result<Option<SignInRow>, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    user_where!("u.user_id = $2", tenant, user).fetch_optional(tx.connection()).await
}

/// By its name or its email.
pub(super) async fn find_user(tx: &mut TenantTx, name: &str) -> Result<Option<SignInRow>, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    user_where!("(u.user_name = $2 or u.email = $2)", tenant, name).fetch_optional(tx.connection()).await
}

/// What somebody who is signed in is asked for her password with.
#[derive(Debug)]
pub(super) struct PersonRow {
    pub user_name: String,
    pub email: Option<String>,
    pub password_hash: Option<String>,
}

pub(super) async fn find_person(tx: &mut TenantTx, user: Uuid) -> Result<Option<PersonRow>, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query_as!(
        PersonRow,
        "select user_name, email, password_hash from users where tenant_id = $1 and user_id = $2",
        tenant,
        user,
    )
    .fetch_optional(tx.connection())
    .await
}

/// Holds the row of an active user that still has this password; `false` if there is none.
pub(super) async fn lock_user(
    tx: &mut TenantTx,
    user: Uuid,
    hash: Option<&str>,
) -> Result<bool, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    let found = sqlx::query_scalar!(
        "select user_id from users
        where tenant_id = $1 and user_id = $2 and deactivated_at is null and password_hash is not distinct from $3
        for no key update",
        tenant,
        user,
        hash,
    );
    Ok(found.fetch_optional(tx.connection()).await?.is_some())
}

pub(super) async fn set_own_password(tx: &mut TenantTx, user: Uuid, hash: &str) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query!(
        "update users set password_hash = $3, must_change_password = false, updated_at = now()
        where tenant_id = $1 and user_id = $2",
        tenant,
        user,
        hash,
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// A session to be.
pub(super) struct NewSession<'a> {
    pub session: Uuid,
    pub user: Uuid,
    pub device: &'a str,
    pub lasts: Duration,
    pub opened_as: &'static str,
}

/// With the SHA-256 of its cookie, if it is a page's.
pub(super) async fn insert(
    tx: &mut TenantTx,
    new: &NewSession<'_>,
    cookie: Option<&[u8; 32]>,
) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query!(
        "insert into sessions (tenant_id, session_id, user_id, device, expires_at, opened_as, cookie_hash)
        values ($1, $2, $3, $4, now() + make_interval(secs => $5), $6, $7)",
        tenant,
        new.session,
        new.user,
        new.device,
        new.lasts.as_secs_f64(),
        new.opened_as,
        cookie.map(<[u8; 32]>::as_slice),
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Ends all open sessions of a user but so many, those that were renewed longest ago.
pub(super) async fn end_oldest(tx: &mut TenantTx, user: Uuid, but: i64) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query!(
        "update sessions set ended_at = now(), ended_as = 'replaced'
        where tenant_id = $1 and session_id in (
            select session_id from sessions
            where tenant_id = $1 and user_id = $2 and ended_at is null and expires_at > now()
            order by refreshed_at desc, session_id offset $3)",
        tenant,
        user,
        but,
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

pub(super) async fn insert_refresh(
    tx: &mut TenantTx,
    session: Uuid,
    hash: &[u8; 32],
) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query!(
        "insert into refresh_tokens (tenant_id, token_hash, session_id) values ($1, $2, $3)",
        tenant,
        hash.as_slice(),
        session,
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// A refresh token with its session and user.
#[derive(Debug)]
pub(super) struct RefreshRow {
    pub session_id: Uuid,
    pub user_id: Uuid,
    pub role: String,
    pub permissions: Vec<String>,
    pub must_change_password: bool,
    pub is_used: bool,
    pub is_open: bool,
    pub tenant_status: String,
}

/// Holds the token's and its session's row: of two who come with the same one, one is the second.
pub(super) async fn lock_refresh(
    tx: &mut TenantTx,
    hash: &[u8; 32],
) -> Result<Option<RefreshRow>, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query_as!(
        RefreshRow,
        r#"select s.session_id, s.user_id, u.role, u.must_change_password, t.status as tenant_status,
            r.used_at is not null as "is_used!",
            s.ended_at is null and s.expires_at > now() and u.deactivated_at is null as "is_open!",
            array(select p.permission from role_permissions p where p.role = u.role order by p.permission) as "permissions!"
        from refresh_tokens r
        join sessions s on s.tenant_id = r.tenant_id and s.session_id = r.session_id
        join users u on u.tenant_id = s.tenant_id and u.user_id = s.user_id
        join tenants t on t.tenant_id = s.tenant_id
        where r.tenant_id = $1 and r.token_hash = $2
        for no key update of r, s"#,
        tenant,
        hash.as_slice(),
    )
    .fetch_optional(tx.connection())
    .await
}

pub(super) async fn use_refresh(tx: &mut TenantTx, hash: &[u8; 32]) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query!(
        "update refresh_tokens set used_at = now() where tenant_id = $1 and token_hash = $2",
        tenant,
        hash.as_slice(),
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Deletes tokens of a session that were used more than a week ago. No session that is not renewed lasts longer, so whoever comes with
/// one of them has no reason to believe in it.
pub(super) async fn forget_used(tx: &mut TenantTx, session: Uuid) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query!(
        "delete from refresh_tokens
        where tenant_id = $1 and session_id = $2 and used_at < now() - interval '7 days'",
        tenant,
        session,
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Deletes sessions of a user that have been over for ninety days, and those beyond the newest five hundred.
pub(super) async fn forget_old(tx: &mut TenantTx, user: Uuid) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query!(
        "delete from sessions
        where tenant_id = $1 and user_id = $2 and (coalesce(ended_at, expires_at) < now() - interval '90 days'
            or ended_at is not null and session_id in (
                select session_id from sessions where tenant_id = $1 and user_id = $2
                order by created_at desc, session_id offset 500))",
        tenant,
        user,
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

pub(super) async fn renew(
    tx: &mut TenantTx,
    session: Uuid,
    lasts: Duration,
    in_all: Duration,
) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query!(
        "update sessions set refreshed_at = now(),
            expires_at = least(now() + make_interval(secs => $3), created_at + make_interval(secs => $4))
        where tenant_id = $1 and session_id = $2",
        tenant,
        session,
        lasts.as_secs_f64(),
        in_all.as_secs_f64(),
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Whether a session is this user's, and open.
pub(super) async fn is_of(tx: &mut TenantTx, session: Uuid, user: Uuid) -> Result<bool, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query_scalar!(
        r#"select exists (select from sessions
            where tenant_id = $1 and session_id = $2 and user_id = $3 and ended_at is null) as "is_hers!""#,
        tenant,
        session,
        user,
    )
    .fetch_one(tx.connection())
    .await
}

/// `false` if it had ended.
pub(super) async fn end(tx: &mut TenantTx, session: Uuid, how: &str) -> Result<bool, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    let done = sqlx::query!(
        "update sessions set ended_at = now(), ended_as = $3
        where tenant_id = $1 and session_id = $2 and ended_at is null",
        tenant,
        session,
        how,
    );
    Ok(done.execute(tx.connection()).await?.rows_affected() == 1)
}

pub(super) async fn end_all(
    tx: &mut TenantTx,
    user: Uuid,
    how: &str,
    but: Option<Uuid>,
) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query!(
        "update sessions set ended_at = now(), ended_as = $3
        where tenant_id = $1 and user_id = $2 and ended_at is null and session_id is distinct from $4",
        tenant,
        user,
        how,
        but,
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// An open session.
#[derive(Debug)]
pub(super) struct SessionRow {
    pub session_id: Uuid,
    pub device: String,
    pub created_at: OffsetDateTime,
    pub refreshed_at: OffsetDateTime,
    pub expires_at: OffsetDateTime,
}

/// The newest first.
pub(super) async fn list(tx: &mut TenantTx, user: Uuid) -> Result<Vec<SessionRow>, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query_as!(
        SessionRow,
        "select session_id, device, created_at, refreshed_at, expires_at from sessions
        where tenant_id = $1 and user_id = $2 and ended_at is null and expires_at > now()
        order by created_at desc, session_id",
        tenant,
        user,
    )
    .fetch_all(tx.connection())
    .await
}
