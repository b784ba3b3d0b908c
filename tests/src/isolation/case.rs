//! A case: one thing that was tried, and what leaked, if anything did.

use crate::isolation::canary::excerpt;

/// One thing that was tried.
#[derive(Debug, Clone)]
pub struct Case {
    /// What, as a sentence that finds the code.
    pub name: String,
    /// What came through that should not have.
    pub leak: Option<String>,
}

impl Case {
    pub(super) fn new(name: impl Into<String>, leak: Option<String>) -> Self {
        Self { name: name.into(), leak: leak.map(|leak| excerpt(&leak)) }
    }

    /// Held if `holds`, otherwise leaked what `leak` says.
    pub(super) fn holds(name: impl Into<String>, holds: bool, leak: impl FnOnce() -> String) -> Self {
        Self::new(name, (!holds).then(leak))
    }
}

/// Those that leaked, as lines for people.
#[must_use]
pub fn leaks(cases: &[Case]) -> Vec<String> {
    cases.iter().filter_map(|case| Some(format!("{}: {}", case.name, case.leak.as_ref()?))).collect()
}
