//! Logins for people who read a tenant's data in SQL: `sp_bi_<tenant>`, a member of `storepulse_bi`.
//!
//! The name is the authorisation: the policies of `storepulse_bi` compare `tenant_id` with what follows `sp_bi_`. What these
//! roles may read stands in the migrations; here they are made, listed and dropped, by a login that may create roles, which no
//! login of the service may.

use sqlx::Connection as _;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use storepulse_shared::ids::TenantId;

/// What the name of every such role begins with; the policies count on its length.
const PREFIX: &str = "sp_bi_";
/// SQLSTATE of what the statements here refuse by themselves.
const RAISED: &str = "P0001";

/// Why a role was not made, listed or dropped.
#[derive(Debug, thiserror::Error)]
pub enum BiError {
    /// The database is away, or the login may not do this.
    #[error("database: {0}")]
    Sqlx(#[from] sqlx::Error),
    /// There is a reason, and a way out.
    #[error("{0}")]
    Refused(String),
}

/// A reader's login.
#[derive(Debug, PartialEq, Eq)]
pub struct BiRole {
    /// Its name.
    pub role: String,
    /// What it reads.
    pub tenant: String,
    /// Sessions that it may have at once; -1 is any number.
    pub connections_max: i32,
    /// Sessions that it has now.
    pub connections: i64,
    /// Whether it may log in.
    pub can_login: bool,
}

/// The login that reads this tenant, at most 56 bytes: it must be quoted in SQL.
#[must_use]
pub fn role_name(tenant: &TenantId) -> String {
    format!("{PREFIX}{tenant}")
}

/// Makes the login of a tenant's readers. It is bound by row-level security and may have four sessions at once.
///
/// # Errors
/// [`BiError::Refused`] if it exists, or the tenant does not and the login can know that; [`BiError::Sqlx`] if the login may not
/// create roles.
pub async fn create(admin: &PgConnectOptions, tenant: &TenantId, password: &str) -> Result<(), BiError> {
    let settings = [("storepulse.bi_tenant", tenant.as_str()), ("storepulse.bi_password", password)];
    run(admin, &settings, include_str!("create.sql")).await
}

/// Ends the sessions of a tenant's readers and takes their login away.
///
/// # Errors
/// [`BiError::Refused`] if there is none, or its sessions cannot be ended by this login.
pub async fn drop(admin: &PgConnectOptions, tenant: &TenantId) -> Result<(), BiError> {
    run(admin, &[("storepulse.bi_tenant", tenant.as_str())], include_str!("drop.sql")).await
}

/// All readers' logins of the server, by name.
///
/// # Errors
/// The database is away.
pub async fn list(admin: &PgConnectOptions) -> Result<Vec<BiRole>, BiError> {
    let mut connection = PgConnection::connect_with(admin).await?;
    let roles = sqlx::query_as!(
        BiRole,
        r#"select r.rolname::text as "role!", substr(r.rolname, 7) as "tenant!", r.rolconnlimit as "connections_max!",
            (select count(*) from pg_stat_activity a where a.usesysid = r.oid) as "connections!",
            r.rolcanlogin as "can_login!"
        from pg_auth_members m join pg_roles r on r.oid = m.member
        where m.roleid = to_regrole('storepulse_bi') and starts_with(r.rolname, $1)
        order by r.rolname"#,
        PREFIX,
    )
    .fetch_all(&mut connection)
    .await?;
    connection.close().await?;
    Ok(roles)
}

/// Runs a block of statements in one transaction, with settings that end with it.
async fn run(
    admin: &PgConnectOptions,
    settings: &[(&str, &str)],
    block: &'static str,
) -> Result<(), BiError> {
    let mut connection = PgConnection::connect_with(admin).await?;
    let mut tx = connection.begin().await?;
    for (name, value) in settings {
        sqlx::query!("select set_config($1, $2, true) as value", *name, *value).fetch_one(&mut *tx).await?;
    }
    sqlx::raw_sql(block).execute(&mut *tx).await.map_err(refused)?;
    tx.commit().await?;
    connection.close().await?;
    Ok(())
}

fn refused(error: sqlx::Error) -> BiError {
    match error.as_database_error() {
        Some(refusal) if refusal.code().as_deref() == Some(RAISED) => {
            BiError::Refused(refusal.message().to_owned())
        }
        _ => BiError::Sqlx(error),
    }
}
