//! Maintenance, asked for by a command: no PIN, and no wait after wrong ones. Who can open the socket is the agent's user.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use super::server::ControlState;
use super::{MaintenanceTold, MaintenanceWish};
use crate::maintenance::{MaintenanceError, Plan};

type Answer = Result<Json<MaintenanceTold>, (StatusCode, String)>;

pub(super) async fn begin(
    State(state): State<Arc<ControlState>>,
    Json(wish): Json<MaintenanceWish>,
) -> Answer {
    let plan = Plan::new(wish.minutes, &wish.note).map_err(refused)?;
    state.maintenance.begin(plan).await.map_err(refused)?;
    tell(&state, true)
}

pub(super) async fn end(State(state): State<Arc<ControlState>>) -> Answer {
    let changed = state.maintenance.end().await.map_err(refused)?;
    tell(&state, changed)
}

pub(super) async fn show(State(state): State<Arc<ControlState>>) -> Answer {
    tell(&state, false)
}

fn tell(state: &ControlState, changed: bool) -> Answer {
    Ok(Json(MaintenanceTold { changed, under_way: state.maintenance.under_way() }))
}

fn refused(error: MaintenanceError) -> (StatusCode, String) {
    let status = match error {
        MaintenanceError::Minutes(_) | MaintenanceError::NoteLong(_) | MaintenanceError::NoteCard => {
            StatusCode::BAD_REQUEST
        }
        MaintenanceError::File { .. } | MaintenanceError::Spool(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, error.to_string())
}
