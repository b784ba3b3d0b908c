//! What somebody has used: a tenant, a store, or a key. Three books, each with the whole of the limits, so that none takes from
//! another: a backlog never keeps the critical lane waiting, nor does a reader keep the agent.

use super::rules::Rule;
use super::window::Window;

/// In which book a request is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Book {
    /// The critical lane.
    Critical,
    /// The other lanes, and bodies without a lane.
    Ordinary,
    /// Questions.
    Reading,
}

/// The windows of each book, in the order of the rules.
#[derive(Debug, Default)]
pub(super) struct Account {
    books: [Vec<Window>; 3],
}

impl Account {
    /// The longest wait that any of the rules asks for, with that rule; `None` if it fits.
    pub(super) fn wait(
        &mut self,
        book: Book,
        rules: &[Rule],
        cost: Cost,
        now_ms: u64,
    ) -> Option<(u64, Rule)> {
        let windows = self.windows(book, rules);
        let waits =
            windows.iter_mut().zip(rules).map(|(w, rule)| (w.wait_ms(rule, cost.of(rule), now_ms), *rule));
        waits.filter(|(wait, _)| *wait > 0).max_by_key(|(wait, _)| *wait)
    }

    /// Takes it from all of them.
    pub(super) fn take(&mut self, book: Book, rules: &[Rule], cost: Cost, now_ms: u64) {
        for (window, rule) in self.windows(book, rules).iter_mut().zip(rules) {
            window.take(rule, cost.of(rule), now_ms);
        }
    }

    fn windows(&mut self, book: Book, rules: &[Rule]) -> &mut [Window] {
        let windows = &mut self.books[book as usize];
        if windows.len() != rules.len() {
            windows.resize_with(rules.len(), Window::default);
        }
        windows
    }
}

/// What a request takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Cost {
    pub(super) requests: u64,
    pub(super) samples: u64,
    pub(super) bytes: u64,
}

impl Cost {
    const fn of(self, rule: &Rule) -> u64 {
        match rule.quantity {
            super::rules::Quantity::Requests => self.requests,
            super::rules::Quantity::Samples => self.samples,
            super::rules::Quantity::Bytes => self.bytes,
        }
    }
}
