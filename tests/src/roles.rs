//! The roles that this binary plays as a child of itself.

use std::ffi::OsString;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use sqlx::postgres::PgConnectOptions;
use storepulse_cloud::app::{self, Config};
use storepulse_cloud::db::{DatabaseConfig, SettingsWaiver};
use storepulse_cloud::tls;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::children::end_with_parent;

/// The shipped command line of the agent.
#[must_use]
pub fn agent(args: Vec<OsString>) -> ExitCode {
    end_with_parent();
    storepulse_agent::run_cli(std::iter::once(OsString::from("storepulse-agent")).chain(args))
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
