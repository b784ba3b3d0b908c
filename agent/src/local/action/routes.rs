//! The actions: each checks who asks, begins a job or changes a state, and leads to where that is seen.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use storepulse_shared::ids::DeviceId;

use super::watch;
use crate::local::guard::{Signed, to_sign_in};
use crate::local::reader::Reader;
use crate::local::{LocalState, page, refuse};
use crate::maintenance::{MaintenanceError, Plan};

/// How long a bundle takes, as a rule.
const BUNDLE_EXPECTED: Duration = Duration::from_secs(10);

/// `POST /device/{id}/test`.
pub(crate) async fn test_device(
    State(local): State<LocalState>,
    Path(id): Path<String>,
    signed: Signed,
) -> Response {
    let device = id.parse::<DeviceId>().ok();
    let known = device.and_then(|device| local.trial.expected(&device).map(|expected| (device, expected)));
    let Some((device, expected)) = known else {
        return refuse(&signed.reader, StatusCode::NOT_FOUND, signed.reader.words().no_device);
    };
    let test = Arc::clone(&local.test);
    let subject = device.to_string();
    to_job(&signed.reader, local.jobs.begin("test", subject, expected, |progress| test(device, progress)))
}

/// `POST /identify`.
pub(crate) async fn identify(State(local): State<LocalState>, signed: Signed) -> Response {
    let board = Arc::clone(&local.status.board);
    let looks = u32::try_from(watch::QUIET_LOOKS + watch::LOOKS).unwrap_or(u32::MAX);
    let begun = local.jobs.begin("watch", "", watch::LOOK * looks, |progress| async move {
        let watched = watch::watch(board, watch::LOOK, progress).await;
        serde_json::to_value(watched).map_err(|error| error.to_string())
    });
    to_job(&signed.reader, begun)
}

/// `POST /support-bundle`.
pub(crate) async fn make_bundle(State(local): State<LocalState>, signed: Signed) -> Response {
    let make = Arc::clone(&local.bundle);
    to_job(&signed.reader, local.jobs.begin("bundle", "", BUNDLE_EXPECTED, |progress| make(progress)))
}

fn to_job(reader: &Reader, begun: Option<u64>) -> Response {
    match begun {
        Some(id) => Redirect::to(&format!("/job/{id}")).into_response(),
        None => refuse(reader, StatusCode::SERVICE_UNAVAILABLE, reader.words().too_many_jobs),
    }
}

/// `GET /job/{n}`. What a device said may stand there, so it is for whoever could have asked for it.
pub(crate) async fn show_job(
    State(local): State<LocalState>,
    Path(id): Path<String>,
    reader: Reader,
) -> Response {
    if reader.session.is_none() {
        return to_sign_in(&format!("/job/{id}"));
    }
    match id.parse().ok().and_then(|id| local.jobs.get(id)) {
        Some(job) => page::job(&reader, &job),
        None => refuse(&reader, StatusCode::NOT_FOUND, reader.words().no_job),
    }
}

/// `GET /support-bundle/{n}`: the file of a job, to be kept, never to be run here.
pub(crate) async fn show_bundle(
    State(local): State<LocalState>,
    Path(id): Path<String>,
    reader: Reader,
) -> Response {
    if reader.session.is_none() {
        return to_sign_in("/");
    }
    let Some(file) = id.parse().ok().and_then(|id| local.jobs.file(id)) else {
        return refuse(&reader, StatusCode::NOT_FOUND, reader.words().no_file);
    };
    let is_plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let name: String = file.name.chars().filter(is_plain).collect();
    let Ok(disposition) = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(file.media_type)),
        (CONTENT_DISPOSITION, disposition),
        (
            CONTENT_SECURITY_POLICY,
            HeaderValue::from_static("sandbox; default-src 'none'; style-src 'unsafe-inline'"),
        ),
    ];
    (headers, file.content.clone()).into_response()
}

/// `POST /maintenance`.
pub(crate) async fn begin_maintenance(State(local): State<LocalState>, signed: Signed) -> Response {
    let Signed { reader, fields } = signed;
    let minutes = fields.get("minutes").trim().parse().unwrap_or_default();
    let begun = match Plan::new(minutes, fields.get("note")) {
        Ok(plan) => local.maintenance.begin(plan).await,
        Err(error) => Err(error),
    };
    to_home(&reader, begun)
}

/// `POST /maintenance/end`.
pub(crate) async fn end_maintenance(State(local): State<LocalState>, signed: Signed) -> Response {
    to_home(&signed.reader, local.maintenance.end().await.map(drop))
}

fn to_home(reader: &Reader, done: Result<(), MaintenanceError>) -> Response {
    let words = reader.words();
    let (status, why) = match done {
        Ok(()) => return Redirect::to("/").into_response(),
        Err(MaintenanceError::Minutes(_)) => (StatusCode::BAD_REQUEST, words.maintenance_minutes),
        Err(MaintenanceError::NoteLong(_)) => (StatusCode::BAD_REQUEST, words.maintenance_note_long),
        Err(MaintenanceError::NoteCard) => (StatusCode::BAD_REQUEST, words.maintenance_note_card),
        Err(error) => {
            tracing::error!(%error, "maintenance could not be changed");
            (StatusCode::SERVICE_UNAVAILABLE, words.maintenance_not_kept)
        }
    };
    refuse(reader, status, why)
}
