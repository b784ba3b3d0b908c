//! The key: `store_<tenant>_<store>_<token>`, the credential of one store's agent.
//!
//! A token that we issue is 46 base62 characters: 8 of key id, 32 of secret (190 bits) and 6 of
//! CRC-32 (IEEE) over everything before it, so a mistyped key is recognised on the box, offline.
//! Tokens of another shape are *foreign*: keys imported from an older system. The same shape with
//! the prefix `push` is a push token, which opens a gateway and nothing else.
//!
//! Parsing decides nothing: the cloud finds the row by [`StoreKey::hash`], and tenant and store come
//! from the row. No type here shows its secret: `Debug` is redacted and there is no `Display`.

use std::fmt;
use std::str::FromStr;

use rand::RngExt as _;
use sha2::{Digest as _, Sha256};

use crate::ids::{IdError, StoreId, TenantId};

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const ID_LEN: usize = 8;
const SECRET_LEN: usize = 32;
const CHECK_LEN: usize = 6;
const TOKEN_LEN: usize = ID_LEN + SECRET_LEN + CHECK_LEN;
/// Longest key of any origin, in bytes.
pub const KEY_BYTES_MAX: usize = 256;

/// Why a key or push token was refused. No variant carries the secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The fields are not there.
    #[error("not a store key: expected store_<tenant>_<store>_<token>")]
    Form,
    /// A field has a name that cannot be one.
    #[error("not a store key: {0}")]
    Id(#[from] IdError),
    /// Right shape, wrong checksum.
    #[error("the key is mistyped: its checksum does not match; copy it again from the onboarding package")]
    Mistyped,
    /// Right fields, but a token of another shape.
    #[error(
        "the key was not issued by StorePulse (its token is not {TOKEN_LEN} base62 characters); for a key taken over from an older system set `imported_key: true`"
    )]
    NotIssuedByUs,
    /// A push token that cannot be one.
    #[error("not a push token: expected push_ and {TOKEN_LEN} base62 characters with a matching checksum")]
    PushToken,
    /// A token of a person that cannot be one.
    #[error(
        "not such a token: expected its kind, a tenant and {TOKEN_LEN} base62 characters with a matching checksum"
    )]
    PersonsToken,
    /// An operator's key that cannot be one.
    #[error(
        "not an operator's key: expected operator_ and {TOKEN_LEN} base62 characters with a matching checksum"
    )]
    OperatorKey,
}

/// Who made the token of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Ours: 46 base62 characters whose checksum holds.
    Issued,
    /// Another system's: looked up only where imported keys are accepted.
    Foreign,
}

/// A parsed store key.
#[derive(Clone, PartialEq, Eq)]
pub struct StoreKey {
    tenant: TenantId,
    store: StoreId,
    origin: Origin,
    text: String,
}

impl StoreKey {
    /// Makes a new key for a store from the system's random numbers.
    #[must_use]
    pub fn issue(tenant: &TenantId, store: &StoreId) -> Self {
        let text = with_token(format!("store_{tenant}_{store}_"));
        Self { tenant: tenant.clone(), store: store.clone(), origin: Origin::Issued, text }
    }

    /// The tenant it names. It grants nothing: the row found by [`Self::hash`] does.
    #[must_use]
    pub const fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// The store it names. It grants nothing either.
    #[must_use]
    pub const fn store(&self) -> &StoreId {
        &self.store
    }

    /// Who made its token.
    #[must_use]
    pub const fn origin(&self) -> Origin {
        self.origin
    }

