//! Rows as JSON, of every table of an archive, and back.
//!
//! `json` and not `jsonb`: numbers stay as they are written, a zero its sign.

use futures_util::TryStreamExt as _;
use storepulse_shared::ids::TenantId;

use super::Table;
use crate::db::{ControlTx, TenantTx, tell_of_other_data};

/// Runs the same statement for whichever table, each checked by itself.
macro_rules! for_table {
    ($table:expr, $run:ident, { $($variant:ident => $($argument:literal),*;)* }) => {
        match $table {
            $(Table::$variant => $run!($($argument),*),)*
            other => return Err(sqlx::Error::Protocol(format!("{} is not of this door", other.name()))),
        }
    };
}

/// All that this transaction reads from now on is of one moment.
pub(super) async fn hold_still(tx: &mut ControlTx) -> Result<(), sqlx::Error> {
    sqlx::query!("set transaction isolation level repeatable read read only")
        .execute(tx.connection())
        .await?;
    Ok(())
}

/// The number of the last migration.
pub(super) async fn schema(tx: &mut ControlTx) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(r#"select max(version) as "version!" from _sqlx_migrations"#)
        .fetch_one(tx.connection())
        .await
}

/// Hands out every row of a control table.
pub(super) async fn read_control(
    tx: &mut ControlTx,
    tenant: &TenantId,
    table: Table,
    mut row: impl FnMut(&str) -> std::io::Result<()>,
) -> Result<(), sqlx::Error> {
    macro_rules! read {
        ($name:literal, $order:literal) => {{
            let mut rows = sqlx::query_scalar!(
                r#"select row_to_json(whole)::text as "row!" from "#
                    + $name
                    + " whole where tenant_id = $1 order by "
                    + $order,
                tenant.as_str(),
            )
            .fetch(tx.connection());
            while let Some(text) = rows.try_next().await? {
                row(&text)?;
            }
        }};
    }
    for_table!(table, read, {
        Tenants => "tenants", "tenant_id";
        TenantSettings => "tenant_settings", "type, name";
        Stores => "stores", "store_id";
        StoreSettings => "store_settings", "store_id, name";
        AgentSettings => "agent_settings", "store_id";
        StoreKeys => "store_keys", "key_hash";
        AuditEntries => "audit_entries", "no";
        OperatorEntries => "operator_entries", "entry_id";
    });
    Ok(())
}

/// Hands out every row of a table of the tenant's data.
pub(super) async fn read_data(
    tx: &mut TenantTx,
    table: Table,
    mut row: impl FnMut(&str) -> std::io::Result<()>,
) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    macro_rules! read {
        ($name:literal, $order:literal) => {{
            let mut rows = sqlx::query_scalar!(
                r#"select row_to_json(whole)::text as "row!" from "#
                    + $name
                    + " whole where tenant_id = $1 order by "
                    + $order,
                tenant,
            )
            .fetch(tx.connection());
            while let Some(text) = rows.try_next().await? {
                row(&text)?;
            }
        }};
    }
    for_table!(table, read, {
        SeriesCounters => "series_counters", "tenant_id";
        Series => "series", "series_id";
        Streams => "streams", "store_id, epoch";
        StoreTallies => "store_tallies", "store_id";
        Events => "events", "store_id, epoch, seq, no";
        Losses => "losses", "store_id, loss_id";
        Recoveries => "recoveries", "store_id, epoch, seq";
        IdempotencyKeys => "idempotency_keys", "store_id, key";
        Takeovers => "takeovers", "source";
        TakeoverTallies => "takeover_tallies", "source, store, device, metric, reason";
        SampleBatches => "sample_batches", "store_id, epoch, seq";
        SeriesDays => "series_days", "series_id, day, part";
        Users => "users", "user_id";
        UserStores => "user_stores", "user_id, store_id";
        Sessions => "sessions", "session_id";
        RefreshTokens => "refresh_tokens", "token_hash";
        Invitations => "invitations", "invitation_id";
        ApiTokens => "api_tokens", "token_id";
        Authenticators => "authenticators", "user_id";
        RecoveryCodes => "recovery_codes", "user_id, code_hash";
        MailTemplates => "mail_templates", "kind, language";
        IdentityProviders => "identity_providers", "tenant_id";
        UserIdentities => "user_identities", "issuer, subject";
        JoinedUsers => "joined_users", "user_id";
        PasswordResets => "password_resets", "reset_id";
        Mails => "mails", "mail_id";
        ProviderVisits => "provider_visits", "state_hash";
    });
    Ok(())
}

