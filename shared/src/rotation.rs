//! Rotation of a store's key: the agent makes the new key, and the cloud learns its id and hash, never the key.
//!
//! [`PATH`] takes three steps. `POST` over the old key registers a [`NewKey`], while an operator's window is open; asked
//! again it answers the same. Then whatever is asked over the new key proves that it opens. `DELETE` over the new key
//! retires the one that it replaced, and no other. An ack that says `rotate_key` tells the agent of the window.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::hex;
use crate::key::StoreKey;

/// Where a new key is registered and an old one retired.
pub const PATH: &str = "/v1/key/rotation";

/// The SHA-256 of a whole key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct KeyHash(pub [u8; 32]);

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHash(redacted)")
    }
}

impl Serialize for KeyHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for KeyHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let refused = || serde::de::Error::custom("not a SHA-256: 64 hex digits in lower case");
        hex::decode(&text).map(Self).ok_or_else(refused)
    }
}

/// A key that the agent has made: what the cloud may know of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewKey {
    /// Its public part.
    pub key_id: String,
    /// The SHA-256 of all of it, 64 hex digits.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub sha256: KeyHash,
}

impl NewKey {
    /// What the cloud may know of this key.
    #[must_use]
    pub fn of(key: &StoreKey) -> Self {
        Self { key_id: key.label(), sha256: KeyHash(key.hash()) }
    }
}

/// The answer 200 to a registration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KeyRegistered {
    /// The new key's public part: it opens from now on.
    pub registered: String,
}

/// The answer 200 to a retirement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KeyRetired {
    /// The public part of the key that asked.
    pub active: String,
    /// The public part of the key that it replaced, which opens nothing any more; null if it replaced none.
    pub retired: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frozen_steps_are_read_and_written_back() {
        let [new_key, registered, retired] =
            include_str!("../testdata/rotation.txt").lines().collect::<Vec<_>>().try_into().unwrap();
        let read: NewKey = serde_json::from_str(new_key).unwrap();
        let key: StoreKey = include_str!("../testdata/key.txt").trim().parse().unwrap();
        assert_eq!(read, NewKey::of(&key));
        assert_eq!(serde_json::to_string(&read).unwrap(), new_key);
        let read: KeyRegistered = serde_json::from_str(registered).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), registered);
        let read: KeyRetired = serde_json::from_str(retired).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), retired);
    }

    #[test]
    fn nothing_prints_a_hash() {
        let key: StoreKey = include_str!("../testdata/key.txt").trim().parse().unwrap();
        assert!(!format!("{:?}", NewKey::of(&key)).contains(&hex::encode(&key.hash())));
    }
}
