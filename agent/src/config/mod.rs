//! `agent.yaml`: what the agent is told.
//!
//! Every field is checked where it stands, so that an error names line and column; unknown and repeated keys are errors.
//! Errors quote the place, never the surrounding lines, because a key may stand there. Paths are relative to the file.

mod hosts;
mod laid;
mod overlay;
mod pin;
mod ports;
mod secrets;
mod units;
mod yaml;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use storepulse_shared::batch::Lane;
use storepulse_shared::ids::{AGENT_DEVICE, DeviceId};
use storepulse_shared::limits::SAMPLES_MAX;

pub use self::hosts::HostName;
use self::overlay::Source;
pub(crate) use self::pin::PinFile;
pub use self::secrets::{InlineKey, KeyError, KeySource, TokenFileError, TokenSetting};
pub(crate) use self::units::duration;
use self::yaml::Mistake;
use crate::collector::Kind;

/// The smallest spool that still works.
pub const SPOOL_BYTES_MIN: u64 = 8 << 20;

/// Why there is no usable configuration. All of these exit with 64.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{path}: {why}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        why: std::io::Error,
    },
    /// The file is not what it should be.
    #[error("{path}:{line}:{column}: {why}")]
    Parse {
        /// Which file.
        path: PathBuf,
        /// From 1.
        line: u64,
        /// From 1.
        column: u64,
        /// What is wrong, with the value and what is allowed.
        why: String,
    },
    /// Two settings do not go together.
    #[error("{path}: {why}")]
    Invalid {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
}

/// The whole configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The file that it was read from.
    #[serde(skip)]
    pub path: PathBuf,
    /// What stands in it.
    #[serde(skip)]
    source: Source,
    /// The devices that it names and that the cloud has switched off.
    #[serde(skip)]
    pub(crate) off: BTreeSet<DeviceId>,
    /// Where batches go, and with which key.
    pub cloud: Cloud,
    /// The folder of the spool; nothing else writes into it.
    pub state_dir: PathBuf,
    /// The spool.
    #[serde(default)]
    pub spool: SpoolConfig,
    /// When batches are sealed.
    #[serde(default)]
    pub batches: Batches,
    /// The local page and API.
    #[serde(default)]
    pub local: Local,
    /// The agent's own health.
    #[serde(default)]
    pub health: HealthConfig,
    /// Receiving from POS terminals and other agents.
    #[serde(default)]
    pub push: Option<Push>,
    /// What is read, by device id.
    #[serde(default)]
    pub devices: BTreeMap<DeviceId, Kind>,
}

/// `cloud:`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cloud {
    /// `https://host[:port]`; plain http only to this machine itself.
    pub url: String,
    /// The file that holds the key.
    #[serde(default)]
    pub key_file: Option<PathBuf>,
    /// The key itself, instead of a file.
    #[serde(default)]
    pub key: Option<InlineKey>,
    /// The key was made by an older system.
    #[serde(default)]
    pub imported_key: bool,
    /// A certificate authority to trust beside the system's (PEM).
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// An HTTP proxy. Nothing is taken from the environment.
    #[serde(default)]
    pub proxy: Option<String>,
    /// Longest pause between two attempts while the cloud does not answer.
    #[serde(default = "retry_max", deserialize_with = "units::duration")]
    pub retry_max: Duration,
    /// Pause between two attempts while the cloud refuses the key.
    #[serde(default = "held_retry", deserialize_with = "units::duration")]
    pub held_retry: Duration,
    /// How long one request may take.
    #[serde(default = "request_timeout", deserialize_with = "units::duration")]
    pub timeout: Duration,
}

/// `spool:`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpoolConfig {
    /// Most bytes of the database; beyond it the oldest is discarded by lane, and reported.
    #[serde(default = "spool_size", deserialize_with = "units::bytes")]
    pub max_size: u64,
    /// Most bytes that the disk should have to write for it in a day; near it, readings and pushes wait a little to share
    /// commits. 0: no matter how many.
    #[serde(default = "writes_per_day", deserialize_with = "units::bytes")]
    pub writes_per_day_max: u64,
}

