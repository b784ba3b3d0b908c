//! `run`: the agent itself, until SIGTERM or SIGINT.

use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::app::{self, Listeners};
use crate::config::Config;

pub(super) async fn run(config: Config) -> anyhow::Result<ExitCode> {
    tracing_subscriber::registry().with(log_filter()).with(log_to_stderr()).init();
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

fn log_to_stderr<S>() -> impl tracing_subscriber::Layer<S>
where
    S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
{
    tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .with_target(false)
}

/// `STOREPULSE_LOG`: a level, or `target=level`, several with commas between; what it does not name is told from `info` on.
fn log_filter() -> Targets {
    let asked = std::env::var("STOREPULSE_LOG").ok().and_then(|text| text.parse::<Targets>().ok());
    let asked = asked.unwrap_or_default();
    let default = asked.default_level().unwrap_or(LevelFilter::INFO);
    asked.with_default(default)
}
