//! Passwords and communities that a device asks for: in the configuration, or in a file that it names; never shown.

use std::path::PathBuf;

use serde::Deserialize;

use super::fault::{Fault, FaultKind};

/// `password: xyz`, or `password: { file: path }`.
#[derive(Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum Secret {
    /// As it is.
    Inline(String),
    /// In this file, read again for each use; spaces and line ends around it do not count.
    File(SecretFile),
}

/// The file that holds it.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SecretFile {
    file: PathBuf,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Inline(_) => f.write_str("Secret(…)"),
            Self::File(SecretFile { file }) => write!(f, "Secret(file {})", file.display()),
        }
    }
}

impl Secret {
    /// It.
    ///
    /// # Errors
    /// [`FaultKind::Denied`] if the file cannot be read.
    pub(crate) fn read(&self) -> Result<String, Fault> {
        match self {
            Self::Inline(text) => Ok(text.clone()),
            Self::File(SecretFile { file }) => match std::fs::read_to_string(file) {
                Ok(text) => Ok(text.trim().to_owned()),
                Err(error) => {
                    Err(Fault::new(FaultKind::Denied, format!("secret file {}: {error}", file.display())))
                }
            },
        }
    }

    /// The file, to be found beside the configuration.
    pub(crate) fn path_mut(&mut self) -> Option<&mut PathBuf> {
        match self {
            Self::Inline(_) => None,
            Self::File(SecretFile { file }) => Some(file),
        }
    }
}
