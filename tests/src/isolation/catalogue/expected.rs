//! What the schema is meant to be, written down once more, so that a migration that widens it has to say so here.

/// Tables without a `tenant_id`: they hold nothing of any tenant.
pub(super) const TABLES_WITHOUT_TENANT: [&str; 8] = [
    "_sqlx_migrations",
    "operator_audit_entries",
    "operators",
    "plans",
    "role_permissions",
    "sign_ups",
    "signing_keys",
    "upkeep_jobs",
];

/// Tables that `storepulse_control` reads across tenants.
pub(super) const CONTROL_TABLES: [&str; 10] = [
    "agent_settings",
    "audit_entries",
    "joined_users",
    "mails",
    "operator_entries",
    "store_keys",
    "store_settings",
    "stores",
    "tenant_settings",
    "tenants",
];

/// Tables with tenants' rows that `storepulse_app` has no business with.
pub(super) const NOT_FOR_APP: [&str; 1] = ["store_keys"];

/// What reading people may read, beside the view `samples`.
pub(super) const READ_BY_PEOPLE: [&str; 7] =
    ["events", "losses", "sample_batches", "series", "series_days", "stores", "streams"];

/// Relation, role, privileges.
#[rustfmt::skip]
pub(super) const GRANTS: [(&str, &str, &[&str]); 62] = [
    ("_sqlx_migrations", "storepulse_control", &["SELECT"]),
    ("agent_settings", "storepulse_app", &["SELECT", "UPDATE"]),
    ("agent_settings", "storepulse_control", &["DELETE", "INSERT", "SELECT", "UPDATE"]),
    ("api_tokens", "storepulse_app", &["DELETE", "INSERT", "SELECT", "UPDATE"]),
    ("audit_entries", "storepulse_app", &["INSERT", "SELECT"]),
    ("audit_entries", "storepulse_control", &["INSERT", "SELECT"]),
    ("authenticators", "storepulse_app", &["DELETE", "INSERT", "SELECT", "UPDATE"]),
    ("events", "storepulse_app", &["DELETE", "INSERT", "SELECT"]),
    ("events", "storepulse_bi", &["SELECT"]),
    ("idempotency_keys", "storepulse_app", &["DELETE", "INSERT", "SELECT"]),
    ("identity_providers", "storepulse_app", &["DELETE", "INSERT", "SELECT", "UPDATE"]),
    ("invitations", "storepulse_app", &["DELETE", "INSERT", "SELECT", "UPDATE"]),
    ("joined_users", "storepulse_app", &["DELETE", "INSERT", "SELECT"]),
    ("joined_users", "storepulse_control", &["SELECT"]),
    ("losses", "storepulse_app", &["DELETE", "INSERT", "SELECT"]),
    ("losses", "storepulse_bi", &["SELECT"]),
    ("mail_templates", "storepulse_app", &["DELETE", "INSERT", "SELECT", "UPDATE"]),
    ("mails", "storepulse_app", &["DELETE", "INSERT", "SELECT"]),
    ("mails", "storepulse_control", &["DELETE", "SELECT", "UPDATE"]),
    ("operator_audit_entries", "storepulse_control", &["INSERT", "SELECT"]),
    ("operator_entries", "storepulse_app", &["SELECT"]),
    ("operator_entries", "storepulse_control", &["DELETE", "INSERT", "SELECT", "UPDATE"]),
    ("operators", "storepulse_control", &["INSERT", "SELECT", "UPDATE"]),
    ("password_resets", "storepulse_app", &["DELETE", "INSERT", "SELECT", "UPDATE"]),
    ("plans", "storepulse_control", &["INSERT", "SELECT", "UPDATE"]),
    ("provider_visits", "storepulse_app", &["DELETE", "INSERT", "SELECT"]),
    ("recoveries", "storepulse_app", &["DELETE", "INSERT", "SELECT"]),
    ("recovery_codes", "storepulse_app", &["DELETE", "INSERT", "SELECT", "UPDATE"]),
    ("refresh_tokens", "storepulse_app", &["DELETE", "INSERT", "SELECT", "UPDATE"]),
    ("role_permissions", "storepulse_app", &["SELECT"]),
    ("role_permissions", "storepulse_control", &["DELETE", "INSERT", "SELECT", "UPDATE"]),
    ("sample_batches", "storepulse_app", &["DELETE", "INSERT", "SELECT"]),
    ("sample_batches", "storepulse_bi", &["SELECT"]),
    ("samples", "storepulse_app", &["SELECT"]),
    ("samples", "storepulse_bi", &["SELECT"]),
    ("series", "storepulse_app", &["DELETE", "INSERT", "SELECT", "UPDATE"]),
    ("series", "storepulse_bi", &["SELECT"]),
    ("series_counters", "storepulse_app", &["DELETE", "INSERT", "SELECT", "UPDATE"]),
    ("series_days", "storepulse_app", &["DELETE", "INSERT", "SELECT"]),
    ("series_days", "storepulse_bi", &["SELECT"]),
    ("sessions", "storepulse_app", &["DELETE", "INSERT", "SELECT", "UPDATE"]),
    ("sign_ups", "storepulse_control", &["DELETE", "INSERT", "SELECT", "UPDATE"]),
    ("signing_keys", "storepulse_control", &["DELETE", "INSERT", "SELECT"]),
    ("store_keys", "storepulse_control", &["DELETE", "INSERT", "SELECT", "UPDATE"]),
    ("store_settings", "storepulse_app", &["SELECT"]),
    ("store_settings", "storepulse_control", &["DELETE", "INSERT", "SELECT", "UPDATE"]),
    ("store_tallies", "storepulse_app", &["DELETE", "INSERT", "SELECT", "UPDATE"]),
    ("stores", "storepulse_app", &["SELECT"]),
    ("stores", "storepulse_bi", &["SELECT"]),
    ("stores", "storepulse_control", &["DELETE", "INSERT", "SELECT", "UPDATE"]),
    ("streams", "storepulse_app", &["DELETE", "INSERT", "SELECT", "UPDATE"]),
    ("streams", "storepulse_bi", &["SELECT"]),
    ("takeover_tallies", "storepulse_app", &["DELETE", "INSERT", "SELECT", "UPDATE"]),
    ("takeovers", "storepulse_app", &["DELETE", "INSERT", "SELECT", "UPDATE"]),
    ("tenant_settings", "storepulse_app", &["SELECT"]),
    ("tenant_settings", "storepulse_control", &["DELETE", "INSERT", "SELECT", "UPDATE"]),
    ("tenants", "storepulse_app", &["SELECT"]),
    ("tenants", "storepulse_control", &["INSERT", "SELECT", "UPDATE"]),
    ("upkeep_jobs", "storepulse_control", &["INSERT", "SELECT", "UPDATE"]),
    ("user_identities", "storepulse_app", &["DELETE", "INSERT", "SELECT", "UPDATE"]),
    ("user_stores", "storepulse_app", &["DELETE", "INSERT", "SELECT"]),
    ("users", "storepulse_app", &["DELETE", "INSERT", "SELECT", "UPDATE"]),
];

