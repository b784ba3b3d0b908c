//! What is at work: how far it is, how long it still takes, what is done now; and its outcome when it has ended.

use std::time::Duration;

use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};
use serde_json::Value;

use super::devices::fault_word;
use super::shell::{self, Sheet, shape};
use super::speaker::Speaker;
use super::{device, values};
use crate::local::action::{Job, JobState};
use crate::local::reader::Reader;
use crate::local::setup;

/// Seconds between two looks of the script.
const FRESH_SECONDS: u32 = 1;
/// A job never looks done before it is.
const SHARE_MAX: f64 = 0.97;
/// How deep an outcome of another form is shown.
const DEPTH_MAX: u32 = 4;

/// The page of a job.
#[must_use]
pub(crate) fn job(reader: &Reader, job: &Job) -> Response {
    shell::respond(StatusCode::OK, job_markup(reader, job, job.begun.elapsed()))
}

/// The same as HTML, so long after it was begun.
pub(super) fn job_markup(reader: &Reader, job: &Job, used: Duration) -> Markup {
    let speaker = Speaker::new(reader.language);
    let title = title(reader, speaker, job);
    if let Some(body) = setup::outcome(reader, job) {
        return shell::whole(&Sheet { reader, title: &title, verdict: None, fresh: None, body });
    }
    let back = if job.what == "test" { format!("/device/{}", job.subject) } else { "/".to_owned() };
    let body = html! {
        p.back { a href=(back) { "\u{2039} " (speaker.say("back")) } }
        section.card data-job=(job.what) data-job-state=(state_name(&job.state)) {
            h1 { (title) }
            @match &job.state {
                JobState::Running { done, of, now } => (running(speaker, job, used, *done, *of, now)),
                JobState::Done(outcome) => (ended(speaker, job, outcome)),
                JobState::Failed(why) => {
                    p.tell { (shape("fault")) (speaker.say("job_failed")) }
                    code.verbatim { (why) }
                }
            }
        }
    };
    let path = format!("/job/{}?lang={}", job.id, reader.language.code());
    let runs = matches!(job.state, JobState::Running { .. });
    let fresh = runs.then_some((path.as_str(), FRESH_SECONDS));
    shell::whole(&Sheet { reader, title: &title, verdict: None, fresh, body })
}

const fn state_name(state: &JobState) -> &'static str {
    match state {
        JobState::Running { .. } => "running",
        JobState::Done(_) => "done",
        JobState::Failed(_) => "failed",
    }
}

fn title(reader: &Reader, speaker: Speaker, job: &Job) -> String {
    let subject = [("subject", job.subject.as_str())];
    match job.what {
        "test" => speaker.fill("job_test", &subject),
        "probe" => speaker.fill("job_probe", &subject),
        "bundle" => speaker.say("bundle").to_owned(),
        "watch" => speaker.say("identify").to_owned(),
        other => setup::title(reader, job).unwrap_or_else(|| other.to_owned()),
    }
}

/// How much is done, from 0 to 1: by steps where there are several, else by the time that it takes as a rule.
#[expect(clippy::cast_precision_loss, reason = "a bar for people")]
fn share(job: &Job, used: Duration, done: usize, of: usize) -> f64 {
    let by_steps = if of > 1 { done as f64 / of as f64 } else { 0.0 };
    let by_time = used.as_secs_f64() / job.expected.as_secs_f64().max(0.1);
    by_steps.max(if of > 1 { 0.0 } else { by_time }).min(SHARE_MAX)
}

/// How long it still takes: what is expected, or what the steps so far took.
#[expect(clippy::cast_precision_loss, reason = "an estimate for people")]
fn left(job: &Job, used: Duration, done: usize, of: usize) -> Option<f64> {
    let used = used.as_secs_f64();
    let expected = job.expected.as_secs_f64() - used;
    if done > 0 && of > 1 {
        return Some(used / done as f64 * of.saturating_sub(done) as f64);
    }
    (expected > 0.0).then_some(expected)
}

fn running(speaker: Speaker, job: &Job, used: Duration, done: usize, of: usize, now: &str) -> Markup {
    let percent = (share(job, used, done, of) * 100.0).round();
    let used_words = speaker.span(used.as_secs_f64().floor());
    html! {
        div {
            progress max="100" value=(percent) aria-label=(speaker.say("progress")) { (percent) " %" }
            p.small.soft {
                (speaker.fill("job_used", &[("span", &used_words)])) " "
                @match left(job, used, done, of) {
                    Some(left) => (speaker.fill("job_left", &[("span", &speaker.span(left.ceil().max(1.0)))])),
                    None => (speaker.say("job_longer")),
                }
            }
        }
        @if let Some(now) = now_words(speaker, job, of, now) { p { b { (speaker.say("job_now")) } " " (now) } }
    }
}

