//! What a setting is that nobody gave, where kinds have it in common: named in `#[serde(default = "…")]`, where it can be
//! read beside the setting. What only one kind has is a function of that kind.

use std::time::Duration;

use storepulse_shared::batch::Lane;

pub(super) const fn normal_lane() -> Lane {
    Lane::Normal
}

/// As a jitter: devices of one tick are not read all at once, and their readings still have its time.
pub(super) const fn half_a_second() -> Duration {
    Duration::from_millis(500)
}

pub(super) const fn seconds<const N: u64>() -> Duration {
    Duration::from_secs(N)
}

pub(super) const fn minutes<const N: u64>() -> Duration {
    Duration::from_secs(60 * N)
}

pub(super) const fn hours<const N: u64>() -> Duration {
    Duration::from_secs(3_600 * N)
}

pub(super) const fn yes() -> bool {
    true
}

/// A scale that changes nothing.
pub(super) const fn one() -> f64 {
    1.0
}
