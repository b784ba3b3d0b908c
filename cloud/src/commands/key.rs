//! `key`: issue, list, rotate, revoke. A key is shown once, when it is issued; one that an agent makes itself, never.

use std::io::Write;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use storepulse_shared::ids::{StoreId, TenantId};
use storepulse_shared::key::StoreKey;
use time::OffsetDateTime;

use crate::config::DatabaseArgs;
use crate::db::Db;
use crate::tenant::sql;

/// Longest window for a rotation.
const WINDOW_MAX: Duration = Duration::from_secs(24 * 3600);

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

pub(crate) async fn run(db: &Db, args: KeyArgs, out: &mut impl Write) -> anyhow::Result<()> {
    match args.action {
        Action::Issue { whose } => {
            let mut tx = db.control().await?;
            let key = StoreKey::issue(&whose.tenant, &whose.store);
            sql::add_key(&mut tx, &key).await?;
            tx.commit().await?;
            writeln!(out, "{}", key.expose())?;
        }
        Action::List { whose } => {
            let mut tx = db.control().await?;
            for key in sql::keys(&mut tx, &whose.tenant, &whose.store).await? {
                let state = key.revoked_at.map_or_else(|| "active".to_owned(), |at| format!("revoked {at}"));
                writeln!(out, "{}  {}  {}  {state}", key.key_id, key.origin, key.created_at)?;
            }
        }
        Action::Rotate { whose, window } => {
            let closes_at = open_window(db, &whose.tenant, &whose.store, window).await?;
            writeln!(out, "open until {closes_at}: the agent makes a new key with its next batches")?;
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
    let closes_at = sql::open_key_window(&mut tx, tenant, store, window.min(WINDOW_MAX)).await?;
    let closes_at = closes_at.with_context(|| format!("store {store} of tenant {tenant} does not exist"))?;
    let keys = sql::keys(&mut tx, tenant, store).await?;
    match keys.iter().filter(|key| key.revoked_at.is_none()).count() {
        0 => anyhow::bail!(
            "store {store} of tenant {tenant} has no active key that another could follow: `key issue` makes one"
        ),
        1 => {}
        _ => anyhow::bail!(
            "store {store} of tenant {tenant} has two active keys already: revoke the one that its box does not use"
        ),
    }
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
    if compromised {
        sql::close_key_window(&mut tx, tenant, store).await?;
    }
    let revoked = sql::revoke_key(&mut tx, tenant, store, key_id).await?;
    anyhow::ensure!(
        revoked > 0,
        "store {store} of tenant {tenant} has no active key {key_id:?}; `key list` shows what it has"
    );
    let followers = sql::active_followers(&mut tx, tenant, store, key_id).await?;
    tx.commit().await?;
    Ok(followers)
}
