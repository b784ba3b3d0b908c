//! `/setup`, its steps, and `/label`.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{FromRef, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use serde_json::Value;
use storepulse_shared::ids::DeviceId;

use super::label::Label;
use super::outcome::Outcome;
use super::steps::{self, Reading, Record};
use super::view::{self, For, Home};
use super::weight::{Division, Mass};
use super::words::Words;
use super::{Parts, Setup, probe};
use crate::local::action::Progress;
use crate::local::guard::Signed;
use crate::local::page::shell;
use crate::local::reader::Reader;
use crate::local::{LocalState, refuse};

/// What our jobs are called.
pub(super) const PROBE: &str = "probe";
pub(super) const DRAWER: &str = "drawer";
pub(super) const SCALE: &str = "scale";

/// How long a reading takes, as a rule: a scale that talks by itself is waited for.
const READING: Duration = Duration::from_secs(10);

impl FromRef<LocalState> for Setup {
    fn from_ref(local: &LocalState) -> Self {
        local.setup.clone()
    }
}

/// All our routes.
pub(crate) fn routes() -> Router<LocalState> {
    Router::new()
        .route("/setup", get(show_setup))
        .route("/setup/probe", post(begin_probe))
        .route("/setup/drawer/{id}", get(show_drawer).post(read_drawer))
        .route("/setup/scale/{id}", get(show_scale).post(read_scale))
        .route("/label", get(show_label))
}

pub(super) async fn show_setup(State(Setup(parts)): State<Setup>, reader: Reader) -> Response {
    let inventory = match Setup(Arc::clone(&parts)).inventory().await {
        Ok(inventory) => inventory,
        Err(why) => return refuse(&reader, StatusCode::INTERNAL_SERVER_ERROR, &why),
    };
    let whom = For::new(&reader);
    let home = Home { inventory: &inventory, now_ms: parts.status.clock.now_ms() };
    shell(&reader, whom.words.say("title"), view::home(whom, &home))
}

pub(super) async fn begin_probe(State(setup): State<Setup>, signed: Signed) -> Response {
    let Signed { reader, fields } = signed;
    let words = Words(reader.language);
    let inventory = match setup.inventory().await {
        Ok(inventory) => inventory,
        Err(why) => return refuse(&reader, StatusCode::INTERNAL_SERVER_ERROR, &why),
    };
    let typed = fields.get("place");
    let Some(places) = probe::places(typed, &inventory) else {
        return refuse(&reader, StatusCode::BAD_REQUEST, &words.fill("bad_place", &[("place", typed)]));
    };
    let names: Vec<String> = places.iter().map(probe::Place::name).collect();
    // At least what a job without a question takes.
    let expected = probe::plan(&places).silent.max(Duration::from_secs(1));
    let parts = Arc::clone(&setup.0);
    let begun = setup.0.jobs.begin(PROBE, names.join(", "), expected, |progress| async move {
        let mut tell = |done: usize, of: usize, what: &str| progress.tell(done, of, what);
        let everything = (&parts.ports, &parts.config.devices);
        done(&Outcome::Probe(probe::ask(everything, places, words, &mut tell).await))
    });
    to_job(&reader, begun)
}

async fn show_drawer(State(setup): State<Setup>, Path(id): Path<String>, reader: Reader) -> Response {
    show_step(&setup, &id, "escpos", &reader, view::drawer_start)
}

pub(super) async fn read_drawer(
    State(setup): State<Setup>,
    Path(id): Path<String>,
    signed: Signed,
) -> Response {
    let Signed { reader, fields } = signed;
    let Some(device) = device(&setup, &id, "escpos") else { return gone(&reader) };
    let closed = match (fields.get("step"), fields.get("closed").parse()) {
        ("closed", _) => None,
        ("open", Ok(level)) => Some(level),
        _ => return bad_form(&reader),
    };
    let begun = begin(&setup, DRAWER, device, move |device, reading, record| async move {
        let step = steps::drawer(&device, closed, reading, &record).await;
        Outcome::Drawer(device, step)
    });
    to_job(&reader, begun)
}

