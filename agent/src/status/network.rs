//! The box's way out: interfaces, addresses, the gateway, the servers of names. What the kernel tells, without a byte sent.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use nix::ifaddrs::getifaddrs;
use serde::Serialize;

use crate::kernel::{names, read};

/// A route that is up (`RTF_UP`), and one that leads nowhere (`RTF_REJECT`).
const UP: u32 = 0x1;
const REJECT: u32 = 0x200;

/// The network of the box.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Network {
    /// Its interfaces but loopback; on a box with sockets of its own only those, and the one of the default route.
    pub interfaces: Vec<Interface>,
    /// The gateway of the default route.
    pub gateway: Option<IpAddr>,
    /// The interface of the default route.
    pub gateway_interface: Option<String>,
    /// The servers of names in use.
    pub name_servers: Vec<String>,
}

/// An interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Interface {
    /// Its name.
    pub name: String,
    /// Whether a cable or a network is connected; `None` if the kernel does not know.
    pub connected: Option<bool>,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
}

impl Interface {
    /// Whether it has an address that reaches further than its own cable.
    pub(crate) fn has_address(&self) -> bool {
        self.addresses.iter().any(|address| match address {
            IpAddr::V4(v4) => !v4.is_link_local() && !v4.is_unspecified(),
            IpAddr::V6(v6) => !v6.is_unicast_link_local() && !v6.is_unspecified(),
        })
    }
}

/// The way out by default.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Route {
    interface: String,
    gateway: Option<IpAddr>,
    metric: u32,
}

impl Network {
    /// Looks at the box whose files are below `root`.
    pub(crate) fn read(root: &Path) -> Self {
        Self::of(root, &addresses())
    }

    fn of(root: &Path, addresses: &BTreeMap<String, Vec<IpAddr>>) -> Self {
        let file = |path: &str| read(&root.join(path)).unwrap_or_default();
        let route = default_route(&file("proc/net/route"));
        let route = route.or_else(|| default_route_6(&file("proc/net/ipv6_route")));
        let gateway_interface = route.as_ref().map(|route| route.interface.clone());
        Self {
            interfaces: interfaces(&root.join("sys/class/net"), addresses, gateway_interface.as_deref()),
            gateway: route.and_then(|route| route.gateway),
            gateway_interface,
            name_servers: name_servers(&file("etc/resolv.conf")),
        }
    }
}

/// The addresses of every interface but loopback.
fn addresses() -> BTreeMap<String, Vec<IpAddr>> {
    let mut all: BTreeMap<String, Vec<IpAddr>> = BTreeMap::new();
    for interface in getifaddrs().into_iter().flatten() {
        let known = all.entry(interface.interface_name).or_default();
        let Some(address) = interface.address else { continue };
        if let Some(v4) = address.as_sockaddr_in() {
            known.push(v4.ip().into());
        } else if let Some(v6) = address.as_sockaddr_in6() {
            known.push(v6.ip().into());
        }
    }
    all
}

fn interfaces(
    folder: &Path,
    addresses: &BTreeMap<String, Vec<IpAddr>>,
    gateway: Option<&str>,
) -> Vec<Interface> {
    let mut names = names(folder);
    names.extend(addresses.keys().filter(|name| !names.contains(name)).cloned().collect::<Vec<_>>());
    names.retain(|name| name != "lo");
    // Bridges and tunnels of containers are no sockets in a wall; where there are real ones, only those count.
    let is_real = |name: &String| folder.join(name).join("device").exists();
    if names.iter().any(is_real) {
        names.retain(|name| is_real(name) || Some(name.as_str()) == gateway);
    }
    let known = |name: &str| addresses.get(name).cloned().unwrap_or_default();
    names
        .into_iter()
        .map(|name| Interface { connected: is_connected(&folder.join(&name)), addresses: known(&name), name })
        .collect()
}

/// `carrier` cannot be read of an interface that is switched off; `operstate` then says so.
fn is_connected(interface: &Path) -> Option<bool> {
    let carrier = read(&interface.join("carrier"));
    let state = || read(&interface.join("operstate"));
    match carrier.as_deref().map(str::trim) {
        Some("1") => Some(true),
        Some("0") => Some(false),
        _ => match state()?.trim() {
            "up" => Some(true),
            "down" | "lowerlayerdown" => Some(false),
            _ => None,
        },
    }
}

/// `/proc/net/route`: numbers in hexadecimal, addresses as they lie in memory.
fn default_route(text: &str) -> Option<Route> {
    let routes = text.lines().skip(1).filter_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let [interface, to, gateway, flags, _, _, metric, mask, ..] = fields[..] else { return None };
        let hex = |field: &str| u32::from_str_radix(field, 16).ok();
        let is_default = hex(to)? == 0 && hex(mask)? == 0 && is_open(hex(flags)?);
        let gateway = Ipv4Addr::from(hex(gateway)?.to_ne_bytes());
        is_default.then(|| Route {
            interface: interface.to_owned(),
            gateway: (!gateway.is_unspecified()).then_some(gateway.into()),
            metric: metric.parse().unwrap_or(u32::MAX),
        })
    });
    routes.min_by_key(|route| route.metric)
}

