//! The names of things: tenants, stores, devices, epochs, batches.
//!
//! Owns their grammar, and keeps it: a value of these types has passed its check, so nobody checks
//! again. No id contains an underscore where a key needs it as separator. What a name may *do* is
//! decided elsewhere, by the credential.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

/// Longest tenant id and store id, in bytes.
pub const ID_BYTES_MAX: usize = 50;
/// Longest device id, in bytes.
pub const DEVICE_BYTES_MAX: usize = 64;
/// The device that stands for the agent itself.
pub const AGENT_DEVICE: &str = "agent";

const RESERVED_TENANTS: [&str; 7] = ["www", "api", "admin", "app", "status", "static", "etl"];

/// Why a name was refused; the text names the value and what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Not of the form a tenant id has.
    #[error("{0:?} is not a tenant id: 1 to 50 of a-z, 0-9 and '-', with '-' neither first nor last")]
    Tenant(String),
    /// A name that would collide with a host name of the service.
    #[error("{0:?} is reserved and cannot be a tenant id")]
    ReservedTenant(String),
    /// Not of the form a store id has.
    #[error("{0:?} is not a store id: 1 to 50 of A-Z, a-z, 0-9 and '-', beginning with a letter or digit")]
    Store(String),
    /// Not of the form a device id has.
    #[error(
        "{0:?} is not a device id: 1 to 64 of A-Z, a-z, 0-9, '.', ':', '_' and '-', beginning with a letter or digit"
    )]
    Device(String),
    /// Not of the form a batch id has.
    #[error("{0:?} is not a batch id: <epoch UUID>/<number from 1>")]
    Batch(String),
    /// Not of the form a loss id has.
    #[error("{0:?} is not a loss id: <epoch UUID>/<number from 1>")]
    Loss(String),
    /// Not of the form an epoch has.
    #[error("{0:?} is not an epoch: a UUID in lower case with hyphens")]
    Epoch(String),
}

/// Cuts an absurdly long name before it goes into an error text.
fn excerpt(text: &str) -> String {
    const SHOWN: usize = 80;
    if text.chars().count() <= SHOWN {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(SHOWN).collect();
    cut.push('…');
    cut
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $parse:path) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                $parse(text)?;
                Ok(Self(Arc::from(text)))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

name!(
    /// A retail chain: `[a-z0-9]([a-z0-9-]{0,48}[a-z0-9])?`, and not a reserved host name.
    TenantId,
    check_tenant
);
name!(
    /// A shop of a tenant: `[A-Za-z0-9][A-Za-z0-9-]{0,49}`. Unique in its tenant ignoring case.
    StoreId,
    check_store
);
name!(
    /// A thing that an agent observes: `[A-Za-z0-9][A-Za-z0-9.:_-]{0,63}`.
    DeviceId,
    check_device
);

fn check_tenant(text: &str) -> Result<(), IdError> {
    let bytes = text.as_bytes();
    let inside = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-';
    let edge = |b: Option<&u8>| b.is_some_and(|b| *b != b'-');
    if bytes.len() > ID_BYTES_MAX || !bytes.iter().all(inside) || !edge(bytes.first()) || !edge(bytes.last())
    {
        return Err(IdError::Tenant(excerpt(text)));
    }
    if RESERVED_TENANTS.contains(&text) || text.starts_with("xn--") {
        return Err(IdError::ReservedTenant(text.to_owned()));
    }
    Ok(())
}

fn check_store(text: &str) -> Result<(), IdError> {
    let bytes = text.as_bytes();
    let inside = |b: &u8| b.is_ascii_alphanumeric() || *b == b'-';
    if bytes.len() <= ID_BYTES_MAX
        && bytes.iter().all(inside)
        && bytes.first().is_some_and(u8::is_ascii_alphanumeric)
    {
        Ok(())
    } else {
        Err(IdError::Store(excerpt(text)))
    }
}

/// Checks the form of a device id without making one.
///
/// # Errors
/// [`IdError::Device`] with the name and what is allowed.
pub fn check_device(text: &str) -> Result<(), IdError> {
    let bytes = text.as_bytes();
    let inside = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b':' | b'_' | b'-');
    if bytes.len() <= DEVICE_BYTES_MAX
        && bytes.iter().all(inside)
        && bytes.first().is_some_and(u8::is_ascii_alphanumeric)
    {
        Ok(())
    } else {
        Err(IdError::Device(excerpt(text)))
    }
}

