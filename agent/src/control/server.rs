//! The side of the agent.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use storepulse_shared::ids::BatchId;
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;

use super::maintenance;
use super::{
    DISCARD, Done, FILE, ITEMS_MAX, ItemDone, Items, MAINTENANCE_BEGIN, MAINTENANCE_END, MAINTENANCE_SHOW,
    REPLAY, SUPPORT,
};
use crate::bundle::{Heard, Support};
use crate::maintenance::Maintenance;
use crate::spool::{Spool, SpoolError, Unreplayable};
use crate::time::BoxClock;

/// What a socket is called until nobody else can open it.
const NEW: &str = "control.new";
/// Longest path that a socket can have: `sun_path` without its last byte.
const PATH_BYTES_MAX: usize = 107;

/// What the control socket works with.
pub(crate) struct ControlState {
    pub(crate) spool: Spool,
    pub(crate) clock: BoxClock,
    pub(crate) maintenance: Maintenance,
    pub(crate) support: Support,
}

/// Makes the socket in this folder, which must be ours alone, and serves it until `stop`.
pub(crate) fn serve(
    state: ControlState,
    dir: &Path,
    stop: CancellationToken,
) -> impl Future<Output = ()> + Send + use<> {
    let bound = bind(dir).inspect_err(|error| {
        tracing::warn!(
            %error,
            "there is no control socket: `quarantine replay`, `quarantine rm` and `maintenance` do not reach this agent"
        );
    });
    async move {
        let Ok((listener, _socket)) = bound else { return };
        let router = Router::new()
            .route(REPLAY, post(replay))
            .route(DISCARD, post(discard))
            .route(MAINTENANCE_BEGIN, post(maintenance::begin))
            .route(MAINTENANCE_END, post(maintenance::end))
            .route(MAINTENANCE_SHOW, post(maintenance::show))
            .route(SUPPORT, post(support))
            .with_state(Arc::new(state));
        if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await
        {
            tracing::error!(%error, "the control socket failed");
        }
    }
}

/// Removes the socket when the agent stops.
#[derive(Debug)]
struct Socket(PathBuf);

impl Drop for Socket {
    fn drop(&mut self) {
        // What is left behind is replaced by the next start.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Binds under another name and renames: under its own name it never was open to others, and one that was left behind is
/// replaced.
fn bind(dir: &Path) -> io::Result<(UnixListener, Socket)> {
    let (new, path) = (dir.join(NEW), dir.join(FILE));
    let length = path.as_os_str().len();
    if length > PATH_BYTES_MAX {
        let why = format!(
            "{}: its path has {length} bytes, a socket's can have {PATH_BYTES_MAX}; give the agent a state_dir with a shorter one",
            path.display()
        );
        return Err(io::Error::other(why));
    }
    let named = |error: io::Error| io::Error::other(format!("{}: {error}", path.display()));
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(named(error)),
        _ => {}
    }
    let listener = UnixListener::bind(&new).map_err(named)?;
    std::fs::set_permissions(&new, Permissions::from_mode(0o600)).map_err(named)?;
    std::fs::rename(&new, &path).map_err(named)?;
    Ok((listener, Socket(path)))
}

/// One by one, each in a change of its own: what was done before a crash stays done.
async fn replay(
    State(state): State<Arc<ControlState>>,
    Json(asked): Json<Items>,
) -> Result<Json<Done>, (StatusCode, String)> {
    let mut done = Vec::new();
    for item in within_limit(asked)? {
        let result = match state.spool.replay(item, state.clock.now_ms()).await {
            Ok(Ok(batch)) => Ok(Some(batch)),
            Ok(Err(why)) => Err(why.to_string()),
            Err(error) => Err(error.to_string()),
        };
        done.push(told(item, result));
    }
    Ok(Json(Done { done }))
}

async fn discard(
    State(state): State<Arc<ControlState>>,
    Json(asked): Json<Items>,
) -> Result<Json<Done>, (StatusCode, String)> {
    let mut done = Vec::new();
    for item in within_limit(asked)? {
        let result = match state.spool.discard_quarantined(item, state.clock.now_ms()).await {
            Ok(true) => Ok(None),
            Ok(false) => Err(Unreplayable::Unknown(item).to_string()),
            Err(error) => Err(error.to_string()),
        };
        done.push(told(item, result));
    }
    Ok(Json(Done { done }))
}

async fn support(State(state): State<Arc<ControlState>>) -> Result<Json<Heard>, (StatusCode, String)> {
    let refused = |error: SpoolError| (StatusCode::SERVICE_UNAVAILABLE, error.to_string());
    state.support.hear().await.map(Json).map_err(refused)
}

fn within_limit(asked: Items) -> Result<Vec<BatchId>, (StatusCode, String)> {
    let count = asked.items.len();
    if count > ITEMS_MAX {
        return Err((
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("{count} items, at most {ITEMS_MAX} in one request"),
        ));
    }
    Ok(asked.items)
}

fn told(item: BatchId, result: Result<Option<BatchId>, String>) -> ItemDone {
    match result {
        Ok(replayed_as) => ItemDone { item, replayed_as, error: None },
        Err(error) => ItemDone { item, replayed_as: None, error: Some(error) },
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    fn folder(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("storepulse-control-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        dir
    }

    #[tokio::test]
    async fn what_a_killed_agent_left_behind_is_replaced() {
        let dir = folder("stale");
        for left in [FILE, NEW] {
            std::fs::write(dir.join(left), "left behind").unwrap();
        }
        let (listener, socket) = bind(&dir).unwrap();
        assert!(UnixStream::connect(dir.join(FILE)).is_ok());
        let mode = std::fs::metadata(dir.join(FILE)).unwrap().permissions().mode();
        assert_eq!((mode & 0o777, dir.join(NEW).exists()), (0o600, false));
        drop((listener, socket));
        assert!(!dir.join(FILE).exists());
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[tokio::test]
    async fn a_path_that_is_too_long_is_named_with_its_limit() {
        let error = bind(&folder("long").join("x".repeat(100))).unwrap_err().to_string();
        assert!(error.contains("107") && error.contains("state_dir"), "{error}");
        std::fs::remove_dir_all(folder("long")).unwrap();
    }
}