impl SpoolConfig {
    /// The budget, if there is one.
    #[must_use]
    pub fn writes_budget(&self) -> Option<u64> {
        Some(self.writes_per_day_max).filter(|bytes| *bytes > 0)
    }
}

/// `batches:`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Batches {
    /// A batch of the normal lane is sealed when it is this old.
    #[serde(default = "normal_age", deserialize_with = "units::duration")]
    pub max_age: Duration,
    /// The same for the bulk lane.
    #[serde(default = "bulk_age", deserialize_with = "units::duration")]
    pub bulk_max_age: Duration,
    /// And for both while the cloud does not answer: larger batches are smaller in all.
    #[serde(default = "offline_age", deserialize_with = "units::duration")]
    pub offline_max_age: Duration,
    /// A batch is sealed when it has this many samples.
    #[serde(default = "max_samples")]
    pub max_samples: usize,
}

/// `local:`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Local {
    /// Where the page, `/health`, `/status` and `/metrics` are served.
    #[serde(default = "local_listen")]
    pub listen: SocketAddr,
    /// The file with the PIN for what does something; without it the page only shows.
    #[serde(default)]
    pub pin_file: Option<PathBuf>,
    /// How else browsers call this box.
    #[serde(default)]
    pub hosts: Vec<HostName>,
}

impl Local {
    /// Where the PIN stands, if there is one.
    pub(crate) fn pin(&self) -> Option<PinFile> {
        self.pin_file.clone().map(PinFile::new)
    }
}

/// `health:`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HealthConfig {
    /// Whether the agent's own figures are sent, as those of the device `agent`.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// How often.
    #[serde(default = "health_interval", deserialize_with = "units::duration")]
    pub interval: Duration,
}

/// `push:`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Push {
    /// Loopback unless an interface is named here; then tokens are required.
    #[serde(default = "push_listen")]
    pub listen: SocketAddr,
    /// Who may push.
    #[serde(default)]
    pub tokens: Vec<TokenSetting>,
    /// The lane of flat samples that are pushed.
    #[serde(default = "normal_lane")]
    pub lane: Lane,
}

const fn retry_max() -> Duration {
    Duration::from_secs(60)
}
const fn held_retry() -> Duration {
    Duration::from_secs(60)
}
const fn request_timeout() -> Duration {
    Duration::from_secs(30)
}
const fn spool_size() -> u64 {
    256 << 20
}
/// Flash of 8 GB that takes 3,000 writes of every cell lasts twenty years with it, even if it writes three times as much
/// inside as it is given.
const fn writes_per_day() -> u64 {
    1 << 30
}
const fn normal_age() -> Duration {
    Duration::from_secs(15)
}
const fn bulk_age() -> Duration {
    Duration::from_secs(300)
}
const fn offline_age() -> Duration {
    Duration::from_secs(600)
}
const fn max_samples() -> usize {
    5_000
}
const fn local_listen() -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9750)
}
const fn yes() -> bool {
    true
}
const fn health_interval() -> Duration {
    Duration::from_secs(60)
}
const fn push_listen() -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9751)
}
const fn normal_lane() -> Lane {
    Lane::Normal
}

impl Default for SpoolConfig {
    fn default() -> Self {
        Self { max_size: spool_size(), writes_per_day_max: writes_per_day() }
    }
}

impl Default for Batches {
    fn default() -> Self {
        Self {
            max_age: normal_age(),
            bulk_max_age: bulk_age(),
            offline_max_age: offline_age(),
            max_samples: max_samples(),
        }
    }
}

impl Default for HealthConfig {
    fn default() -> Self {
        Self { enabled: yes(), interval: health_interval() }
    }
}

