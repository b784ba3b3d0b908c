//! What is asked and told over the store's key.

use reqwest::Method;
use storepulse_shared::settings::{PATH, REPORT_PATH, SettingsReport, StoreSettings};

use crate::config::KeySource;
use crate::uplink::Client;

/// What the cloud says.
pub(super) enum Heard {
    /// Another version than the one that is known.
    New(StoreSettings),
    /// No other; or it knows nothing of settings.
    Nothing,
}

/// The way to the cloud.
pub(super) struct Post {
    client: Client,
    key: KeySource,
}

impl Post {
    pub(super) fn new(client: Client, key: KeySource) -> Self {
        Self { client, key }
    }

    /// Asks for the settings, unless they are of the version that is known.
    pub(super) async fn ask(&self, known: Option<u64>) -> Result<Heard, String> {
        let key = self.key.read().map_err(|e| e.to_string())?;
        let known = known.map(StoreSettings::etag);
        let (status, answer) = self.client.call_unless(PATH, &key, known.as_deref()).await?;
        match status {
            200 => serde_json::from_slice(&answer).map(Heard::New).map_err(|_| unclear(status)),
            // An older cloud has no such route.
            304 | 404 => Ok(Heard::Nothing),
            status => Err(unclear(status)),
        }
    }

    /// Whether the cloud answers, and to this key.
    pub(super) async fn is_reached(&self) -> Result<(), String> {
        // Whatever the version is: a page between here and there does not say one.
        match self.ask(None).await? {
            Heard::New(_) => Ok(()),
            Heard::Nothing => Err("something answers that knows nothing of settings".to_owned()),
        }
    }

    /// Tells what became of a version. What the cloud refuses is not told again.
    pub(super) async fn tell(&self, report: &SettingsReport) -> Result<(), String> {
        let key = self.key.read().map_err(|e| e.to_string())?;
        let body = serde_json::to_string(report).map_err(|e| e.to_string())?;
        let (status, _) = self.client.call(Method::PUT, REPORT_PATH, &key, Some(body)).await?;
        match status {
            204 => Ok(()),
            400 | 404 | 409 | 422 => {
                tracing::debug!(status, "the cloud does not take what became of its settings");
                Ok(())
            }
            status => Err(unclear(status)),
        }
    }
}

fn unclear(status: u16) -> String {
    format!("{status}, and not what the cloud would say")
}
