//! The testbed's commands; `.cargo/config.toml` gives each a name of its own (`cargo demo`, …).

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

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
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Cli::parse().command).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Sql { check } => storepulse_testbed::sql::run(check, &mut std::io::stdout()).await,
    }
}
