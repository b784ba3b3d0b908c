//! The sorts of bad settings, and of bad luck with good ones.

use serde_json::{Value, json};

use super::shop::{FRIDGE, TILL};

/// What goes wrong with a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sort {
    /// A device is not waited for as long as it takes to answer.
    Impatient,
    /// A device that speaks now and then is told to be stale before.
    Hasty,
    /// Both, with another one switched off: all of it goes back.
    Several,
    /// The link to the cloud goes with it.
    Unreached,
    /// The agent is killed during the trial.
    Killed,
    /// The agent is stopped in order during the trial, as an upgrade does.
    Stopped,
}

impl Sort {
    pub(super) const ALL: [Self; 6] =
        [Self::Impatient, Self::Hasty, Self::Several, Self::Unreached, Self::Killed, Self::Stopped];

    /// In the report.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Impatient => "impatient",
            Self::Hasty => "hasty",
            Self::Several => "several",
            Self::Unreached => "unreached",
            Self::Killed => "killed",
            Self::Stopped => "stopped",
        }
    }

    /// What is set. Whatever the sort, it passes every check: only the trial shows that it is bad.
    pub(super) fn settings(self) -> Value {
        match self {
            Self::Impatient => json!({ "devices": { FRIDGE: { "timeout": "100ms" } } }),
            Self::Hasty => json!({ "devices": { TILL: { "stale_after": "500ms" } } }),
            Self::Several => json!({
                "devices": { FRIDGE: { "timeout": "50ms", "interval": "3s" }, TILL: { "stale_after": "400ms" }, "gateway": { "enabled": false } },
                "batches": { "max_age": "5s" },
            }),
            Self::Unreached => {
                json!({ "batches": { "max_age": "2s" }, "devices": { FRIDGE: { "interval": "3s" } } })
            }
            Self::Killed | Self::Stopped => {
                json!({ "devices": { FRIDGE: { "interval": "4s" }, "gateway": { "interval": "5s" } } })
            }
        }
    }

    /// Whether the agent is another process afterwards.
    pub(super) const fn restarts(self) -> bool {
        matches!(self, Self::Killed | Self::Stopped)
    }
}

/// What is refused at once, each with a word that the refusal must have.
pub(super) fn invalid() -> [(Value, &'static str); 3] {
    [
        (json!({ "devices": { FRIDGE: { "interval": "soon" } } }), "is not a duration"),
        (json!({ "devices": { "gateway": { "stale_after": "5s" } } }), "unknown field"),
        (json!({ "devices": { "nobody": { "enabled": true } } }), "names no such device"),
    ]
}
