//! Which names a request may call this box by.
//!
//! A page of somebody else can give its own name our address (DNS rebinding), and would then read and do here what its
//! reader may. Its requests still name its own host, so whatever does not name us is refused: 421.

use std::net::IpAddr;

use axum::http::uri::Authority;
use axum::http::{HeaderMap, Uri, header};

use super::serve::Visitor;
use crate::config::HostName;

/// What the kernel calls this box.
const HOST_NAME: &str = "/proc/sys/kernel/hostname";

/// What is known of this box.
pub(super) trait Here {
    /// Whether one of its interfaces has this address.
    fn has(&self, address: IpAddr) -> bool;
    /// Its host name.
    fn name(&self) -> Option<String>;
}

/// This box, as the kernel tells it, and the connection that came in.
pub(super) struct Box(pub Visitor);

impl Here for Box {
    fn has(&self, address: IpAddr) -> bool {
        let is_this = self.0.own.ip().to_canonical() == address;
        // What stands in `listen` for all addresses also reaches the box from itself.
        let is_any = address.is_unspecified() && self.0.peer.ip().to_canonical().is_loopback();
        is_this || is_any || address.is_loopback() || interface_has(address)
    }

    fn name(&self) -> Option<String> {
        std::fs::read_to_string(HOST_NAME).ok().map(|name| name.trim().to_ascii_lowercase())
    }
}

fn interface_has(address: IpAddr) -> bool {
    let Ok(mut interfaces) = nix::ifaddrs::getifaddrs() else { return false };
    interfaces.any(|interface| {
        interface.address.is_some_and(|own| match address {
            IpAddr::V4(ip) => own.as_sockaddr_in().is_some_and(|own| own.ip() == ip),
            IpAddr::V6(ip) => own.as_sockaddr_in6().is_some_and(|own| own.ip() == ip),
        })
    })
}

/// The host that a request names: exactly one, and the same in its target if that names one too.
pub(super) fn named<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<Authority> {
    let mut all = headers.get_all(header::HOST).iter();
    let (Some(one), None) = (all.next(), all.next()) else { return None };
    let text = one.to_str().ok().filter(|text| !text.contains('@'))?;
    let named: Authority = text.parse().ok()?;
    uri.authority().is_none_or(|target| *target == named).then_some(named)
}

/// Whether this is a name of ours, whatever the port: that may be another one on the way.
pub(super) fn is_ours(named: &Authority, listed: &[HostName], here: &impl Here) -> bool {
    let Ok(name) = named.host().parse::<HostName>() else { return false };
    if let Some(address) = name.address() {
        return listed.contains(&name) || here.has(address);
    }
    if name.as_str() == "localhost" || listed.contains(&name) {
        return true;
    }
    let Some(own) = here.name().filter(|own| !own.is_empty()) else { return false };
    let first = own.split('.').next().unwrap_or_default();
    name.as_str() == own || name.as_str() == first || name.as_str().strip_suffix(".local") == Some(first)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    struct Shop;

    impl Here for Shop {
        fn has(&self, address: IpAddr) -> bool {
            ["192.0.2.7", "127.0.0.1", "2001:db8::7"].iter().any(|own| own.parse() == Ok(address))
        }

        fn name(&self) -> Option<String> {
            Some("box-7".to_owned())
        }
    }

    fn ours(host: &str) -> bool {
        let listed: Vec<HostName> =
            ["gateway.shop.lan", "198.51.100.1"].map(|name| name.parse().unwrap()).into();
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_str(host).unwrap());
        named(&Uri::from_static("/"), &headers).is_some_and(|named| is_ours(&named, &listed, &Shop))
    }

    #[test]
    fn only_names_of_this_box_are_ours() {
        for host in [
            "192.0.2.7",
            "192.0.2.7:9750",
            "[2001:db8::7]:9750",
            "[::ffff:192.0.2.7]",
            "127.0.0.1:9750",
            "localhost:9750",
            "LocalHost",
            "box-7",
            "BOX-7.local:9750",
            "box-7.local.",
            "gateway.shop.lan:80",
            "198.51.100.1",
        ] {
            assert!(ours(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "evil.example:9750",
            "box-7.evil.example",
            "box-7.local.evil.example",
            "evil.local",
            "192.0.2.8",
            "192.0.2.7.evil.example",
            "127.0.0.1.nip.io",
            "user@192.0.2.7",
            "192.0.2.7@evil.example",
            "evil.example#192.0.2.7",
            "192.0.2.7, evil.example",
            "localhost.evil.example",
            ".local",
        ] {
            assert!(!ours(host), "{host}");
        }
    }

    #[test]
    fn one_host_is_named_and_the_target_names_no_other() {
        let one = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static("localhost"))]);
        let mut two = one.clone();
        two.append(header::HOST, HeaderValue::from_static("localhost"));
        assert!(named(&Uri::from_static("/"), &one).is_some());
        assert!(named(&Uri::from_static("http://localhost/"), &one).is_some());
        assert!(named(&Uri::from_static("http://evil.example/"), &one).is_none());
        assert!(named(&Uri::from_static("/"), &two).is_none());
        assert!(named(&Uri::from_static("/"), &HeaderMap::new()).is_none());
    }

    #[test]
    fn the_kernel_tells_our_addresses() {
        assert!(interface_has("127.0.0.1".parse().unwrap()));
        assert!(!interface_has("192.0.2.200".parse().unwrap()));
    }
}