/// Whether a role may do this to a relation.
pub(in crate::isolation) fn allows(role: &str, relation: &str, privilege: &str) -> bool {
    GRANTS
        .iter()
        .any(|(of, to, privileges)| *of == relation && *to == role && privileges.contains(&privilege))
}

/// Function, as whom it runs, its `search_path`, who may execute it.
pub(super) const FUNCTIONS: [&str; 11] = [
    "audit_hash(bytea,bigint,timestamp with time zone,text,text,text,jsonb) as invoker, search_path=pg_catalog, pg_temp, for PUBLIC",
    "batch_samples(integer[],smallint[],integer[],integer[],double precision[]) as invoker, search_path=pg_catalog, pg_temp, for PUBLIC",
    "chain_audit_entry() as invoker, search_path=pg_catalog, public, pg_temp, for nobody",
    "chain_operator_audit_entry() as invoker, search_path=pg_catalog, public, pg_temp, for nobody",
    "drop_partitions(date) as definer, search_path=pg_catalog, public, pg_temp; lock_timeout=1s, for storepulse_control",
    "make_months(date,date) as definer, search_path=pg_catalog, public, pg_temp, for storepulse_control",
    "make_partitions(date,date) as definer, search_path=pg_catalog, public, pg_temp, for storepulse_control",
    "tell_of_change() as invoker, search_path=pg_catalog, pg_temp, for nobody",
    "through(int8multirange) as invoker, for PUBLIC",
    "unpack(bytea,integer) as invoker, for PUBLIC",
    "unpack_values(bytea,integer) as invoker, for PUBLIC",
];

/// Trigger, what it calls and when, beside those of foreign keys. All are on.
pub(super) const TRIGGERS: [&str; 15] = [
    "agent_settings.tell calls tell_of_change after insert or update, on",
    "api_tokens.tell calls tell_of_change after update, on",
    "audit_entries.chain calls chain_audit_entry before insert, on",
    "authenticators.tell calls tell_of_change after update, on",
    "operator_audit_entries.chain calls chain_operator_audit_entry before insert, on",
    "operator_entries.tell calls tell_of_change after update, on",
    "operators.tell calls tell_of_change after update, on",
    "plans.tell calls tell_of_change after insert or update, on",
    "role_permissions.tell calls tell_of_change after insert or delete or update, on",
    "sessions.tell calls tell_of_change after update, on",
    "signing_keys.tell calls tell_of_change after insert, on",
    "store_keys.tell calls tell_of_change after update, on",
    "stores.tell calls tell_of_change after update, on",
    "tenants.tell calls tell_of_change after update, on",
    "users.tell calls tell_of_change after update, on",
];

/// What each role may do in the database and its schema.
pub(super) const DATABASE: [&str; 10] = [
    "database to PUBLIC: CONNECT",
    "database to storepulse_app: CONNECT",
    "database to storepulse_bi: CONNECT",
    "database to storepulse_control: CONNECT",
    "database to storepulse_owner: CONNECT, TEMPORARY",
    "schema to PUBLIC: USAGE",
    "schema to storepulse_app: USAGE",
    "schema to storepulse_bi: USAGE",
    "schema to storepulse_control: USAGE",
    "schema to storepulse_owner: CREATE, USAGE",
];

/// The one form of a policy for `storepulse_app`.
pub(super) const OF_TENANT: &str = "(tenant_id = current_setting('app.tenant_id'::text, true))";

/// The one form of a policy for `storepulse_bi`: the name of the login says which tenant.
pub(super) const OF_READER: &str = "(tenant_id = substr((CURRENT_USER)::text, 7))";
