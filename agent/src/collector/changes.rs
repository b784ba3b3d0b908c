//! Conditions that are news when they begin and when they end: mains lost, paper out, a door open.

use std::collections::HashMap;

use super::poll::Reading;

/// A condition, and how it is told.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Condition {
    /// The kind of its events.
    pub event: &'static str,
    /// What is said when it begins.
    pub begins: &'static str,
    /// What is said when it is over.
    pub ends: &'static str,
}

/// What held when it was last looked at.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    held: HashMap<(&'static str, &'static str), bool>,
}

impl Changes {
    /// Adds an event if the condition has changed. One that holds when it is first looked at is news too: the box may have
    /// started because of it.
    pub(crate) fn note(&mut self, reading: &mut Reading, condition: Condition, holds: bool) {
        let held = self.held.insert((condition.event, condition.begins), holds).unwrap_or(false);
        if held != holds {
            reading.event(condition.event, if holds { condition.begins } else { condition.ends });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAINS: Condition = Condition { event: "ups.battery", begins: "on battery", ends: "on mains again" };

    #[test]
    fn a_condition_is_told_when_it_begins_and_when_it_ends_and_not_in_between() {
        let mut changes = Changes::default();
        let mut reading = Reading::default();
        for holds in [false, true, true, false, false] {
            changes.note(&mut reading, MAINS, holds);
        }
        let texts: Vec<&str> = reading.events.iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(texts, ["on battery", "on mains again"]);
    }

    #[test]
    fn a_condition_that_holds_from_the_beginning_is_told() {
        let mut reading = Reading::default();
        Changes::default().note(&mut reading, MAINS, true);
        assert_eq!(reading.events.len(), 1);
    }
}
