//! Who reads the page: in which language, and whether signed in.

use crate::language::Language;

/// Whoever made this request.
#[derive(Debug, Clone)]
pub(crate) struct Reader {
    /// Chosen with `?lang=`, kept in a cookie; otherwise the browser's.
    pub language: Language,
    /// Only after the PIN.
    pub session: Option<Session>,
    /// Whether a PIN is configured; without one there are no actions.
    pub can_sign_in: bool,
}

/// A session of whoever knew the PIN.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    /// What every form must bring back.
    pub csrf: String,
    /// Minutes that it still lasts.
    pub minutes_left: u64,
}
