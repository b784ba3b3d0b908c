//! `store`: the stores of a tenant: make and suspend them, and see what has arrived of each.

use std::io::Write;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use storepulse_shared::ids::{StoreId, TenantId};

use crate::agent_settings;
use crate::audit::Actor;
use crate::config::DatabaseArgs;
use crate::db::Db;
use crate::store::overview::{StoreOverview, overview};
use crate::tenant::stores::{self, NewStore, StoreChange, StoreStatus};

/// Longest that the statement takes.
const STATEMENT_MAX: Duration = Duration::from_secs(60);

#[derive(Args)]
pub(crate) struct StoreArgs {
    #[command(flatten)]
    pub(crate) database: DatabaseArgs,
    #[command(subcommand)]
    action: Action,
}

#[derive(Args, Clone)]
struct Which {
    /// The tenant's id
    #[arg(long)]
    tenant: TenantId,
    /// One JSON object instead of a table
    #[arg(long)]
    json: bool,
}

#[derive(Subcommand)]
enum Action {
    /// List the stores of a tenant
    List(Which),
    /// Show what has arrived of each store, what is missing and what is lost
    Overview(Which),
    /// Create a store, if the tenant may have another one
    Create {
        /// The tenant's id
        #[arg(long)]
        tenant: TenantId,
        /// The store's id: 1 to 50 of A-Z, a-z, 0-9 and '-'
        #[arg(long)]
        store: StoreId,
        /// What people call it; its id if it is left out
        #[arg(long)]
        name: Option<String>,
    },
    /// Change a store's name, suspend it or let it send again
    Update {
        /// The tenant's id
        #[arg(long)]
        tenant: TenantId,
        /// The store's id
        #[arg(long)]
        store: StoreId,
        /// What people call it
        #[arg(long)]
        name: Option<String>,
        /// Whether its agent may send
        #[arg(long)]
        status: Option<StoreStatus>,
    },
    /// Show what is set over the agent.yaml of a store, and what became of it; or set it anew
    AgentSettings {
        /// The tenant's id
        #[arg(long)]
        tenant: TenantId,
        /// The store's id
        #[arg(long)]
        store: StoreId,
        /// All that is to lie over agent.yaml, as JSON; {} takes everything away
        #[arg(long)]
        set: Option<String>,
    },
}

pub(crate) async fn run(db: &Db, args: StoreArgs, out: &mut impl Write) -> anyhow::Result<()> {
    match args.action {
        Action::List(which) => list(db, &which.tenant, which.json, out).await,
        Action::Overview(which) => show_overview(db, &which.tenant, which.json, out).await,
        Action::Create { tenant, store, name } => {
            let mut tx = db.control().await?;
            let new = NewStore { store_id: store, name };
            let store = stores::create(&mut tx, &Actor::command_line(), &tenant, &new).await?;
            tx.commit().await?;
            Ok(writeln!(out, "{}", serde_json::to_string(&store)?)?)
        }
        Action::Update { tenant, store, name, status } => {
            let mut tx = db.control().await?;
            let change = StoreChange { name, status };
            let store = stores::update(&mut tx, &Actor::command_line(), &tenant, &store, &change).await?;
            tx.commit().await?;
            Ok(writeln!(out, "{}", serde_json::to_string(&store)?)?)
        }
        Action::AgentSettings { tenant, store, set } => {
            let mut tx = db.control().await?;
            let now = match set {
                Some(text) => {
                    let settings = serde_json::from_str(&text).context("--set: not a JSON object")?;
                    let now =
                        agent_settings::set(&mut tx, &Actor::command_line(), &tenant, &store, &settings)
                            .await?;
                    tx.commit().await?;
                    now
                }
                None => agent_settings::show(&mut tx, &tenant, &store).await?,
            };
            Ok(writeln!(out, "{}", serde_json::to_string(&now)?)?)
        }
    }
}

/// Writes id, status and name of every store.
///
/// # Errors
/// There is no such tenant, or the database refused.
pub async fn list(db: &Db, tenant: &TenantId, json: bool, out: &mut impl Write) -> anyhow::Result<()> {
    let stores = read(db, tenant).await?;
    if json {
        let all = stores.iter().map(|s| serde_json::json!({"id": s.id, "name": s.name, "status": s.status}));
        writeln!(out, "{}", serde_json::json!({"tenant": tenant, "stores": all.collect::<Vec<_>>()}))?;
        return Ok(());
    }
    let rows = stores.into_iter().map(|s| [s.id, s.status, s.name]).collect();
    table(out, ["STORE", "STATUS", "NAME"], rows)
}

/// Writes a line for every store, or everything as JSON.
///
/// # Errors
/// There is no such tenant, or the database refused.
pub async fn show_overview(
    db: &Db,
    tenant: &TenantId,
    json: bool,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let stores = read(db, tenant).await?;
    if json {
        writeln!(out, "{}", serde_json::json!({"tenant": tenant, "stores": stores}))?;
        return Ok(());
    }
    let head = [
        "STORE",
        "STATUS",
        "LAST RECEIVED",
        "MISSING",
        "SAMPLES TODAY",
        "OPEN LOSSES",
        "LOST",
        "REJECTED",
        "AGENT",
        "SETTINGS",
        "NAME",
    ];
    let row = |s: StoreOverview| {
        let forked = if s.forked { " (forked)" } else { "" };
        [
            s.id,
            s.status,
            s.last_received.unwrap_or_else(|| "never".to_owned()),
            s.missing.to_string(),
            s.samples_today.to_string(),
            s.open_losses.to_string(),
            s.lost_samples.to_string(),
            s.rejected_samples.to_string(),
            format!("{}{forked}", s.agent_version.as_deref().unwrap_or("unknown")),
            s.agent_settings.to_string(),
            s.name,
        ]
    };
    table(out, head, stores.into_iter().map(row).collect())
}

async fn read(db: &Db, tenant: &TenantId) -> anyhow::Result<Vec<StoreOverview>> {
    let mut tx = db.read(tenant, STATEMENT_MAX).await?;
    let stores = overview(&mut tx).await?.with_context(|| format!("tenant {tenant} does not exist"))?;
    tx.rollback().await?;
    Ok(stores)
}

/// Columns as wide as their widest text. Names come from people: what would move the cursor is shown as a blank.
fn table<const N: usize>(
    out: &mut impl Write,
    head: [&str; N],
    rows: Vec<[String; N]>,
) -> anyhow::Result<()> {
    let rows: Vec<[String; N]> =
        rows.into_iter().map(|row| row.map(|text| text.replace(char::is_control, " "))).collect();
    let width = |at: usize| {
        let widths = rows.iter().map(|row| row[at].chars().count());
        widths.chain([head[at].chars().count()]).max().unwrap_or_default()
    };
    let widths: [usize; N] = std::array::from_fn(width);
    for row in std::iter::once(head).chain(rows.iter().map(|row| row.each_ref().map(String::as_str))) {
        let cells = row.iter().zip(widths).map(|(text, width)| format!("{text:<width$}"));
        writeln!(out, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}
