//! A stand-in for the pages, until they are merged: as little HTML as the actions need. Not shipped.

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use maud::{DOCTYPE, Markup, html};
use storepulse_shared::ids::DeviceId;

use super::action::{Job, JobState};
use super::reader::Reader;
use crate::status::{AgentStatus, Level};

pub(crate) fn shell(reader: &Reader, title: &str, body: Markup) -> Response {
    let page = html! { (DOCTYPE) html lang=(reader.language.code()) { head { title { (title) } } body { main { (body) } } } };
    ([(CONTENT_TYPE, "text/html; charset=utf-8")], page.into_string()).into_response()
}

pub(crate) fn home(reader: &Reader, status: &AgentStatus) -> Response {
    let csrf = reader.session.as_ref().map(|session| session.csrf.as_str());
    let body = html! {
        h1 { "StorePulse" }
        @if status.verdict.level != Level::Ok { p { "!" } }
        @for device in status.devices.keys() { p { (device) } }
        @if let Some(csrf) = csrf { form { input name="csrf" value=(csrf); } }
        @if let Some(until) = status.maintenance_until_ms { p .maintenance { (until) } }
    };
    shell(reader, "StorePulse", body)
}

pub(crate) fn fragment(_reader: &Reader, status: &AgentStatus) -> Response {
    html! { p { (status.version) } }.into_string().into_response()
}

pub(crate) fn device(reader: &Reader, _status: &AgentStatus, id: &DeviceId) -> Response {
    shell(reader, "StorePulse", html! { h1 { (id) } })
}

pub(crate) fn sign_in(reader: &Reader, then: &str, problem: Option<&str>) -> Response {
    let form = html! { form { input name="then" value=(then); } @if let Some(problem) = problem { p { (problem) } } };
    shell(reader, "PIN", form)
}

pub(crate) fn job(reader: &Reader, job: &Job) -> Response {
    let left = job.expected.saturating_sub(job.begun.elapsed()).as_secs();
    let state = match &job.state {
        JobState::Running { done, of, now } => format!("{done}/{of} {now}, {left} s"),
        JobState::Done(outcome) => outcome.to_string(),
        JobState::Failed(why) => why.clone(),
    };
    shell(reader, job.what, html! { p { (state) } })
}

pub(crate) async fn show_style() -> &'static str {
    ""
}

pub(crate) async fn show_script() -> &'static str {
    ""
}

pub(crate) async fn show_icon() -> &'static str {
    ""
}
