//! `key`: issue, list, revoke. A key is shown once, when it is issued.

use std::io::Write;

use clap::{Args, Subcommand};
use storepulse_shared::ids::{StoreId, TenantId};
use storepulse_shared::key::StoreKey;

use crate::config::DatabaseArgs;
use crate::db::Db;
use crate::tenant::sql;

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
    /// Revoke a key by its id; it opens nothing within five seconds
    Revoke {
        #[command(flatten)]
        whose: Whose,
        /// The key's public part, as `list` shows it
        #[arg(long)]
        key_id: String,
    },
}

pub(crate) async fn run(db: &Db, args: KeyArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let mut tx = db.control().await?;
    match args.action {
        Action::Issue { whose } => {
            let key = StoreKey::issue(&whose.tenant, &whose.store);
            sql::add_key(&mut tx, &key).await?;
            tx.commit().await?;
            writeln!(out, "{}", key.expose())?;
        }
        Action::List { whose } => {
            for key in sql::keys(&mut tx, &whose.tenant, &whose.store).await? {
                let state = key.revoked_at.map_or_else(|| "active".to_owned(), |at| format!("revoked {at}"));
                writeln!(out, "{}  {}  {}  {state}", key.key_id, key.origin, key.created_at)?;
            }
        }
        Action::Revoke { whose, key_id } => {
            let revoked = sql::revoke_key(&mut tx, &whose.tenant, &whose.store, &key_id).await?;
            anyhow::ensure!(
                revoked > 0,
                "store {} of tenant {} has no active key {key_id:?}; `key list` shows what it has",
                whose.store,
                whose.tenant
            );
            tx.commit().await?;
            writeln!(out, "revoked {key_id}")?;
        }
    }
    Ok(())
}
