//! `settings.json` in the state folder: what was confirmed, what is being tried, and what the cloud has still to be told.
//!
//! ```json
//! {"confirmed":{"version":11,"settings":{…}},"trying":{"version":12,"settings":{…}},"last":{"version":12,"state":"trying"},"told":false}
//! ```
//!
//! It is written before a trial begins, so an agent that finds a trial in it has not survived it: that version is not tried
//! again. A file that cannot be read is set aside, and the agent runs by `agent.yaml` alone until the cloud says more.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use storepulse_shared::settings::{SettingsReport, StoreSettings};

use crate::collector::kept;

/// Its name.
const NAME: &str = "settings.json";

/// What stands in it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Kept {
    /// What the agent starts with.
    #[serde(default)]
    pub(super) confirmed: StoreSettings,
    /// What it runs by to see how that goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) trying: Option<StoreSettings>,
    /// What became of the version that was heard of last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) last: Option<SettingsReport>,
    /// Whether the cloud knows that.
    #[serde(default)]
    pub(super) told: bool,
}

/// The file, wherever the state folder is.
#[derive(Debug, Clone)]
pub(super) struct File {
    dir: PathBuf,
}

impl File {
    pub(super) fn new(state_dir: &Path) -> Self {
        Self { dir: state_dir.to_owned() }
    }

    /// What stands in it; nothing if it is not there, or not what we wrote.
    pub(super) fn read(&self) -> Kept {
        let parse = |bytes: Vec<u8>| {
            serde_json::from_slice(&bytes).map_err(|_| "not what this agent wrote".to_owned())
        };
        let read = kept::read(&self.dir, NAME).map_err(|e| e.to_string());
        match read.and_then(|bytes| bytes.map(parse).transpose()) {
            Ok(found) => found.unwrap_or_default(),
            Err(why) => {
                let path = self.dir.join(NAME);
                tracing::error!(path = %path.display(), why, "it is set aside; the agent runs by agent.yaml alone until the cloud tells its settings again");
                if let Err(error) = std::fs::rename(&path, self.dir.join(format!("{NAME}.damaged"))) {
                    tracing::warn!(path = %path.display(), %error, "it could not be set aside");
                }
                Kept::default()
            }
        }
    }

    /// Writes it; when this returns it is durable.
    ///
    /// # Errors
    /// Those of the disk; what stood there before stands there still.
    pub(super) async fn write(&self, kept: &Kept) -> Result<(), String> {
        let (dir, bytes) = (self.dir.clone(), serde_json::to_vec(kept).map_err(|e| e.to_string())?);
        let done = tokio::task::spawn_blocking(move || kept::write(&dir, NAME, &bytes)).await;
        let done = done.unwrap_or_else(|error| Err(std::io::Error::other(error)));
        done.map_err(|error| format!("{}: {error}", self.dir.join(NAME).display()))
    }
}
