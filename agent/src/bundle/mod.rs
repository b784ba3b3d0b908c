//! The support bundle: one HTML file that a technician carries out of the shop and somebody far away understands.
//!
//! No scripts, nothing from elsewhere, readable offline and on a phone. It is made from what can be had: the running agent
//! tells of itself, and where it does not run the spool is looked at; a configuration that is not right is no obstacle.
//! [`gather`] collects, [`report`] writes it down, [`redact`] takes the secrets out, [`section`] keeps the limits.

mod facts;
mod gather;
mod heard;
mod page;
mod redact;
mod report;
mod section;
#[cfg(test)]
mod tests;
mod told;

use std::path::PathBuf;
use std::pin::Pin;

use serde_json::Value;

pub(crate) use self::heard::{Heard, Support};
pub(crate) use self::redact::Redactor;
pub(crate) use self::section::size;

/// Largest bundle.
pub(crate) const BYTES_MAX: usize = 2 << 20;

/// Tells how far the work is: steps done, of how many, and what is done now.
pub(crate) type Tell<'a> = dyn FnMut(usize, usize, &str) + Send + 'a;

/// Looks for faults, tells how far it is, and gives its report as JSON.
pub(crate) type Doctor =
    Box<dyn for<'t> FnOnce(&'t mut Tell<'t>) -> Pin<Box<dyn Future<Output = Value> + Send + 't>> + Send>;

/// What a bundle is made from.
pub(crate) struct BundleSource {
    /// The file of the configuration; it need not be there, or be right.
    pub(crate) config_path: PathBuf,
    /// The agent, where it makes the bundle itself; otherwise it is asked.
    pub(crate) support: Option<Support>,
    /// What looks for faults, if it is wanted: `{"findings": […], "checks": […]}`, each `{"outcome", "name",
    /// "device", "problem", "text", "next", "evidence"}`.
    pub(crate) doctor: Option<Doctor>,
}

/// A bundle.
#[derive(Debug)]
pub(crate) struct Bundle {
    /// `storepulse-support-<store>-<UTC time>.html`
    pub(crate) file_name: String,
    /// The whole file.
    pub(crate) html: String,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
#[error("the support bundle could not be put together: {0}")]
pub(crate) struct BundleError(#[from] tokio::task::JoinError);

/// Makes it. It takes a second as a rule, and some more where the doctor waits for what does not answer.
///
/// # Errors
/// Only if a part of it panics: what cannot be read is told in the bundle.
pub(crate) async fn make(source: BundleSource, tell: &mut Tell<'_>) -> Result<Bundle, BundleError> {
    let gathered = gather::gather(source, tell).await?;
    tell(gather::STEPS - 1, gather::STEPS, "taking secrets out");
    let bundle = tokio::task::spawn_blocking(move || page::write(&gathered)).await?;
    tell(gather::STEPS, gather::STEPS, "done");
    Ok(bundle)
}
