//! What fiscal printers of all protocols say of themselves.

use crate::collector::poll::Reading;
use crate::collector::printer::{Error, Seen, Watch, changed};

/// The memory that the law wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Memory {
    Ok,
    NearFull,
    Full,
    Error,
}

/// What a printer says of itself; what its protocol does not tell is not told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Status {
    pub seen: Seen,
    pub memory: Option<Memory>,
    pub document_open: Option<bool>,
    pub close_needed: Option<bool>,
}

impl Status {
    /// A memory that takes nothing more is an error that no reset heals.
    pub(super) fn with_memory(mut self, memory: Memory) -> Self {
        self.memory = Some(memory);
        if matches!(memory, Memory::Full | Memory::Error) {
            self.seen.error = Some(Error::Unrecoverable);
        }
        self
    }
}

/// Remembers what was last seen.
#[derive(Debug, Default)]
pub(super) struct FiscalWatch {
    printer: Watch,
    memory: Option<Memory>,
}

impl FiscalWatch {
    /// Values and events of what is seen now.
    pub(super) fn take(&mut self, status: Status) -> Reading {
        let mut reading = self.printer.take(status.seen);
        if let Some(memory) = status.memory {
            let (state, text) = match memory {
                Memory::Ok => (0.0, "the fiscal memory is well again"),
                Memory::NearFull => (1.0, "the fiscal memory is nearly full"),
                Memory::Full => (2.0, "the fiscal memory is full"),
                Memory::Error => (3.0, "the fiscal memory has an error"),
            };
            reading.value("retail.printer.fiscal.memory.state", state);
            if changed(&mut self.memory, memory, Memory::Ok) {
                reading.event("printer.fiscal_memory", text);
            }
        }
        if let Some(open) = status.document_open {
            reading.flag("retail.printer.document.open", open);
        }
        if let Some(needed) = status.close_needed {
            reading.flag("retail.printer.fiscal.close.needed", needed);
        }
        reading
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fiscal_memory_that_fills_up_is_told_once_and_then_the_printer_is_not_well() {
        let mut watch = FiscalWatch::default();
        let mut take = |memory| {
            let reading = watch.take(Status::default().with_memory(memory));
            let kinds: Vec<String> = reading.events.iter().map(|(kind, _)| kind.to_string()).collect();
            (reading.values.iter().any(|value| *value == ("hw.status".to_owned(), 1.0)), kinds)
        };
        assert_eq!(take(Memory::Ok), (true, vec![]));
        assert_eq!(take(Memory::NearFull), (true, vec!["printer.fiscal_memory".to_owned()]));
        assert_eq!(take(Memory::NearFull), (true, vec![]));
        let both = vec!["printer.error".to_owned(), "printer.fiscal_memory".to_owned()];
        assert_eq!(take(Memory::Full), (false, both));
    }
}
