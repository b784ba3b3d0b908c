//! `bi-role`: logins for people who read a tenant's data in SQL. A password is told once: in a file, or on the terminal.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use sqlx::postgres::PgConnectOptions;
use storepulse_shared::ids::TenantId;

use super::prepare_embedded;
use crate::bi;
use crate::config::{ConfigError, DatabaseUrl};
use crate::embedded::{Access, DATABASE, Embedded, EmbeddedError, Options, random_secret};

/// Connections of the service that nobody uses while the roles are made.
const CONNECTIONS: u32 = 1;

#[derive(Args)]
pub(crate) struct BiRoleArgs {
    /// PostgreSQL, as a login that may create roles, as for `migrate --bootstrap`
    #[arg(long, env = "STOREPULSE_MIGRATE_URL", hide_env_values = true, value_name = "URL")]
    database_url: Option<DatabaseUrl>,
    /// The private PostgreSQL in this folder
    #[arg(long, env = "STOREPULSE_EMBEDDED", value_name = "DIR", conflicts_with = "database_url")]
    embedded: Option<PathBuf>,
    #[command(subcommand)]
    action: Action,
}

/// What to do.
#[derive(Debug, Clone, Subcommand)]
pub enum Action {
    /// Make a login that reads this tenant; its password cannot be shown again
    Create {
        /// The tenant's id
        #[arg(long)]
        tenant: TenantId,
        /// A new file for the URL with the password, readable by its owner only; without it the URL is printed
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// List these logins and what they have open
    List,
    /// End the sessions of a tenant's readers and take their login away
    Drop {
        /// The tenant's id
        #[arg(long)]
        tenant: TenantId,
    },
}

pub(super) async fn command(args: BiRoleArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let (admin, server) = match (args.database_url, &args.embedded) {
        (Some(url), _) => (url.0, None),
        (None, Some(dir)) => embedded(dir).await?,
        (None, None) => {
            let why = "no database: give --database-url (STOREPULSE_MIGRATE_URL) of a login that may create roles, \
                       or --embedded DIR for a private one";
            return Err(ConfigError(why.to_owned()).into());
        }
    };
    let outcome = run(&admin, args.action, out).await;
    if let Some(server) = server {
        server.stop().await;
    }
    outcome
}

/// The superuser of the private server that runs in the folder, or of one started for this.
async fn embedded(dir: &Path) -> anyhow::Result<(PgConnectOptions, Option<Embedded>)> {
    match Embedded::start(Options::durable(dir)).await {
        Ok(server) => {
            prepare_embedded(&server, CONNECTIONS).await?;
            Ok((server.admin(DATABASE), Some(server)))
        }
        Err(EmbeddedError::InUse(_)) => Ok((Access::read(dir)?.admin, None)),
        Err(error) => Err(error.into()),
    }
}

/// Makes, lists or drops readers' logins.
///
/// # Errors
/// `admin` may not create roles; the role or the file exists already; nothing has changed then.
pub async fn run(admin: &PgConnectOptions, action: Action, out: &mut impl Write) -> anyhow::Result<()> {
    match action {
        Action::Create { tenant, out: file } => create(admin, &tenant, file.as_deref(), out).await,
        Action::List => {
            for role in bi::list(admin).await? {
                let state = if role.can_login { "may log in" } else { "may not log in" };
                writeln!(
                    out,
                    "{}  {state}  {} of {} sessions",
                    role.role, role.connections, role.connections_max
                )?;
            }
            Ok(())
        }
        Action::Drop { tenant } => {
            bi::drop(admin, &tenant).await?;
            Ok(writeln!(out, "dropped {}", bi::role_name(&tenant))?)
        }
    }
}

async fn create(
    admin: &PgConnectOptions,
    tenant: &TenantId,
    file: Option<&Path>,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let (role, password) = (bi::role_name(tenant), random_secret());
    let url = Embedded::url(&admin.clone().username(&role).password(&password));
    let Some(path) = file else {
        bi::create(admin, tenant, &password).await?;
        return Ok(writeln!(out, "{url}")?);
    };
    // The file comes first: a role whose password nobody has would be in the way.
    write_new(path, &format!("{url}\n")).with_context(|| path.display().to_string())?;
    if let Err(error) = bi::create(admin, tenant, &password).await {
        std::fs::remove_file(path).with_context(|| path.display().to_string())?;
        return Err(error.into());
    }
    Ok(writeln!(out, "created {role}: how it logs in stands in {}", path.display())?)
}

fn write_new(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}
