//! `tenant`: create, list, show, change and end tenants. The same functions as over HTTP, so the same rules and the same
//! audit.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::{Map, Value};
use storepulse_shared::ids::TenantId;

use super::archive;
use super::plan::object;
use crate::audit::Actor;
use crate::config::DatabaseArgs;
use crate::db::Db;
use crate::operator::request::PAGE_MAX;
use crate::tenant::profile::{self, NewTenant, TenantChange};
use crate::tenant::status::Status;

#[derive(Args)]
pub(crate) struct TenantArgs {
    #[command(flatten)]
    pub(crate) database: DatabaseArgs,
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Create a tenant, which is pending then
    Create {
        /// Its id: a-z, 0-9 and '-'
        #[arg(long)]
        tenant: TenantId,
        /// The company's name
        #[arg(long)]
        company: String,
        #[command(flatten)]
        more: More,
    },
    /// List the tenants, one JSON object a line
    List {
        /// Only those in this state
        #[arg(long)]
        status: Option<Status>,
    },
    /// Show a tenant as JSON
    Show {
        /// The tenant's id
        #[arg(long)]
        tenant: TenantId,
    },
    /// Change a tenant; what is left out stays
    Update {
        /// The tenant's id
        #[arg(long)]
        tenant: TenantId,
        /// The company's name
        #[arg(long)]
        company: Option<String>,
        #[command(flatten)]
        more: More,
        /// What it may send, as a JSON object in the form of a plan's limits; {} is as the plan says
        #[arg(long, value_parser = object)]
        limits: Option<Map<String, Value>>,
        /// As many stores as the plan says
        #[arg(long, conflicts_with = "max_stores")]
        no_max_stores: bool,
        /// No host name of its own any more
        #[arg(long, conflicts_with = "custom_domain")]
        no_custom_domain: bool,
    },
    /// Move a tenant: pending to active, active to suspended and back, suspended to inactive
    Status {
        /// The tenant's id
        #[arg(long)]
        tenant: TenantId,
        /// Where to
        to: Status,
    },
    /// Erase everything of an inactive tenant but a mark and its audit
    Erase {
        /// The tenant's id
        #[arg(long)]
        tenant: TenantId,
    },
    /// Restore the tenant of a file that `export` has written
    Restore {
        /// The file
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

#[derive(Args)]
struct More {
    /// Its plan
    #[arg(long)]
    plan: Option<String>,
    /// How many stores it may have, whatever the plan says
    #[arg(long)]
    max_stores: Option<i32>,
    /// How long its samples are kept, in days
    #[arg(long)]
    retention_days: Option<i32>,
    /// A host name of its own
    #[arg(long)]
    custom_domain: Option<String>,
    /// Whether keys of an older system open
    #[arg(long)]
    accept_imported_keys: Option<bool>,
}

pub(crate) async fn run(db: &Db, args: TenantArgs, out: &mut (impl Write + Send)) -> anyhow::Result<()> {
    let actor = Actor::command_line();
    let mut tx = db.control().await?;
    let tenant = match args.action {
        Action::Erase { tenant } => return archive::erase(db, &tenant, out).await,
        Action::Restore { file } => return archive::restore(db, &file, out).await,
        Action::List { status } => return list(db, status, out).await,
        Action::Show { tenant } => profile::show(&mut tx, &tenant).await?,
        Action::Create { tenant, company, more } => {
            let new = NewTenant {
                tenant_id: tenant,
                company,
                plan: more.plan,
                max_stores: more.max_stores,
                retention_days: more.retention_days,
                custom_domain: more.custom_domain,
                accept_imported_keys: more.accept_imported_keys,
            };
            profile::create(&mut tx, &actor, &new).await?
        }
        Action::Update { tenant, company, more, limits, no_max_stores, no_custom_domain } => {
            let change = TenantChange {
                company,
                plan: more.plan,
                max_stores: more.max_stores.map(Some).or(no_max_stores.then_some(None)),
                limits: limits.map(|limits| Some(limits).filter(|limits| !limits.is_empty())),
                retention_days: more.retention_days,
                custom_domain: more.custom_domain.map(Some).or(no_custom_domain.then_some(None)),
                accept_imported_keys: more.accept_imported_keys,
            };
            profile::update(&mut tx, &actor, &tenant, &change).await?
        }
        Action::Status { tenant, to } => profile::set_status(&mut tx, &actor, &tenant, to).await?,
    };
    tx.commit().await?;
    line(out, &tenant)
}

async fn list(db: &Db, status: Option<Status>, out: &mut impl Write) -> anyhow::Result<()> {
    let mut tx = db.control().await?;
    let mut after = String::new();
    loop {
        let page = profile::list(&mut tx, &after, status, PAGE_MAX).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after.clone_from(&last.tenant_id);
        for tenant in &page {
            line(out, tenant)?;
        }
    }
}

fn line(out: &mut impl Write, value: &impl Serialize) -> anyhow::Result<()> {
    Ok(writeln!(out, "{}", serde_json::to_string(value)?)?)
}
