//! Which page is asked for: the status is read for each, and never kept.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use storepulse_shared::ids::DeviceId;

use super::{device, home, strip};
use crate::local::reader::Reader;
use crate::status::StatusState;

/// `GET /`.
pub(crate) async fn show_home(State(state): State<Arc<StatusState>>, reader: Reader) -> Response {
    match state.read().await {
        Ok(status) => home::home(&reader, &status, &strip::days(&state.board, status.devices.keys())),
        Err(error) => home::failing(&reader, &error.to_string(), Some("/")),
    }
}

/// `GET /fragment`: the inside of the main part of home.
pub(crate) async fn show_fragment(State(state): State<Arc<StatusState>>, reader: Reader) -> Response {
    match state.read().await {
        Ok(status) => home::fragment(&reader, &status, &strip::days(&state.board, status.devices.keys())),
        Err(error) => home::failing(&reader, &error.to_string(), None),
    }
}

/// `GET /device/{id}`.
pub(crate) async fn show_device(
    State(state): State<Arc<StatusState>>,
    reader: Reader,
    Path(id): Path<String>,
) -> Response {
    let Ok(id) = id.parse::<DeviceId>() else { return device::not_found(&reader) };
    match state.read().await {
        Ok(status) => device::device(&reader, &status, &id, &strip::days(&state.board, [&id])),
        Err(error) => home::failing(&reader, &error.to_string(), Some(&format!("/device/{id}"))),
    }
}
