//! `key`: issue, list, take over, rotate, revoke. A key is shown once, when it is issued; one that an agent makes itself,
//! never. All of it is in the tenant's audit.

use std::io::Write;
use std::time::Duration;

use clap::{Args, Subcommand};
use storepulse_shared::ids::{StoreId, TenantId};
use storepulse_shared::rotation::KeyHash;
use time::OffsetDateTime;

use crate::app::rfc3339;
use crate::audit::Actor;
use crate::config::DatabaseArgs;
use crate::db::Db;
use crate::tenant::keys::{self, WINDOW_MAX};

#[derive(Args)]
pub(crate) struct KeyArgs {
    #[command(flatten)]
    pub(crate) database: DatabaseArgs,
    #[command(subcommand)]
    action: Action,
}

#[derive(Args, Clone)]
struct Whose {
    /// The tenant's id
    #[arg(long)]
    tenant: TenantId,
    /// The store's id
    #[arg(long)]
    store: StoreId,
}

#[derive(Subcommand)]
enum Action {
    /// Make a key and print it; it cannot be shown again
    Issue {
        #[command(flatten)]
        whose: Whose,
    },
    /// List the keys of a store, without the keys
    List {
        #[command(flatten)]
        whose: Whose,
    },
    /// Take over a key of an older system by its SHA-256; it opens where the tenant accepts imported keys
    Import {
        #[command(flatten)]
        whose: Whose,
        /// SHA-256 of the whole key: 64 hex digits in lower case
        #[arg(long, value_parser = sha256)]
        sha256: KeyHash,
    },
    /// Let the store's agent make a new key, once; it retires the old one itself
    Rotate {
        #[command(flatten)]
        whose: Whose,
        /// How long the agent has for it, at most 24h
        #[arg(long, default_value = "24h", value_parser = window)]
        window: Duration,
    },
    /// Revoke a key by its id; it opens nothing within five seconds
    Revoke {
        #[command(flatten)]
        whose: Whose,
        /// The key's public part, as `list` shows it
        #[arg(long)]
        key_id: String,
        /// Somebody else may have it: also closes a window that is open for a new key
        #[arg(long)]
        compromised: bool,
    },
}

fn window(text: &str) -> Result<Duration, String> {
    let window = humantime::parse_duration(text).map_err(|e| e.to_string())?;
    let is_possible = (Duration::from_secs(1)..=WINDOW_MAX).contains(&window);
    if is_possible { Ok(window) } else { Err("1s to 24h".to_owned()) }
}

fn sha256(text: &str) -> Result<KeyHash, String> {
    serde_json::from_value(text.into()).map_err(|e| e.to_string())
}

pub(crate) async fn run(db: &Db, args: KeyArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let actor = Actor::command_line();
    match args.action {
        Action::Issue { whose } => {
            let mut tx = db.control().await?;
            let key = keys::issue(&mut tx, &actor, &whose.tenant, &whose.store).await?;
            tx.commit().await?;
            writeln!(out, "{}", key.expose())?;
        }
        Action::List { whose } => {
            let mut tx = db.control().await?;
            for key in keys::list(&mut tx, &whose.tenant, &whose.store).await? {
                let state = key.revoked_at.map_or_else(
                    || "active".to_owned(),
                    |at| format!("{} {at}", key.revoked_as.as_deref().unwrap_or("revoked")),
                );
                let used = key.last_used_at.map_or_else(|| "not used".to_owned(), |at| format!("used {at}"));
                writeln!(out, "{}  {}  {}  {used}  {state}", key.key_id, key.origin, key.created_at)?;
            }
        }
        Action::Import { whose, sha256 } => {
            let mut tx = db.control().await?;
            let imported = keys::import(&mut tx, &actor, &whose.tenant, &whose.store, sha256).await?;
            tx.commit().await?;
            writeln!(out, "imported {}", imported.key_id)?;
            if !imported.opens {
                let tenant = &whose.tenant;
                writeln!(
                    out,
                    "it opens nothing until `tenant update --tenant {tenant} --accept-imported-keys true`"
                )?;
            }
        }
        Action::Rotate { whose, window } => {
            let closes_at = open_window(db, &whose.tenant, &whose.store, window).await?;
            writeln!(
                out,
                "open until {}: the agent makes a new key with its next batches",
                rfc3339(closes_at)
            )?;
        }
        Action::Revoke { whose, key_id, compromised } => {
            let followers = revoke(db, &whose.tenant, &whose.store, &key_id, compromised).await?;
            writeln!(out, "revoked {key_id}")?;
            for follower in followers {
                writeln!(
                    out,
                    "key {follower} was registered over it and still opens; revoke it too if it is not the box's own"
                )?;
            }
        }
    }
    Ok(())
}

/// Opens a window in which the store's agent registers one new key; returns when it closes.
///
/// # Errors
/// The store is not there, or has no key that could be followed, or two already.
pub async fn open_window(
    db: &Db,
    tenant: &TenantId,
    store: &StoreId,
    window: Duration,
) -> anyhow::Result<OffsetDateTime> {
    let mut tx = db.control().await?;
    let closes_at = keys::open_window(&mut tx, &Actor::command_line(), tenant, store, window).await?;
    tx.commit().await?;
    Ok(closes_at)
}

/// Revokes a key; a compromised one also loses the window in which it could register another. Returns active keys that
/// were registered over it.
///
/// # Errors
/// The store has no such active key.
pub async fn revoke(
    db: &Db,
    tenant: &TenantId,
    store: &StoreId,
    key_id: &str,
    compromised: bool,
) -> anyhow::Result<Vec<String>> {
    let mut tx = db.control().await?;
    let actor = Actor::command_line();
    let revoked = keys::revoke(&mut tx, &actor, tenant, store, key_id, compromised).await?;
    tx.commit().await?;
    Ok(revoked.followers)
}
