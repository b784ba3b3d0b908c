//! The key and the push tokens: where they come from, which one counts, and that they are never shown.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use storepulse_shared::key::{KeyError as FormError, PushToken, StoreKey};

use super::Cloud;
use crate::key::{KeyFile, KeyFileError};

/// A `key:` in the file.
#[derive(Clone)]
pub struct InlineKey(StoreKey);

impl std::fmt::Debug for InlineKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl InlineKey {
    pub(super) fn check(&self, imported: bool) -> Result<(), FormError> {
        if imported { Ok(()) } else { self.0.clone().require_issued().map(|_| ()) }
    }
}

impl<'de> Deserialize<'de> for InlineKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.trim().parse().map(Self).map_err(D::Error::custom)
    }
}

/// One entry of `tokens`: the token itself, or a file that holds it, so that this one can be shown to others.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenSetting {
    /// What people call the sender.
    pub name: String,
    /// Its token.
    #[serde(default, deserialize_with = "token")]
    token: Option<PushToken>,
    /// The file that holds it.
    #[serde(default)]
    pub(crate) token_file: Option<PathBuf>,
}

impl TokenSetting {
    /// The token, which counts from the next start on if the file changes.
    ///
    /// # Errors
    /// The file cannot be read, or does not hold a push token.
    pub(crate) fn read(&self) -> Result<PushToken, TokenFileError> {
        if let Some(token) = &self.token {
            return Ok(token.clone());
        }
        let path = self.token_file.clone().unwrap_or_default();
        let refused = |why: String| TokenFileError { name: self.name.clone(), path: path.clone(), why };
        let text = std::fs::read_to_string(&path).map_err(|e| refused(e.to_string()))?;
        text.trim().parse().map_err(|e: FormError| refused(e.to_string()))
    }

    pub(crate) fn check(&self) -> Result<(), String> {
        match (&self.token, &self.token_file) {
            (None, None) => Err(format!("tokens: {:?} has neither token nor token_file", self.name)),
            (Some(_), Some(_)) => {
                Err(format!("tokens: {:?} has both token and token_file; keep one", self.name))
            }
            _ => Ok(()),
        }
    }
}

/// Why the token of a sender is not known.
#[derive(Debug, thiserror::Error)]
#[error("tokens: {name:?}: token file {path}: {why}")]
pub struct TokenFileError {
    name: String,
    path: PathBuf,
    why: String,
}

fn token<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PushToken>, D::Error> {
    String::deserialize(deserializer)?.trim().parse().map(Some).map_err(D::Error::custom)
}

/// Where the key is; it is read for every request, so that a corrected or new key needs no restart.
///
/// A key that the agent made itself counts as long as the configured one is the one that it followed from: whoever
/// configures another is obeyed.
#[derive(Debug, Clone)]
pub struct KeySource {
    inline: Option<StoreKey>,
    file: Option<PathBuf>,
    imported: bool,
    own: KeyFile,
}

/// Why there is no key to send.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read.
    #[error("key file {path}: {why}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        why: std::io::Error,
    },
    /// What stands there is not a key that may be used.
    #[error("{place}: {why}")]
    Form {
        /// Where it stands.
        place: String,
        /// What is wrong.
        why: FormError,
    },
    /// The file with the key that the agent made itself.
    #[error(transparent)]
    Own(#[from] KeyFileError),
}

impl KeySource {
    /// The source that `cloud:` names, and what followed from it in the state folder.
    #[must_use]
    pub fn new(cloud: &Cloud, state_dir: &Path) -> Self {
        Self {
            inline: cloud.key.as_ref().map(|key| key.0.clone()),
            file: cloud.key_file.clone(),
            imported: cloud.imported_key,
            own: KeyFile::new(state_dir),
        }
    }

    /// The key to use now.
    ///
    /// # Errors
    /// Neither can be read, is mistyped, or was not issued by us although `imported_key` is not set.
    pub fn read(&self) -> Result<StoreKey, KeyError> {
        let configured = self.configured()?;
        let own = self.own.read()?.filter(|keys| keys.follow_from(&configured));
        Ok(own.and_then(|keys| keys.current).unwrap_or(configured))
    }

    /// The configured key as it stands now.
    ///
    /// # Errors
    /// It cannot be read, is mistyped, or was not issued by us although `imported_key` is not set.
    pub(crate) fn configured(&self) -> Result<StoreKey, KeyError> {
        if let Some(key) = &self.inline {
            return Ok(key.clone());
        }
        let path = self.file.clone().unwrap_or_default();
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(why) => return Err(KeyError::Read { path, why }),
        };
        let key = text.trim().parse::<StoreKey>();
        let key = if self.imported { key } else { key.and_then(StoreKey::require_issued) };
        key.map_err(|why| KeyError::Form { place: format!("key file {}", path.display()), why })
    }
}
