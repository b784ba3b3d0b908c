//! What printers of all protocols say: their metrics, and the events of what has changed.
//!
//! What a printer does not tell stays untold. A first reading is no change; what is bad in it is an event all the same, since
//! nobody has heard of it yet.

use super::poll::Reading;

/// The paper roll.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paper {
    Ok,
    NearEnd,
    Out,
}

/// Whether it has an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Error {
    None,
    /// It goes away by itself, or when somebody has seen to it.
    Recoverable,
    /// It stays until the printer is switched off, or for good.
    Unrecoverable,
}

/// What was seen of a printer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub online: Option<bool>,
    pub cover_open: Option<bool>,
    pub paper: Option<Paper>,
    pub error: Option<Error>,
}

/// Remembers what was last seen.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    last: Seen,
}

impl Seen {
    /// Whether the printer can print.
    pub(crate) fn is_well(self) -> bool {
        self.online != Some(false)
            && self.cover_open != Some(true)
            && self.paper != Some(Paper::Out)
            && matches!(self.error, None | Some(Error::None))
    }
}

impl Watch {
    /// Values and events of what is seen now.
    pub(crate) fn take(&mut self, seen: Seen) -> Reading {
        let mut reading = Reading::default();
        reading.flag("hw.status", seen.is_well());
        if let Some(online) = seen.online {
            reading.flag("retail.printer.online", online);
            if changed(&mut self.last.online, online, true) {
                let (kind, text) = match online {
                    true => ("printer.online", "the printer is online again"),
                    false => ("printer.offline", "the printer is offline"),
                };
                reading.event(kind, text);
            }
        }
        if let Some(open) = seen.cover_open {
            reading.flag("retail.printer.cover.open", open);
            if changed(&mut self.last.cover_open, open, false) {
                let (kind, text) = match open {
                    true => ("printer.cover_open", "the cover is open"),
                    false => ("printer.cover_closed", "the cover is closed again"),
                };
                reading.event(kind, text);
            }
        }
        if let Some(paper) = seen.paper {
            let (state, kind, text) = match paper {
                Paper::Ok => (0.0, "printer.paper_ok", "there is paper again"),
                Paper::NearEnd => (1.0, "printer.paper_near_end", "the paper is near its end"),
                Paper::Out => (2.0, "printer.paper_out", "the paper is out"),
            };
            reading.value("retail.printer.paper.state", state);
            if changed(&mut self.last.paper, paper, Paper::Ok) {
                reading.event(kind, text);
            }
        }
        if let Some(error) = seen.error {
            let (state, kind, text) = match error {
                Error::None => (0.0, "printer.error_over", "the printer reports no error any more"),
                Error::Recoverable => (1.0, "printer.error", "the printer reports an error"),
                Error::Unrecoverable => {
                    (2.0, "printer.error", "the printer reports an error that it cannot recover from")
                }
            };
            reading.value("retail.printer.error", state);
            if changed(&mut self.last.error, error, Error::None) {
                reading.event(kind, text);
            }
        }
        reading
    }
}

/// Whether this is a change; before the first reading all was good.
pub(crate) fn changed<T: Copy + PartialEq>(last: &mut Option<T>, now: T, good: T) -> bool {
    last.replace(now).unwrap_or(good) != now
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(watch: &mut Watch, seen: Seen) -> Vec<String> {
        watch.take(seen).events.into_iter().map(|(kind, _)| kind.into_owned()).collect()
    }

    fn well() -> Seen {
        Seen { online: Some(true), cover_open: Some(false), paper: Some(Paper::Ok), error: Some(Error::None) }
    }

    #[test]
    fn a_change_is_an_event_and_a_first_reading_is_none_unless_it_is_bad() {
        let mut watch = Watch::default();
        assert!(events(&mut watch, well()).is_empty());
        let open = Seen { online: Some(false), cover_open: Some(true), ..well() };
        assert_eq!(events(&mut watch, open), ["printer.offline", "printer.cover_open"]);
        assert!(events(&mut watch, open).is_empty(), "told once");
        assert_eq!(events(&mut watch, well()), ["printer.online", "printer.cover_closed"]);
        for (paper, kind) in [
            (Paper::NearEnd, "printer.paper_near_end"),
            (Paper::Out, "printer.paper_out"),
            (Paper::Ok, "printer.paper_ok"),
        ] {
            assert_eq!(events(&mut watch, Seen { paper: Some(paper), ..well() }), [kind]);
        }
        for (error, kind) in [
            (Error::Recoverable, "printer.error"),
            (Error::Unrecoverable, "printer.error"),
            (Error::None, "printer.error_over"),
        ] {
            assert_eq!(events(&mut watch, Seen { error: Some(error), ..well() }), [kind]);
        }
        let out = Seen { paper: Some(Paper::Out), ..well() };
        assert_eq!(events(&mut Watch::default(), out), ["printer.paper_out"]);
    }

    #[test]
    fn what_is_not_told_is_no_value_and_does_not_change() {
        let mut watch = Watch::default();
        let _ = watch.take(Seen { paper: Some(Paper::Out), ..Seen::default() });
        let silent = watch.take(Seen::default());
        assert_eq!((silent.values.len(), silent.events.len()), (1, 0), "{silent:?}");
        assert_eq!(events(&mut watch, well()), ["printer.paper_ok"]);
    }
}
