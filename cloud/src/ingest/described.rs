//! The forms of a body as the document of the routes shows them. What is read is `storepulse_shared::batch`, which also says
//! what is allowed where.

#![expect(dead_code, reason = "shapes for the document of the routes")]

use std::collections::BTreeMap;

use utoipa::ToSchema;

/// A body of samples in either form.
#[derive(ToSchema)]
#[schema(as = PostedBatch)]
#[serde(untagged)]
pub(super) enum Posted {
    /// For whoever posts samples by hand.
    Flat(Flat),
    /// For agents, with the header `StorePulse-Batch`.
    Agent(AgentForm),
}

/// Samples one by one.
#[derive(ToSchema)]
#[schema(as = FlatForm)]
pub(super) struct Flat {
    /// At most 20,000.
    metrics: Vec<FlatSample>,
}

/// A sample.
#[derive(ToSchema)]
pub(super) struct FlatSample {
    /// What was observed.
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9.:_-]{0,63}$")]
    device_id: String,
    /// Its name; one of the catalogue has a unit.
    #[schema(example = "retail.pos.up")]
    metric: String,
    /// A number, or a truth as 0 or 1.
    value: NumberOrTruth,
    /// RFC 3339 or Unix milliseconds.
    timestamp: DateOrMilliseconds,
    /// More that tells the series apart.
    labels: Option<BTreeMap<String, String>>,
}

/// A number or a truth.
#[derive(ToSchema)]
#[serde(untagged)]
pub(super) enum NumberOrTruth {
    /// As it is.
    Number(f64),
    /// 0 or 1.
    Truth(bool),
}

/// A time.
#[derive(ToSchema)]
#[serde(untagged)]
pub(super) enum DateOrMilliseconds {
    /// RFC 3339.
    Date(String),
    /// Since 1970, UTC.
    Milliseconds(i64),
}

/// What an agent has sealed.
#[derive(ToSchema)]
pub(super) struct AgentForm {
    /// The version of the form: 1.
    v: u32,
    /// Samples.
    frames: Vec<AgentFrame>,
    /// Dated texts about devices.
    events: Option<Vec<AgentEvent>>,
    /// What was discarded, each with its id, time range, count and reason.
    losses: Option<Vec<BTreeMap<String, serde_json::Value>>>,
    /// The batch whose content this is: `<epoch>/<number>`.
    recovers: Option<String>,
}

/// Samples of a device that share their times.
#[derive(ToSchema)]
pub(super) struct AgentFrame {
    /// Whose.
    device: String,
    /// The collector kind.
    kind: String,
    /// The first time in Unix milliseconds UTC, then differences above 0.
    t: Vec<i64>,
    /// By series, one value for each time; null is no value.
    m: BTreeMap<String, Vec<Option<f64>>>,
}

/// A dated text about a device.
#[derive(ToSchema)]
pub(super) struct AgentEvent {
    /// About which.
    device: String,
    /// Unix milliseconds UTC.
    t: i64,
    /// A word for programs.
    kind: String,
    /// For people.
    text: String,
}