/// `/proc/net/ipv6_route`: everything in hexadecimal, addresses as they are written.
fn default_route_6(text: &str) -> Option<Route> {
    let routes = text.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let [to, length, _, _, gateway, metric, _, _, flags, interface] = fields[..] else { return None };
        let address = |field: &str| u128::from_str_radix(field, 16).ok().map(Ipv6Addr::from);
        let hex = |field: &str| u32::from_str_radix(field, 16).ok();
        let is_default = address(to)?.is_unspecified() && hex(length)? == 0 && is_open(hex(flags)?);
        let gateway = address(gateway)?;
        (is_default && interface != "lo").then(|| Route {
            interface: interface.to_owned(),
            gateway: (!gateway.is_unspecified()).then_some(gateway.into()),
            metric: hex(metric).unwrap_or(u32::MAX),
        })
    });
    routes.min_by_key(|route| route.metric)
}

const fn is_open(flags: u32) -> bool {
    flags & UP != 0 && flags & REJECT == 0
}

/// `nameserver` of resolv.conf(5).
fn name_servers(text: &str) -> Vec<String> {
    let lines = text.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
    lines.filter_map(|rest| rest.split_ascii_whitespace().next()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTE: &str = "\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
wlan0\t00000000\t0101A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0
eth0\t00000000\tFE01A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0
eth0\t0001A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0
";
    const ROUTE_6: &str = "\
fe800000000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003     eth0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo
";

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn known(of: &[(&str, &[&str])]) -> BTreeMap<String, Vec<IpAddr>> {
        let parse = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        of.iter().map(|(name, texts)| ((*name).to_owned(), parse(texts))).collect()
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn the_way_out_is_the_cheapest_default_route() {
        let route = default_route(ROUTE).unwrap();
        assert_eq!(
            (route.interface.as_str(), route.gateway),
            ("eth0", Some("192.168.1.254".parse().unwrap()))
        );
        let route = default_route_6(ROUTE_6).unwrap();
        assert_eq!((route.interface.as_str(), route.gateway), ("eth0", Some("fe80::1".parse().unwrap())));
        // A modem's has no gateway, and leads out all the same.
        let modem =
            ROUTE.lines().next().unwrap().to_owned() + "\nppp0 00000000 00000000 0001 0 0 0 00000000 0 0 0\n";
        let route = default_route(&modem).unwrap();
        assert_eq!((route.interface.as_str(), route.gateway), ("ppp0", None));
        for none in [
            "",
            "x",
            "Iface\neth0 0001A8C0 0 0001 0 0 0 00FFFFFF 0 0 0",
            "Iface\neth0 00000000 0 0200 0 0 0 00000000",
        ] {
            assert_eq!(default_route(none), None, "{none}");
        }
        assert_eq!(default_route_6(ROUTE_6.lines().last().unwrap()), None, "it rejects");
    }

    #[test]
    fn a_box_with_sockets_shows_those_and_not_its_bridges() {
        let dir = tempfile::tempdir().unwrap();
        let net = |name: &str| format!("sys/class/net/{name}");
        write(dir.path(), &(net("eth0") + "/carrier"), "0\n");
        write(dir.path(), &(net("eth0") + "/device/vendor"), "x");
        write(dir.path(), &(net("wlan0") + "/operstate"), "down\n");
        write(dir.path(), &(net("wlan0") + "/device/vendor"), "x");
        write(dir.path(), &(net("docker0") + "/carrier"), "1\n");
        write(dir.path(), &(net("tun0") + "/operstate"), "unknown\n");
        write(dir.path(), &(net("lo") + "/carrier"), "1\n");
        write(dir.path(), "proc/net/route", "Iface\ntun0 00000000 00000000 0001 0 0 0 00000000 0 0 0\n");
        write(
            dir.path(),
            "etc/resolv.conf",
            "# by hand\nsearch x\nnameserver 192.168.1.1\nnameserver ::1 \n",
        );
        let network =
            Network::of(dir.path(), &known(&[("eth0", &["169.254.3.4", "fe80::1"]), ("lo", &["127.0.0.1"])]));
        let of = |network: &Network| -> Vec<_> {
            network.interfaces.iter().map(|i| (i.name.clone(), i.connected, i.has_address())).collect()
        };
        let shown = [("eth0", Some(false), false), ("tun0", None, false), ("wlan0", Some(false), false)];
        assert_eq!(of(&network), shown.map(|(name, connected, has)| (name.to_owned(), connected, has)));
        assert_eq!((network.gateway, network.gateway_interface.as_deref()), (None, Some("tun0")));
        assert_eq!(network.name_servers, ["192.168.1.1", "::1"]);
    }

    #[test]
    fn in_a_container_every_interface_counts() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "sys/class/net/eth0/carrier", "1\n");
        let network = Network::of(dir.path(), &known(&[("eth0", &["172.17.0.2"]), ("eth1", &["10.0.0.7"])]));
        let shown: Vec<_> = network.interfaces.iter().map(|i| (i.name.as_str(), i.connected)).collect();
        assert_eq!(shown, [("eth0", Some(true)), ("eth1", None)]);
        assert!(network.interfaces.iter().all(Interface::has_address));
    }

    #[test]
    fn this_box_can_be_looked_at() {
        let network = Network::read(Path::new("/"));
        assert!(network.interfaces.iter().all(|interface| interface.name != "lo"));
    }
}
