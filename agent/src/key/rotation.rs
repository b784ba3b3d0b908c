//! A new key without anybody at the box.
//!
//! 1. *Made*: an ack has said that an operator opened a window. A new key is made and stored as `next`; nothing else has
//!    happened yet, and the old key is used.
//! 2. *Registered*: the cloud is told its id and hash, over the old key. Asked twice, it answers the same.
//! 3. *Proved*: something is asked over the new key. After its first 200 it is stored as the one in use, and used.
//! 4. *Retired*: over the new key, the cloud is told to forget the old one.
//!
//! Every step ends with the file or with an answer that can be had again, so after a crash the next start goes on where
//! the file says, and there is a key that opens at every point. Only what the cloud itself says counts: a page that
//! answers 200 on the way does not say the new key's id.

use std::time::Duration;

use reqwest::Method;
use storepulse_shared::answer::Problem;
use storepulse_shared::key::StoreKey;
use storepulse_shared::rotation::{KeyRegistered, KeyRetired, NewKey, PATH};
use tokio_util::sync::CancellationToken;

use super::file::{KeyFile, Keys};
use crate::config::KeySource;
use crate::uplink::{Client, UplinkBoard};

/// How often we look whether there is something to do.
const LOOK: Duration = Duration::from_secs(2);
/// Pause after a step that failed.
const RETRY: Duration = Duration::from_secs(30);
/// Pause after a rotation: acks on their way may still speak of its window.
const SETTLE: Duration = Duration::from_secs(60);

/// Where a step has led.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// There is nothing to do.
    Nothing,
    /// There is another one.
    On,
    /// That was the last one.
    Finished,
}

/// What the cloud says to a new key.
#[derive(Debug)]
enum Registration {
    /// It is registered.
    Done,
    /// It will not be.
    TurnedDown(String),
    /// The old key opens nothing: perhaps because the new one has taken its place already.
    OldRefused,
}

/// Changes the key when it is asked for.
pub(crate) struct Rotation {
    client: Client,
    key: KeySource,
    file: KeyFile,
    board: UplinkBoard,
}

impl Rotation {
    pub(crate) fn new(client: Client, key: KeySource, file: KeyFile, board: UplinkBoard) -> Self {
        Self { client, key, file, board }
    }

    /// Until `stop`, at whichever step: it goes on from there at the next start.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let _ = stop.run_until_cancelled(self.steps()).await;
    }

    async fn steps(&self) {
        loop {
            let pause = match self.step().await {
                Ok(Step::Nothing) => LOOK,
                Ok(Step::On) => continue,
                Ok(Step::Finished) => SETTLE,
                Err(why) => {
                    tracing::warn!(why, "the key could not be changed yet; the one in use stays");
                    RETRY
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    async fn step(&self) -> Result<Step, String> {
        // Without a configured key there is nothing to do; the uplink says so already.
        let Ok(configured) = self.key.configured() else { return Ok(Step::Nothing) };
        let keys = self.file.read().map_err(|e| e.to_string())?;
        let mut keys =
            keys.filter(|keys| keys.follow_from(&configured)).unwrap_or_else(|| Keys::of(&configured));
        let used = keys.current.clone().unwrap_or_else(|| configured.clone());
        if let Some(next) = keys.next.clone() {
            self.bring_in(&used, next, keys).await
        } else if keys.retire {
            self.retire_before(&used, keys).await
        } else if self.board.take_key_wish() {
            let next = StoreKey::issue(configured.tenant(), configured.store());
            tracing::info!(key = next.label(), "a new key is made, because an operator asks for it");
            keys.next = Some(next);
            self.write(&keys).map(|()| Step::On)
        } else {
            Ok(Step::Nothing)
        }
    }

    /// Registers the next key, proves that it opens, and uses it.
    async fn bring_in(&self, used: &StoreKey, next: StoreKey, mut keys: Keys) -> Result<Step, String> {
        match self.register(used, &next).await? {
            Registration::TurnedDown(why) => {
                tracing::warn!(why, "the cloud does not take a new key; the one in use stays");
                keys.next = None;
                return self.write(&keys).map(|()| Step::Finished);
            }
            Registration::Done => {}
            Registration::OldRefused => tracing::info!("the key in use opens nothing; the next one is tried"),
        }
        if !self.opens(&next).await? {
            return Err(format!("the new key {} does not open", next.label()));
        }
        tracing::info!(
            key = next.label(),
            before = used.label(),
            "the new key opens and is used from now on"
        );
        keys = Keys { current: Some(next), next: None, retire: true, ..keys };
        self.write(&keys).map(|()| Step::On)
    }

    async fn register(&self, used: &StoreKey, next: &StoreKey) -> Result<Registration, String> {
        let body = serde_json::to_string(&NewKey::of(next)).map_err(|e| e.to_string())?;
        let (status, answer) = self.client.call(Method::POST, PATH, used, Some(body)).await?;
        match status {
            200 if said::<KeyRegistered>(&answer).is_some_and(|a| a.registered == next.label()) => {
                Ok(Registration::Done)
            }
            401 | 403 => Ok(Registration::OldRefused),
            409 => match said::<Problem>(&answer) {
                Some(problem) => Ok(Registration::TurnedDown(problem.detail)),
                None => Err(unclear(status)),
            },
            status => Err(unclear(status)),
        }
    }

    /// Whether the cloud knows a key as this store's.
    async fn opens(&self, key: &StoreKey) -> Result<bool, String> {
        let (status, answer) = self.client.call(Method::GET, "/v1/stores", key, None).await?;
        let stores: serde_json::Value = serde_json::from_slice(&answer).unwrap_or_default();
        match status {
            200 if stores["stores"][0]["id"] == key.store().as_str() => Ok(true),
            401 | 403 => Ok(false),
            status => Err(unclear(status)),
        }
    }

    /// Retires the key before the one in use.
    async fn retire_before(&self, used: &StoreKey, mut keys: Keys) -> Result<Step, String> {
        let (status, answer) = self.client.call(Method::DELETE, PATH, used, None).await?;
        let answer = said::<KeyRetired>(&answer).filter(|a| status == 200 && a.active == used.label());
        let retired = answer.ok_or_else(|| unclear(status))?.retired;
        tracing::info!(key = used.label(), retired, "the key before is retired");
        keys.retire = false;
        self.write(&keys).map(|()| Step::Finished)
    }

    fn write(&self, keys: &Keys) -> Result<(), String> {
        self.file.write(keys).map_err(|e| e.to_string())
    }
}

fn said<T: serde::de::DeserializeOwned>(answer: &[u8]) -> Option<T> {
    serde_json::from_slice(answer).ok()
}

fn unclear(status: u16) -> String {
    format!("{status}, and not what the cloud would say")
}
