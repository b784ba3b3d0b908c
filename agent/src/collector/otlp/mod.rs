//! `otlp`: takes what programs export by OTLP/HTTP, as protobuf or JSON.
//!
//! The only kind that is spoken to over the network with more than datagrams: [`senders`] says who may, [`serve`] takes a
//! request, [`protobuf`] (over [`wire`]) and [`text`] read it, [`point`] makes values of it, [`totals`] adds differences up,
//! [`answer`] speaks to the exporter. Source: the OTLP specification 1.x and `opentelemetry-proto`.

mod answer;
mod point;
mod protobuf;
mod senders;
mod serve;
mod text;
mod totals;
mod vectors;
mod wire;

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use storepulse_shared::batch::Lane;
use tokio::net::TcpListener;

use self::senders::{Network, Senders};
use self::serve::Receiver;
use super::defaults;
use super::fault::FaultKind;
use super::label;
use super::parse::Subject;
use super::{About, Collector, Context};
use crate::board::DeviceState;
use crate::config::TokenSetting;

/// How long a port that cannot be opened is left alone.
const REST: Duration = Duration::from_secs(5);
/// How long requests may go on when it is time to stop.
const DRAIN: Duration = Duration::from_secs(3);

/// `otlp:` in the configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    #[serde(default = "listen")]
    listen: SocketAddr,
    #[serde(default)]
    labels: Vec<String>,
    #[serde(default)]
    tokens: Vec<TokenSetting>,
    #[serde(default)]
    from: Vec<Network>,
    #[serde(default = "defaults::minutes::<5>", deserialize_with = "crate::config::duration")]
    stale_after: Duration,
    #[serde(default = "defaults::normal_lane")]
    lane: Lane,
}

const fn listen() -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 4318)
}

impl Collector for Settings {
    const ABOUT: About = About {
        summary: "Programs that export their metrics by OTLP/HTTP (`POST /v1/metrics`, protobuf or JSON, gzip or not). What was answered with 200 is durable.",
        example: include_str!("example.yaml"),
        metrics: &[],
        events: &[],
        limits: &[
            "A body of more than 1 MiB, or 4 MiB once inflated, is answered 413: `too_large`; so are JSON of more than 50,000 values and histograms of more than 256 buckets. Two requests are read at a time; others wait up to 10 s, then 503.",
            "Gauges, sums, histograms with explicit bounds and summaries are taken. Differences (delta temporality) are added up from the start of the agent on. Exponential histograms are refused: `unsupported`.",
            "A value of a listed attribute that is not `[A-Za-z0-9_.:/-]{1,64}`, or holds 13 digits in a row, refuses its point: `parse`. Points are told apart by listed attributes only: those of one request that are one series without the others are refused: `parse`. Of several senders, list what tells them apart.",
            "A point's own time is kept from 24 hours ago to 60 seconds ahead; otherwise it has the time at which it came, and of several such points of a series the last is taken. NaN and infinities are no values.",
            "What is refused of a request is told in `partialSuccess`. 503 with `Retry-After` if the spool does not take it.",
        ],
        untested: &[],
    };

    const SUBJECTS: &'static [Subject] = &[vectors::PROTOBUF, vectors::JSON];

    fn lane(&self) -> Lane {
        self.lane
    }

    fn target(&self) -> Option<String> {
        Some(self.listen.to_string())
    }

    fn check(&self) -> Result<(), String> {
        label::check_listed(&self.labels)?;
        self.tokens.iter().try_for_each(TokenSetting::check)?;
        if self.tokens.is_empty() && self.from.is_empty() && !self.listen.ip().is_loopback() {
            return Err(format!("listen: {} is not loopback, so tokens or from are required", self.listen));
        }
        Ok(())
    }

    fn paths(&mut self) -> Vec<&mut PathBuf> {
        self.tokens.iter_mut().filter_map(|token| token.token_file.as_mut()).collect()
    }

    fn talks_by_itself(&self) -> bool {
        true
    }

    async fn run(&self, ctx: &Context) {
        let Some(listener) = self.open(ctx).await else { return };
        let senders = Senders::load(&self.tokens, &self.from);
        let receiver = Arc::new(Receiver::new(ctx.sink.clone(), senders, self.labels.clone()));
        let router = serve::router(Arc::clone(&receiver)).into_make_service_with_connect_info::<SocketAddr>();
        let served = axum::serve(listener, router).with_graceful_shutdown(ctx.stop.clone().cancelled_owned());
        let stopped = async {
            ctx.stop.cancelled().await;
            tokio::time::sleep(DRAIN).await;
        };
        tokio::select! {
            _ = served => {}
            () = self.notice_silence(ctx, &receiver) => {}
            () = stopped => {}
        }
    }
}

impl Settings {
    /// Opens the port, however long it takes; `None` when it is time to stop.
    async fn open(&self, ctx: &Context) -> Option<TcpListener> {
        loop {
            let error = match TcpListener::bind(self.listen).await {
                Ok(listener) => return Some(listener),
                Err(error) => error,
            };
            let kind = match error.kind() {
                ErrorKind::AddrInUse => FaultKind::BusyPort,
                ErrorKind::PermissionDenied => FaultKind::Denied,
                _ => FaultKind::Unsupported,
            };
            ctx.sink.error(kind, format!("cannot listen on {}: {error}", self.listen));
            ctx.sink.state(DeviceState::Unreachable).await;
            tokio::select! {
                () = ctx.stop.cancelled() => return None,
                () = tokio::time::sleep(REST) => {}
            }
        }
    }

    /// Never ends.
    async fn notice_silence(&self, ctx: &Context, receiver: &Receiver) {
        let mut heard = receiver.heard();
        loop {
            if tokio::time::timeout(self.stale_after, heard.changed()).await.is_err() {
                ctx.sink.state(DeviceState::Stale).await;
                let _ = heard.changed().await;
            }
        }
    }
}

#[cfg(test)]
mod tests;
