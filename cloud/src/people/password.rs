//! Passwords: hashed with Argon2id, a few at once.
//!
//! A hash takes 19 MiB and some 20 to 40 ms of one processor (the parameters that OWASP recommends: m=19456, t=2, p=1). At most half
//! of the processors hash at any time, so that a flood of wrong passwords takes neither memory nor the time of ingest; who waits too
//! long is told to come back. A user who is not there costs the same as one who is.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use argon2::password_hash::{PasswordHash, PasswordHasher as _, PasswordVerifier as _, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use axum::http::StatusCode;
use rand::RngExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::operator::Refusal;
use crate::problem::ApiError;

/// Longest, in bytes.
pub(crate) const BYTES_MAX: usize = 256;
/// Memory of a hash, KiB.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// How many may wait for a place.
const WAITING_MAX: usize = 128;
/// How long.
const WAIT_MAX: Duration = Duration::from_secs(8);
/// Characters of a password that we make: 71 bits.
const MADE_CHARS: usize = 14;
/// Without those that are easily taken for others.
const MADE_OF: &[u8] = b"abcdefghjkmnpqrstuvwxyz23456789ABCDEFGHJKLMNPQRSTUVWXYZ";

/// A password as somebody gave it. It is shown nowhere.
#[derive(Clone, serde::Deserialize)]
#[serde(transparent)]
pub(crate) struct Password(String);

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password(redacted)")
    }
}

impl Password {
    #[cfg(test)]
    fn new(text: String) -> Self {
        Self(text)
    }

    /// One that nobody has thought of.
    pub(crate) fn make() -> Self {
        let mut rng = rand::rng();
        Self((0..MADE_CHARS).map(|_| char::from(MADE_OF[rng.random_range(0..MADE_OF.len())])).collect())
    }

    /// For whom it was made, once.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    /// Refuses what is guessed first, and what is shorter than the tenant wants it.
    pub(crate) fn check(
        &self,
        chars_min: usize,
        user_name: &str,
        email: Option<&str>,
    ) -> Result<(), Refusal> {
        let chars = self.0.chars().count();
        let folded = self.0.to_lowercase();
        let email = email.unwrap_or(user_name);
        let local = email.split('@').next().unwrap_or(user_name);
        let fault = if chars < chars_min || self.0.len() > BYTES_MAX {
            format!("it has {chars} characters")
        } else if [email, user_name, local]
            .iter()
            .any(|name| name.len() > 2 && folded.replace(name, "").chars().count() < chars_min / 2)
        {
            "it is little more than the user's name or email".to_owned()
        } else if folded.chars().collect::<std::collections::HashSet<_>>().len() < 5 {
            "it is of fewer than five different characters".to_owned()
        } else {
            return Ok(());
        };
        Err(Refusal::Value(format!(
            "password: {fault}; allowed are {chars_min} characters to {BYTES_MAX} bytes that nobody guesses: a few words, for example"
        )))
    }
}

/// Where passwords are hashed.
#[derive(Debug)]
pub(crate) struct Hashing {
    places: Arc<Semaphore>,
    waiting: Semaphore,
}

impl Default for Hashing {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(places())), waiting: Semaphore::new(WAITING_MAX) }
    }
}

/// Half of the processors.
fn places() -> usize {
    std::thread::available_parallelism().map_or(1, |n| (n.get() / 2).max(1))
}

/// What a user who is not there is compared with. Nobody knows its password.
static NOBODYS: LazyLock<String> = LazyLock::new(|| hash_now(&Password::make()).unwrap_or_default());

impl Hashing {
    /// The hash to keep, with its parameters and salt.
    pub(crate) async fn hash(&self, password: Password) -> Result<String, ApiError> {
        let place = self.enter().await?;
        let hashed = tokio::task::spawn_blocking(move || {
            let _place = place;
            hash_now(&password)
        });
        hashed
            .await
            .map_err(|e| ApiError::Internal(e.into()))?
            .map_err(|e| ApiError::Internal(anyhow::anyhow!("argon2: {e}")))
    }

    /// Whether the password is the one of this hash; of no hash, it never is, and takes as long.
    pub(crate) async fn verify(&self, password: Password, hash: Option<String>) -> Result<bool, ApiError> {
        let place = self.enter().await?;
        let verified = tokio::task::spawn_blocking(move || {
            let _place = place;
            let is_somebodys = hash.is_some();
            let hash = hash.unwrap_or_else(|| NOBODYS.clone());
            let parsed = PasswordHash::new(&hash)?;
            let is_right = argon2().verify_password(password.0.as_bytes(), &parsed);
            match is_right {
                Ok(()) => Ok(is_somebodys),
                Err(argon2::password_hash::Error::Password) => Ok(false),
                Err(error) => Err(error),
            }
        });
        verified
            .await
            .map_err(|e| ApiError::Internal(e.into()))?
            .map_err(|e| ApiError::Internal(anyhow::anyhow!("argon2: {e}")))
    }

    async fn enter(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        let busy = || ApiError::Overloaded { retry_after: Duration::from_secs(2) };
        let _waiting = self.waiting.try_acquire().map_err(|_| busy())?;
        let place = tokio::time::timeout(WAIT_MAX, Arc::clone(&self.places).acquire_owned()).await;
        place.map_err(|_| busy())?.map_err(|_| busy())
    }
}

/// The same at the command line, where nobody else waits.
pub(crate) fn hash_now(password: &Password) -> Result<String, argon2::password_hash::Error> {
    let salt = SaltString::encode_b64(&rand::random::<[u8; 16]>())?;
    Ok(argon2().hash_password(password.0.as_bytes(), &salt)?.to_string())
}

fn argon2() -> Argon2<'static> {
    // These parameters are within the limits of the library; a default of it would be stronger, not weaker.
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).unwrap_or_default();
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

/// A sign-in that opened nothing: one body for every reason.
pub(crate) fn sign_in_failed() -> ApiError {
    let detail = "the tenant, the user's name or the password is not right, or this user may not sign in; whoever manages the tenant's users can help";
    ApiError::refused(StatusCode::UNAUTHORIZED, "sign_in_failed", detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_opens_its_own_hash_and_nothing_opens_none() {
        let hashing = Hashing::default();
        let right = Password::make();
        let hash = hashing.hash(right.clone()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(hashing.verify(right.clone(), Some(hash.clone())).await.unwrap());
        assert!(!hashing.verify(Password::make(), Some(hash)).await.unwrap());
        assert!(!hashing.verify(right, None).await.unwrap());
    }

    #[test]
    fn what_is_guessed_first_is_refused_with_the_way_out() {
        let check =
            |text: &str| Password::new(text.to_owned()).check(10, "ana.ruiz", Some("a.ruiz@retail.example"));
        assert!(check("correct horse battery").is_ok());
        assert!(check("пароль которого нет").is_ok());
        for bad in [
            "",
            "short",
            "aaaaaaaaaaaaaa",
            "ana.ruiz123",
            "A.RUIZ1234",
            "a.ruiz@retail.example",
            "A.Ruiz@retail.example1",
            &"x1y2z3".repeat(50),
        ] {
            let said = check(bad).unwrap_err().to_string();
            assert!(said.starts_with("password: ") && said.contains("allowed are"), "{said}");
        }
        assert!(Password::make().check(12, "ana", None).is_ok());
    }
}
