//! The way to the cloud: the first thing on it that is broken.
//!
//! A link that blinks is no finding: the way must be broken for a while. A refused key is one at once, since no waiting
//! helps. When nobody answers, the box's own network is looked at first, as far as the way leads through it.

use std::net::IpAddr;

use crate::finding::{Finding, Problem};
use crate::status::{AgentStatus, Interface, Network, places};
use crate::uplink::{Cause, UplinkState};

/// How long the way may be broken before it is told.
const GRACE_MS: i64 = 60_000;

/// What is wrong with the way, if anything is.
pub(super) fn finding(status: &AgentStatus) -> Option<Finding> {
    let uplink = &status.uplink;
    if matches!(uplink.state, UplinkState::Connected | UplinkState::Starting) {
        return None;
    }
    let is_refusal =
        matches!(uplink.cause, Some(Cause::Key | Cause::OwnKey | Cause::Suspended | Cause::Place));
    let is_long = uplink.since_ms.is_some_and(|since_ms| status.now_ms - since_ms >= GRACE_MS);
    if !is_refusal && !is_long {
        return None;
    }
    let is_silent = matches!(uplink.cause, Some(Cause::Dns | Cause::Address | Cause::Proxy));
    let finding = match of_network(status).filter(|_| is_silent) {
        Some(finding) => finding,
        None => of_cause(status, uplink.cause)?,
    };
    let finding = finding.since(uplink.since_ms);
    Some(match &uplink.reason {
        Some(reason) => finding.shown_by(reason),
        None => finding,
    })
}

fn of_cause(status: &AgentStatus, cause: Option<Cause>) -> Option<Finding> {
    let problem = match cause {
        Some(Cause::Dns) => Problem::CloudDns,
        Some(Cause::Address) => Problem::CloudUnreachable,
        Some(Cause::Proxy) => Problem::ProxyFailing,
        Some(Cause::TlsExpired) => Problem::TlsExpired,
        Some(Cause::TlsUntrusted) => Problem::TlsUntrusted,
        Some(Cause::TlsClock) => Problem::TlsClock,
        Some(Cause::Tls) => Problem::TlsFailing,
        Some(Cause::Portal) => Problem::CaptivePortal,
        // What is wrong with our own key is told where the key is looked at.
        Some(Cause::OwnKey) if status.identity.finding.is_some() => return None,
        Some(Cause::OwnKey) => Problem::KeyUnreadable,
        Some(Cause::Key) => Problem::KeyRefused,
        Some(Cause::Suspended) => Problem::Suspended,
        Some(Cause::Place) => Problem::WrongPlace,
        Some(Cause::Busy) => Problem::CloudBusy,
        Some(Cause::Server) | None => Problem::CloudFailing,
    };
    let mut finding = Finding::new(problem);
    if let Some(cloud) = &status.places.cloud {
        // A name has no port, nor has a certificate.
        let is_of_name =
            matches!(cause, Some(Cause::Dns | Cause::TlsExpired | Cause::TlsUntrusted | Cause::TlsClock));
        finding = finding.with("host", if is_of_name { places::host(cloud) } else { cloud });
    }
    if let Some(proxy) = &status.places.proxy {
        finding = finding.with("proxy", proxy);
    }
    if let Some(key_id) = &status.identity.key_id {
        finding = finding.with("key_id", key_id);
    }
    Some(finding)
}

/// What the box's own network lacks on the way to the cloud or its proxy.
fn of_network(status: &AgentStatus) -> Option<Finding> {
    let next = status.places.proxy.as_ref().or(status.places.cloud.as_ref())?;
    let address = places::host(next).parse::<IpAddr>().ok();
    if address.is_some_and(|address| address.is_loopback()) || places::host(next) == "localhost" {
        return None;
    }
    let Network { interfaces, gateway_interface, .. } = &status.network;
    if interfaces.is_empty() {
        // Nothing is known.
        return None;
    }
    if interfaces.iter().all(|interface| interface.connected == Some(false)) {
        return Some(Finding::new(Problem::LinkDown));
    }
    let mut connected = interfaces.iter().filter(|interface| interface.connected != Some(false));
    if !connected.clone().any(Interface::has_address) {
        let finding = Finding::new(Problem::NoAddress);
        return Some(match connected.next() {
            Some(interface) => finding.with("interface", &interface.name),
            None => finding,
        });
    }
    let is_near = address.is_some_and(is_local);
    (gateway_interface.is_none() && !is_near).then(|| Finding::new(Problem::NoGateway))
}

/// An address that a box may reach without a gateway.
const fn is_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_private() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}
