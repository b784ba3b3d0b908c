//! Who may send: whoever knows a token, or comes from an address that is listed, or both if both are configured.

use std::net::IpAddr;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use storepulse_shared::key::PushToken;

use crate::config::TokenSetting;

/// An address, or all that begin with the same bits: `192.168.1.20`, `192.168.1.0/24`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Network {
    address: IpAddr,
    bits: u32,
}

impl Network {
    fn parse(text: &str) -> Option<Self> {
        let (address, bits) =
            text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().ok()?;
        let bits_max = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Some(bits_max), |bits| bits.parse().ok().filter(|bits| *bits <= bits_max))?;
        Some(Self { address, bits })
    }

    fn has(self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        if address.is_ipv4() != self.address.is_ipv4() {
            return false;
        }
        let (width, [own, other]) =
            (if address.is_ipv4() { 32 } else { 128 }, [self.address, address].map(number));
        (own ^ other).checked_shr(width - self.bits).is_none_or(|differs| differs == 0)
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address),
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let none = || {
            D::Error::custom(format_args!("{text:?} is no address such as 192.168.1.20 or 192.168.1.0/24"))
        };
        Self::parse(&text).ok_or_else(none)
    }
}

/// Who is let in.
#[derive(Debug)]
pub(super) struct Senders {
    hashes: Vec<[u8; 32]>,
    asks_for_token: bool,
    from: Vec<Network>,
}

/// Why somebody is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stranger {
    Address,
    Token,
    /// A key of a store, which must not be here.
    StoreKey,
}

impl Senders {
    /// Reads the files that hold tokens. A sender whose file cannot be read is refused until the next start.
    pub(super) fn load(tokens: &[TokenSetting], from: &[Network]) -> Self {
        let known = tokens.iter().filter_map(|token| {
            let token = token.read();
            token
                .inspect_err(|error| tracing::error!(%error, "this sender is refused until it is corrected"))
                .ok()
        });
        let hashes = known.map(|token| token.hash()).collect();
        Self { hashes, asks_for_token: !tokens.is_empty(), from: from.to_vec() }
    }

    /// Whether a request is from one of them.
    pub(super) fn admit(&self, address: IpAddr, headers: &HeaderMap) -> Result<(), Stranger> {
        if !self.from.is_empty() && !self.from.iter().any(|network| network.has(address)) {
            return Err(Stranger::Address);
        }
        let value = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let bearer = value.and_then(|value| value.split_once(' '));
        let bearer = bearer.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let credential = bearer.map(|(_, credential)| credential.trim());
        if credential.is_some_and(|credential| credential.starts_with("store_")) {
            return Err(Stranger::StoreKey);
        }
        let hash =
            credential.and_then(|credential| credential.parse::<PushToken>().ok()).map(|token| token.hash());
        let is_known = hash.is_some_and(|hash| self.hashes.contains(&hash));
        if self.asks_for_token && !is_known { Err(Stranger::Token) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_the_addresses_that_begin_like_it() {
        for (network, address, has) in [
            ("192.168.1.20", "192.168.1.20", true),
            ("192.168.1.20", "192.168.1.21", false),
            ("192.168.1.0/24", "192.168.1.255", true),
            ("192.168.1.0/24", "192.168.2.0", false),
            ("192.168.1.0/24", "::ffff:192.168.1.7", true),
            ("0.0.0.0/0", "8.8.8.8", true),
            ("0.0.0.0/0", "::1", false),
            ("fd00::/8", "fd12::1", true),
            ("::/0", "fd12::1", true),
            ("fd00::1", "fd00::2", false),
        ] {
            let parsed = Network::parse(network).unwrap();
            assert_eq!(parsed.has(address.parse().unwrap()), has, "{network} {address}");
        }
        for bad in ["", "192.168.1", "192.168.1.0/33", "192.168.1.0/", "fd00::/129", "till.lan"] {
            assert_eq!(Network::parse(bad), None, "{bad}");
        }
    }
}
