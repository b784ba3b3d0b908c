//! `plan`: list, make and change plans. The same functions as over HTTP.

use std::collections::BTreeMap;
use std::io::Write;

use clap::{Args, Subcommand};
use serde_json::{Map, Value};

use crate::audit::Actor;
use crate::config::DatabaseArgs;
use crate::db::Db;
use crate::plan::{self, NewPlan};

#[derive(Args)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    pub(crate) database: DatabaseArgs,
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// List the plans, one JSON object a line
    List,
    /// Make or replace a plan: what is left out is not part of it
    Put {
        /// Its id: a-z, 0-9 and '-'
        plan: String,
        /// What people call it
        #[arg(long)]
        name: String,
        /// How many stores its tenants may have; as many as they like if it is left out
        #[arg(long)]
        max_stores: Option<i32>,
        /// Limits, as a JSON object
        #[arg(long, default_value = "{}", value_parser = object)]
        limits: Map<String, Value>,
        /// A feature that its tenants may use
        #[arg(long = "feature", value_name = "NAME")]
        features: Vec<String>,
    },
}

/// A JSON object that stands on the command line.
pub(super) fn object(text: &str) -> Result<Map<String, Value>, String> {
    serde_json::from_str(text).map_err(|e| e.to_string())
}

pub(crate) async fn run(db: &Db, args: PlanArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let mut tx = db.control().await?;
    let plans = match args.action {
        Action::List => plan::list(&mut tx).await?,
        Action::Put { plan, name, max_stores, limits, features } => {
            let features: BTreeMap<String, bool> = features.into_iter().map(|name| (name, true)).collect();
            let new = NewPlan { name, max_stores, limits, features };
            vec![plan::put(&mut tx, &Actor::command_line(), &plan, &new).await?]
        }
    };
    tx.commit().await?;
    for plan in &plans {
        writeln!(out, "{}", serde_json::to_string(plan)?)?;
    }
    Ok(())
}
