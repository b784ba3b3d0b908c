//! The way to the cloud up to the first byte: its name, and a connection to one of its addresses.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;

use crate::doctor::limited;

/// For a name server.
const NAME_LIMIT: Duration = Duration::from_secs(5);
/// For all addresses together.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// Where the cloud is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    /// A name, or an address as it stands in a URL.
    pub host: String,
    pub port: u16,
    pub is_tls: bool,
}

impl Target {
    /// Of a URL that the configuration has checked.
    pub(super) fn of(url: &str) -> Option<Self> {
        let url: http::Uri = url.parse().ok()?;
        let is_tls = url.scheme_str() == Some("https");
        let port = url.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        Some(Self { host: url.host()?.to_owned(), port, is_tls })
    }

    /// Whether it is this machine itself, for which no network is needed.
    pub(super) fn is_here(&self) -> bool {
        let host = self.host.trim_matches(['[', ']']);
        host == "localhost" || host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
    }

    /// Whether it is an address, which no name server is asked for.
    pub(super) fn is_address(&self) -> bool {
        self.host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok()
    }
}

pub(super) async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    limited::resolve(host, port, NAME_LIMIT).await
}

/// The first connection that is made.
///
/// # Errors
/// Why the last one was not.
pub(super) async fn connect(addresses: &[SocketAddr]) -> Result<TcpStream, String> {
    let mut why = "there is no address".to_owned();
    let tried = async {
        for address in addresses {
            match TcpStream::connect(address).await {
                Ok(stream) => return Some(stream),
                Err(error) => why = format!("{address}: {error}"),
            }
        }
        None
    };
    match tokio::time::timeout(CONNECT_LIMIT, tried).await {
        Ok(Some(stream)) => Ok(stream),
        Ok(None) => Err(why),
        Err(_) => {
            let limit = humantime::format_duration(CONNECT_LIMIT);
            let all: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            Err(format!("{}: no answer within {limit}", all.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_says_where_the_cloud_is() {
        let of = |url: &str| Target::of(url).unwrap();
        let cloud = of("https://cloud.example");
        assert_eq!(
            (cloud.host.as_str(), cloud.port, cloud.is_tls, cloud.is_here()),
            ("cloud.example", 443, true, false)
        );
        assert!(of("http://127.0.0.1:8080").is_here() && of("https://localhost:1").is_here());
        assert!(of("https://[2001:db8::1]:8443").is_address() && !cloud.is_address());
    }
}