    /// The public part of an issued key, by which people speak of it.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        let token = self.text.rsplit('_').next()?;
        (self.origin == Origin::Issued).then(|| token.get(..ID_LEN)).flatten()
    }

    /// By what people speak of a key of any origin: its public part, or of a foreign one, which has none, the beginning
    /// of its hash.
    #[must_use]
    pub fn label(&self) -> String {
        let of_hash = || self.hash()[..4].iter().map(|b| format!("{b:02x}")).collect();
        self.id().map_or_else(of_hash, str::to_owned)
    }

    /// SHA-256 of the whole key, which is all that the cloud stores.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.text.as_bytes()).into()
    }

    /// The key itself, for the `Authorization` header and the file it is kept in; never for a log.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// Refuses a key that StorePulse did not issue.
    ///
    /// # Errors
    /// [`KeyError::NotIssuedByUs`], which names the way out.
    pub fn require_issued(self) -> Result<Self, KeyError> {
        match self.origin {
            Origin::Issued => Ok(self),
            Origin::Foreign => Err(KeyError::NotIssuedByUs),
        }
    }
}

impl FromStr for StoreKey {
    type Err = KeyError;

    /// Takes keys of both origins; a token in our shape must have our checksum.
    fn from_str(text: &str) -> Result<Self, KeyError> {
        let printable = text.bytes().all(|b| b.is_ascii_graphic());
        if text.len() > KEY_BYTES_MAX || !printable {
            return Err(KeyError::Form);
        }
        let fields: Vec<&str> = text.splitn(4, '_').collect();
        let &["store", tenant, store, token] = fields.as_slice() else {
            return Err(KeyError::Form);
        };
        if token.is_empty() {
            return Err(KeyError::Form);
        }
        let origin = if !has_our_shape(token) {
            Origin::Foreign
        } else if has_our_checksum(text) {
            Origin::Issued
        } else {
            return Err(KeyError::Mistyped);
        };
        Ok(Self { tenant: tenant.parse()?, store: store.parse()?, origin, text: text.to_owned() })
    }
}

impl fmt::Debug for StoreKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoreKey(redacted)")
    }
}

