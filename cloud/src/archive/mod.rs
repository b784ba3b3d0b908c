//! Everything of one tenant as one file, and back: for keeping, for handing over, and for moving to another database.
//!
//! ```text
//! storepulse-archive 1 {"tenant":"la-villa","schema":12}
//! T stores
//! R {"tenant_id":"la-villa","store_id":"T01", …}          a row as PostgreSQL writes it in JSON
//! E 2 9f86d081884c7d65…                                    rows, and the SHA-256 of their lines
//! …
//! F                                                         the file is whole
//! ```
//!
//! all in gzip. The rows are of one snapshot. Keys are their hashes, so agents go on sending to wherever the tenant is restored; but
//! what authenticators are made of, and the secret of the tenant's provider, stand in it as they are: it is kept like the database.
//! The audit is in it for reading and proving; a restored tenant begins a new chain that names the head of the old one.
//!
//! [`erase()`] leaves a mark of the tenant, its audit, and how far its series were numbered. [`restore()`] proves the whole file before it writes anything, and can be
//! run again after an interruption: what is there already stays as it is.

mod erase;
mod file;
mod restore;
mod sql;
mod write;

pub(crate) use self::erase::erase;
pub(crate) use self::restore::restore;
pub(crate) use self::write::write;

/// The tables of an archive in the order in which they can be restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Table {
    Tenants,
    TenantSettings,
    Stores,
    StoreSettings,
    AgentSettings,
    StoreKeys,
    AuditEntries,
    SeriesCounters,
    Series,
    Streams,
    StoreTallies,
    Events,
    Losses,
    Recoveries,
    IdempotencyKeys,
    Takeovers,
    TakeoverTallies,
    SampleBatches,
    SeriesDays,
    Users,
    UserStores,
    Sessions,
    RefreshTokens,
    Invitations,
    ApiTokens,
    Authenticators,
    RecoveryCodes,
    MailTemplates,
    IdentityProviders,
    UserIdentities,
    JoinedUsers,
    PasswordResets,
    Mails,
    ProviderVisits,
    OperatorEntries,
}

impl Table {
    /// All of them.
    pub(crate) const ALL: [Self; 35] = [
        Self::Tenants,
        Self::TenantSettings,
        Self::Stores,
        Self::StoreSettings,
        Self::AgentSettings,
        Self::StoreKeys,
        Self::AuditEntries,
        Self::SeriesCounters,
        Self::Series,
        Self::Streams,
        Self::StoreTallies,
        Self::Events,
        Self::Losses,
        Self::Recoveries,
        Self::IdempotencyKeys,
        Self::Takeovers,
        Self::TakeoverTallies,
        Self::SampleBatches,
        Self::SeriesDays,
        Self::Users,
        Self::UserStores,
        Self::Sessions,
        Self::RefreshTokens,
        Self::Invitations,
        Self::ApiTokens,
        Self::Authenticators,
        Self::RecoveryCodes,
        Self::MailTemplates,
        Self::IdentityProviders,
        Self::UserIdentities,
        Self::JoinedUsers,
        Self::PasswordResets,
        Self::Mails,
        Self::ProviderVisits,
        Self::OperatorEntries,
    ];

    /// As it is called in the database and in the file.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Tenants => "tenants",
            Self::TenantSettings => "tenant_settings",
            Self::Stores => "stores",
            Self::StoreSettings => "store_settings",
            Self::AgentSettings => "agent_settings",
            Self::StoreKeys => "store_keys",
            Self::AuditEntries => "audit_entries",
            Self::SeriesCounters => "series_counters",
            Self::Series => "series",
            Self::Streams => "streams",
            Self::StoreTallies => "store_tallies",
            Self::Events => "events",
            Self::Losses => "losses",
            Self::Recoveries => "recoveries",
            Self::IdempotencyKeys => "idempotency_keys",
            Self::Takeovers => "takeovers",
            Self::TakeoverTallies => "takeover_tallies",
            Self::SampleBatches => "sample_batches",
            Self::SeriesDays => "series_days",
            Self::Users => "users",
            Self::UserStores => "user_stores",
            Self::Sessions => "sessions",
            Self::RefreshTokens => "refresh_tokens",
            Self::Invitations => "invitations",
            Self::ApiTokens => "api_tokens",
            Self::Authenticators => "authenticators",
            Self::RecoveryCodes => "recovery_codes",
            Self::MailTemplates => "mail_templates",
            Self::IdentityProviders => "identity_providers",
            Self::UserIdentities => "user_identities",
            Self::JoinedUsers => "joined_users",
            Self::PasswordResets => "password_resets",
            Self::Mails => "mails",
            Self::ProviderVisits => "provider_visits",
            Self::OperatorEntries => "operator_entries",
        }
    }

    /// Whether it is read and written on the control tables' door.
    const fn is_control(self) -> bool {
        matches!(
            self,
            Self::Tenants
                | Self::TenantSettings
                | Self::Stores
                | Self::StoreSettings
                | Self::AgentSettings
                | Self::StoreKeys
                | Self::AuditEntries
                | Self::OperatorEntries
        )
    }

    /// Whether only the living system has it: who is inside or on her way, and who is joined to whom. What was taken back since would be
    /// there again.
    const fn is_of_the_living(self) -> bool {
        matches!(
            self,
            Self::OperatorEntries
                | Self::JoinedUsers
                | Self::ProviderVisits
                | Self::PasswordResets
                | Self::Mails
        )
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|table| table.name() == name)
    }
}

/// What was written, restored or erased: rows of each table.
pub(crate) type Counts = std::collections::BTreeMap<&'static str, u64>;