impl Default for Local {
    fn default() -> Self {
        Self { listen: local_listen(), pin_file: None, hosts: Vec::new() }
    }
}

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text =
            std::fs::read_to_string(path).map_err(|why| ConfigError::Read { path: path.to_owned(), why })?;
        Self::parse(&text, path)
    }

    /// Checks a text; `path` is where it stands.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        Self::finish(yaml::parse(text), Source(text.to_owned()), path)
    }

    fn finish(read: Result<Self, Mistake>, source: Source, path: &Path) -> Result<Self, ConfigError> {
        let mut config = read.map_err(|Mistake { line, column, why }| ConfigError::Parse {
            path: path.to_owned(),
            line,
            column,
            why,
        })?;
        config.check().map_err(|why| ConfigError::Invalid { path: path.to_owned(), why })?;
        config.source = source;
        config.path = path.to_owned();
        config.resolve_paths(path.parent().unwrap_or(Path::new("")));
        Ok(config)
    }

    fn check(&self) -> Result<(), String> {
        let cloud = &self.cloud;
        match (&cloud.key, &cloud.key_file) {
            (None, None) => return Err("cloud: neither key_file nor key is given".to_owned()),
            (Some(_), Some(_)) => return Err("cloud: key_file and key are both given; keep one".to_owned()),
            (Some(key), None) => key.check(cloud.imported_key).map_err(|e| format!("cloud.key: {e}"))?,
            (None, Some(_)) => {}
        }
        check_url(&cloud.url)?;
        if self.spool.max_size < SPOOL_BYTES_MIN {
            return Err(format!("spool.max_size: {} bytes, at least 8MiB", self.spool.max_size));
        }
        let samples = self.batches.max_samples;
        if !(1..=SAMPLES_MAX).contains(&samples) {
            return Err(format!("batches.max_samples: {samples}, 1 to {SAMPLES_MAX}"));
        }
        for token in self.push.iter().flat_map(|push| &push.tokens) {
            token.check().map_err(|why| format!("push.{why}"))?;
        }
        if let Some(push) = &self.push
            && push.tokens.is_empty()
            && !push.listen.ip().is_loopback()
        {
            return Err(format!("push.listen: {} is not loopback, so tokens are required", push.listen));
        }
        if self.devices.keys().any(|id| id.as_str() == AGENT_DEVICE) {
            return Err(format!("devices: {AGENT_DEVICE:?} stands for the agent itself; choose another id"));
        }
        self.devices
            .iter()
            .try_for_each(|(id, kind)| kind.check().map_err(|why| format!("devices.{id}: {why}")))?;
        ports::check(&self.devices)
    }

    fn resolve_paths(&mut self, base: &Path) {
        self.state_dir = base.join(&self.state_dir);
        let files = [&mut self.cloud.key_file, &mut self.cloud.ca_file, &mut self.local.pin_file];
        for path in files.into_iter().flatten() {
            *path = base.join(&*path);
        }
        let tokens = self.push.iter_mut().flat_map(|push| &mut push.tokens);
        for path in tokens.filter_map(|token| token.token_file.as_mut()) {
            *path = base.join(&*path);
        }
        for path in self.devices.values_mut().flat_map(Kind::paths) {
            *path = base.join(&*path);
        }
    }
}

/// A key over plain HTTP would be read by whoever listens, so http is for this machine only.
fn check_url(url: &str) -> Result<(), String> {
    let parsed: http::Uri = url.parse().map_err(|e| format!("cloud.url: {url:?}: {e}"))?;
    let host = parsed.host().unwrap_or_default();
    let loopback = matches!(host, "localhost" | "127.0.0.1" | "[::1]");
    match parsed.scheme_str() {
        Some("https") if !host.is_empty() => {}
        Some("http") if loopback => {}
        _ => return Err(format!("cloud.url: {url:?} is not https://host[:port]")),
    }
    if parsed.path().len() > 1 || parsed.query().is_some() {
        return Err(format!("cloud.url: {url:?} has a path; give scheme, host and port only"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
