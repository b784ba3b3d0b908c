//! `reach`: whether a host can be reached, from where the shop is: its name, an ICMP echo, a TCP connection, a TLS handshake.
//!
//! For what must not be asked anything, such as a payment terminal, and for what the tills depend on, such as a processor's
//! host. No application byte is ever sent: a connection is closed as soon as it is made.
//!
//! An endpoint that is down is a reading and a failure at once: `retail.endpoint.up` is 0, with what has still been measured,
//! and the device is in the state that its failure means (`unreachable` for `dns`, `refused` and `timeout`, `fault` for `tls`).
//! What hinders us and not the endpoint (no right to ping) is a failure without a reading: no answer is not zero.

mod certificate;
mod endpoint;
mod ping;
#[cfg(test)]
mod tests;
mod tls;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use storepulse_shared::batch::Lane;

use self::endpoint::Endpoint;
use super::defaults;
use super::fault::FaultKind;
use super::poll::{self, Schedule};
use super::{About, Collector, Context, Subject};

/// How often TLS is spoken at most: a terminal has other things to do.
const TLS_INTERVAL_MIN: Duration = Duration::from_secs(10);

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Check {
    Dns,
    Ping,
    Tcp,
    Tls,
}

/// `reach:` in the configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// `host`, or `host:port`.
    target: String,
    #[serde(default = "checks")]
    checks: Vec<Check>,
    /// Whether a certificate that is not trusted is a fault.
    #[serde(default = "defaults::yes")]
    verify: bool,
    /// The name that is asked for and verified, if it is not the target's.
    #[serde(default)]
    server_name: Option<String>,
    /// Authorities that are trusted beside the system's.
    #[serde(default)]
    ca_file: Option<PathBuf>,
    /// How often it is looked at.
    #[serde(default = "defaults::seconds::<60>", deserialize_with = "crate::config::duration")]
    interval: Duration,
    /// How long each check may take.
    #[serde(default = "defaults::seconds::<5>", deserialize_with = "crate::config::duration")]
    timeout: Duration,
    #[serde(default = "defaults::half_a_second", deserialize_with = "crate::config::duration")]
    jitter: Duration,
    /// The lane of its samples.
    #[serde(default = "defaults::normal_lane")]
    lane: Lane,
}

fn checks() -> Vec<Check> {
    vec![Check::Tcp]
}

impl Collector for Settings {
    const ABOUT: About = About {
        summary: "Whether a host can be reached: its name, an ICMP echo, a TCP connection, a TLS handshake. No application byte is sent.",
        example: include_str!("example.yaml"),
        metrics: &[
            "retail.endpoint.connect.duration",
            "retail.endpoint.dns.duration",
            "retail.endpoint.flaps",
            "retail.endpoint.ping.duration",
            "retail.endpoint.tls.duration",
            "retail.endpoint.tls.expiry",
            "retail.endpoint.up",
        ],
        events: &[],
        limits: &[
            "An endpoint that is down is a reading: `retail.endpoint.up` is 0. It is a failure as well: its kind is counted, and the state is `unreachable` (`dns`, `refused`, `timeout`) or `fault` (`tls`).",
            "It is up if every check succeeds. After three failures in a row it is looked at less often, up to every 60 s or its interval.",
            "ICMP needs `net.ipv4.ping_group_range` or CAP_NET_RAW. Without either it is `denied`, the other checks go on, and `retail.endpoint.up` is given only if one of them fails.",
            "TLS at most every 10 s, versions 1.2 and 1.3. The certificate's end is read of the server's own certificate, also if it is not trusted; with the clock of this box.",
            "A self-signed certificate is not trusted, also if it stands in `ca_file`: use `verify: false`.",
            "A server that wants a certificate of ours is up with TLS 1.3 and a `tls` fault with TLS 1.2; the end of its own is read in both cases.",
            "`ca_file` and the system's authorities are read when the first handshake is made.",
        ],
        untested: &["payment terminals with authorities of their own"],
    };

    const SUBJECTS: &'static [Subject] = &[certificate::SUBJECT, ping::SUBJECT];

    fn lane(&self) -> Lane {
        self.lane
    }

    fn target(&self) -> Option<String> {
        Some(self.target.clone())
    }

    fn check(&self) -> Result<(), String> {
        let (host, port) = host_and_port(&self.target)?;
        let has = |check| self.checks.contains(&check);
        if self.checks.is_empty() {
            return Err("checks: none of dns, ping, tcp, tls".to_owned());
        }
        if port.is_none() && (has(Check::Tcp) || has(Check::Tls)) {
            return Err(format!("target {:?} has no port, which tcp and tls need", self.target));
        }
        if host.parse::<IpAddr>().is_ok() && has(Check::Dns) {
            return Err(format!("target {:?} is an address: there is no name for dns", self.target));
        }
        if has(Check::Tls) && self.interval < TLS_INTERVAL_MIN {
            return Err("interval: at least 10s with tls".to_owned());
        }
        tls::server_name(self.server_name.as_deref().unwrap_or(&host)).map(|_| ())
    }

    fn paths(&mut self) -> Vec<&mut PathBuf> {
        self.ca_file.iter_mut().collect()
    }

    fn floor(&self) -> Duration {
        if self.checks.contains(&Check::Tls) { TLS_INTERVAL_MIN } else { Duration::ZERO }
    }

    async fn run(&self, ctx: &Context) {
        let mut endpoint = match Endpoint::new(self, &ctx.sink) {
            Ok(endpoint) => endpoint,
            Err(why) => return ctx.sink.error(FaultKind::Internal, why),
        };
        // Name, echo, connection, handshake; each has its own limit, this one is never reached.
        let timeout = self.timeout.saturating_mul(4) + Duration::from_secs(1);
        let schedule = Schedule { interval: self.interval, timeout, jitter: self.jitter };
        poll::run(schedule, ctx, &mut endpoint).await;
    }
}

/// `host`, `host:port`, `[address]:port`; the host without its brackets.
fn host_and_port(target: &str) -> Result<(String, Option<u16>), String> {
    let wrong = || format!("target {target:?} is not host or host:port");
    if let Ok(address) = target.parse::<IpAddr>() {
        return Ok((address.to_string(), None));
    }
    if let Ok(address) = target.parse::<SocketAddr>() {
        return Ok((address.ip().to_string(), Some(address.port())));
    }
    let (host, port) = match target.split_once(':') {
        None => (target, None),
        Some((host, port)) => (host, Some(port.parse().map_err(|_| wrong())?)),
    };
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    if host.is_empty() || host.len() > 253 || !host.bytes().all(is_name) {
        return Err(wrong());
    }
    Ok((host.to_owned(), port))
}