/// Puts rows (a JSON array) into a control table, where they are not there yet. Those of another tenant are not taken.
pub(super) async fn insert_control(
    tx: &mut ControlTx,
    tenant: &TenantId,
    table: Table,
    rows: &str,
) -> Result<u64, sqlx::Error> {
    macro_rules! insert {
        ($name:literal) => {
            sqlx::query!(
                "insert into "
                    + $name
                    + " select whole.* from json_populate_recordset(null::"
                    + $name
                    + ", $2::text::json) whole where tenant_id = $1 on conflict do nothing",
                tenant.as_str(),
                rows,
            )
            .execute(tx.connection())
            .await?
        };
    }
    let done = for_table!(table, insert, {
        TenantSettings => "tenant_settings";
        Stores => "stores";
        StoreSettings => "store_settings";
        AgentSettings => "agent_settings";
        StoreKeys => "store_keys";
        OperatorEntries => "operator_entries";
    });
    Ok(done.rows_affected())
}

/// The same for a table of the tenant's data.
pub(super) async fn insert_data(tx: &mut TenantTx, table: Table, rows: &str) -> Result<u64, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    macro_rules! insert {
        ($name:literal) => {
            sqlx::query!(
                "insert into "
                    + $name
                    + " select whole.* from json_populate_recordset(null::"
                    + $name
                    + ", $2::text::json) whole where tenant_id = $1 on conflict do nothing",
                tenant,
                rows,
            )
            .execute(tx.connection())
            .await?
        };
    }
    if table == Table::SeriesCounters {
        return advance_counter(tx, rows).await;
    }
    let done = for_table!(table, insert, {
        Series => "series";
        Streams => "streams";
        StoreTallies => "store_tallies";
        Events => "events";
        Losses => "losses";
        Recoveries => "recoveries";
        IdempotencyKeys => "idempotency_keys";
        Takeovers => "takeovers";
        TakeoverTallies => "takeover_tallies";
        SampleBatches => "sample_batches";
        SeriesDays => "series_days";
        Users => "users";
        UserStores => "user_stores";
        Sessions => "sessions";
        RefreshTokens => "refresh_tokens";
        Invitations => "invitations";
        ApiTokens => "api_tokens";
        Authenticators => "authenticators";
        RecoveryCodes => "recovery_codes";
        MailTemplates => "mail_templates";
        IdentityProviders => "identity_providers";
        UserIdentities => "user_identities";
        JoinedUsers => "joined_users";
        PasswordResets => "password_resets";
        Mails => "mails";
        ProviderVisits => "provider_visits";
    });
    Ok(done.rows_affected())
}

/// Series are numbered from the later of the archive's number and the one that this database has come to: an id that was ever
/// given here is never given to another series.
async fn advance_counter(tx: &mut TenantTx, rows: &str) -> Result<u64, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    let done = sqlx::query!(
        r#"insert into series_counters as here (tenant_id, last_id)
        select tenant_id, last_id from json_populate_recordset(null::series_counters, $2::text::json)
        where tenant_id = $1
        on conflict (tenant_id) do update set last_id = greatest(here.last_id, excluded.last_id)"#,
        tenant,
        rows,
    );
    Ok(done.execute(tx.connection()).await?.rows_affected())
}

/// The state of a tenant, and whether only its mark is left; `None` if there never was one. Nobody changes it meanwhile.
pub(super) async fn lock_tenant(
    tx: &mut ControlTx,
    tenant: &TenantId,
) -> Result<Option<(String, bool)>, sqlx::Error> {
    let found = sqlx::query!(
        r#"select status, not exists (select from stores s where s.tenant_id = $1) as "is_empty!"
        from tenants where tenant_id = $1 for update"#,
        tenant.as_str(),
    )
    .fetch_optional(tx.connection())
    .await?;
    Ok(found.map(|found| (found.status, found.is_empty)))
}

/// Whether the tenant has this name now.
pub(super) async fn is_called(
    tx: &mut ControlTx,
    tenant: &TenantId,
    company: &str,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select company = $2 as "is!" from tenants where tenant_id = $1"#,
        tenant.as_str(),
        company
    )
    .fetch_one(tx.connection())
    .await
}

/// Makes the tenant's row, inactive, where there is none. Nobody believes any more what was remembered of its data.
pub(super) async fn mark(tx: &mut ControlTx, tenant: &TenantId, company: &str) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"insert into tenants (tenant_id, company, status) values ($1, $2, 'inactive')
        on conflict (tenant_id) do update set company = excluded.company, status = 'inactive', custom_domain = null,
            limits = null, status_changed_at = now(), updated_at = now()"#,
        tenant.as_str(),
        company,
    )
    .execute(tx.connection())
    .await?;
    tell_of_other_data(tx, tenant).await
}

