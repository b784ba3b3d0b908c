//! `/metrics`: the agent's own numbers in the Prometheus text format.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, StatusCode};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::spool::SpoolStatus;
use crate::status::{AgentStatus, StatusState};
use crate::time::ClockStatus;
use crate::uplink::UplinkState;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfLane {
    lane: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfDevice {
    device: String,
}

pub(super) async fn show_metrics(
    State(state): State<Arc<StatusState>>,
) -> Result<([(HeaderName, &'static str); 1], String), (StatusCode, String)> {
    let unavailable = |why: String| (StatusCode::SERVICE_UNAVAILABLE, why);
    let status = state.read().await.map_err(|e| unavailable(e.to_string()))?;
    let mut text = String::new();
    encode(&mut text, &registry(&status)).map_err(|e| unavailable(e.to_string()))?;
    Ok(([(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text))
}

fn clock_gauges(clock: &ClockStatus, gauge: &mut impl FnMut(&str, &str, i64)) {
    gauge("clock_trusted", "1 once somebody told the true time", i64::from(clock.trusted));
    let steps = i64::try_from(clock.steps).unwrap_or(i64::MAX);
    gauge("clock_steps", "How often the clock was set since the start", steps);
}

fn disk_gauges(spool: &SpoolStatus, gauge: &mut impl FnMut(&str, &str, i64)) {
    let count = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let writes = &spool.writes;
    gauge("spool_bytes", "Bytes of the spool in use", count(spool.bytes));
    gauge(
        "spool_written_bytes_today",
        "What the disk had to write for it on this UTC day",
        count(writes.bytes),
    );
    let budget = writes.bytes_max.map_or(-1, count);
    gauge("spool_written_bytes_max", "What it may have to write in a day; -1 without a limit", budget);
    gauge("spool_commits", "Commits since the agent started", count(writes.commits));
    let window = count(writes.window_ms);
    gauge("spool_commit_window_milliseconds", "How long a commit waits for more calls to share it", window);
}

fn own_gauges(status: &AgentStatus, gauge: &mut impl FnMut(&str, &str, i64)) {
    gauge("uptime_seconds", "Since the agent started", (status.now_ms - status.started_ms) / 1000);
    // A collector that left some behind would show here.
    let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    gauge("tasks", "Tasks that are alive", i64::try_from(tasks).unwrap_or(i64::MAX));
}

/// The numbers of this moment: everything is read when it is asked for, so nothing is counted twice.
fn registry(status: &AgentStatus) -> Registry {
    let mut registry = Registry::with_prefix("storepulse_agent");
    let mut gauge = |name: &str, help: &str, value: i64| {
        let gauge: Gauge = Gauge::default();
        gauge.set(value);
        registry.register(name, help, gauge);
    };
    let count = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let age = |at: Option<i64>| at.map_or(-1, |at| (status.now_ms - at) / 1000);
    own_gauges(status, &mut gauge);
    gauge(
        "uplink_connected",
        "1 while the cloud takes batches",
        i64::from(status.uplink.state == UplinkState::Connected),
    );
    gauge("uplink_failures", "Failed attempts since the last ack", i64::from(status.uplink.failures));
    gauge(
        "uplink_last_ack_age_seconds",
        "Since the last ack; -1 before the first",
        age(status.uplink.last_ack_ms),
    );
    gauge("uplink_acked_batches", "Batches acknowledged since the start", count(status.uplink.acked_batches));
    gauge(
        "uplink_rejected_samples",
        "Samples rejected one by one since the start",
        count(status.uplink.rejected_samples),
    );
    clock_gauges(&status.clock, &mut gauge);
    disk_gauges(&status.spool, &mut gauge);
    gauge("spool_acked_batches", "Delivered batches still kept", count(status.spool.acked_batches));
    gauge(
        "spool_quarantined_batches",
        "Refused batches kept for people",
        count(status.spool.quarantine.len() as u64),
    );
    gauge("spool_lost_samples", "Samples discarded and reported", count(status.spool.lost_samples));

    let (batches, samples, oldest) = (
        Family::<OfLane, Gauge>::default(),
        Family::<OfLane, Gauge>::default(),
        Family::<OfLane, Gauge>::default(),
    );
    for lane in &status.spool.lanes {
        let of = OfLane { lane: lane.lane };
        batches.get_or_create(&of).set(count(lane.waiting_batches));
        samples.get_or_create(&of).set(count(lane.waiting_samples));
        oldest.get_or_create(&of).set(age(lane.oldest_ms).max(0));
    }
    registry.register("spool_waiting_batches", "Sealed batches that the cloud does not have", batches);
    registry.register("spool_waiting_samples", "Samples in them", samples);
    registry.register("spool_oldest_age_seconds", "Age of the oldest batch that waits", oldest);

    let (state, seen, taken) = (
        Family::<OfDevice, Gauge>::default(),
        Family::<OfDevice, Gauge>::default(),
        Family::<OfDevice, Gauge>::default(),
    );
    for (device, known) in &status.devices {
        let of = OfDevice { device: device.to_string() };
        if let Some(now) = known.state {
            state.get_or_create(&of).set(now as i64);
        }
        seen.get_or_create(&of).set(age(known.last_good_ms));
        taken.get_or_create(&of).set(count(known.samples));
    }
    registry.register("device_state", "0 ok, 1 stale, 2 fault, 3 unreachable", state);
    registry.register(
        "device_last_good_age_seconds",
        "Since the last good reading; -1 before the first",
        seen,
    );
    registry.register("device_samples", "Samples accepted since the start", taken);
    registry
}
