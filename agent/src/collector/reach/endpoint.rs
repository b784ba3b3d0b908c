//! One look at an endpoint: its checks one after another, what was measured, and the first thing that failed.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;

use super::super::fault::{Fault, FaultKind};
use super::super::poll::{Probe, Reading};
use super::super::sink::Tick;
use super::super::{Sink, link};
use super::tls::{self, Tls};
use super::{Check, Settings, certificate, host_and_port, ping};
use crate::spool::TICK_WAIT_MAX;

pub(super) struct Endpoint<'a> {
    settings: &'a Settings,
    sink: &'a Sink,
    host: String,
    port: Option<u16>,
    tls: Tls,
    was_up: bool,
    flaps: u32,
}

/// What one look has found: what was measured, and the first thing that failed.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub reading: Reading,
    pub fault: Option<Fault>,
}

impl Findings {
    /// Takes a time, or what hindered it.
    fn take(&mut self, metric: &str, taken: Result<Duration, Fault>) -> bool {
        match taken {
            Ok(duration) => self.reading.value(metric, seconds(duration)),
            Err(fault) => self.failed(fault),
        }
        self.fault.is_none()
    }

    /// What the endpoint does wrong goes before what we may not do.
    pub(super) fn failed(&mut self, fault: Fault) {
        if self.fault.as_ref().is_none_or(|known| is_ours(known.kind) && !is_ours(fault.kind)) {
            self.fault = Some(fault);
        }
    }
}

/// Whether it hinders us, and says nothing of the endpoint.
fn is_ours(kind: FaultKind) -> bool {
    matches!(kind, FaultKind::Denied | FaultKind::Unsupported | FaultKind::Internal)
}

/// Seconds, to a tenth of a millisecond.
fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e4).round() / 1e4
}

impl Probe for Endpoint<'_> {
    async fn read(&mut self) -> Result<Reading, Fault> {
        let Findings { mut reading, fault } = self.look().await;
        let is_up = fault.is_none();
        if !fault.as_ref().is_some_and(|fault| is_ours(fault.kind)) {
            self.flaps += u32::from(self.was_up && !is_up);
            self.was_up = is_up;
            reading.flag("retail.endpoint.up", is_up);
            reading.value("retail.endpoint.flaps", f64::from(self.flaps));
        }
        let Some(fault) = fault else { return Ok(reading) };
        let tick = Tick { time_ms: self.sink.now_ms(), values: reading.values };
        self.sink.keep(vec![tick], TICK_WAIT_MAX).await;
        Err(fault)
    }
}

impl<'a> Endpoint<'a> {
    pub(super) fn new(settings: &'a Settings, sink: &'a Sink) -> Result<Self, String> {
        let (host, port) = host_and_port(&settings.target)?;
        let name = tls::server_name(settings.server_name.as_deref().unwrap_or(&host))?;
        let tls = Tls::new(name, settings.verify, settings.ca_file.clone());
        Ok(Self { settings, sink, host, port, tls, was_up: false, flaps: 0 })
    }

    pub(super) async fn look(&mut self) -> Findings {
        let has = |check| self.settings.checks.contains(&check);
        let mut findings = Findings::default();
        let began = Instant::now();
        let addresses = match self.resolve().await {
            Ok(addresses) => addresses,
            Err(fault) => {
                findings.failed(fault);
                return findings;
            }
        };
        if has(Check::Dns) {
            findings.take("retail.endpoint.dns.duration", Ok(began.elapsed()));
        }
        if has(Check::Ping) {
            let echo = ping::echo(addresses[0].ip(), self.settings.timeout).await;
            findings.take("retail.endpoint.ping.duration", echo);
        }
        if has(Check::Tcp) || has(Check::Tls) {
            match self.connect(&addresses).await {
                Ok((stream, duration)) => {
                    if has(Check::Tcp) {
                        findings.take("retail.endpoint.connect.duration", Ok(duration));
                    }
                    if has(Check::Tls) {
                        self.handshake(stream, &mut findings).await;
                    }
                }
                Err(fault) => findings.failed(fault),
            }
        }
        findings
    }

    /// At least one address.
    async fn resolve(&self) -> Result<Vec<SocketAddr>, Fault> {
        let target = (self.host.as_str(), self.port.unwrap_or_default());
        match tokio::time::timeout(self.settings.timeout, tokio::net::lookup_host(target)).await {
            Err(_) => Err(Fault::new(FaultKind::Dns, format!("{} is not resolved in time", self.host))),
            Ok(Err(error)) => Err(Fault::new(FaultKind::Dns, format!("{}: {error}", self.host))),
            Ok(Ok(found)) => {
                let addresses: Vec<_> = found.collect();
                if addresses.is_empty() {
                    return Err(Fault::new(FaultKind::Dns, format!("{} has no address", self.host)));
                }
                Ok(addresses)
            }
        }
    }

    /// The first of its addresses that takes a connection, all within the limit of one check.
    async fn connect(&self, addresses: &[SocketAddr]) -> Result<(TcpStream, Duration), Fault> {
        let deadline = Instant::now() + self.settings.timeout;
        let mut last = Fault::new(FaultKind::Dns, "there is no address");
        for address in addresses {
            let began = Instant::now();
            match link::connect(&address.to_string(), deadline - began).await {
                Ok(stream) => return Ok((stream, began.elapsed())),
                Err(fault) => last = fault,
            }
            if Instant::now() >= deadline {
                break;
            }
        }
        Err(last)
    }

    async fn handshake(&mut self, stream: TcpStream, findings: &mut Findings) {
        let (leaf, taken) = self.tls.handshake(stream, self.settings.timeout).await;
        findings.take("retail.endpoint.tls.duration", taken);
        match leaf.map(|leaf| certificate::not_after(&leaf)) {
            None => {}
            Some(Ok((end, _))) => {
                let left_ms = end.saturating_mul(1_000).saturating_sub(self.sink.now_ms());
                // Whole seconds: what is below counts down by itself.
                #[expect(clippy::cast_precision_loss, reason = "seconds of ten thousand years are exact")]
                findings.reading.value("retail.endpoint.tls.expiry", (left_ms / 1_000) as f64);
            }
            Some(Err(_)) => {
                findings.failed(Fault::new(FaultKind::Parse, "the end of its certificate cannot be read"));
            }
        }
    }
}
