//! How the jobs of the setup pages end: what a job keeps as JSON, and its page shows.

use serde::{Deserialize, Serialize};
use storepulse_shared::ids::DeviceId;

/// The outcome of a job of ours.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    /// What answers at these places.
    Probe(Vec<Answered>),
    /// A step with the drawer of a printer.
    Drawer(DeviceId, DrawerStep),
    /// A step with a scale, whose division is so many grams.
    Scale(DeviceId, u16, ScaleStep),
}

/// What answers at one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Answered {
    /// A port or a host.
    pub place: String,
    pub found: Vec<Known>,
    /// Why it could not be asked, in the words of the machine.
    pub problem: Option<String>,
}

/// Something that answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Known {
    /// What it is, in English.
    pub what: String,
    /// Its block for `devices:`.
    pub configuration: String,
}

/// How a step with a drawer ended. Levels are `high` or `low`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum DrawerStep {
    /// The level at the closed drawer.
    Closed(String),
    /// Both levels.
    Compared { closed: String, open: String, record: Recorded },
    /// The printer answered without the level.
    NoLevel,
    /// It did not answer: why, and the level that was seen before.
    Unread { why: String, closed: Option<String> },
}

/// How a step with a scale ended. Masses are kilograms.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ScaleStep {
    /// What it read with an empty platter.
    Empty { read_kg: f64, record: Recorded },
    /// What it read with a known weight.
    Weighed { laid_kg: f64, read_kg: f64, record: Recorded },
    /// It gave no stable weight; what was laid on, if that was the step.
    NoWeight { laid_kg: Option<f64> },
    /// It did not answer.
    Unread { why: String, laid_kg: Option<f64> },
}

/// Whether an event was recorded: `None`, or why not.
pub(super) type Recorded = Option<String>;
