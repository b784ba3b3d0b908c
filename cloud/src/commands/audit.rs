//! `audit`: prove the chains of who did what, and write them out. Exits with 1 if a chain is broken.

use std::io::Write;

use clap::{Args, Subcommand};
use storepulse_shared::ids::TenantId;

use crate::audit::verify::{verify, verify_all};
use crate::audit::{Chain, page};
use crate::config::DatabaseArgs;
use crate::db::Db;
use crate::operator::request::PAGE_MAX;

#[derive(Args)]
pub(crate) struct AuditArgs {
    #[command(flatten)]
    pub(crate) database: DatabaseArgs,
    #[command(subcommand)]
    action: Action,
}

/// What to do.
#[derive(Debug, Clone, Subcommand)]
pub enum Action {
    /// Recompute every hash; one JSON object a chain, whose head is to be kept elsewhere and compared
    Verify {
        /// This tenant's chain only
        #[arg(long)]
        tenant: Option<TenantId>,
    },
    /// Write the entries, one JSON object a line: a tenant's, or without one those of the operators
    Export {
        /// The tenant's id
        #[arg(long)]
        tenant: Option<TenantId>,
    },
}

pub(super) async fn command(db: &Db, args: AuditArgs, out: &mut impl Write) -> anyhow::Result<()> {
    run(db, args.action, out).await
}

/// Proves or writes chains.
///
/// # Errors
/// A chain is broken, there is no such tenant, or the database is away.
pub async fn run(db: &Db, action: Action, out: &mut impl Write) -> anyhow::Result<()> {
    match action {
        Action::Verify { tenant } => {
            let verdicts = match &tenant {
                Some(tenant) => {
                    // Also says so if there is no such tenant.
                    page(&mut db.control().await?, Chain::Tenant(tenant), 0, 1).await?;
                    vec![verify(db, Chain::Tenant(tenant)).await?]
                }
                None => verify_all(db).await?,
            };
            for verdict in &verdicts {
                writeln!(out, "{}", serde_json::to_string(verdict)?)?;
            }
            let broken = verdicts.iter().filter(|verdict| verdict.fault.is_some()).count();
            anyhow::ensure!(broken == 0, "{broken} of {} chains are broken", verdicts.len());
            Ok(())
        }
        Action::Export { tenant } => {
            let chain = tenant.as_ref().map_or(Chain::Operators, Chain::Tenant);
            let mut tx = db.control().await?;
            let mut after = 0;
            loop {
                let entries = page(&mut tx, chain, after, PAGE_MAX).await?;
                let Some(last) = entries.last() else { return Ok(()) };
                after = last.no;
                for entry in &entries {
                    writeln!(out, "{}", serde_json::to_string(entry)?)?;
                }
            }
        }
    }
}
