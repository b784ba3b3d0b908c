//! The roles that this binary plays as a child of itself.

use std::ffi::OsString;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use sqlx::postgres::PgConnectOptions;
use storepulse_cloud::admission::AdmissionLimits;
use storepulse_cloud::app::{self, Config, PeopleConfig};
use storepulse_cloud::db::{DatabaseConfig, Db, SettingsWaiver};
use storepulse_cloud::onboarding::{self, Contacts, How, Request};
use storepulse_cloud::resolution::ResolutionConfig;
use storepulse_cloud::{tls, upkeep};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::children::end_with_parent;
use crate::fault_vfs::{CUT, Counted, Fault, FaultDisk, Strike, Then};

/// The shipped command line of the agent.
#[must_use]
pub fn agent(args: Vec<OsString>) -> ExitCode {
    end_with_parent();
    storepulse_agent::run_cli(std::iter::once(OsString::from("storepulse-agent")).chain(args))
}

/// The shipped command line of the cloud.
#[must_use]
pub fn cloud_commands(args: Vec<OsString>) -> ExitCode {
    end_with_parent();
    storepulse_cloud::run_cli(std::iter::once(OsString::from("storepulse-cloud")).chain(args))
}

/// When the power of a disk goes, and by which dice it falls what is left on it.
#[derive(Debug, Clone, Copy, Args)]
pub struct PowerCut {
    /// At which step of the disk; if the agent ends before, right after its end
    #[arg(long)]
    pub at_step: u64,
    /// Count the steps of the database file only, not those of its WAL
    #[arg(long)]
    pub at_checkpoint: bool,
    /// Of the dice
    #[arg(long)]
    pub seed: u64,
}

impl PowerCut {
    /// The arguments that make an [`AgentOnFaultDisk`] of this binary; those of the agent follow.
    #[must_use]
    pub fn args(self, folder: &Path) -> Vec<String> {
        let (at_step, seed) = (self.at_step.to_string(), self.seed.to_string());
        let folder = folder.display().to_string();
        let mut args =
            vec!["agent-on-fault-disk", "--folder", &folder, "--at-step", &at_step, "--seed", &seed];
        if self.at_checkpoint {
            args.push("--at-checkpoint");
        }
        args.push("--");
        args.into_iter().map(str::to_owned).collect()
    }
}

/// The agent, with its spool on a disk whose power goes.
#[derive(Debug, Args)]
pub struct AgentOnFaultDisk {
    /// The folder that lies on that disk
    #[arg(long)]
    folder: PathBuf,
    #[command(flatten)]
    cut: PowerCut,
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<OsString>,
}

/// The shipped command line of the agent, until the power goes.
#[must_use]
pub fn agent_on_fault_disk(role: AgentOnFaultDisk) -> ExitCode {
    let counted = if role.cut.at_checkpoint { Counted::DatabaseFile } else { Counted::All };
    let strike = Strike { fault: Fault::PowerCut(Then::Die), at: role.cut.at_step, counted };
    let disk = match FaultDisk::attach(&role.folder, Some(strike), role.cut.seed) {
        Ok(disk) => disk,
        Err(error) => {
            // Nobody is left to tell if this fails.
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            return ExitCode::FAILURE;
        }
    };
    let ended = agent(role.args);
    disk.cut();
    if ended == ExitCode::SUCCESS {
        let _ = writeln!(std::io::stderr(), "{CUT}after the agent's end");
    }
    ended
}

/// The cloud, with the one switch that its own command line does not have.
#[derive(Debug, Args)]
pub struct CloudRole {
    #[arg(long)]
    app_url: PgConnectOptions,
    #[arg(long)]
    control_url: PgConnectOptions,
    #[arg(long)]
    listen: SocketAddr,
    #[arg(long)]
    tls: PathBuf,
    #[arg(long, default_value = "0s", value_parser = humantime::parse_duration)]
    drain_delay: Duration,
    /// Nothing here need survive a power cut
    #[arg(long)]
    worthless_data: bool,
}

