//! The keys that access tokens are signed with, the same for all processes: rows of `signing_keys`, read when the database tells of
//! a change.
//!
//! A new one is made every thirty days. It signs once all processes must have heard of it; the old one verifies until every token
//! that it has signed is over, and is deleted then.

mod sql;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use jsonwebtoken::{DecodingKey, EncodingKey};
use rand::distr::{Alphanumeric, SampleString as _};
use rcgen::PublicKeyData as _;
use storepulse_shared::ids::TenantId;
use time::OffsetDateTime;
use uuid::Uuid;

use super::token::{self, Claims, SigningKey, VerifyingKey};
use super::{Permission, Role};
use crate::app::now_ms;
use crate::db::Db;

/// How long a key signs.
const SIGNS: Duration = Duration::from_secs(30 * 24 * 3600);
/// How long until all processes must have heard of a key.
const HEARD: Duration = Duration::from_secs(15);
/// How long a key stays after another has taken its place; longer than any token.
const STAYS: Duration = Duration::from_secs(3600);
/// Characters of a key's id.
const ID_LEN: usize = 8;

/// The keys as this process knows them.
#[derive(Default)]
pub(crate) struct Signing {
    keys: RwLock<Arc<Keys>>,
}

#[derive(Default)]
struct Keys {
    /// Newest first.
    signing: Vec<(OffsetDateTime, SigningKey)>,
    verifying: Vec<VerifyingKey>,
}

/// A new pair of keys, in the form in which it is stored.
pub(super) struct KeyPair {
    key_id: String,
    private: Vec<u8>,
    /// The 32 bytes of the public key.
    pub(super) public: Vec<u8>,
}

impl std::fmt::Debug for Signing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signing(redacted)")
    }
}

impl KeyPair {
    pub(super) fn make() -> Result<Self, rcgen::Error> {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519)?;
        let key_id = Alphanumeric.sample_string(&mut rand::rng(), ID_LEN);
        Ok(Self { key_id, private: pair.serialize_der(), public: pair.der_bytes().to_vec() })
    }

    pub(super) fn signing(&self) -> SigningKey {
        SigningKey { key_id: self.key_id.clone(), private: EncodingKey::from_ed_der(&self.private) }
    }

    pub(super) fn verifying(&self) -> VerifyingKey {
        VerifyingKey { key_id: self.key_id.clone(), public: DecodingKey::from_ed_der(&self.public) }
    }
}

impl Signing {
    /// Reads the keys.
    pub(crate) async fn load(&self, db: &Db) -> Result<(), sqlx::Error> {
        let mut tx = db.control().await?;
        let read = sql::keys(&mut tx).await?;
        let mut keys = Keys::default();
        for (created_at, pair) in read {
            keys.signing.push((created_at, pair.signing()));
            keys.verifying.push(pair.verifying());
        }
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
        Ok(())
    }

    /// An access token for a session.
    pub(super) fn sign(
        &self,
        whose: (&TenantId, Uuid, Uuid),
        role: Role,
        permissions: &[Permission],
    ) -> anyhow::Result<String> {
        let keys = self.now();
        let heard = OffsetDateTime::now_utc() - HEARD;
        let oldest = keys.signing.last();
        let key = keys.signing.iter().find(|(created_at, _)| *created_at < heard).or(oldest);
        let (_, key) = key.ok_or_else(|| anyhow::anyhow!("there is no key to sign with"))?;
        Ok(Claims::new(whose, role, permissions, now_ms() / 1_000).sign(key)?)
    }

    /// What a token says, if one of the keys has signed it.
    pub(crate) fn verify(&self, text: &str) -> Option<Claims> {
        let key_id = token::key_id(text)?;
        let keys = self.now();
        let key = keys.verifying.iter().find(|key| key.key_id == key_id)?;
        token::verify(text, key)
    }

    fn now(&self) -> Arc<Keys> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Makes a key if there is none, or none that is young enough, and deletes those that nothing is signed with any more.
pub(crate) async fn rotate(db: &Db) -> anyhow::Result<()> {
    let mut tx = db.control().await?;
    sql::lock(&mut tx).await?;
    let newest = sql::newest(&mut tx).await?;
    let now = OffsetDateTime::now_utc();
    match newest {
        Some(at) if now - at < SIGNS => {
            if now - at > STAYS {
                sql::delete_before(&mut tx, at).await?;
            }
        }
        _ => sql::insert(&mut tx, &KeyPair::make()?).await?,
    }
    Ok(tx.commit().await?)
}
