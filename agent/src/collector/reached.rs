//! How a device is reached, as its settings say it, so that the way to it can be looked at without asking anything.

use std::net::SocketAddr;
use std::path::Path;

use super::serial::{Line, PortSettings};

/// How a device is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reached<'a> {
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

impl<'a> Reached<'a> {
    /// A port, with the line that the kind expects.
    pub(crate) fn serial(port: &'a PortSettings, expected: Line) -> Self {
        Self::Serial { port, line: port.line(expected) }
    }

    /// What is reached, if that is no serial port and not the box.
    pub(crate) fn target(&self) -> Option<String> {
        match self {
            Self::Serial { .. } | Self::Here => None,
            Self::Tcp(target) | Self::Udp(target) | Self::Host(target) => Some(target.clone()),
            Self::File(path) => Some(path.display().to_string()),
            Self::Listens(address) => Some(address.to_string()),
        }
    }
}
