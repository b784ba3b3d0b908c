//! Canaries: texts that stand in the data of one store, or of one tenant, and nowhere else.
//!
//! Whoever may not see that store must never be shown one. What a request itself carries is no news when the answer
//! repeats it.

/// Longest text in a report.
const SHOWN_CHARS: usize = 300;

/// A text and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Canary {
    /// `la-villa/T01`, or `la-villa` for what all its stores share.
    pub of: String,
    /// The text.
    pub text: String,
}

/// The first canary in what was `seen`, unless it was in what was `sent`.
pub(super) fn find<'a>(canaries: &'a [Canary], seen: &str, sent: &str) -> Option<&'a Canary> {
    canaries.iter().find(|canary| seen.contains(&canary.text) && !sent.contains(&canary.text))
}

/// What to report of a sighting.
pub(super) fn sighting(canaries: &[Canary], seen: &str, sent: &str) -> Option<String> {
    let canary = find(canaries, seen, sent)?;
    let at = seen.find(&canary.text).unwrap_or_default();
    let start = seen[..at].char_indices().rev().nth(40).map_or(0, |(at, _)| at);
    Some(format!("{:?} of {} in …{}", canary.text, canary.of, excerpt(&seen[start..])))
}

/// A text on one line, short enough for a report.
pub(super) fn excerpt(text: &str) -> String {
    let mut line: String =
        text.chars().take(SHOWN_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if line.len() < text.len() {
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_canary_is_found_unless_it_was_sent() {
        let canaries = [Canary { of: "a/T01".into(), text: "wren".into() }];
        assert_eq!(find(&canaries, "a wren sings", ""), Some(&canaries[0]));
        assert_eq!(find(&canaries, "a wren sings", "wren?"), None);
        assert_eq!(find(&canaries, "a robin sings", ""), None);
        assert!(sighting(&canaries, "ä wren", "").unwrap().contains("a/T01"));
    }
}
