//! The command line: one file a command, and what they share.

pub mod archive;
pub mod audit;
pub mod bi_role;
pub(crate) mod certificate;
pub(crate) mod health;
pub mod import;
pub mod key;
mod migrate;
pub(crate) mod onboard;
pub mod operator;
pub(crate) mod plan;
mod serve;
pub(crate) mod setting;
pub mod store;
pub mod takeover;
pub(crate) mod tenant;
pub mod upkeep;
pub(crate) mod user;
pub mod verify;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;

use crate::config::{Cli, Command, ConfigError, DatabaseArgs};
use crate::db::{DatabaseConfig, Db, SettingsWaiver};
use crate::embedded::{Access, DATABASE, Embedded, EmbeddedError, Options};
use crate::{schema, tls};

/// Exit code for bad configuration (`EX_USAGE`).
const BAD_CONFIG: u8 = 64;

/// Runs the command line.
pub fn run_cli<I, T>(args: I) -> ExitCode
where
    I: IntoIterator<Item = T>,
    T: Into<std::ffi::OsString> + Clone,
{
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are errors to clap, and go to stdout; the rest is a usage error.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(BAD_CONFIG) } else { ExitCode::SUCCESS };
        }
    };
    tls::install_provider();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(run(cli.command)),
        Err(error) => Err(error.into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "storepulse-cloud: {error:#}");
            if error.is::<ConfigError>() { ExitCode::from(BAD_CONFIG) } else { ExitCode::FAILURE }
        }
    }
}

/// Does something with the database of a command.
macro_rules! with_database {
    ($args:ident, $db:ident => $work:expr) => {{
        let ($db, server) = open(&$args.database).await?;
        let outcome = $work.await;
        close($db, server).await;
        outcome
    }};
}

async fn run(command: Command) -> anyhow::Result<()> {
    let out = &mut std::io::stdout();
    match command {
        Command::Serve(args) => serve::run(*args).await,
        Command::Health(args) => health::run(args, out).await,
        Command::Certificate(args) => certificate::run(&args, out),
        Command::Migrate(args) => migrate::run(args, out).await,
        Command::Onboard(args) => with_database!(args, db => onboard::run(&db, *args, out)),
        Command::Import(args) => {
            with_database!(args, db => import::run(&db, &args.request(), SettingsWaiver::None, out))
        }
        Command::Takeover(args) => {
            let (request, how) = args.request();
            with_database!(args, db => takeover::run(&db, (&request, &how), out, &mut std::io::stderr()))
        }
        Command::Export(args) => {
            with_database!(args, db => archive::export(&db, &args.tenant, &args.file, out))
        }
        Command::BiRole(args) => bi_role::command(args, out).await,
        Command::Upkeep(args) => with_database!(args, db => upkeep::run(&db, args.options(), out)),
        Command::Verify(args) => {
            with_database!(args, db => verify::run(&db, &args.request(), out, &mut std::io::stderr()))
        }
        Command::Key(args) => with_database!(args, db => key::run(&db, args, out)),
        Command::Operator(args) => with_database!(args, db => operator::run(&db, args, out)),
        Command::Store(args) => with_database!(args, db => store::run(&db, args, out)),
        Command::Tenant(args) => with_database!(args, db => tenant::run(&db, args, out)),
        Command::Plan(args) => with_database!(args, db => plan::run(&db, args, out)),
        Command::Setting(args) => with_database!(args, db => setting::run(&db, args, out)),
        Command::User(args) => with_database!(args, db => user::run(&db, args, out)),
        Command::Audit(args) => with_database!(args, db => audit::command(&db, args, out)),
    }
}

/// Does what the words after the program's name say to a database that is open: what operators do, and nothing that brings
/// a database of its own.
///
/// # Errors
/// The words are no such command, or it was refused.
pub async fn on(db: &Db, words: &[&str], out: &mut (impl std::io::Write + Send)) -> anyhow::Result<()> {
    match Cli::try_parse_from(std::iter::once(&"storepulse-cloud").chain(words))?.command {
        Command::Key(args) => key::run(db, args, out).await,
        Command::Operator(args) => operator::run(db, args, out).await,
        Command::Store(args) => store::run(db, args, out).await,
        Command::Tenant(args) => tenant::run(db, args, out).await,
        Command::Plan(args) => plan::run(db, args, out).await,
        Command::Setting(args) => setting::run(db, args, out).await,
        Command::User(args) => user::run(db, args, out).await,
        Command::Audit(args) => audit::command(db, args, out).await,
        _ => anyhow::bail!("{words:?} opens its database itself"),
    }
}

/// The database of a command; with `--embedded` the private server that runs in the folder, or one started for this.
async fn open(args: &DatabaseArgs) -> anyhow::Result<(Db, Option<Embedded>)> {
    let Some(dir) = &args.embedded else { return Ok((Db::connect(&args.urls()?).await?, None)) };
    match Embedded::start(Options::durable(dir)).await {
        Ok(server) => {
            let config = prepare_embedded(&server, args.connections).await?;
            Ok((Db::connect(&config).await?, Some(server)))
        }
        Err(EmbeddedError::InUse(_)) => {
            let access = Access::read(dir)?;
            let config = DatabaseConfig {
                app: access.app,
                control: access.control,
                connections: args.connections,
                waiver: SettingsWaiver::None,
            };
            Ok((Db::connect(&config).await?, None))
        }
        Err(error) => Err(error.into()),
    }
}

async fn close(db: Db, server: Option<Embedded>) {
    db.close().await;
    if let Some(server) = server {
        server.stop().await;
    }
}

/// Makes the database of a private server, with roles and schema, and returns how to log in.
///
/// # Errors
/// The server refused a statement.
pub async fn prepare_embedded(server: &Embedded, connections: u32) -> anyhow::Result<DatabaseConfig> {
    server.create_database(DATABASE).await?;
    let admin = server.admin(DATABASE);
    schema::bootstrap(&admin, &server.role_passwords()).await?;
    schema::migrate(&admin).await?;
    Ok(DatabaseConfig {
        app: server.app(DATABASE),
        control: server.control(DATABASE),
        connections,
        waiver: SettingsWaiver::None,
    })
}
