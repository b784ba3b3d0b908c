//! Which addresses we go to: a tenant's admin names the provider, and what the provider's documents name is followed.
//!
//! What is reached from here but not from the world (a database, another machine's metadata, ourselves) must not be reachable
//! through us. So a URL is `https`, without a user; and every address that its host is, or that its name resolves to, is one that
//! is routed globally, by the registries of special-purpose addresses (RFC 6890, as kept by IANA). A service on a private network
//! may say that providers are there, too; then only addresses of the machine itself may do without TLS.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use openidconnect::url::Url;

/// Longest issuer, bytes.
const ISSUER_BYTES_MAX: usize = 500;

/// Not for the world, or not for one host of it: address and length of the prefix.
const V4_SPECIAL: [(Ipv4Addr, u32); 15] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),       // this network
    (Ipv4Addr::new(10, 0, 0, 0), 8),      // private
    (Ipv4Addr::new(100, 64, 0, 0), 10),   // behind a carrier's translation
    (Ipv4Addr::new(127, 0, 0, 0), 8),     // loopback
    (Ipv4Addr::new(169, 254, 0, 0), 16),  // link-local; metadata of clouds
    (Ipv4Addr::new(172, 16, 0, 0), 12),   // private
    (Ipv4Addr::new(192, 0, 0, 0), 24),    // assignments of protocols
    (Ipv4Addr::new(192, 0, 2, 0), 24),    // documentation
    (Ipv4Addr::new(192, 88, 99, 0), 24),  // relays of 6to4, given up
    (Ipv4Addr::new(192, 168, 0, 0), 16),  // private
    (Ipv4Addr::new(198, 18, 0, 0), 15),   // benchmarks
    (Ipv4Addr::new(198, 51, 100, 0), 24), // documentation
    (Ipv4Addr::new(203, 0, 113, 0), 24),  // documentation
    (Ipv4Addr::new(224, 0, 0, 0), 4),     // multicast
    (Ipv4Addr::new(240, 0, 0, 0), 4),     // reserved, broadcast
];

/// Parts of the only block that is given to hosts of the world, 2000::/3, which are not for them.
const V6_SPECIAL: [(Ipv6Addr, u32); 4] = [
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23), // assignments of protocols: Teredo, benchmarks, ORCHID
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32), // documentation
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16), // 6to4, which leads to any IPv4 address
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20), // documentation
];
const V6_GLOBAL: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);
/// IPv4 addresses in other clothes: mapped ones, and those of hosts that reach IPv4 by NAT64 (RFC 6052).
const V6_OF_V4: [(Ipv6Addr, u32); 2] =
    [(Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96), (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96)];

/// Whether an issuer can be one, by its form: nothing is asked.
///
/// # Errors
/// Says what is wrong with it.
pub(crate) fn check_issuer(issuer: &str, may_be_private: bool) -> Result<(), String> {
    if issuer.len() > ISSUER_BYTES_MAX {
        return Err(format!("it is longer than {ISSUER_BYTES_MAX} bytes"));
    }
    // The parser would drop or change them, and the issuer is compared as it was written.
    if !issuer.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\') {
        return Err("it holds characters that a URL has not".to_owned());
    }
    let url = Url::parse(issuer).map_err(|error| format!("it is not a URL: {error}"))?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err("it has a query or a fragment".to_owned());
    }
    check_url(&url, may_be_private)
}

/// Whether we may ask there, as far as its form tells; names are looked at again when they are resolved.
pub(super) fn check_url(url: &Url, may_be_private: bool) -> Result<(), String> {
    check_scheme(url, may_be_private)?;
    match literal(url) {
        Some(address) if !may_be_private && !is_global(address) => {
            Err(format!("{address} is not a public address"))
        }
        _ => Ok(()),
    }
}

/// Whether a browser may be sent there.
pub(super) fn check_scheme(url: &Url, may_be_private: bool) -> Result<(), String> {
    let is_loopback = || match literal(url) {
        Some(address) => address.is_loopback(),
        None => url.host_str() == Some("localhost"),
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err("it holds a user".to_owned());
    }
    match url.scheme() {
        "https" => Ok(()),
        "http" if may_be_private && is_loopback() => Ok(()),
        _ => Err("it does not begin with https://".to_owned()),
    }
}

