//! Who did what: rows that are added and never changed, chained by their hashes, one chain per tenant and one of the operators.
//!
//! An entry is written in the transaction of what it tells of, so there is none without the other. Number, time and hashes
//! are the database's (migration 0012). Entries speak of ids, never of names of people's or of secrets.

pub(crate) mod http;
mod read;
mod sql;
pub(crate) mod verify;

use serde_json::Value;
use storepulse_shared::ids::{StoreId, TenantId};
use uuid::Uuid;

pub(crate) use self::read::{Chain, Entry, page};
use crate::db::{ControlTx, TenantTx};

/// Who did it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Actor {
    /// Somebody at the command line, by the name that the system knows.
    CommandLine {
        /// The system's name of the user.
        user: String,
    },
    /// The agent of a store, as far as its key tells: what was refused to it.
    Key {
        /// The public part of the key.
        key_id: String,
    },
    /// An operator over HTTP.
    Operator {
        /// Whose key it is.
        name: String,
        /// Which key.
        credential_id: String,
    },
    /// Somebody who is signed in.
    Person {
        /// Which user.
        user: Uuid,
    },
    /// Whoever has the token of an invitation.
    Invitation {
        /// Which.
        invitation: Uuid,
    },
    /// Whoever has the token of a password's reset.
    Reset {
        /// Which.
        reset: Uuid,
    },
    /// Whoever signs up.
    SignUp {
        /// Which.
        sign_up: Uuid,
    },
    /// The provider of a tenant.
    Provider {
        /// Its address.
        issuer: String,
    },
    /// The agent of a store, about its own key.
    Agent {
        /// Which store.
        store: StoreId,
        /// The public part of its key.
        key_id: String,
    },
}

impl Actor {
    /// Whoever runs this command.
    pub(crate) fn command_line() -> Self {
        let uid = nix::unistd::Uid::effective();
        let known = nix::unistd::User::from_uid(uid).ok().flatten();
        Self::CommandLine { user: known.map_or_else(|| uid.to_string(), |user| user.name) }
    }
}

impl std::fmt::Display for Actor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::CommandLine { user } => write!(f, "command-line:{user}"),
            Self::Key { key_id } => write!(f, "key:{key_id}"),
            Self::Operator { name, credential_id } => write!(f, "operator:{name}/{credential_id}"),
            Self::Person { user } => write!(f, "user:{user}"),
            Self::Invitation { invitation } => write!(f, "invitation:{invitation}"),
            Self::Reset { reset } => write!(f, "reset:{reset}"),
            Self::SignUp { sign_up } => write!(f, "sign-up:{sign_up}"),
            Self::Provider { issuer } => write!(f, "provider:{issuer}"),
            Self::Agent { store, key_id } => write!(f, "agent:{store}/{key_id}"),
        }
    }
}

/// What was done: a verb like `tenant.suspended`, to what (`store:T01`), and what there is to know of it.
#[derive(Debug)]
pub(crate) struct Deed<'a> {
    pub action: &'a str,
    pub subject: &'a str,
    pub detail: Value,
}

/// Adds to the chain of a tenant.
pub(crate) async fn record(
    tx: &mut ControlTx,
    tenant: &TenantId,
    actor: &Actor,
    deed: Deed<'_>,
) -> Result<(), sqlx::Error> {
    sql::insert(tx.connection(), tenant.as_str(), &actor.to_string(), deed).await
}

/// The same in a transaction of the tenant's own data.
pub(crate) async fn record_in(tx: &mut TenantTx, actor: &Actor, deed: Deed<'_>) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sql::insert(tx.connection(), &tenant, &actor.to_string(), deed).await
}

/// Adds to the operators' own chain: what belongs to no tenant.
pub(crate) async fn record_of_operators(
    tx: &mut ControlTx,
    actor: &Actor,
    deed: Deed<'_>,
) -> Result<(), sqlx::Error> {
    sql::insert_of_operators(tx, &actor.to_string(), deed).await
}
