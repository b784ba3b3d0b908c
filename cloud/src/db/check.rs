//! What must hold before the first request is served: no role, table, partition, view or function lets anybody
//! past row-level security, a commit is durable, and the schema is the one this binary knows.

use sqlx::postgres::{PgConnection, PgPool};

use super::DbError;
use crate::schema::MIGRATOR;

/// What was found, and how to mend it.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The login is another role than the one we mean to be.
    #[error("logged in as {found}, expected {expected}: give the URL of that role")]
    OtherRole {
        /// Who we are.
        found: String,
        /// Who we should be.
        expected: &'static str,
    },
    /// A role that row-level security does not bind.
    #[error("role {role} {how}, so row-level security would not hold; take that away")]
    RoleBypasses {
        /// The role.
        role: String,
        /// How it gets past.
        how: String,
    },
    /// A table, partition, view or function that lets somebody past.
    #[error("{object} {how}; run `storepulse-cloud migrate`, or undo what was changed by hand")]
    Object {
        /// What.
        object: String,
        /// How.
        how: String,
    },
    /// A commit would not be durable.
    #[error("{setting} is {value}, so an acknowledged batch could be lost in a power cut; set it to on")]
    NotDurable {
        /// The setting.
        setting: String,
        /// Its value.
        value: String,
    },
    /// Migrations are missing, or newer than this binary by more than it can know.
    #[error("the schema has {applied} of this version's {known} migrations: run `storepulse-cloud migrate`")]
    Schema {
        /// Applied and known to us.
        applied: i64,
        /// In this binary.
        known: i64,
    },
}

/// Lets `fsync`, `full_page_writes` and `synchronous_commit` be off. Only the testbed makes one that does; no flag,
/// variable or file reaches it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SettingsWaiver {
    /// All three must be on.
    #[default]
    None,
    /// The data is worthless.
    WorthlessData,
}

/// Checks the login of this connection, and everything in the schema as it sees it. The login counts, not the role that it plays:
/// `reset role` gives it back.
pub(super) async fn roles_and_schema(
    connection: &mut PgConnection,
    expected: &'static str,
) -> Result<(), DbError> {
    let me = sqlx::query!(
        r#"select session_user::text as "name!", current_user::text as "role!", rolsuper as "superuser!", rolbypassrls as "bypass!",
            pg_has_role(session_user, 'storepulse_owner', 'member') as "owner!",
            exists (
                select from pg_class c
                where c.relowner = r.oid and c.relnamespace = 'public'::regnamespace
            ) as "owns!",
            exists (
                select from pg_roles o
                where (o.rolsuper or o.rolbypassrls) and pg_has_role(session_user, o.oid, 'member')
            ) as "inherits!"
        from pg_roles r where rolname = session_user"#
    )
    .fetch_one(&mut *connection)
    .await?;
    let how = [
        (me.superuser, "is superuser"),
        (me.bypass, "has BYPASSRLS"),
        (me.owner, "is a member of storepulse_owner"),
        (me.owns, "owns tables"),
        (me.inherits, "is a member of a role that is superuser or has BYPASSRLS"),
    ];
    if let Some((_, how)) = how.iter().find(|(found, _)| *found) {
        return Err(CheckError::RoleBypasses { role: me.name, how: (*how).to_owned() }.into());
    }
    if let Some(found) = [me.name, me.role].into_iter().find(|name| name != expected) {
        return Err(CheckError::OtherRole { found, expected }.into());
    }
    schema(connection).await
}

/// Looks for what a reader could get past.
async fn schema(connection: &mut PgConnection) -> Result<(), DbError> {
    let hole = sqlx::query!(
        r#"
        -- A table with tenants in it that does not bind even its owner.
        select c.oid::regclass::text as "object!", 'has row-level security off or not forced' as "how!"
        from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped
        where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
          and not (c.relrowsecurity and c.relforcerowsecurity)
        union all
        -- A policy for everybody.
        select p.polrelid::regclass::text, 'has policy ' || p.polname || ' for PUBLIC'
        from pg_policy p where 0 = any (p.polroles)
        union all
        -- A partition does not inherit the policies of its parent: nobody may reach it directly.
        select c.oid::regclass::text, 'is a partition with grants'
        from pg_class c where c.relispartition and c.relkind = 'r' and c.relnamespace = 'public'::regnamespace
          and exists (select from aclexplode(c.relacl) g where g.grantee <> c.relowner)
        union all
        -- A view reads as its owner unless told otherwise.
        select c.oid::regclass::text, 'is a view without security_invoker'
        from pg_class c where c.relkind in ('v', 'm') and c.relnamespace = 'public'::regnamespace
          and not coalesce('security_invoker=true' = any (c.reloptions), false)
        union all
        -- TRUNCATE is not subject to policies.
        select c.oid::regclass::text, 'may be truncated by ' || g.grantee::regrole::text
        from pg_class c, aclexplode(c.relacl) g
        where c.relnamespace = 'public'::regnamespace and g.privilege_type = 'TRUNCATE' and g.grantee <> c.relowner
        union all
        -- People read as `sp_bi_<tenant>`; the name is what the policies go by.
        select r.rolname::text, 'is a member of storepulse_bi, and ' || case
            when r.rolsuper or r.rolbypassrls then 'not bound by row-level security' else 'named for no tenant' end
        from pg_auth_members m join pg_roles r on r.oid = m.member
        where m.roleid = to_regrole('storepulse_bi') and pg_has_role(r.oid, m.roleid, 'usage')
          and (r.rolsuper or r.rolbypassrls or r.rolname !~ '^sp_bi_[a-z0-9]([a-z0-9-]{0,48}[a-z0-9])?$')
        limit 1
        "#
    )
    .fetch_optional(&mut *connection)
    .await?;
    match hole {
        Some(hole) => Err(CheckError::Object { object: hole.object, how: hole.how }.into()),
        None => Ok(()),
    }
}

pub(super) async fn settings(connection: &mut PgConnection, waiver: SettingsWaiver) -> Result<(), DbError> {
    if waiver == SettingsWaiver::WorthlessData {
        return Ok(());
    }
    let off = sqlx::query!(
        r#"select name as "name!", setting as "setting!" from pg_settings
        where name in ('fsync', 'full_page_writes', 'synchronous_commit') and setting = 'off'"#
    );
    match off.fetch_optional(&mut *connection).await? {
        Some(off) => Err(CheckError::NotDurable { setting: off.name, value: off.setting }.into()),
        None => Ok(()),
    }
}

/// All our migrations are applied. More may be: a newer binary's migrations work for the older one too.
pub(super) async fn schema_version(pool: &PgPool) -> Result<(), DbError> {
    let versions: Vec<i64> = MIGRATOR.iter().map(|m| m.version).collect();
    let applied = sqlx::query_scalar!(
        r#"select count(*) as "n!" from _sqlx_migrations where success and version = any ($1)"#,
        &versions
    );
    let applied = applied.fetch_one(pool).await.or_else(|error| match error.as_database_error() {
        Some(refused) if refused.code().as_deref() == Some("42P01") => Ok(0),
        _ => Err(error),
    })?;
    let known = i64::try_from(versions.len()).unwrap_or(i64::MAX);
    if applied < known { Err(CheckError::Schema { applied, known }.into()) } else { Ok(()) }
}
