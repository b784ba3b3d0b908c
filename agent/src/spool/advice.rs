//! What to tell people when SQLite refuses: what is wrong, and the way out.

use rusqlite::{Error, ErrorCode};

/// The error with the way out, where we know one.
pub(super) fn advice(error: &Error) -> String {
    let way_out = match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => "make room on this disk, or choose a state_dir on another one",
        Some(ErrorCode::SystemIoFailure) => {
            "the disk fails: see the system's log, and choose a state_dir on another disk"
        }
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            "the agent's user must be able to write in this folder, and the disk must have room"
        }
        _ => return error.to_string(),
    };
    format!("{error}: {way_out}; what was accepted before is safe")
}
