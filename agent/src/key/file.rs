//! `key.json` in the state folder: the key in use that is not the configured one, and the one that is to follow it.
//!
//! ```json
//! {"configured":"<SHA-256 of the configured key>","key":"store_…","next":"store_…","retire":true}
//! ```
//!
//! `key` is used instead of the configured key of that hash; `next` was made and does not count yet; `retire` says that
//! the cloud has still to be told that the key before `key` is done with. The file is written whole, mode 0600, synced,
//! renamed, and the folder synced: after a power cut it is the one or the other.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use storepulse_shared::key::StoreKey;
use storepulse_shared::rotation::KeyHash;

/// Its name.
const NAME: &str = "key.json";

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {why}")]
pub struct KeyFileError {
    path: PathBuf,
    why: String,
}

/// What stands in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Keys {
    /// The SHA-256 of the configured key that all of this followed from.
    pub configured: KeyHash,
    /// The key in use, if it is another than that.
    pub current: Option<StoreKey>,
    /// The key that is to follow.
    pub next: Option<StoreKey>,
    /// The key before `current` has still to be retired.
    pub retire: bool,
}

impl Keys {
    /// Nothing has followed from this key yet.
    pub(super) fn of(configured: &StoreKey) -> Self {
        Self { configured: KeyHash(configured.hash()), current: None, next: None, retire: false }
    }

    /// Whether this followed from the key that is configured now, and is of the same store.
    pub(crate) fn follow_from(&self, configured: &StoreKey) -> bool {
        let same_store =
            |key: &StoreKey| key.tenant() == configured.tenant() && key.store() == configured.store();
        self.configured == KeyHash(configured.hash())
            && [&self.current, &self.next].into_iter().flatten().all(same_store)
    }
}

/// The same as text. Keys stand here in the clear, so it has no `Debug`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    configured: KeyHash,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    retire: bool,
}

/// The file, wherever the state folder is.
#[derive(Debug, Clone)]
pub(crate) struct KeyFile {
    dir: PathBuf,
}

impl KeyFile {
    pub(crate) fn new(state_dir: &Path) -> Self {
        Self { dir: state_dir.to_owned() }
    }

    /// What stands in it, if it is there.
    ///
    /// # Errors
    /// It cannot be read, or is not what we wrote.
    pub(crate) fn read(&self) -> Result<Option<Keys>, KeyFileError> {
        let text = match std::fs::read_to_string(self.path()) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.error(error)),
        };
        let damaged = || {
            let why = "not what this agent wrote; configure a new key, which is then used instead, and delete this file";
            self.error(why)
        };
        let written: Written = serde_json::from_str(&text).map_err(|_| damaged())?;
        let key = |text: Option<String>| text.map(|text| text.parse()).transpose().map_err(|_| damaged());
        Ok(Some(Keys {
            configured: written.configured,
            current: key(written.key)?,
            next: key(written.next)?,
            retire: written.retire,
        }))
    }

    /// Writes it; when this returns it is durable.
    ///
    /// # Errors
    /// What stood there before stands there still.
    pub(super) fn write(&self, keys: &Keys) -> Result<(), KeyFileError> {
        let text = |key: &Option<StoreKey>| key.as_ref().map(|key| key.expose().to_owned());
        let written = Written {
            configured: keys.configured,
            key: text(&keys.current),
            next: text(&keys.next),
            retire: keys.retire,
        };
        let json = serde_json::to_string(&written).map_err(|e| self.error(e))?;
        self.replace(&json).map_err(|e| self.error(e))
    }

    fn replace(&self, json: &str) -> io::Result<()> {
        let fresh = self.dir.join("key.json.new");
        // What an interrupted write left behind may have another mode.
        match std::fs::remove_file(&fresh) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
        file.write_all(json.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&fresh, self.path())?;
        File::open(&self.dir)?.sync_all()
    }

    fn path(&self) -> PathBuf {
        self.dir.join(NAME)
    }

    fn error(&self, why: impl ToString) -> KeyFileError {
        KeyFileError { path: self.path(), why: why.to_string() }
    }
}
