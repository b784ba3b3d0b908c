//! `run`: the agent itself, until SIGTERM or SIGINT.

use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::app::{self, Listeners};
use crate::config::Config;

pub(super) async fn run(config: Config) -> anyhow::Result<ExitCode> {
    let filter = EnvFilter::builder()
        .with_env_var("STOREPULSE_LOG")
        .with_default_directive(tracing::Level::INFO.into());
    tracing_subscriber::fmt()
        .with_env_filter(filter.from_env_lossy())
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .with_target(false)
        .init();
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stop = CancellationToken::new();
    let listeners = Listeners::bind(&config).await?;
    let agent = app::run(config, listeners, stop.clone());
    tokio::pin!(agent);
    tokio::select! {
        ended = &mut agent => return ended.map(|()| ExitCode::SUCCESS).map_err(Into::into),
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    stop.cancel();
    agent.await?;
    Ok(ExitCode::SUCCESS)
}