async fn show_scale(State(setup): State<Setup>, Path(id): Path<String>, reader: Reader) -> Response {
    show_step(&setup, &id, "scale", &reader, view::scale_start)
}

pub(super) async fn read_scale(
    State(setup): State<Setup>,
    Path(id): Path<String>,
    signed: Signed,
) -> Response {
    let Signed { reader, fields } = signed;
    let Some(device) = device(&setup, &id, "scale") else { return gone(&reader) };
    let Ok(division) = fields.get("division").parse::<Division>() else { return bad_form(&reader) };
    let laid = match fields.get("step") {
        "empty" => None,
        "weight" => match fields.get("weight").parse::<Mass>() {
            Ok(laid) if laid >= division.lightest() => Some(laid),
            typed => {
                let whom = For::new(&reader);
                let body = view::bad_weight(whom, &device, division, typed.is_ok());
                let title = whom.words.fill("scale_title", &[("device", &id)]);
                return shell(&reader, &title, body);
            }
        },
        _ => return bad_form(&reader),
    };
    let begun = begin(&setup, SCALE, device, move |device, reading, record| async move {
        let step = steps::scale(&device, division, laid, reading, &record).await;
        Outcome::Scale(device, division.grams(), step)
    });
    to_job(&reader, begun)
}

pub(super) async fn show_label(State(setup): State<Setup>, reader: Reader) -> Response {
    let parts = &setup.0;
    let status = parts.status.read().await.map_err(|error| error.to_string());
    let (status, inventory) = match (status, setup.inventory().await) {
        (Ok(status), Ok(inventory)) => (status, inventory),
        (Err(why), _) | (_, Err(why)) => return refuse(&reader, StatusCode::SERVICE_UNAVAILABLE, &why),
    };
    let label = Label::of(&status, &inventory, parts.config.local.listen);
    let whom = For::new(&reader);
    shell(&reader, whom.words.say("label"), view::label(whom, &label))
}

/// The device of this kind, if it is one of the configuration.
fn device(setup: &Setup, id: &str, kind: &str) -> Option<DeviceId> {
    let device: DeviceId = id.parse().ok()?;
    setup.0.config.devices.get(&device).filter(|known| known.name() == kind).map(|_| device)
}

fn show_step(
    setup: &Setup,
    id: &str,
    kind: &str,
    reader: &Reader,
    start: fn(For<'_>, &DeviceId) -> maud::Markup,
) -> Response {
    let Some(device) = device(setup, id, kind) else { return gone(reader) };
    let whom = For::new(reader);
    shell(reader, device.as_str(), start(whom, &device))
}

/// Begins a step: the device is read now, and what is found recorded.
fn begin<F>(
    setup: &Setup,
    what: &'static str,
    device: DeviceId,
    step: impl FnOnce(DeviceId, Reading, Record) -> F,
) -> Option<u64>
where
    F: Future<Output = Outcome> + Send + 'static,
{
    let Parts { status, jobs, test, .. } = &*setup.0;
    let record = Record { spool: status.spool.clone(), clock: status.clock.clone() };
    let test = Arc::clone(test);
    jobs.begin(what, device.to_string(), READING, |progress: Progress| {
        let reading = test(device.clone(), progress);
        let step = step(device, reading, record);
        async move { done(&step.await) }
    })
}

fn done(outcome: &Outcome) -> Result<Value, String> {
    serde_json::to_value(outcome).map_err(|error| error.to_string())
}

fn to_job(reader: &Reader, begun: Option<u64>) -> Response {
    match begun {
        Some(id) => Redirect::to(&format!("/job/{id}")).into_response(),
        None => refuse(reader, StatusCode::SERVICE_UNAVAILABLE, Words(reader.language).say("busy")),
    }
}

fn gone(reader: &Reader) -> Response {
    refuse(reader, StatusCode::NOT_FOUND, Words(reader.language).say("gone"))
}

fn bad_form(reader: &Reader) -> Response {
    refuse(reader, StatusCode::BAD_REQUEST, Words(reader.language).say("bad_form"))
}
