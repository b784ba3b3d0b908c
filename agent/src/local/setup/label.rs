//! What stands on the label of a box: whose it is and where its page is, never a secret.

use std::net::{IpAddr, SocketAddr};

use crate::inventory::{Expected, Inventory};
use crate::status::{AgentStatus, Identity, Network};

/// The label, and those of its sockets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Label {
    pub store: Option<String>,
    pub tenant: Option<String>,
    /// The public part of the key.
    pub key_id: Option<String>,
    pub host_name: Option<String>,
    /// Where other machines find the page; `None` if they do not.
    pub address: Option<String>,
    pub version: &'static str,
    /// `2026-11-21`.
    pub date: String,
    pub sockets: Vec<Socket>,
}

/// A socket and what belongs into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Socket {
    pub device: String,
    /// How the configuration names it.
    pub place: String,
}

impl Label {
    pub(super) fn of(status: &AgentStatus, inventory: &Inventory, listen: SocketAddr) -> Self {
        Self {
            host_name: status.machine.host_name.clone(),
            address: address(listen, &status.network),
            version: status.version,
            date: date(status.now_ms),
            sockets: sockets(inventory),
            ..Self::of_key(&status.identity)
        }
    }

    /// Whose key it has; the key itself is not known here.
    fn of_key(identity: &Identity) -> Self {
        Self {
            store: identity.store.clone(),
            tenant: identity.tenant.clone(),
            key_id: identity.key_id.clone(),
            ..Self::default()
        }
    }
}

/// One for each device on a port.
fn sockets(inventory: &Inventory) -> Vec<Socket> {
    let on_ports = inventory.devices.iter().filter(|device| device.is_on_a_port);
    let socket = |device: &Expected| Socket {
        device: device.id.to_string(),
        place: match &device.socket {
            Some(socket) => socket.display().to_string(),
            None => device.place.clone().unwrap_or_default(),
        },
    };
    on_ports.map(socket).collect()
}

/// Where the page is found from elsewhere: on the address that is listened on, or on the first of the box that the shop's
/// network can have.
fn address(listen: SocketAddr, network: &Network) -> Option<String> {
    let ip = listen.ip();
    if ip.is_loopback() {
        return None;
    }
    if !ip.is_unspecified() {
        return Some(format!("http://{listen}/"));
    }
    let all = network.interfaces.iter().flat_map(|interface| interface.addresses.iter().copied());
    let usable = all.filter(|ip| match ip {
        IpAddr::V4(ip) => !ip.is_loopback() && !ip.is_link_local(),
        // One that is listened on by version 4 alone is not found by version 6.
        IpAddr::V6(ip) => listen.is_ipv6() && !ip.is_loopback() && !ip.is_unicast_link_local(),
    });
    let first = usable.min_by_key(IpAddr::is_ipv6)?;
    Some(format!("http://{}/", SocketAddr::new(first, listen.port())))
}

fn date(ms: i64) -> String {
    let date = time::OffsetDateTime::from_unix_timestamp(ms.div_euclid(1_000)).ok();
    date.map_or_else(String::new, |date| date.date().to_string())
}

#[cfg(test)]
mod tests {
    use storepulse_shared::key::StoreKey;

    use super::super::view::{self, For};
    use super::*;
    use crate::config::{Config, KeySource};
    use crate::local::reader::Reader;
    use crate::status::Interface;

    fn network(addresses: &[&str]) -> Network {
        let addresses = addresses.iter().map(|ip| ip.parse().unwrap()).collect();
        let interface = Interface { name: "eth0".to_owned(), connected: Some(true), addresses };
        Network { interfaces: vec![interface], ..Network::default() }
    }

    #[test]
    fn the_address_is_one_that_other_machines_can_have() {
        let found = |listen: &str, addresses: &[&str]| address(listen.parse().unwrap(), &network(addresses));
        let both = ["fe80::1", "169.254.1.1", "fd00::5", "192.168.1.20"];
        assert_eq!(found("127.0.0.1:9750", &both), None);
        assert_eq!(found("[::1]:9750", &both), None);
        assert_eq!(found("192.168.1.7:9750", &both).as_deref(), Some("http://192.168.1.7:9750/"));
        assert_eq!(found("0.0.0.0:9750", &both).as_deref(), Some("http://192.168.1.20:9750/"));
        assert_eq!(found("[::]:80", &["fe80::1", "fd00::5"]).as_deref(), Some("http://[fd00::5]:80/"));
        assert_eq!(found("0.0.0.0:80", &["fd00::5"]), None);
    }

    #[test]
    fn the_date_is_that_of_the_box() {
        assert_eq!(date(1_763_721_000_000), "2025-11-21");
        assert_eq!(date(i64::MAX), "");
    }

    #[test]
    fn the_label_names_the_key_and_never_shows_it() {
        let dir = tempfile::tempdir().unwrap();
        let key = StoreKey::issue(&"acme".parse().unwrap(), &"madrid-01".parse().unwrap());
        std::fs::write(dir.path().join("store.key"), key.expose()).unwrap();
        let text = "cloud: { url: 'https://cloud.example', key_file: store.key }\nstate_dir: state\n";
        let config = Config::parse(text, &dir.path().join("agent.yaml")).unwrap();
        let identity = Identity::of(&KeySource::new(&config.cloud, &config.state_dir));
        let label = Label::of_key(&identity);
        let token = key.expose().rsplit('_').next().unwrap();
        let (id, secret) = token.split_at(8);
        for language in crate::language::Language::ALL {
            let reader = Reader { language, session: None, can_sign_in: true };
            let html = view::label(For::new(&reader), &label).into_string();
            for shown in ["acme", "madrid-01", id] {
                assert!(html.contains(shown), "{shown} is not in {html}");
            }
            // No piece of it either: six letters of it would not be there by chance.
            let pieces = secret.as_bytes().windows(6).map(|piece| std::str::from_utf8(piece).unwrap());
            assert_eq!(pieces.filter(|piece| html.contains(piece)).count(), 0, "{html}");
        }
    }
}
