//! The side of the commands.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::FILE;

/// How long the agent may take for one request: some hundred commits on a slow disk.
const TIMEOUT: Duration = Duration::from_secs(120);

/// Why the agent was not asked, or gave no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ControlError {
    /// Nobody listens.
    #[error(
        "the agent does not run (nothing answers on {0}), and it alone can do this: start it with `storepulse-agent run`, then repeat this"
    )]
    NotRunning(PathBuf),
    /// The socket is somebody else's.
    #[error("{path}: {why}; run this as the user of the agent, or as root")]
    Denied {
        /// The socket.
        path: PathBuf,
        /// Why.
        why: io::Error,
    },
    /// It was asked; what it made of that is not known.
    #[error(
        "the agent gave no answer: {0}; look what was done before you repeat it (`quarantine ls`, `maintenance show`)"
    )]
    NoAnswer(#[from] reqwest::Error),
    /// It refused.
    #[error("the agent answers {status}: {text}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// What it says.
        text: String,
    },
}

/// Asks the agent whose state folder this is.
pub(crate) async fn ask<T: DeserializeOwned>(
    dir: &Path,
    route: &str,
    body: &impl Serialize,
) -> Result<T, ControlError> {
    let path = dir.join(FILE);
    if let Err(why) = UnixStream::connect(&path) {
        return Err(match why.kind() {
            io::ErrorKind::PermissionDenied => ControlError::Denied { path, why },
            _ => ControlError::NotRunning(path),
        });
    }
    let client = reqwest::Client::builder().no_proxy().timeout(TIMEOUT).unix_socket(path).build()?;
    let response = client.post(format!("http://agent{route}")).json(body).send().await?;
    let status = response.status();
    if !status.is_success() {
        return Err(ControlError::Refused { status: status.as_u16(), text: response.text().await? });
    }
    Ok(response.json().await?)
}
