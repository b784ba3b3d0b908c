//! The command line: one file a command, and what they share.

mod check;
mod devices;
mod health;
mod maintenance;
mod progress;
mod quarantine;
mod run;
pub(crate) mod screen;
mod spool;
mod status;
mod support_bundle;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::config::{Config, ConfigError};

/// Exit code for bad configuration (`EX_USAGE`).
const BAD_CONFIG: u8 = 64;
/// How long a question to a running agent may take.
const LOCAL_TIMEOUT: Duration = Duration::from_secs(5);

/// Reads the devices of a store, keeps every sample, pushes them to the cloud.
#[derive(Parser)]
#[command(name = "storepulse-agent", version, about)]
struct Cli {
    /// The configuration file
    #[arg(long, global = true, env = "STOREPULSE_CONFIG", default_value = "agent.yaml")]
    config: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the agent
    Run {
        /// What is logged: a level, or target=level, several with commas between
        #[arg(long, env = "STOREPULSE_LOG", default_value = "info")]
        log: String,
    },
    /// Show how the agent and its devices are
    Status {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Check the configuration and what it names
    Check,
    /// Show the serial ports of this box: what is behind them, who has them, and, on request, what answers
    Devices(devices::DevicesCommand),
    /// Say by the exit code whether the agent is healthy (for containers)
    Health,
    /// Say that somebody works in the shop, so that its alerts wait; the agent must run
    #[command(subcommand)]
    Maintenance(maintenance::MaintenanceCommand),
    /// Look into the spool, or take what waits out of it as a file; the agent may run meanwhile
    #[command(subcommand)]
    Spool(spool::SpoolCommand),
    /// What the cloud refused: look at it, take it out as a file, send it once more, discard it
    #[command(subcommand)]
    Quarantine(quarantine::QuarantineCommand),
    /// Put everything that support wants to know into one file, without secrets
    SupportBundle(support_bundle::SupportBundleCommand),
}

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
    let config = match (Config::load(&cli.config), &cli.command) {
        (Ok(config), _) => Some(config),
        // A shop begins with looking at what is there.
        (Err(ConfigError::Read { .. }), Command::Devices(_)) => None,
        // What is wrong with it stands in the bundle.
        (Err(_), Command::SupportBundle(_)) => None,
        (Err(error), _) => return bad_config(&error),
    };
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(command(cli.command, &cli.config, config)),
        Err(error) => Err(error.into()),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            say(&format!("storepulse-agent: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Every command but `devices` and `support-bundle` needs a configuration.
async fn command(command: Command, path: &Path, config: Option<Config>) -> anyhow::Result<ExitCode> {
    let out = &mut std::io::stdout();
    match (command, config) {
        (Command::SupportBundle(command), _) => support_bundle::run(path, command, out).await,
        (Command::Devices(command), config) => devices::run(config.as_ref(), command, out).await,
        (_, None) => Ok(ExitCode::from(BAD_CONFIG)),
        (Command::Run { log }, Some(config)) => run::run(config, &log).await,
        (Command::Status { json }, Some(config)) => status::run(&config, json, out).await,
        (Command::Check, Some(config)) => check::run(&config, out),
        (Command::Health, Some(config)) => health::run(&config).await,
        (Command::Maintenance(command), Some(config)) => maintenance::run(&config, command, out).await,
        (Command::Spool(command), Some(config)) => spool::run(&config, command, out),
        (Command::Quarantine(command), Some(config)) => quarantine::run(&config, command, out).await,
    }
}

fn bad_config(error: &ConfigError) -> ExitCode {
    say(&format!("storepulse-agent: {error}"));
    ExitCode::from(BAD_CONFIG)
}

/// A line to stderr; where nobody listens there is nothing to be done about it.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Asks the running agent.
async fn ask(config: &Config, path: &str) -> Result<(u16, String), reqwest::Error> {
    let client = reqwest::Client::builder().no_proxy().timeout(LOCAL_TIMEOUT).build()?;
    let response = client.get(format!("http://{}{path}", config.local.listen)).send().await?;
    let status = response.status().as_u16();
    Ok((status, response.text().await?))
}