/// What is done now, in the language of the reader where it is known what that is.
fn now_words<'a>(speaker: Speaker, job: &Job, of: usize, now: &'a str) -> Option<&'a str> {
    match job.what {
        // A device that talks by itself is watched for so many steps; the others are asked once.
        "test" if of > 1 => Some(speaker.say("test_listens")),
        "test" => Some(speaker.say("test_asks")),
        "watch" if now == "quiet" => Some(speaker.say("watch_quiet")),
        "watch" if now == "touch" => Some(speaker.say("watch_touch")),
        _ => Some(now).filter(|now| !now.is_empty()),
    }
}

fn ended(speaker: Speaker, job: &Job, outcome: &Value) -> Markup {
    match job.what {
        "test" => tested(speaker, outcome),
        "watch" => identified(speaker, outcome),
        "bundle" => html! {
            p.tell { (shape("ok")) (speaker.say("bundle_ready")) }
            p.soft { (speaker.say("bundle_how")) }
            a.button.primary href={ "/support-bundle/" (job.id) } { (speaker.say("download")) }
        },
        _ => html! {
            p.tell { (shape("ok")) (speaker.say("job_done")) }
            (any(outcome, DEPTH_MAX))
        },
    }
}

/// What came of a test: `{good, took_ms, talks_by_itself, state, error, exchange, values}`.
fn tested(speaker: Speaker, outcome: &Value) -> Markup {
    let good = outcome["good"] == true;
    let took = outcome["took_ms"].as_f64().unwrap_or_default() / 1e3;
    let error = &outcome["error"];
    let exchange = if outcome["exchange"].is_object() { &outcome["exchange"] } else { &error["bytes"] };
    html! {
        p.tell { (shape(if good { "ok" } else { "unreachable" })) @if good { (speaker.say("test_good")) } @else { (speaker.say("test_bad")) } }
        p.soft.small { (speaker.fill("test_took", &[("span", &speaker.span(took))])) }
        @if outcome["talks_by_itself"] == true { p.soft { (speaker.say("talks_by_itself")) } }
        @if let (false, Some(text)) = (good, error["text"].as_str()) {
            div {
                @if let Some(kind) = error["kind"].as_str() { p { b { (fault_word(speaker, kind)) } } }
                code.verbatim { (text) }
            }
        }
        @if exchange.is_object() {
            div {
                h3 { (speaker.say("last_exchange")) }
                (device::said_bytes(speaker, exchange["asked"].as_str().unwrap_or_default(), exchange["answered"].as_str().unwrap_or_default()))
            }
        }
        @if let Some(read) = outcome["values"].as_object().filter(|read| !read.is_empty()) {
            dl { @for (series, reading) in read {
                dt { (values::name(speaker, series)) }
                dd {
                    @if let Some(value) = reading["value"].as_f64() {
                        span.value data-stale[!good] { (values::write(speaker, series, value)) }
                    }
                }
            } }
        }
        @if let Some(seen) = outcome["seen"].as_object().filter(|seen| !seen.is_empty()) {
            dl { @for (what, value) in seen { dt { code { (what) } } dd { (value) } } }
        }
    }
}

/// Which devices changed: `{devices: [device], left_out: [device]}`.
fn identified(speaker: Speaker, outcome: &Value) -> Markup {
    let devices = |field: &str| -> Vec<&str> {
        outcome[field].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
    };
    let (touched, left_out) = (devices("devices"), devices("left_out"));
    html! {
        @if touched.is_empty() {
            p.tell { (shape("unknown")) (speaker.say("identified_none")) }
        } @else {
            p.tell { (shape("ok")) (speaker.say("identified")) }
            ul.rows { @for device in touched { li { a href={ "/device/" (device) } { (device) } } } }
        }
        @if !left_out.is_empty() {
            p.soft.small { (speaker.say("left_out")) " " (left_out.join(", ")) }
        }
    }
}

/// JSON of any form, readable.
fn any(value: &Value, depth: u32) -> Markup {
    html! {
        @match value {
            Value::Null => {}
            Value::Object(fields) if depth > 0 => {
                dl { @for (name, value) in fields { dt { (name) } dd { (any(value, depth - 1)) } } }
            }
            Value::Array(items) if depth > 0 => ul.rows { @for item in items { li { (any(item, depth - 1)) } } },
            Value::String(text) => (text),
            other => (other.to_string()),
        }
    }
}
