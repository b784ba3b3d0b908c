//! The box's way out, as the kernel tells it: link, address, gateway, servers of names.

use std::net::IpAddr;

use super::check::Check;
use crate::finding::{Finding, Problem};
use crate::status::Network;

pub(super) const LINK: &str = "network link";
pub(super) const ADDRESS: &str = "network address";
pub(super) const GATEWAY: &str = "gateway";
pub(super) const NAME_SERVERS: &str = "name servers";

/// Judges it.
pub(super) fn judge(network: &Network) -> Vec<Check> {
    let Network { interfaces, gateway, gateway_interface, name_servers } = network;
    let connected: Vec<_> = interfaces.iter().filter(|one| one.connected != Some(false)).collect();
    let names = |all: &[&crate::status::Interface]| {
        all.iter().map(|one| one.name.as_str()).collect::<Vec<_>>().join(", ")
    };
    if interfaces.is_empty() {
        let none = |name| Check::skipped(name, "the kernel tells of no interface");
        return vec![none(LINK), none(ADDRESS), none(GATEWAY), servers(name_servers)];
    }
    if connected.is_empty() {
        let all: Vec<_> = interfaces.iter().collect();
        let link = Check::found(LINK, Finding::new(Problem::LinkDown), format!("{}: no link", names(&all)));
        let derived = |name| Check::skipped(name, "there is no link");
        return vec![link, derived(ADDRESS), derived(GATEWAY), servers(name_servers)];
    }
    let link = Check::pass(LINK, names(&connected));
    let usable: Vec<String> = connected
        .iter()
        .flat_map(|one| one.addresses.iter().filter(|address| reaches_out(**address)))
        .map(ToString::to_string)
        .collect();
    if usable.is_empty() {
        let finding = Finding::new(Problem::NoAddress).with("interface", names(&connected));
        let evidence = format!("{} has no address that leads out", names(&connected));
        let derived = Check::skipped(GATEWAY, "there is no address");
        return vec![link, Check::found(ADDRESS, finding, evidence), derived, servers(name_servers)];
    }
    let address = Check::pass(ADDRESS, usable.join(", "));
    let through = gateway_interface.as_deref().unwrap_or("-");
    let gateway = match gateway {
        Some(gateway) => Check::pass(GATEWAY, format!("{gateway} through {through}")),
        // A link from point to point has a way out and no gateway.
        None if gateway_interface.is_some() => Check::pass(GATEWAY, format!("directly through {through}")),
        None => Check::found(GATEWAY, Finding::new(Problem::NoGateway), "there is no default route"),
    };
    vec![link, address, gateway, servers(name_servers)]
}

fn servers(all: &[String]) -> Check {
    match all {
        [] => Check::skipped(NAME_SERVERS, "none is named; names are looked up in files only"),
        some => Check::pass(NAME_SERVERS, some.join(", ")),
    }
}

/// Whether anything beyond the cable can be reached with it; an address that a box gives itself for want of another cannot.
fn reaches_out(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            !address.is_link_local() && !address.is_loopback() && !address.is_unspecified()
        }
        IpAddr::V6(address) => !address.is_unicast_link_local() && !address.is_loopback(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Interface;

    fn network(connected: bool, addresses: &[&str], gateway: Option<&str>) -> Network {
        let addresses = addresses.iter().map(|text| text.parse().unwrap()).collect();
        let eth0 = Interface { name: "eth0".to_owned(), connected: Some(connected), addresses };
        Network {
            interfaces: vec![eth0],
            gateway: gateway.map(|text| text.parse().unwrap()),
            gateway_interface: gateway.map(|_| "eth0".to_owned()),
            name_servers: vec!["192.168.1.1".to_owned()],
        }
    }

    fn problem(network: &Network) -> Vec<Problem> {
        let checks = judge(network);
        assert_eq!(checks.len(), 4);
        checks.iter().filter_map(|check| Some(check.finding.as_ref()?.problem)).collect()
    }

    #[test]
    fn the_first_thing_that_is_missing_is_named_and_no_other() {
        assert_eq!(problem(&network(true, &["192.168.1.7"], Some("192.168.1.1"))), []);
        assert_eq!(problem(&network(false, &[], None)), [Problem::LinkDown]);
        assert_eq!(problem(&network(true, &["169.254.3.4", "fe80::1"], None)), [Problem::NoAddress]);
        assert_eq!(problem(&network(true, &["192.168.1.7"], None)), [Problem::NoGateway]);
    }
}
