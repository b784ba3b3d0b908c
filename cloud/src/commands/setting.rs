//! `setting`: what every setting of a tenant or a store is, who says so, and changes of it.

use std::io::Write;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use storepulse_shared::ids::{StoreId, TenantId};

use crate::audit::Actor;
use crate::config::DatabaseArgs;
use crate::db::Db;
use crate::settings;

#[derive(Args)]
pub(crate) struct SettingArgs {
    #[command(flatten)]
    pub(crate) database: DatabaseArgs,
    #[command(subcommand)]
    action: Action,
}

#[derive(Args)]
struct Whose {
    /// The tenant's id
    #[arg(long)]
    tenant: TenantId,
    /// The store's id; without it, the tenant's own settings
    #[arg(long)]
    store: Option<StoreId>,
}

#[derive(Subcommand)]
enum Action {
    /// Show all of them as JSON, each with its source
    Show {
        #[command(flatten)]
        whose: Whose,
    },
    /// Set one
    Set {
        #[command(flatten)]
        whose: Whose,
        /// A tenant's by type and name, like general.time_zone; a store's by its name, like pos_system
        name: String,
        /// JSON; what is none is taken as a text
        value: String,
    },
    /// Take one away: plan, tenant or default say again what it is
    Reset {
        #[command(flatten)]
        whose: Whose,
        /// A tenant's by type and name, like general.time_zone; a store's by its name, like pos_system
        name: String,
    },
}

pub(crate) async fn run(db: &Db, args: SettingArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let line = match args.action {
        Action::Show { whose: Whose { tenant, store } } => {
            let mut tx = db.control().await?;
            match store {
                Some(store) => json!(settings::of_store(&mut tx, &tenant, &store).await?),
                None => json!(settings::of_tenant(&mut tx, &tenant).await?),
            }
        }
        Action::Set { whose, name, value } => {
            let value = serde_json::from_str(&value).unwrap_or(Value::String(value));
            change(db, &whose, &name, Some(&value)).await?
        }
        Action::Reset { whose, name } => change(db, &whose, &name, None).await?,
    };
    Ok(writeln!(out, "{line}")?)
}

async fn change(db: &Db, whose: &Whose, name: &str, value: Option<&Value>) -> anyhow::Result<Value> {
    let actor = Actor::command_line();
    let mut tx = db.control().await?;
    let now = match &whose.store {
        Some(store) => settings::set_for_store(&mut tx, &actor, &whose.tenant, store, name, value).await?,
        None => {
            let named = name.split_once('.').context("a tenant's setting is named type.name")?;
            settings::set_for_tenant(&mut tx, &actor, &whose.tenant, named, value).await?
        }
    };
    tx.commit().await?;
    Ok(json!(now))
}
