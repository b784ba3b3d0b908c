//! `run`: the agent itself, until SIGTERM or SIGINT.

use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::app::{self, Listeners};
use crate::bundle::Configuration;
use crate::config::Config;
use crate::log_tail::LogTail;

pub(super) async fn run(config: Config, log: &str) -> anyhow::Result<ExitCode> {
    let tail = LogTail::new(Configuration::load(&config.path).redactor);
    tracing_subscriber::registry().with(log_filter(log)).with(log_to_stderr()).with(tail.layer()).init();
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stop = CancellationToken::new();
    let listeners = Listeners::bind(&config).await?;
    let agent = app::run_logged(config, listeners, tail, stop.clone());
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

/// What it does not name, or where it makes no sense, is told from `info` on: no reason not to collect. An empty variable
/// is none.
fn log_filter(log: &str) -> Targets {
    let asked: Targets = if log.is_empty() { Targets::new() } else { log.parse().unwrap_or_default() };
    let default = asked.default_level().unwrap_or(LevelFilter::INFO);
    asked.with_default(default)
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn what_the_filter_does_not_name_is_told_from_info_on() {
        let told = |log, target, level| log_filter(log).would_enable(target, &level);
        assert!(told("info", "a", Level::INFO) && !told("info", "a", Level::DEBUG));
        assert!(told("a::b=debug", "a::b", Level::DEBUG) && told("a::b=debug", "c", Level::INFO));
        assert!(!told("a::b=debug,error", "c", Level::INFO));
        for nonsense in ["", "a=loud"] {
            assert!(told(nonsense, "c", Level::INFO), "{nonsense:?}");
        }
    }
}
