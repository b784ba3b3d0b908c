//! The box: disk, memory, temperature, power supply, versions.

use std::path::Path;

use serde::Serialize;

/// The box as it is now; what it does not tell is `None`.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Machine {
    /// Its name.
    pub host_name: Option<String>,
    /// Its system, as `/etc/os-release` names it.
    pub system: Option<String>,
    /// The kernel's release.
    pub kernel: Option<String>,
    /// Since it was started, in seconds.
    pub uptime_s: Option<u64>,
    /// Bytes of the disk of the spool.
    pub disk_bytes: Option<u64>,
    /// Bytes of it that the agent could still use.
    pub disk_free_bytes: Option<u64>,
    /// Bytes of memory.
    pub memory_bytes: Option<u64>,
    /// Bytes of it that programs can still have.
    pub memory_free_bytes: Option<u64>,
    /// Of its warmest sensor, in degrees Celsius.
    pub temperature: Option<f64>,
    /// The power supply is too weak, or was since the start.
    pub under_voltage: Option<bool>,
}

impl Machine {
    /// Looks at the box and at the disk of this folder.
    pub(crate) fn read(_state_dir: &Path) -> Self {
        Self::default()
    }
}
