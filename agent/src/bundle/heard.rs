//! What the agent tells of itself: to a bundle that it makes itself, and to the command, over the control socket.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::redact::Configuration;
use crate::control::{self, ControlError};
use crate::language::Language;
use crate::log_tail::LogTail;
use crate::spool::SpoolError;
use crate::status::StatusState;

/// How long an agent may take to show its status.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Most bytes of a status; something else may listen there.
const STATUS_BYTES_MAX: usize = 8 << 20;
/// What to do where there is no log.
const OTHER_LOG: &str =
    "what it printed is in the log of its service: `docker compose logs`, or `journalctl`";

/// The running agent, as far as support wants to know it.
#[derive(Clone)]
pub(crate) struct Support {
    pub(crate) status: Arc<StatusState>,
    pub(crate) log: LogTail,
}

/// What it tells.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Heard {
    /// What `/status` answers.
    pub status: Value,
    /// By device, its last 24 hours.
    pub history: BTreeMap<String, Value>,
    /// The last lines of the log, oldest first.
    pub log: Vec<String>,
}

/// The same, with what is not known.
#[derive(Debug)]
pub(super) struct Told {
    pub status: Result<Value, String>,
    pub history: BTreeMap<String, Value>,
    pub log: Result<Vec<String>, String>,
}

impl Support {
    /// All of it.
    ///
    /// # Errors
    /// The spool cannot be read, or nobody could write the status down.
    pub(crate) async fn hear(&self) -> Result<Heard, SpoolError> {
        let status = self.status.read().await?;
        let mut shown = json!(status);
        for (finding, shown) in status
            .verdict
            .findings
            .iter()
            .zip(shown["verdict"]["findings"].as_array_mut().into_iter().flatten())
        {
            shown["text"] = finding.text(Language::En).into();
            shown["next"] = finding.next(Language::En).into();
        }
        Ok(Heard { status: shown, history: self.history(), log: self.log.lines() })
    }

    /// By device, what the board remembers of its last 24 hours.
    fn history(&self) -> BTreeMap<String, Value> {
        let board = &self.status.board;
        board.snapshot().keys().map(|id| (id.to_string(), json!(board.history(id)))).collect()
    }
}

impl From<Result<Heard, String>> for Told {
    fn from(heard: Result<Heard, String>) -> Self {
        match heard {
            Ok(Heard { status, history, log }) => Self { status: Ok(status), history, log: Ok(log) },
            Err(why) => {
                let log =
                    Err(format!("the log's last lines are in the memory of the agent alone; {OTHER_LOG}"));
                Self { status: Err(why), history: BTreeMap::new(), log }
            }
        }
    }
}

/// Asks the agent of this configuration: over the control socket, which tells all; else over its page.
pub(super) async fn ask(configuration: &Configuration) -> Told {
    let by_socket = match &configuration.state_dir {
        Some(dir) => control::ask(dir, control::SUPPORT, &json!({})).await.map_err(|error| match error {
            ControlError::NotRunning(path) => format!("nothing answers on {}", path.display()),
            ControlError::NoAnswer(error) => format!("the agent gave no answer: {error}"),
            error => error.to_string(),
        }),
        None => Err("the configuration names no state folder".to_owned()),
    };
    let why = match by_socket {
        Ok(heard) => return Told::from(Ok(heard)),
        Err(why) => why,
    };
    match get_status(&configuration.listen).await {
        Ok(status) => {
            Told { status: Ok(status), history: BTreeMap::new(), log: Err(format!("{why}; {OTHER_LOG}")) }
        }
        Err(error) => Told::from(Err(format!("{why}; and on {}: {error}", configuration.listen))),
    }
}

async fn get_status(listen: &str) -> Result<Value, String> {
    let client = reqwest::Client::builder().no_proxy().timeout(TIMEOUT).build().map_err(|e| e.to_string())?;
    let get = client.get(format!("http://{listen}/status?lang=en")).send();
    let mut response = get.await.map_err(|_| "nothing answers".to_owned())?;
    let mut body = Vec::new();
    while let Some(part) = response.chunk().await.map_err(|_| "the answer broke off".to_owned())? {
        body.extend_from_slice(&part);
        if body.len() > STATUS_BYTES_MAX {
            return Err("what answers is too long for a status".to_owned());
        }
    }
    if !response.status().is_success() {
        return Err(format!("it answers {}", response.status()));
    }
    serde_json::from_slice(&body).map_err(|_| "what answers is no status".to_owned())
}
