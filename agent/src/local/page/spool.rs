//! What waits in the spool, for how long, and what will never be delivered.

use maud::{Markup, html};
use storepulse_shared::batch::Loss;

use super::shell::shape;
use super::speaker::Speaker;
use crate::spool::{LaneStatus, SpoolStatus};
use crate::status::AgentStatus;
use crate::uplink::UplinkState;

/// Losses and quarantined batches shown one by one; the command line has more.
const SHOWN: usize = 5;

/// The whole section.
pub(super) fn spool(speaker: Speaker, status: &AgentStatus) -> Markup {
    let spool = &status.spool;
    html! {
        section.card #spool {
            h2 { (speaker.say("spool")) }
            (waiting(speaker, status))
            @if spool.lost_samples > 0 || spool.losses > 0 { (losses(speaker, status)) }
            @if !spool.quarantine.is_empty() { (quarantine(speaker, spool)) }
            p.soft.small {
                (speaker.fill("spool_bytes", &[("bytes", &speaker.bytes(float(spool.bytes)))])) " "
                (speaker.count("acked_kept", spool.acked_batches))
            }
        }
    }
}

fn waiting(speaker: Speaker, status: &AgentStatus) -> Markup {
    let lanes: Vec<&LaneStatus> = status.spool.lanes.iter().filter(|lane| lane.waiting_batches > 0).collect();
    let samples = lanes.iter().map(|lane| lane.waiting_samples).sum();
    let bytes = lanes.iter().map(|lane| lane.waiting_bytes).sum();
    // The open batch is younger than what is sealed; alone it is what was just read.
    let oldest = lanes.iter().filter_map(|lane| lane.oldest_ms).min();
    if lanes.is_empty() {
        return html! { p.tell { (shape("ok")) (speaker.say("nothing_waits")) } };
    }
    html! {
        p.tell { (shape("stale")) (speaker.count("samples_wait", samples)) }
        @if let Some(oldest) = oldest {
            p { (speaker.say("the_oldest")) " " (speaker.time(oldest, status.now_ms)) " (" (speaker.between(oldest, status.now_ms)) "). "
                (drain(speaker, status, bytes)) }
        }
        table {
            thead { tr {
                th { (speaker.say("lane")) } th.n { (speaker.say("samples")) } th.n { (speaker.say("batches")) } th.n { (speaker.say("oldest")) }
            } }
            tbody { @for lane in lanes { tr data-lane=(lane.lane) {
                td { (lane_word(speaker, lane.lane)) }
                td.n { (speaker.whole(lane.waiting_samples)) }
                td.n { (speaker.whole(lane.waiting_batches)) }
                td.n { @if let Some(oldest) = lane.oldest_ms { (speaker.between(oldest, status.now_ms)) } }
            } } }
        }
    }
}

/// How long it takes to send all that, at the pace that the cloud last gave.
fn drain(speaker: Speaker, status: &AgentStatus, bytes: u64) -> Markup {
    let Some(pace) = status.uplink.bytes_per_s.filter(|pace| *pace > 0) else {
        return html! { (speaker.say("drain_unknown")) };
    };
    let span = speaker.span((float(bytes) / float(pace)).max(1.0).ceil());
    let words = if status.uplink.state == UplinkState::Connected {
        speaker.fill("drain", &[("span", &span)])
    } else {
        speaker.fill("drain_once", &[("span", &span)])
    };
    html! { span.drain { (words) } }
}

fn lane_word(speaker: Speaker, lane: &'static str) -> &'static str {
    match lane {
        "critical" => speaker.say("lane_critical"),
        "normal" => speaker.say("lane_normal"),
        "bulk" => speaker.say("lane_bulk"),
        other => other,
    }
}

/// Why something was discarded, in words; the word itself if it is a new one.
fn reason_word(speaker: Speaker, reason: &str) -> &str {
    match reason {
        "spool_full" => speaker.say("loss_spool_full"),
        "thinned" => speaker.say("loss_thinned"),
        "quarantined" => speaker.say("loss_quarantined"),
        "cloud_restored" => speaker.say("loss_cloud_restored"),
        "spool_damaged" => speaker.say("loss_spool_damaged"),
        other => other,
    }
}

fn losses(speaker: Speaker, status: &AgentStatus) -> Markup {
    let spool = &status.spool;
    html! {
        div #losses {
            p.tell { (shape("fault")) (speaker.count("samples_lost", spool.lost_samples)) }
            ul.rows {
                @for loss in spool.latest_losses.iter().take(SHOWN) { (one_loss(speaker, loss, status.now_ms)) }
            }
            @if spool.losses > spool.latest_losses.len().min(SHOWN) as u64 {
                p.soft.small { (speaker.count("losses_in_all", spool.losses)) }
            }
        }
    }
}

fn one_loss(speaker: Speaker, loss: &Loss, now_ms: i64) -> Markup {
    html! {
        li {
            (speaker.count("n_samples", loss.samples)) ": " (reason_word(speaker, &loss.reason))
            div.soft.small { (speaker.time(loss.from, now_ms)) " \u{2013} " (speaker.time(loss.to, now_ms)) }
        }
    }
}

fn quarantine(speaker: Speaker, spool: &SpoolStatus) -> Markup {
    html! {
        div #quarantine {
            p.tell { (shape("stale")) (speaker.count("batches_quarantined", spool.quarantine.len() as u64)) }
            ul.rows {
                @for item in spool.quarantine.iter().take(SHOWN) {
                    li { (speaker.count("n_samples", item.samples)) code.verbatim { (item.refusal) } }
                }
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
pub(super) fn float(n: u64) -> f64 {
    n as f64
}
