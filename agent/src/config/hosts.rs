//! Names of the box, as browsers write them.

use std::net::IpAddr;
use std::str::FromStr;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

/// Longest name that DNS has.
const NAME_BYTES_MAX: usize = 253;
/// Longest part of it.
const LABEL_BYTES_MAX: usize = 63;

/// A name or an address: lower case, without port, brackets and final dot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostName(String);

impl HostName {
    /// As text; an address in its shortest form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The address that it is, if it is none of DNS.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        self.0.parse().ok()
    }
}

impl FromStr for HostName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
        if let Ok(address) = bare.parse::<IpAddr>() {
            return Ok(Self(address.to_canonical().to_string()));
        }
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let is_label = |label: &str| {
            (1..=LABEL_BYTES_MAX).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        };
        if name.len() <= NAME_BYTES_MAX && name.split('.').all(is_label) {
            return Ok(Self(name));
        }
        Err(format!("{text:?} is neither a host name nor an address; give it without scheme, port and path"))
    }
}

impl<'de> Deserialize<'de> for HostName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_one_spelling_and_nothing_around_them() {
        for (text, name) in [
            ("Box.Shop.LAN.", "box.shop.lan"),
            ("box_1", "box_1"),
            ("[2001:DB8::1]", "2001:db8::1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
        ] {
            assert_eq!(text.parse::<HostName>().unwrap().as_str(), name);
        }
        let long = "a".repeat(64);
        for bad in ["", ".", "a..b", "http://box", "box:80", "box/", "a b", "a@b", "bóx", "[::1", &long] {
            let error = bad.parse::<HostName>().unwrap_err();
            assert!(error.contains("neither a host name"), "{bad}: {error}");
        }
    }
}
