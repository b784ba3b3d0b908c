//! `statsd`: what programs of the POS send over StatsD or DogStatsD, in datagrams of UDP.
//!
//! [`mod@line`] reads a line and [`gather`] adds up; both are pure. Here: the socket, who may send, and the flush. Nothing is ever
//! sent. Counters and histograms are cumulative and begin at 0 with the agent; a value that was not sent since the last flush
//! is not told again. UDP loses what the box has no room for, and the sender never knows: [`drops`] counts it.
//!
//! It keeps a pace of its own, not `listen`'s, which is for serial ports.

mod drops;
mod gather;
mod line;

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use serde::Deserialize;
use storepulse_shared::batch::Lane;
use storepulse_shared::series;
use tokio::net::UdpSocket;

use self::gather::Gather;
use super::book::Bounds;
use super::defaults;
use super::fault::{Fault, FaultKind};
use super::parse::{Subject, outcome};
use super::sink::Tick;
use super::{About, Collector, Context};
use crate::board::DeviceState;
use crate::spool::LINE_WAIT_MAX;
use crate::time::stamp;

const DROPPED: &str = "retail.statsd.dropped";
const LINES: &str = "retail.statsd.lines";
/// Longest datagram.
const DATAGRAM_BYTES_MAX: usize = 8 << 10;
/// Most labels.
const LABELS_MAX: usize = 8;
/// How often counters are told that have not changed.
const AGAIN: Duration = Duration::from_secs(60);
/// First and longest wait for an address that somebody else has.
const BUSY_WAIT: Duration = Duration::from_secs(1);
const BUSY_WAIT_MAX: Duration = Duration::from_secs(32);
/// Most datagrams that are taken when it is time to stop, and how long a pause says that there are no more.
const DRAINED_MAX: usize = 1_000;
const DRAIN: Duration = Duration::from_millis(10);

/// `statsd:` in the configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    #[serde(default = "listen")]
    listen: SocketAddr,
    /// Who may send.
    #[serde(default)]
    from: Vec<IpAddr>,
    #[serde(default = "defaults::seconds::<10>", deserialize_with = "crate::config::duration")]
    flush: Duration,
    /// Tags that become labels.
    #[serde(default)]
    labels: Vec<String>,
    #[serde(default = "Bounds::milliseconds")]
    bounds: Bounds,
    /// A sign before a gauge moves it.
    #[serde(default = "defaults::yes")]
    deltas: bool,
    /// No datagram for this long: the device is stale.
    #[serde(default = "defaults::minutes::<5>", deserialize_with = "crate::config::duration")]
    stale_after: Duration,
    /// The lane of its samples.
    #[serde(default = "defaults::normal_lane")]
    lane: Lane,
}

const fn listen() -> SocketAddr {
    SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8_125)
}

impl Collector for Settings {
    const ABOUT: About = About {
        summary: "What programs of the POS send over StatsD or DogStatsD (UDP): counters, gauges, timers, histograms, distributions and sets. Nothing is ever sent.",
        example: include_str!("example.yaml"),
        metrics: &[DROPPED, LINES],
        events: &[],
        limits: &[
            "Off loopback `from` is required: UDP has no password. Datagrams of others are counted as `denied`.",
            "A datagram has at most 8 KiB, a name 200 bytes; beyond it is counted as `too_large`. What a name may not hold becomes `_`.",
            "Tags that are not listed in `labels` are left out: counters that differ only in them are one counter, of gauges the last counts. A listed tag whose value is not letters, digits and `_.:/-` (at most 64), or looks like a card number, refuses the line as `parse`.",
            "At most 200 series; a line that would make another is counted as `too_many_series`. A histogram has as many series as bounds and three more.",
            "Of a set its size at each flush is told, up to 1,000 members, which are kept as hashes until then.",
            "A counter that falls is counted as `unsupported`: what goes up and down is a gauge.",
            "Events and service checks of DogStatsD are left out: they are free text.",
            "Counters begin at 0 when the agent starts; what was sent while it did not run is lost, as is the way of UDP.",
        ],
        untested: &[],
    };

    const SUBJECTS: &'static [Subject] = SUBJECTS;

    fn lane(&self) -> Lane {
        self.lane
    }

    fn target(&self) -> Option<String> {
        Some(self.listen.to_string())
    }

    fn check(&self) -> Result<(), String> {
        if self.from.is_empty() && !self.listen.ip().is_loopback() {
            return Err(format!("listen: {} is not loopback, so from: [addresses] is required", self.listen));
        }
        if self.flush < Duration::from_secs(1) {
            return Err("flush: at least 1s".to_owned());
        }
        if self.labels.len() > LABELS_MAX {
            return Err(format!("labels: at most {LABELS_MAX}"));
        }
        let is_label = |name: &&String| *name != "le" && series::compose("m", &[(name, "x")]).is_ok();
        match self.labels.iter().find(|name| !is_label(name)) {
            Some(name) => {
                Err(format!("labels: {name:?} is not a label, or stands for the bounds of histograms"))
            }
            None => Ok(()),
        }
    }

    fn talks_by_itself(&self) -> bool {
        true
    }