/// One opening of a spool: a random UUID. Batches are numbered from 1 within it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(Uuid);

impl Epoch {
    /// A new epoch from the system's random numbers.
    #[must_use]
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }

    /// The epoch with this UUID.
    #[must_use]
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// Its UUID.
    #[must_use]
    pub const fn uuid(self) -> Uuid {
        self.0
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Epoch {
    type Err = IdError;

    /// Only the hyphenated lower-case form, so that one epoch has one spelling.
    fn from_str(text: &str) -> Result<Self, IdError> {
        match Uuid::try_parse(text) {
            Ok(uuid) if uuid.hyphenated().to_string() == text => Ok(Self(uuid)),
            _ => Err(IdError::Epoch(excerpt(text))),
        }
    }
}

/// The identity of a batch in its store: epoch and number, written `<epoch>/<seq>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BatchId {
    /// The opening of the spool that numbered it.
    pub epoch: Epoch,
    /// Its number within the epoch, from 1.
    pub seq: u64,
}

/// The identity of a loss in its store: the epoch that recorded it and a number within it,
/// written `<epoch>/<no>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LossId {
    /// The opening of the spool that recorded it.
    pub epoch: Epoch,
    /// Its number among that epoch's losses, from 1.
    pub no: u64,
}

macro_rules! numbered {
    ($name:ident, $number:ident, $refused:path) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}/{}", self.epoch, self.$number)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                let (epoch, $number) = parse_numbered(text).ok_or_else(|| $refused(excerpt(text)))?;
                Ok(Self { epoch, $number })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

numbered!(BatchId, seq, IdError::Batch);
numbered!(LossId, no, IdError::Loss);

fn parse_numbered(text: &str) -> Option<(Epoch, u64)> {
    let (epoch, number) = text.split_once('/')?;
    let epoch = epoch.parse().ok()?;
    if !number.bytes().all(|b| b.is_ascii_digit()) || number.starts_with('0') {
        return None;
    }
    let number = number.parse().ok().filter(|n| *n <= crate::limits::SEQ_MAX)?;
    Some((epoch, number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenant_ids_are_host_name_labels() {
        for good in ["a", "0", "tenant1", "la-villa", &"a".repeat(50)] {
            assert_eq!(good.parse::<TenantId>().map(|t| t.to_string()), Ok(good.to_owned()));
        }
        for bad in ["", "-a", "a-", "A", "a_b", "ñandú", "a.b", &"a".repeat(51), "a b"] {
            assert!(matches!(bad.parse::<TenantId>(), Err(IdError::Tenant(_))), "{bad:?}");
        }
        for reserved in ["www", "etl", "xn--80ak6aa92e"] {
            assert!(matches!(reserved.parse::<TenantId>(), Err(IdError::ReservedTenant(_))));
        }
    }

    #[test]
    fn store_and_device_ids_keep_their_case() {
        assert_eq!("T01".parse::<StoreId>().unwrap().as_str(), "T01");
        assert!("T_01".parse::<StoreId>().is_err());
        assert!("-T01".parse::<StoreId>().is_err());
        assert!("printer_2.a:b".parse::<DeviceId>().is_ok());
        assert!("".parse::<DeviceId>().is_err());
        assert!("printer 2".parse::<DeviceId>().is_err());
    }

    #[test]
    fn an_absurd_name_is_cut_in_the_error() {
        let error = "é".repeat(10_000_000).parse::<TenantId>().unwrap_err();
        assert!(error.to_string().len() < 400);
    }

    #[test]
    fn a_batch_id_has_one_spelling() {
        let id = "0b37f9c2-7a52-4a4e-9a63-0d3a8f7d9c11/42";
        assert_eq!(id.parse::<BatchId>().unwrap().to_string(), id);
        for bad in [
            "0b37f9c2-7a52-4a4e-9a63-0d3a8f7d9c11/0",
            "0b37f9c2-7a52-4a4e-9a63-0d3a8f7d9c11/042",
            "0B37F9C2-7A52-4A4E-9A63-0D3A8F7D9C11/42",
            "0b37f9c27a524a4e9a630d3a8f7d9c11/42",
            "0b37f9c2-7a52-4a4e-9a63-0d3a8f7d9c11/+1",
            "0b37f9c2-7a52-4a4e-9a63-0d3a8f7d9c11/9999999999999999999",
            "42",
        ] {
            assert!(bad.parse::<BatchId>().is_err(), "{bad}");
        }
    }
}
