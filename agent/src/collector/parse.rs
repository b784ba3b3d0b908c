//! What all parsers of bytes have in common: they are pure, they are total, and they say which of three things they saw.
//!
//! A parser is given all bytes since the request, and answers with a frame and how many of the bytes it took, or says that
//! more are needed, or that these can never become a frame. It does not panic, whatever it is given: every one of them is
//! listed as a [`Subject`], and `cargo torture parsers` gives it hundreds of thousands of mutated frames.

use super::fault::FaultKind;

/// Why bytes are no frame, or not yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unread {
    /// At least this many bytes more are needed.
    Need(usize),
    /// They never become one.
    Bad(FaultKind),
}

/// A frame, and the number of bytes that it took from the beginning.
pub(crate) type Parsed<T> = Result<(T, usize), Unread>;

/// A parser as `cargo torture parsers` sees it.
#[derive(Debug, Clone, Copy)]
pub struct Subject {
    /// `kind` or `kind/protocol`.
    pub name: &'static str,
    /// Valid frames, from manuals and captures, and answers that are valid and say no.
    pub vectors: &'static [&'static [u8]],
    /// Every outcome that [`Self::outcome`] can tell: each must be reached.
    pub outcomes: &'static [&'static str],
    /// Parses, and names the variant of what came out.
    pub outcome: fn(&[u8]) -> &'static str,
}

/// The outcome of a parser whose frames are told apart by `of_frame`.
pub(crate) fn outcome<T>(parsed: Parsed<T>, of_frame: impl Fn(&T) -> &'static str) -> &'static str {
    match parsed {
        Ok((frame, _)) => of_frame(&frame),
        Err(Unread::Need(_)) => "need",
        Err(Unread::Bad(kind)) => kind.name(),
    }
}
