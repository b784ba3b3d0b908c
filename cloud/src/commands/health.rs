//! `health`: asks the service beside it whether it is ready. What a container's health check calls, as an image has no curl.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;

use crate::tls::{self, pinned};

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(4);

#[derive(Args)]
pub(crate) struct HealthArgs {
    /// Where the service listens; every address of this machine means the loopback one
    #[arg(long, env = "STOREPULSE_LISTEN", default_value = "127.0.0.1:8443", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Its certificate: it must show this one
    #[arg(long, env = "STOREPULSE_TLS_CERT", value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// Or the folder of its own authority
    #[arg(long, env = "STOREPULSE_TLS_SELF_SIGNED", conflicts_with = "tls_cert", value_name = "DIR")]
    tls_self_signed: Option<PathBuf>,
}

pub(super) async fn run(args: HealthArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let cert = args.tls_cert.or_else(|| args.tls_self_signed.as_deref().map(tls::server_file));
    let mut client = reqwest::Client::builder().no_proxy().timeout(TIMEOUT);
    if let Some(cert) = &cert {
        client = client.tls_backend_preconfigured(pinned::client(cert)?);
    }
    let url = format!("{}://{}/ready", if cert.is_some() { "https" } else { "http" }, near(args.listen));
    let answer = client.build()?.get(&url).send().await.with_context(|| format!("no answer from {url}"))?;
    let status = answer.status();
    let said = answer.text().await.with_context(|| format!("no whole answer from {url}"))?;
    anyhow::ensure!(status.is_success(), "{url} answers {status}: {said}");
    writeln!(out, "{said}")?;
    Ok(())
}

/// The address at which a listener on this machine is reached from this machine.
fn near(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_on_every_address_is_asked_on_loopback() {
        for (listen, asked) in
            [("0.0.0.0:8443", "127.0.0.1:8443"), ("[::]:8443", "[::1]:8443"), ("10.0.0.5:1", "10.0.0.5:1")]
        {
            assert_eq!(near(listen.parse().unwrap()), asked.parse().unwrap());
        }
    }
}
