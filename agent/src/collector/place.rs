//! Where a device is found, as its settings say it: for people, and for looking at the way to it without asking anything.

use std::net::SocketAddr;
use std::path::Path;

use super::serial::{Line, PortSettings};

/// Where a device is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place<'a> {
    /// On a serial port.
    Serial {
        /// Which.
        port: &'a PortSettings,
        /// How its line is set.
        line: Line,
    },
    /// A connection to `host:port`.
    Tcp(String),
    /// Datagrams to `host:port`.
    Udp(String),
    /// A host, none of whose ports is used.
    Host(String),
    /// A file of this box.
    File(&'a Path),
    /// It comes to us, by connections or by datagrams.
    Listens(SocketAddr),
    /// The box itself.
    Here,
}

impl<'a> Place<'a> {
    /// A port, with the line that the kind expects.
    pub(crate) fn serial(port: &'a PortSettings, expected: Line) -> Self {
        Self::Serial { port, line: port.line(expected) }
    }

    /// The server of an HTTP URL, which has been checked.
    pub(crate) fn of_url(url: &str) -> Self {
        let target = reqwest::Url::parse(url).ok().and_then(|url| {
            let (host, port) = (url.host_str()?, url.port_or_known_default()?);
            Some(format!("{host}:{port}"))
        });
        target.map_or(Self::Here, Self::Tcp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_the_place_of_its_server() {
        for (url, target) in [
            ("http://shelly.lan/status", "shelly.lan:80"),
            ("https://10.0.0.5/x?y", "10.0.0.5:443"),
            ("http://[::1]:8080/", "[::1]:8080"),
        ] {
            assert_eq!(Place::of_url(url), Place::Tcp(target.to_owned()), "{url}");
        }
    }
}
