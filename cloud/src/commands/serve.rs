//! `serve`: the API, until SIGTERM or SIGINT.

use std::net::TcpListener;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use super::prepare_embedded;
use crate::app::{self, Config};
use crate::config::{ConfigError, ServeArgs};
use crate::embedded::{Embedded, Options};
use crate::operation::slow::LogFormat;
use crate::tls::{self, TlsFiles};

pub(super) async fn run(args: ServeArgs) -> anyhow::Result<()> {
    let filter = EnvFilter::builder()
        .with_env_var("STOREPULSE_LOG")
        .with_default_directive(tracing::Level::INFO.into());
    tracing_subscriber::fmt()
        .with_env_filter(filter.from_env_lossy())
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .event_format(LogFormat::default())
        .init();
    let (admission, resolution, people) = (args.admission(), args.resolution(), args.people());
    let tls = match (args.tls_self_signed, args.tls_cert, args.tls_key) {
        (Some(dir), ..) => Some(tls::self_signed(&dir, &args.tls_name)?),
        (None, Some(cert), Some(key)) => Some(TlsFiles { cert, key, own: None }),
        _ if args.listen.ip().is_loopback() => None,
        _ => {
            let why = format!(
                "keys would travel in the clear on {}: give --tls-cert and --tls-key, or --tls-self-signed DIR, \
                 or listen on loopback behind a proxy",
                args.listen
            );
            return Err(ConfigError(why).into());
        }
    };
    let listener =
        TcpListener::bind(args.listen).with_context(|| format!("cannot listen on {}", args.listen))?;
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut hangup = signal(SignalKind::hangup())?;
    let (server, database) = match &args.database.embedded {
        Some(dir) => {
            let server = Embedded::start(Options::durable(dir)).await?;
            let database = prepare_embedded(&server, args.database.connections).await?;
            tracing::info!(port = server.port(), folder = %dir.display(), "private PostgreSQL running");
            (Some(server), database)
        }
        None => (None, args.database.urls()?),
    };
    let database = database.telling_of_statements_slower_than(args.slow_statement);
    let stop = CancellationToken::new();
    let drain_delay = args.drain_delay;
    let config = Config { database, tls, admission, resolution, people, drain_delay };
    let service = app::run(config, listener, stop.clone());
    tokio::pin!(service);
    let served = loop {
        tokio::select! {
            ended = &mut service => break ended,
            _ = terminate.recv() => stop.cancel(),
            _ = interrupt.recv() => stop.cancel(),
            // Many a service reads its files again then; unheard it would end this one.
            _ = hangup.recv() => tracing::info!("SIGHUP: certificates are taken up without it, nothing else is read again"),
        }
    };
    if let Some(server) = server {
        server.stop().await;
    }
    served.map_err(Into::into)
}
