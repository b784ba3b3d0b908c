//! A device's own record of what it sent, in memory and in a file that outlives the run's processes for whoever looks.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::Context as _;

/// One thing that was sent.
#[derive(Debug, Clone, Copy)]
pub struct Sent {
    /// The counter's value.
    pub n: u64,
    /// When.
    pub at: Instant,
    /// Whether the agent is bound to have it: it held the port when the line was sent, or answered the push with 2xx.
    pub owed: bool,
}

/// The record of one device.
#[derive(Debug, Clone)]
pub struct DeviceLog {
    inner: Arc<Mutex<(Vec<Sent>, File)>>,
}

impl DeviceLog {
    /// Begins a record, also in this file.
    ///
    /// # Errors
    /// The file cannot be made.
    pub fn create(path: &Path) -> anyhow::Result<Self> {
        let file = File::create(path).with_context(|| path.display().to_string())?;
        Ok(Self { inner: Arc::new(Mutex::new((Vec::new(), file))) })
    }

    /// Writes down what was sent.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn note(&self, sent: Sent) -> anyhow::Result<()> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        writeln!(inner.1, "{} {}", sent.n, if sent.owed { "owed" } else { "not owed" })?;
        inner.0.push(sent);
        Ok(())
    }

    /// All of it.
    #[must_use]
    pub fn all(&self) -> Vec<Sent> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    /// How much.
    #[must_use]
    pub fn count(&self) -> usize {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).0.len()
    }
}
