//! The last question and the last answer on a device's line, as bytes: evidence for whoever looks for a fault.
//!
//! Most kinds may not show it: what they hear can be card data, names or secrets. Their tape is blank and keeps nothing.
//! Whether a kind may is a constant of the kind, and only [`supervise`](super::supervise) makes a tape of it. Somebody may
//! have plugged a scanner into the port of a scale: bytes in which a card-like number stands are not shown either.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::pan;
use crate::board::Exchange;

/// Bytes of a question or an answer that are shown.
const SHOWN_BYTES: usize = 64;
/// Bytes that are looked at: a card number that begins among those shown ends here.
const KEPT_BYTES: usize = 128;

/// What was said. Clones are one tape.
#[derive(Clone, Default)]
pub(crate) struct Tape(Option<Arc<Mutex<Said>>>);

#[derive(Default)]
struct Said {
    asked: Vec<u8>,
    answered: Vec<u8>,
}

impl Tape {
    /// One that keeps what is said, if that may be shown.
    pub(crate) fn of(shows_bytes: bool) -> Self {
        Self(shows_bytes.then(Arc::default))
    }

    /// Forgets: a reading begins.
    pub(crate) fn rewind(&self) {
        if let Some(mut said) = self.said() {
            said.asked.clear();
            said.answered.clear();
        }
    }

    /// A question; what was said before is over.
    pub(crate) fn asks(&self, bytes: &[u8]) {
        self.rewind();
        if let Some(mut said) = self.said() {
            keep(&mut said.asked, bytes);
        }
    }

    /// A piece of the answer.
    pub(crate) fn hears(&self, bytes: &[u8]) {
        if let Some(mut said) = self.said() {
            keep(&mut said.answered, bytes);
        }
    }

    /// What was said since the last question; `None` if that was nothing, or may not be shown.
    pub(crate) fn exchange(&self, at_ms: i64) -> Option<Exchange> {
        let said = self.said()?;
        let is_blank = said.asked.is_empty() && said.answered.is_empty();
        if is_blank || is_card_like(&said.answered) {
            return None;
        }
        Some(Exchange { at_ms, asked: hex(&said.asked), answered: hex(&said.answered) })
    }

    fn said(&self) -> Option<MutexGuard<'_, Said>> {
        // What a panic could leave half done is what is shown of a line.
        Some(self.0.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for Tape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Tape" } else { "Tape(blank)" })
    }
}

fn keep(kept: &mut Vec<u8>, bytes: &[u8]) {
    let room = KEPT_BYTES.saturating_sub(kept.len());
    kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
}

/// Also with a parity bit on each character.
fn is_card_like(bytes: &[u8]) -> bool {
    let text: String = bytes.iter().map(|byte| char::from(byte & 0x7f)).collect();
    matches!(pan::scrub(&text, ""), Cow::Owned(_))
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().min(SHOWN_BYTES) * 3);
    for byte in bytes.iter().take(SHOWN_BYTES) {
        let _ = write!(text, "{}{byte:02x}", if text.is_empty() { "" } else { " " });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(asked: &[u8], answered: &[&[u8]]) -> Option<Exchange> {
        let tape = Tape::of(true);
        tape.asks(asked);
        answered.iter().for_each(|piece| tape.hears(piece));
        tape.exchange(7)
    }

    #[test]
    fn the_last_question_and_its_answer_are_kept() {
        let tape = Tape::of(true);
        assert_eq!(tape.exchange(0), None, "nothing was said yet");
        tape.asks(b"\x10\x04\x01");
        tape.hears(b"\x12");
        tape.asks(b"\x10\x04\x02");
        let silent = Exchange { at_ms: 5, asked: "10 04 02".to_owned(), answered: String::new() };
        assert_eq!(tape.clone().exchange(5), Some(silent));
        tape.hears(b"\x1a");
        tape.hears(b"\xff");
        assert_eq!(tape.exchange(6).unwrap().answered, "1a ff");
        tape.rewind();
        assert_eq!(tape.exchange(7), None, "another reading has begun");
    }

    #[test]
    fn a_long_answer_is_shown_by_its_beginning() {
        let exchange = said(b"W", &[&[0xaa; 60], &[0xbb; 500]]).unwrap();
        assert_eq!(exchange.answered.len(), SHOWN_BYTES * 3 - 1);
        assert!(exchange.answered.ends_with("bb bb bb bb"), "{exchange:?}");
    }

    #[test]
    fn a_card_number_on_the_line_is_not_shown_wherever_it_is_cut() {
        let card = b"4111111111111111";
        let parity: Vec<u8> = card.iter().map(|byte| byte | 0x80).collect();
        assert_eq!(said(b"W", &[b"\x02", card, b"\r"]), None);
        assert_eq!(said(b"W", &[&parity]), None);
        assert_eq!(said(b"W", &[b"4111 1111", b" 1111 1111"]), None);
        for before in 40..SHOWN_BYTES {
            assert_eq!(said(b"W", &[&vec![b'x'; before], card]), None, "after {before} bytes");
        }
        assert!(said(b"W", &[b"\x0201.234\r"]).is_some());
    }

    #[test]
    fn a_blank_tape_keeps_nothing_and_no_tape_shows_itself_in_a_log() {
        let tape = Tape::of(false);
        tape.asks(b"canary");
        tape.hears(b"canary");
        assert!(tape.exchange(0).is_none() && tape.0.is_none());
        let tape = Tape::of(true);
        tape.hears(b"canary");
        assert_eq!(format!("{tape:?}"), "Tape");
    }
}