/// Gives the tenant's row what the archive says of it. A domain that is another tenant's by now stays that one's, and is
/// returned. Whoever calls this holds the lock on domains.
pub(super) async fn describe(
    tx: &mut ControlTx,
    tenant: &TenantId,
    row: &str,
) -> Result<Option<String>, sqlx::Error> {
    let taken = sqlx::query_scalar!(
        r#"select a.custom_domain as "domain!" from json_populate_record(null::tenants, $2::text::json) a
        join tenants o on o.custom_domain = a.custom_domain and o.tenant_id <> $1"#,
        tenant.as_str(),
        row,
    )
    .fetch_optional(tx.connection())
    .await?;
    sqlx::query!(
        r#"update tenants t set company = a.company, status = a.status, retention_days = a.retention_days,
            accept_imported_keys = a.accept_imported_keys, created_at = a.created_at, plan = a.plan,
            max_stores = a.max_stores, limits = a.limits,
            custom_domain = case when $3 then null else a.custom_domain end,
            status_changed_at = a.status_changed_at, updated_at = now()
        from json_populate_record(null::tenants, $2::text::json) a
        where t.tenant_id = $1 and a.tenant_id = $1"#,
        tenant.as_str(),
        row,
        taken.is_some(),
    )
    .execute(tx.connection())
    .await?;
    tell_of_other_data(tx, tenant).await?;
    Ok(taken)
}

/// Deletes a tenant's rows of a control table.
pub(super) async fn delete_control(
    tx: &mut ControlTx,
    tenant: &TenantId,
    table: Table,
) -> Result<u64, sqlx::Error> {
    macro_rules! delete {
        ($name:literal) => {
            sqlx::query!("delete from " + $name + " where tenant_id = $1", tenant.as_str())
                .execute(tx.connection())
                .await?
        };
    }
    let done = for_table!(table, delete, {
        TenantSettings => "tenant_settings";
        Stores => "stores";
        StoreSettings => "store_settings";
        AgentSettings => "agent_settings";
        StoreKeys => "store_keys";
        OperatorEntries => "operator_entries";
    });
    Ok(done.rows_affected())
}

/// Deletes the tenant's rows of a table of its data.
pub(super) async fn delete_data(tx: &mut TenantTx, table: Table) -> Result<u64, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    macro_rules! delete {
        ($name:literal) => {
            sqlx::query!("delete from " + $name + " where tenant_id = $1", tenant)
                .execute(tx.connection())
                .await?
        };
    }
    let done = for_table!(table, delete, {
        Series => "series";
        Streams => "streams";
        StoreTallies => "store_tallies";
        Events => "events";
        Losses => "losses";
        Recoveries => "recoveries";
        IdempotencyKeys => "idempotency_keys";
        Takeovers => "takeovers";
        TakeoverTallies => "takeover_tallies";
        Users => "users";
        UserStores => "user_stores";
        Sessions => "sessions";
        RefreshTokens => "refresh_tokens";
        Invitations => "invitations";
        ApiTokens => "api_tokens";
        Authenticators => "authenticators";
        RecoveryCodes => "recovery_codes";
        MailTemplates => "mail_templates";
        IdentityProviders => "identity_providers";
        UserIdentities => "user_identities";
        JoinedUsers => "joined_users";
        PasswordResets => "password_resets";
        Mails => "mails";
        ProviderVisits => "provider_visits";
    });
    Ok(done.rows_affected())
}

/// Deletes one store's rows of the inbox.
pub(super) async fn delete_inbox(tx: &mut TenantTx, store: &str) -> Result<u64, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    let done =
        sqlx::query!("delete from sample_batches where tenant_id = $1 and store_id = $2", tenant, store);
    Ok(done.execute(tx.connection()).await?.rows_affected())
}

/// Deletes what is compacted of one store's series.
pub(super) async fn delete_days(tx: &mut TenantTx, store: &str) -> Result<u64, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    let done = sqlx::query!(
        r#"delete from series_days where tenant_id = $1 and series_id in (
            select series_id from series where tenant_id = $1 and store_id = $2)"#,
        tenant,
        store,
    );
    Ok(done.execute(tx.connection()).await?.rows_affected())
}

/// The ids of the tenant's stores.
pub(super) async fn stores(tx: &mut TenantTx) -> Result<Vec<String>, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query_scalar!("select store_id from stores where tenant_id = $1 order by store_id", tenant)
        .fetch_all(tx.connection())
        .await
}
