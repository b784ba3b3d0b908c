//! Where a page ended: what a client gives back, unread, for the next one.
//!
//! A cursor is JSON in base64url. It names the request that it continues by a hash of its parameters, so that one that
//! belongs to another request is refused and does not lead to pages of both. It grants nothing: whatever it says, a reader
//! stays within its own scope.

use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::problem::ApiError;
use crate::scope::Scope;

/// Longest cursor that is looked at. Ours are far below.
const BYTES_MAX: usize = 4_096;

/// The request that a cursor continues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Continued(u64);

#[derive(Serialize, Deserialize)]
struct Cursor<T> {
    of: u64,
    at: T,
}

impl Continued {
    /// Of a request of this scope for `what`, with these parameters.
    pub(super) fn new(scope: &Scope, what: &str, parameters: &[Option<&str>]) -> Self {
        let mut hash = Sha256::new();
        let mut add = |text: &str| {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        };
        for text in [scope.tenant.as_str(), what] {
            add(text);
        }
        for store in scope.named() {
            add(store.as_str());
        }
        // No store has an empty id.
        add("");
        for parameter in parameters {
            add(if parameter.is_some() { "given" } else { "not given" });
            add(parameter.unwrap_or_default());
        }
        let mut first = [0; 8];
        first.copy_from_slice(&hash.finalize()[..8]);
        Self(u64::from_le_bytes(first))
    }

    /// The cursor for the page that begins at this place.
    ///
    /// # Errors
    /// The place cannot be written as JSON.
    pub(super) fn write<T: Serialize>(self, at: T) -> Result<String, ApiError> {
        let json =
            serde_json::to_vec(&Cursor { of: self.0, at }).map_err(|e| ApiError::Internal(e.into()))?;
        Ok(URL_SAFE_NO_PAD.encode(json))
    }

    /// The place that a client has given back.
    ///
    /// # Errors
    /// 400 `bad_cursor`: it is not ours, or belongs to another request.
    pub(super) fn read<T: DeserializeOwned>(self, text: &str) -> Result<T, ApiError> {
        let refused = |detail| ApiError::refused(StatusCode::BAD_REQUEST, "bad_cursor", detail);
        let not_ours = || refused("the cursor is not one that this service gave; begin again without it");
        if text.len() > BYTES_MAX {
            return Err(not_ours());
        }
        let json = URL_SAFE_NO_PAD.decode(text).map_err(|_| not_ours())?;
        let cursor: Cursor<T> = serde_json::from_slice(&json).map_err(|_| not_ours())?;
        if cursor.of != self.0 {
            let detail =
                "the cursor belongs to another request; repeat its parameters, or begin again without it";
            return Err(refused(detail));
        }
        Ok(cursor.at)
    }
}