    async fn run(&self, ctx: &Context) {
        let mut gather = Gather::new(&self.labels, &self.bounds, self.deltas);
        let mut wait = BUSY_WAIT;
        loop {
            match UdpSocket::bind(self.listen).await {
                Ok(socket) => return self.hear(ctx, &socket, &mut gather).await,
                Err(error) => {
                    let fault = unbound(self.listen, &error);
                    ctx.sink.error(fault.kind, fault.text);
                    ctx.sink.state(fault.kind.state()).await;
                }
            }
            tokio::select! {
                () = ctx.stop.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
            wait = (wait * 2).min(BUSY_WAIT_MAX);
        }
    }
}

impl Settings {
    /// Takes datagrams until it is told to stop, and flushes.
    async fn hear(&self, ctx: &Context, socket: &UdpSocket, gather: &mut Gather<'_>) {
        let mut ticker = ctx.sink.ticker(self.flush);
        // One more, so that a longer datagram is known.
        let mut buffer = vec![0; DATAGRAM_BYTES_MAX + 1];
        let (mut heard, mut is_fresh, mut told) = (Instant::now(), false, Instant::now());
        let mut dropped = drops::of(socket).unwrap_or_default();
        loop {
            let tick = tokio::select! {
                () = ctx.stop.cancelled() => break,
                tick = ticker.tick() => tick,
                read = socket.recv_from(&mut buffer) => {
                    if self.take(ctx, gather, &buffer, read) {
                        (heard, is_fresh) = (Instant::now(), true);
                    }
                    continue;
                }
            };
            let drops = drops::of(socket).unwrap_or(dropped);
            if drops > dropped {
                #[expect(clippy::cast_precision_loss, reason = "the kernel counts in 32 bits")]
                gather.dropped((drops - dropped) as f64);
                dropped = drops;
            }
            let is_stale = heard.elapsed() >= self.stale_after;
            let all = gather.was_used() && !is_stale && told.elapsed() >= AGAIN;
            if is_fresh || all {
                flush_to(ctx, gather, (all, is_fresh), stamp(tick, ctx.sink.now_ms())).await;
                ctx.sink.state(DeviceState::Ok).await;
                is_fresh = false;
                if all {
                    told = Instant::now();
                }
            } else if is_stale {
                ctx.sink.state(DeviceState::Stale).await;
            }
        }
        // What has arrived is taken, and what was taken is accepted.
        for _ in 0..DRAINED_MAX {
            let Ok(read) = tokio::time::timeout(DRAIN, socket.recv_from(&mut buffer)).await else { break };
            self.take(ctx, gather, &buffer, read);
        }
        flush_to(ctx, gather, (false, true), ctx.sink.now_ms()).await;
    }

    /// Takes a datagram; says whether it was one from somebody who may send.
    fn take(
        &self,
        ctx: &Context,
        gather: &mut Gather<'_>,
        buffer: &[u8],
        read: std::io::Result<(usize, SocketAddr)>,
    ) -> bool {
        let (length, sender) = match read {
            Ok(read) => read,
            Err(error) => {
                ctx.sink.error(FaultKind::Refused, format!("{}: {error}", self.listen));
                return false;
            }
        };
        if !self.from.is_empty() && !self.from.contains(&sender.ip().to_canonical()) {
            ctx.sink.error(
                FaultKind::Denied,
                format!("{} is not in from: its datagram was left out", sender.ip()),
            );
            return false;
        }
        if length > DATAGRAM_BYTES_MAX {
            let text = format!("a datagram of more than {DATAGRAM_BYTES_MAX} bytes");
            ctx.sink.error(FaultKind::TooLarge, text);
            return true;
        }
        for kind in gather.take(&buffer[..length]) {
            ctx.sink.error(kind, refused(kind).to_owned());
        }
        true
    }
}

/// Tells what has changed, or all of it; if nothing fresh came, that is a repetition.
async fn flush_to(ctx: &Context, gather: &mut Gather<'_>, (all, is_fresh): (bool, bool), time_ms: i64) {
    let (values, faults) = gather.flush(all);
    for kind in faults {
        ctx.sink.error(kind, refused(kind).to_owned());
    }
    let ticks = vec![Tick { time_ms, values }];
    if is_fresh {
        ctx.sink.accept(ticks, LINE_WAIT_MAX).await;
    } else {
        ctx.sink.repeat(ticks, LINE_WAIT_MAX).await;
    }
}

fn refused(kind: FaultKind) -> &'static str {
    match kind {
        FaultKind::TooManySeries => "a line of a new series was left out; use fewer names, labels or bounds",
        FaultKind::TooLarge => "a name, a list of values or a set is too long",
        FaultKind::Unsupported => "a counter falls; send a gauge instead",
        _ => "a line is no StatsD, its label is none, or its name is of another type by now",
    }
}

fn unbound(address: SocketAddr, error: &std::io::Error) -> Fault {
    let kind = match error.kind() {
        ErrorKind::PermissionDenied => FaultKind::Denied,
        ErrorKind::AddrNotAvailable => FaultKind::MissingPort,
        _ => FaultKind::BusyPort,
    };
    Fault::new(kind, format!("{address}: {error}; does another program listen there?"))
}

const SUBJECTS: &[Subject] = &[Subject {
    name: "statsd",
    vectors: &[
        b"pos.t1.tx.completed:1|c|@0.1",
        b"pos.t1.tender.ms:320.000000|ms",
        b"pos.t1.queue:7|g",
        b"pos.t1.queue:-2|g|#lane:3,tender:cash",
        b"pos.t1.users:a|s",
        b"pos.ms:1:2.5:3|d|@0.5|#lane:3|c:83c0a99c0a54|T1656581400",
        b"_e{5,4}:title|text|#a:b",
        b"x:-1|c",
        b"a.name.that.has.more.than.two.hundred.bytes.................................................................................................................................................................:1|c",
    ],
    outcomes: &["counter", "gauge", "shift", "distribution", "member", "text", "parse", "too_large", "unsupported"],
    outcome: |bytes| outcome(line::parse(bytes, true), |line| line.what.name()),
}];

#[cfg(test)]
mod tests;