/// A host that is an address. The parser has made one of every way to write it.
fn literal(url: &Url) -> Option<IpAddr> {
    let host = url.host_str()?;
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// Whether an address is one host of the world's.
pub(super) fn is_global(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_global_v4(v4),
        IpAddr::V6(v6) => match v6.octets() {
            [.., a, b, c, d] if V6_OF_V4.iter().any(|block| within_v6(v6, *block)) => {
                is_global_v4(Ipv4Addr::new(a, b, c, d))
            }
            _ => within_v6(v6, V6_GLOBAL) && !V6_SPECIAL.iter().any(|block| within_v6(v6, *block)),
        },
    }
}

fn is_global_v4(address: Ipv4Addr) -> bool {
    !V4_SPECIAL.iter().any(|(block, bits)| (address.to_bits() ^ block.to_bits()) >> (32 - bits) == 0)
}

fn within_v6(address: Ipv6Addr, (block, bits): (Ipv6Addr, u32)) -> bool {
    (address.to_bits() ^ block.to_bits()) >> (128 - bits) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_is_a_plain_https_url() {
        for good in [
            "https://login.retail.example",
            "https://login.retail.example/",
            "https://login.retail.example:8443/realms/villa",
            "https://203.0.114.1/v2.0",
            "https://[2606:4700::1111]",
        ] {
            assert_eq!(check_issuer(good, false), Ok(()), "{good}");
        }
        let long = format!("https://login.retail.example/{}", "a".repeat(500));
        for bad in [
            "",
            "login.retail.example",
            "http://login.retail.example",
            "ftp://login.retail.example",
            "https://",
            "https://ana@login.retail.example",
            "https://:secret@login.retail.example",
            "https://login.retail.example?tenant=1",
            "https://login.retail.example?",
            "https://login.retail.example#top",
            " https://login.retail.example",
            "https://login.retail\n.example",
            "https:\\\\login.retail.example",
            "https://lógin.retail.example",
            &long,
        ] {
            assert!(check_issuer(bad, false).is_err(), "{bad}");
            assert!(check_issuer(bad, true).is_err(), "{bad}, where it may be private");
        }
    }

    #[test]
    fn no_way_to_write_an_address_that_is_not_public_makes_it_an_issuer() {
        for private in [
            "https://127.0.0.1",
            "https://127.1",
            "https://0x7f000001",
            "https://2130706433",
            "https://0177.0.0.1",
            "https://127.0.0.1.",
            "https://10.1.2.3:8443",
            "https://169.254.169.254/latest",
            "https://[::1]",
            "https://[::ffff:127.0.0.1]",
            "https://[64:ff9b::a01:203]",
            "https://[fd00::1]",
        ] {
            assert!(check_issuer(private, false).is_err(), "{private}");
            assert_eq!(check_issuer(private, true), Ok(()), "{private}, where it may be");
        }
    }

    #[test]
    fn only_the_machine_itself_is_asked_without_tls_and_only_if_it_may_be_private() {
        for loopback in
            ["http://127.0.0.1:4000", "http://localhost:4000/x", "http://[::1]:4000", "http://127.9.9.9"]
        {
            assert_eq!(check_issuer(loopback, true), Ok(()), "{loopback}");
            assert!(check_issuer(loopback, false).is_err(), "{loopback}");
        }
        for other in
            ["http://10.0.0.1", "http://localhost.retail.example", "http://0.0.0.0", "http://[fd00::1]"]
        {
            assert!(check_issuer(other, true).is_err(), "{other}");
        }
    }

    #[test]
    fn an_address_beside_the_special_blocks_is_global() {
        for global in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.167.255.255",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2606:4700::1111",
            "2001:200::1",
            "2a00:1450::1",
            "::ffff:1.1.1.1",
            "64:ff9b::101:101",
        ] {
            assert!(is_global(global.parse().unwrap()), "{global}");
        }
    }

    #[test]
    fn an_address_within_a_special_block_is_not_global_whatever_it_is_dressed_as() {
        for special in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.0",
            "10.255.255.255",
            "100.64.0.0",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.255",
            "169.254.169.254",
            "172.16.0.0",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:0:10.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::101:101",
            "100::1",
            "2001::1",
            "2001:2::1",
            "2001:1ff::1",
            "2001:db8::1",
            "2002:7f00:1::1",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd12:3456::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!is_global(special.parse().unwrap()), "{special}");
        }
    }
}
