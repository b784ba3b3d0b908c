//! `cargo torture`: the product under blows, judged from outside.

mod cloud;
mod compaction;
mod damage;
mod fleet;
mod kills;
mod parsers;
mod power_cuts;
mod replug;
mod restore;
mod rolling;
mod rounds;
mod settings;
mod wire;

use std::io::Write;
use std::path::Path;

use clap::{Args, Subcommand};

use self::cloud::CloudArgs;
use self::damage::Damage;
use self::fleet::FleetArgs;
use self::kills::Kills;
use self::parsers::ParsersArgs;
use self::power_cuts::PowerCuts;
use self::restore::RestoreArgs;
use self::rolling::RollingArgs;
use self::settings::SettingsArgs;

/// Which blows.
#[derive(Debug, Subcommand)]
pub enum TortureCommand {
    /// SIGKILL of agents and cloud at random moments, behind a link with faults
    Kills(TortureArgs),
    /// The same with power cuts: what an agent's disk had not been told to sync is dropped, reordered and torn
    PowerCuts(TortureArgs),
    /// SIGKILL, and damage to the files of the spool: what is lost must be told, collection must be back at once
    Damage(TortureArgs),
    /// Retries, reordering, closing and cut answers in many streams, and SIGKILL of the cloud: each answer must be true
    Cloud(CloudArgs),
    /// A fleet whose links come back at once: nothing lost, live values on time, memory bounded
    Fleet(FleetArgs),
    /// SIGKILL of upkeep while it compacts what is being written and read
    Compaction(TortureArgs),
    /// Two instances restarted by SIGTERM in turn, under load: no request may fail
    Rolling(RollingArgs),
    /// Total loss of the database, and the restore of a backup that is an hour old, under load: the agents fill the hour again
    Restore(RestoreArgs),
    /// Devices that are pulled and plugged in again, half of them under another name
    Replug(TortureArgs),
    /// Every parser of device protocols, given mutated frames
    Parsers(ParsersArgs),
    /// Settings that are bad sent to many stores at once: back to the old ones by themselves, and no spool the worse for it
    Settings(SettingsArgs),
}

/// How many, and which.
#[derive(Debug, Clone, Args)]
pub struct TortureArgs {
    /// How many blows
    #[arg(long, default_value_t = 50)]
    rounds: u32,
    /// The seed of all randomness; a run prints its own
    #[arg(long)]
    seed: Option<u64>,
    /// How many agents at once
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    agents: u16,
    /// End with one line of JSON
    #[arg(long)]
    json: bool,
}

/// Strikes; `true` if nothing was lost, doubled or invented.
///
/// # Errors
/// Something could not be started, or did not recover in time.
pub async fn run(command: TortureCommand, testbed: &Path, out: &mut impl Write) -> anyhow::Result<bool> {
    match command {
        TortureCommand::Kills(args) => rounds::run(Kills, args, testbed, out).await,
        TortureCommand::PowerCuts(args) => rounds::run(PowerCuts, args, testbed, out).await,
        TortureCommand::Compaction(args) => compaction::run(args, testbed, out).await,
        TortureCommand::Damage(args) => rounds::run(Damage, args, testbed, out).await,
        TortureCommand::Cloud(args) => cloud::run(args, testbed, out).await,
        TortureCommand::Rolling(args) => rolling::run(args, testbed, out).await,
        TortureCommand::Restore(args) => restore::run(args, testbed, out).await,
        TortureCommand::Replug(args) => replug::run(args, testbed, out).await,
        TortureCommand::Parsers(args) => parsers::run(&args, out),
        TortureCommand::Settings(args) => settings::run(args, testbed, out).await,
        TortureCommand::Fleet(args) => fleet::run(args, testbed, out).await,
    }
}