/// Serves until SIGTERM.
///
/// # Errors
/// The service does not start.
pub async fn cloud(role: CloudRole) -> anyhow::Result<()> {
    end_with_parent();
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).with_target(false).init();
    tls::install_provider();
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let config = Config {
        database: DatabaseConfig {
            app: role.app_url,
            control: role.control_url,
            connections: 16,
            waiver: if role.worthless_data { SettingsWaiver::WorthlessData } else { SettingsWaiver::None },
        },
        tls: Some(tls::self_signed(&role.tls, &names)?),
        admission: AdmissionLimits::default(),
        resolution: ResolutionConfig::default(),
        people: PeopleConfig::default(),
        drain_delay: role.drain_delay,
    };
    let stop = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate())?;
    let service = app::run(config, TcpListener::bind(role.listen)?, stop.clone());
    tokio::pin!(service);
    tokio::select! {
        ended = &mut service => return Ok(ended?),
        _ = terminate.recv() => stop.cancel(),
    }
    Ok(service.await?)
}

/// Onboarding, with the switch of [`CloudRole`].
#[derive(Debug, Args)]
pub struct OnboardRole {
    #[arg(long)]
    app_url: PgConnectOptions,
    #[arg(long)]
    control_url: PgConnectOptions,
    #[arg(long)]
    tenant: String,
    #[arg(long)]
    stores: usize,
    #[arg(long)]
    cloud_url: String,
    #[arg(long)]
    ca: PathBuf,
    #[arg(long)]
    out: PathBuf,
    /// Nothing here need survive a power cut
    #[arg(long)]
    worthless_data: bool,
}

/// Onboards, and says on stderr how far it is.
///
/// # Errors
/// See the onboarding of the cloud.
pub async fn onboard(role: OnboardRole) -> anyhow::Result<()> {
    end_with_parent();
    let config = DatabaseConfig {
        app: role.app_url,
        control: role.control_url,
        connections: 2,
        waiver: if role.worthless_data { SettingsWaiver::WorthlessData } else { SettingsWaiver::None },
    };
    let db = Db::connect(&config).await?;
    let request = Request {
        tenant: role.tenant.parse()?,
        company: "Retail Corp".to_owned(),
        plan: "premium".to_owned(),
        contacts: Contacts::default(),
        stores: onboarding::numbered_stores(role.stores)?,
        cloud_url: role.cloud_url,
        ca: Some(std::fs::read_to_string(&role.ca)?),
    };
    let how = How { out: role.out, validate: true, stop_after: None };
    onboarding::run(&db, &request, &how, &mut std::io::stderr()).await?;
    Ok(())
}

/// Upkeep of a durable database.
#[derive(Debug, Args)]
pub struct UpkeepRole {
    #[arg(long)]
    app_url: PgConnectOptions,
    #[arg(long)]
    control_url: PgConnectOptions,
}

/// Does all upkeep, of what was received today as well, until it is killed.
///
/// # Errors
/// A step failed.
pub async fn upkeep(role: UpkeepRole) -> anyhow::Result<()> {
    end_with_parent();
    let config = DatabaseConfig {
        app: role.app_url,
        control: role.control_url,
        connections: 2,
        waiver: SettingsWaiver::None,
    };
    let db = Db::connect(&config).await?;
    let options = upkeep::Options { gentle: false, today_too: true, everything: true };
    loop {
        let mut told = upkeep::Report::default();
        let tell = |report: &upkeep::Report| {
            if report.samples > told.samples {
                told = *report;
                // For whoever waits for it to begin; nobody else reads it.
                let _ = writeln!(std::io::stderr(), "{report}");
            }
        };
        let done = upkeep::run(&db, options, &CancellationToken::new(), tell).await?;
        anyhow::ensure!(done.is_none_or(|report| report.failed == 0), "{done:?}");
    }
}