/// A credential that is a prefix and a token of ours, and nothing else.
macro_rules! bare_token {
    ($(#[$about:meta])* $name:ident, $prefix:literal, $error:expr) => {
        $(#[$about])*
        #[derive(Clone, PartialEq, Eq)]
        pub struct $name(String);

        impl $name {
            /// Makes a new one from the system's random numbers.
            #[must_use]
            pub fn issue() -> Self {
                Self(with_token($prefix.to_owned()))
            }

            /// The public part, by which people speak of it.
            #[must_use]
            pub fn id(&self) -> &str {
                &self.0[$prefix.len()..$prefix.len() + ID_LEN]
            }

            /// SHA-256 of the whole of it.
            #[must_use]
            pub fn hash(&self) -> [u8; 32] {
                Sha256::digest(self.0.as_bytes()).into()
            }

            /// The secret itself, for the `Authorization` header and the file it is kept in; never for a log.
            #[must_use]
            pub fn expose(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = KeyError;

            fn from_str(text: &str) -> Result<Self, KeyError> {
                let ours = text.strip_prefix($prefix).is_some_and(has_our_shape) && has_our_checksum(text);
                if ours { Ok(Self(text.to_owned())) } else { Err($error) }
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(redacted)"))
            }
        }
    };
}

bare_token!(
    /// Lets one sender on the LAN post to a gateway; reads nothing, never reaches the cloud.
    PushToken,
    "push_",
    KeyError::PushToken
);

bare_token!(
    /// The credential of an operator, who manages tenants: `operator_<token>`. It opens no store's data by itself.
    OperatorKey,
    "operator_",
    KeyError::OperatorKey
);

/// A secret of a person of a tenant: its kind, the tenant, a token of ours. The tenant says where to look and grants nothing.
macro_rules! tenant_token {
    ($(#[$about:meta])* $name:ident, $prefix:literal) => {
        $(#[$about])*
        #[derive(Clone, PartialEq, Eq)]
        pub struct $name {
            tenant: TenantId,
            text: String,
        }

        impl $name {
            /// Makes a new one from the system's random numbers.
            #[must_use]
            pub fn issue(tenant: &TenantId) -> Self {
                Self { tenant: tenant.clone(), text: with_token(format!(concat!($prefix, "{}_"), tenant)) }
            }

            /// The tenant it names.
            #[must_use]
            pub const fn tenant(&self) -> &TenantId {
                &self.tenant
            }

            /// SHA-256 of the whole of it.
            #[must_use]
            pub fn hash(&self) -> [u8; 32] {
                Sha256::digest(self.text.as_bytes()).into()
            }

            /// The secret itself, for whom it was made; never for a log.
            #[must_use]
            pub fn expose(&self) -> &str {
                &self.text
            }
        }

        impl FromStr for $name {
            type Err = KeyError;

            fn from_str(text: &str) -> Result<Self, KeyError> {
                let fields = text.strip_prefix($prefix).and_then(|rest| rest.split_once('_'));
                let (tenant, token) = fields.ok_or(KeyError::PersonsToken)?;
                if !has_our_shape(token) || !has_our_checksum(text) {
                    return Err(KeyError::PersonsToken);
                }
                Ok(Self { tenant: tenant.parse()?, text: text.to_owned() })
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(redacted)"))
            }
        }
    };
}

tenant_token!(
    /// Renews a session of a person, once: `refresh_<tenant>_<token>`.
    RefreshToken,
    "refresh_"
);

tenant_token!(
    /// Makes whoever has it a user of a tenant, once: `invite_<tenant>_<token>`.
    InviteToken,
    "invite_"
);

tenant_token!(
    /// The cookie of a page where somebody is signed in: `session_<tenant>_<token>`.
    SessionToken,
    "session_"
);

tenant_token!(
    /// What a program of a person calls with: `person_<tenant>_<token>`.
    PersonToken,
    "person_"
);

tenant_token!(
    /// What an operator calls with who has entered a tenant: `entry_<tenant>_<token>`.
    EntryToken,
    "entry_"
);

tenant_token!(
    /// Sets a user's password, once: `reset_<tenant>_<token>`.
    ResetToken,
    "reset_"
);

bare_token!(
    /// Makes a tenant of whoever has it and has asked for it, once: `signup_<token>`.
    SignUpToken,
    "signup_",
    KeyError::PersonsToken
);

fn with_token(mut text: String) -> String {
    let mut rng = rand::rng();
    text.extend((0..ID_LEN + SECRET_LEN).map(|_| char::from(BASE62[rng.random_range(0..BASE62.len())])));
    let check = checksum(&text);
    text.push_str(&check);
    text
}

fn has_our_shape(token: &str) -> bool {
    token.len() == TOKEN_LEN && token.bytes().all(|b| b.is_ascii_alphanumeric())
}

fn has_our_checksum(text: &str) -> bool {
    let (before, check) = text.split_at(text.len() - CHECK_LEN);
    checksum(before) == check
}

/// CRC-32 (IEEE) of the text as 6 base62 digits, most significant first.
fn checksum(text: &str) -> String {
    let mut rest = crc32fast::hash(text.as_bytes());
    let mut digits = [b'0'; CHECK_LEN];
    for digit in digits.iter_mut().rev() {
        *digit = BASE62[(rest % 62) as usize];
        rest /= 62;
    }
    digits.iter().copied().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issued() -> StoreKey {
        StoreKey::issue(&"la-villa".parse().unwrap(), &"T01".parse().unwrap())
    }

    #[test]
    fn an_issued_key_is_four_fields_and_parses_back() {
        let key = issued();
        let fields: Vec<_> = key.expose().split('_').collect();
        assert_eq!(fields[..3], ["store", "la-villa", "T01"]);
        assert_eq!(fields[3].len(), TOKEN_LEN);
        let parsed: StoreKey = key.expose().parse().unwrap();
        assert_eq!(parsed, key);
        assert_eq!(parsed.origin(), Origin::Issued);
        assert_eq!(parsed.id().unwrap(), &fields[3][..8]);
    }

    #[test]
    fn the_frozen_key_keeps_its_checksum_and_hash() {
        let text = include_str!("../testdata/key.txt").trim();
        let key: StoreKey = text.parse().unwrap();
        assert_eq!(key.origin(), Origin::Issued);
        let hex: String = key.hash().iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, include_str!("../testdata/key.sha256").trim());
    }

    #[test]
    fn every_single_mistake_in_a_key_is_recognised() {
        let key = issued();
        let text = key.expose();
        for at in 0..text.len() {
            let mut wrong = text.as_bytes().to_vec();
            wrong[at] = if wrong[at] == b'7' { b'8' } else { b'7' };
            let wrong = String::from_utf8(wrong).unwrap();
            let verdict = wrong.parse::<StoreKey>().and_then(StoreKey::require_issued);
            assert!(verdict.is_err(), "a mistake at {at} passed");
        }
    }

    #[test]
    fn the_key_of_the_guide_parses_and_is_not_ours() {
        let key: StoreKey = "store_tenant1_T01_abc123".parse().unwrap();
        assert_eq!((key.tenant().as_str(), key.store().as_str()), ("tenant1", "T01"));
        assert_eq!(key.origin(), Origin::Foreign);
        assert_eq!(key.id(), None);
        assert_eq!(key.label().len(), 8);
        let error = key.require_issued().unwrap_err();
        assert!(error.to_string().contains("not issued by StorePulse"), "{error}");
        assert!(error.to_string().contains("imported_key: true"), "{error}");
    }

    #[test]
    fn a_foreign_token_may_contain_underscores() {
        let key: StoreKey = "store_t1_T01_aB-_9_x".parse().unwrap();
        assert_eq!(key.store().as_str(), "T01");
    }

    #[test]
    fn malformed_keys_are_refused() {
        for bad in ["", "store", "store_t_T", "store_t_T_", "shop_t_T_x", "store_T_T_x", "store_t_T_x\n"] {
            assert!(bad.parse::<StoreKey>().is_err(), "{bad:?}");
        }
        assert!(format!("store_t_T_{}", "x".repeat(300)).parse::<StoreKey>().is_err());
    }

    #[test]
    fn nothing_prints_a_secret() {
        let key = issued();
        let token = PushToken::issue();
        for shown in [format!("{key:?}"), format!("{key:#?}"), format!("{token:?}")] {
            assert!(!shown.contains(&key.expose()[15..]) && !shown.contains(&token.expose()[5..]));
            assert!(shown.contains("redacted"));
        }
    }

    #[test]
    fn a_token_of_a_person_names_its_tenant_and_is_no_other_credential() {
        let token = RefreshToken::issue(&"la-villa".parse().unwrap());
        let parsed: RefreshToken = token.expose().parse().unwrap();
        assert_eq!((parsed.tenant().as_str(), parsed.hash()), ("la-villa", token.hash()));
        assert!(!format!("{token:?}").contains(&token.expose()[17..]));
        assert!(
            token.expose().parse::<StoreKey>().is_err() && token.expose().parse::<OperatorKey>().is_err()
        );
        for bad in [
            "",
            "refresh_",
            "refresh_la-villa",
            "refresh_la-villa_x",
            &token.expose().replace("la-villa", "la-villb"),
        ] {
            assert!(bad.parse::<RefreshToken>().is_err(), "{bad:?}");
        }
        assert!(issued().expose().replace("store_", "refresh_").parse::<RefreshToken>().is_err());
    }

    #[test]
    fn a_push_token_is_not_a_store_key() {
        let token = PushToken::issue();
        assert_eq!(token.expose().parse::<PushToken>().unwrap(), token);
        assert!(token.expose().parse::<StoreKey>().is_err());
        assert!(issued().expose().parse::<PushToken>().is_err());
    }
}
