//! A batch: frames, events and losses that travel together, sealed and immutable; the unit of delivery.
//!
//! The types here are the content. [`header`] is what stands before it on the wire, [`encode`] and
//! [`decode`] are the agent form, [`flat`] is the form for curl and other people's programs. A decoded
//! batch has passed every check that needs no clock and no database; what a cloud may still refuse
//! (times, series limits) it rejects sample by sample.

pub mod decode;
pub mod encode;
pub mod flat;
pub mod header;
mod object;

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::{BatchId, Epoch, LossId};
use crate::limits::SPAN_MAX;
use crate::seqs::SeqSet;

/// The version that agent bodies carry as `v`.
pub const BODY_VERSION: u64 = 1;

/// Urgency of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lane {
    /// Events, state changes and losses: sent first, evicted last.
    Critical,
    /// What dashboards show.
    Normal,
    /// What can wait, and is thinned first.
    Bulk,
}

impl Lane {
    /// All lanes, most urgent first.
    pub const ALL: [Self; 3] = [Self::Critical, Self::Normal, Self::Bulk];

    /// The word on the wire, in SQL and in logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Normal => "normal",
            Self::Bulk => "bulk",
        }
    }

    /// The lane of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|lane| lane.as_str() == name)
    }
}

/// What the sender knows of the clock that dated the samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Clock {
    /// It was right.
    Ok,
    /// It was wrong, and the times (or `offset-ms`) have been corrected.
    Repaired,
    /// Nobody knows.
    Unsure,
}

impl Clock {
    const ALL: [Self; 3] = [Self::Ok, Self::Repaired, Self::Unsure];

    /// The word on the wire and in SQL.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Repaired => "repaired",
            Self::Unsure => "unsure",
        }
    }

    /// The state of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|clock| clock.as_str() == name)
    }
}

/// The content of a batch.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Batch<'a> {
    /// Samples, grouped by the times they share.
    pub frames: Vec<Frame<'a>>,
    /// Dated texts about devices.
    pub events: Vec<Event<'a>>,
    /// What was discarded, and why.
    pub losses: Vec<Loss>,
    /// The quarantined batch whose content this is, or a part of it: a loss has told its number, and is made good by as
    /// much as arrives here. A cloud that does not know the field refuses the whole.
    pub recovers: Option<BatchId>,
}

/// The samples of one device that share their times.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame<'a> {
    /// The device they describe.
    pub device: Cow<'a, str>,
    /// The collector kind that read them.
    pub kind: Cow<'a, str>,
    /// Unix milliseconds UTC, strictly ascending.
    pub times: Vec<i64>,
    /// One column a series, each as long as `times`.
    pub columns: Vec<Column<'a>>,
}

/// The values of one series in a frame.
#[derive(Debug, Clone, PartialEq)]
pub struct Column<'a> {
    /// Series name: a metric, or `metric{label="value",…}`.
    pub series: Cow<'a, str>,
    /// One value a time of the frame; NaN stands for `null`, no value (JSON has no NaN of its own).
    pub values: Vec<f64>,
}

/// A dated text about a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event<'a> {
    /// The device it is about.
    #[serde(borrow)]
    pub device: Cow<'a, str>,
    /// Unix milliseconds UTC.
    pub t: i64,
    /// What happened, as a dotted word (`printer.cover_open`).
    #[serde(borrow)]
    pub kind: Cow<'a, str>,
    /// The same for people. Never card data, never a secret.
    #[serde(borrow)]
    pub text: Cow<'a, str>,
}

/// A record of samples that were discarded; itself delivered, once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Loss {
    /// Unique in the store.
    pub id: LossId,
    /// The lane that lost them.
    pub lane: Lane,
    /// First time lost, Unix milliseconds UTC.
    pub from: i64,
    /// Last time lost, Unix milliseconds UTC.
    pub to: i64,
    /// How many samples.
    pub samples: u64,
    /// How many events.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub events: u64,
    /// Why, as a word (`spool_full`, `quarantined`, `cloud_restored`, …).
    pub reason: String,
    /// The batch numbers that will therefore never come.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub seqs: BTreeMap<Epoch, SeqSet>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde calls")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl Batch<'_> {
    /// How many values are not null.
    #[must_use]
    pub fn samples(&self) -> usize {
        self.frames.iter().map(Frame::samples).sum()
    }

    /// First and last time of all frames.
    #[must_use]
    pub fn span(&self) -> Option<(i64, i64)> {
        let ends = self.frames.iter().filter_map(|f| Some((*f.times.first()?, *f.times.last()?)));
        ends.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty() && self.events.is_empty() && self.losses.is_empty()
    }
}

impl Frame<'_> {
    /// How many values are not null.
    #[must_use]
    pub fn samples(&self) -> usize {
        self.columns.iter().map(|c| c.values.iter().filter(|v| !v.is_nan()).count()).sum()
    }
}

/// Why a body cannot be taken as a whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// It is not of the stated form: 400.
    #[error("{at}: {why}")]
    Malformed {
        /// Where, as a path into the body (`frames[0].m["hw.temperature"][3]`), or `body`.
        at: String,
        /// What is wrong, with the value and what is allowed.
        why: String,
    },
    /// There is more of something than the limit: 413.
    #[error("{count} {what}: at most {limit}")]
    TooLarge {
        /// The problem's code, `too_many_…`.
        code: &'static str,
        /// What there is too much of.
        what: &'static str,
        /// How much there is, or the limit plus one where counting stopped.
        count: usize,
        /// How much there may be.
        limit: usize,
    },
    /// From first to last sample is too long: 422.
    #[error("the samples span {span_ms} ms from first to last: at most {}", SPAN_MAX.as_millis())]
    SpanTooLong {
        /// What it spans, in milliseconds.
        span_ms: u64,
    },
}

impl BatchError {
    pub(crate) fn malformed(at: impl Into<String>, why: impl ToString) -> Self {
        Self::Malformed { at: at.into(), why: why.to_string() }
    }

    /// The word that programs compare.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "malformed_body",
            Self::TooLarge { code, .. } => code,
            Self::SpanTooLong { .. } => "span_too_long",
        }
    }
}
