//! Roles and migrations: how a database becomes ours.
//!
//! Keeps one rule: migrations run as `storepulse_owner`, which cannot log in, so neither the application's roles
//! nor the person who migrates own a table. What the roles may do is written in the migrations themselves;
//! whether a running service holds to it is checked by `db::check`.

use sqlx::Connection as _;
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgConnection};

/// The migrations, in the binary.
pub static MIGRATOR: Migrator = sqlx::migrate!("./migrations");

/// What went wrong with the schema.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// The database could not be reached or refused a statement.
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
    /// A migration failed or does not fit what has been applied.
    #[error("migration: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// Whoever logged in may not act as the owner.
    #[error(
        "role {0} may not act as storepulse_owner: run `migrate --bootstrap` once, or `grant storepulse_owner to {0}`"
    )]
    NotOwner(String),
}

/// Passwords for the roles that log in; `None` leaves what is there (peer or certificate authentication).
#[derive(Clone, Default)]
pub struct RolePasswords {
    /// Of `storepulse_app`.
    pub app: Option<String>,
    /// Of `storepulse_control`.
    pub control: Option<String>,
}

impl std::fmt::Debug for RolePasswords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RolePasswords(redacted)")
    }
}

/// Creates the roles and their grants on the database; idempotent, under an advisory lock.
///
/// # Errors
/// [`SchemaError::Database`], also when a role of ours is superuser or may bypass row-level security.
pub async fn bootstrap(admin: &PgConnectOptions, passwords: &RolePasswords) -> Result<(), SchemaError> {
    let mut connection = PgConnection::connect_with(admin).await?;
    let mut tx = connection.begin().await?;
    set_local(&mut tx, "storepulse.app_password", passwords.app.as_deref().unwrap_or_default()).await?;
    set_local(&mut tx, "storepulse.control_password", passwords.control.as_deref().unwrap_or_default())
        .await?;
    sqlx::raw_sql(include_str!("bootstrap.sql")).execute(&mut *tx).await?;
    tx.commit().await?;
    connection.close().await?;
    Ok(())
}

/// Applies what is missing, as `storepulse_owner`; returns how many migrations there are in all. A newer schema stays as it is.
///
/// # Errors
/// See [`SchemaError`].
pub async fn migrate(login: &PgConnectOptions) -> Result<usize, SchemaError> {
    let mut connection = PgConnection::connect_with(login).await?;
    sqlx::raw_sql("set role storepulse_owner").execute(&mut connection).await.map_err(|error| {
        let refused = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
        // 42501: not a member; 22023: the role does not exist.
        match refused.as_deref() {
            Some("42501" | "22023") => SchemaError::NotOwner(login.get_username().to_owned()),
            _ => SchemaError::Database(error),
        }
    })?;
    // A schema that is ahead is no error: migrations suit the version before as well, so one can go back to that.
    let mut migrator = Migrator { migrations: MIGRATOR.migrations.clone(), ..Migrator::DEFAULT };
    migrator.set_ignore_missing(true).run(&mut connection).await?;
    connection.close().await?;
    Ok(MIGRATOR.iter().count())
}

/// Sets a setting for the rest of the transaction, with both name and value bound.
async fn set_local(connection: &mut PgConnection, name: &str, value: &str) -> Result<(), sqlx::Error> {
    #[expect(clippy::disallowed_methods, reason = "runs before there is a schema to check a query against")]
    let query = sqlx::query("select set_config($1, $2, true)");
    query.bind(name).bind(value).execute(connection).await?;
    Ok(())
}
