//! The box's way out: interfaces, addresses, the gateway, the servers of names. What the kernel tells, without a byte sent.

use std::net::IpAddr;

use serde::Serialize;

/// The network of the box.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Network {
    /// Its interfaces but loopback.
    pub interfaces: Vec<Interface>,
    /// The gateway of the default route.
    pub gateway: Option<IpAddr>,
    /// The interface of the default route.
    pub gateway_interface: Option<String>,
    /// The servers of names in use.
    pub name_servers: Vec<String>,
}

/// An interface.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Interface {
    /// Its name.
    pub name: String,
    /// Whether a cable or a network is connected; `None` if the kernel does not know.
    pub connected: Option<bool>,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
}

impl Network {
    /// Looks.
    pub(crate) fn read() -> Self {
        Self::default()
    }
}
