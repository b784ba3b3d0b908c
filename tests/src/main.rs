//! The testbed's commands; `.cargo/config.toml` gives each a name of its own (`cargo demo`, …).

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Exit code where there is no Docker engine (`EX_UNAVAILABLE`).
#[cfg(feature = "product")]
const UNAVAILABLE: u8 = 69;

#[derive(Parser)]
#[command(about, version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check every query against a migrated server and refresh cloud/.sqlx
    Sql {
        /// Change nothing; fail if cloud/.sqlx is stale
        #[arg(long)]
        check: bool,
    },
    /// The product at work, checking itself
    #[cfg(feature = "product")]
    Demo(storepulse_testbed::demo::DemoArgs),
    /// The product under blows
    #[cfg(feature = "product")]
    #[command(subcommand)]
    Torture(storepulse_testbed::torture::TortureCommand),
    /// Every way that a tenant could see another one's data, tried
    #[cfg(feature = "product")]
    Isolation(storepulse_testbed::isolation::IsolationArgs),
    /// This version and the one before it, mixed as an upgrade mixes them
    #[cfg(feature = "product")]
    Compat(storepulse_testbed::compat::CompatArgs),
    /// Every promised figure beside its limit
    #[cfg(feature = "product")]
    Figures(storepulse_testbed::figures::FiguresArgs),
    /// Our interfaces against foreign programs
    #[cfg(feature = "product")]
    Peers(storepulse_testbed::peers::PeersArgs),
    /// The agent's pages in Chromium
    #[cfg(feature = "product")]
    Browser(storepulse_testbed::browser::BrowserArgs),
    /// From nothing to running, with a real Docker engine
    #[cfg(feature = "product")]
    Engine(storepulse_testbed::engine::EngineArgs),
    /// The agent, as a child
    #[cfg(feature = "product")]
    #[command(hide = true, disable_help_flag = true)]
    Agent {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<std::ffi::OsString>,
    },
    /// The cloud's command line, as a child
    #[cfg(feature = "product")]
    #[command(hide = true, disable_help_flag = true)]
    Cloud {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<std::ffi::OsString>,
    },
    /// The agent, as a child, on a disk whose power goes
    #[cfg(feature = "product")]
    #[command(hide = true)]
    AgentOnFaultDisk(storepulse_testbed::roles::AgentOnFaultDisk),
    /// The cloud, as a child
    #[cfg(feature = "product")]
    #[command(hide = true)]
    CloudRole(Box<storepulse_testbed::roles::CloudRole>),
    /// Onboarding, as a child
    #[cfg(feature = "product")]
    #[command(hide = true)]
    OnboardRole(Box<storepulse_testbed::roles::OnboardRole>),
    /// Upkeep, as a child, again and again
    #[cfg(feature = "product")]
    #[command(hide = true)]
    UpkeepRole(Box<storepulse_testbed::roles::UpkeepRole>),
}

fn main() -> ExitCode {
    let command = Cli::parse().command;
    // The shipped command lines make a runtime of their own.
    #[cfg(feature = "product")]
    let command = match command {
        Command::Agent { args } => return storepulse_testbed::roles::agent(args),
        Command::Cloud { args } => return storepulse_testbed::roles::cloud_commands(args),
        Command::AgentOnFaultDisk(role) => return storepulse_testbed::roles::agent_on_fault_disk(role),
        command => command,
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into()),
    };
    match runtime.block_on(run(command)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => fail(&error),
    }
}

fn fail(error: &anyhow::Error) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "error: {error:#}");
    // What could not be tried has neither succeeded nor failed.
    #[cfg(feature = "product")]
    if error.is::<storepulse_testbed::engine::NoEngine>() {
        return ExitCode::from(UNAVAILABLE);
    }
    ExitCode::FAILURE
}

/// `true` if what was checked holds.
async fn run(command: Command) -> anyhow::Result<bool> {
    let out = &mut std::io::stdout();
    match command {
        Command::Sql { check } => storepulse_testbed::sql::run(check, out).await.map(|()| true),
        #[cfg(feature = "product")]
        Command::Demo(args) => storepulse_testbed::demo::run(args, &std::env::current_exe()?, out).await,
        #[cfg(feature = "product")]
        Command::Torture(command) => {
            storepulse_testbed::torture::run(command, &std::env::current_exe()?, out).await
        }
        #[cfg(feature = "product")]
        Command::Isolation(args) => storepulse_testbed::isolation::run(args, out).await,
        #[cfg(feature = "product")]
        Command::Compat(args) => storepulse_testbed::compat::run(args, &std::env::current_exe()?, out).await,
        #[cfg(feature = "product")]
        Command::Figures(args) => storepulse_testbed::figures::run(args, out).await,
        #[cfg(feature = "product")]
        Command::Peers(args) => storepulse_testbed::peers::run(args, &std::env::current_exe()?, out).await,
        #[cfg(feature = "product")]
        Command::Browser(args) => {
            storepulse_testbed::browser::run(args, &std::env::current_exe()?, out).await
        }
        #[cfg(feature = "product")]
        Command::Engine(args) => storepulse_testbed::engine::run(args, out).await,
        #[cfg(feature = "product")]
        Command::CloudRole(role) => storepulse_testbed::roles::cloud(*role).await.map(|()| true),
        #[cfg(feature = "product")]
        Command::OnboardRole(role) => storepulse_testbed::roles::onboard(*role).await.map(|()| true),
        #[cfg(feature = "product")]
        Command::UpkeepRole(role) => storepulse_testbed::roles::upkeep(*role).await.map(|()| true),
        #[cfg(feature = "product")]
        Command::Agent { .. } | Command::Cloud { .. } | Command::AgentOnFaultDisk(_) => Ok(true),
    }
}
