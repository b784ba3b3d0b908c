//! What this process remembers of streams, to save look-ups. It never decides: the statement that stores a batch does.
//!
//! A chain of earlier epochs that misses nothing stays so: numbers are only ever added to `received` and `void`. And of a
//! stream that is known here, a number that was not stored here is most likely open: agents ask again rarely. Only another database behind the connections, or a tenant
//! that was erased and restored, can take numbers away: what is remembered is believed for the generation of rows in which it
//! was seen.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use storepulse_shared::ids::{Epoch, StoreId, TenantId};
use storepulse_shared::seqs::SeqSet;

/// Streams remembered at most; beyond it all are forgotten, and looked at once more.
const STREAMS_MAX: usize = 200_000;

/// Whose stream.
pub(super) type Stream = (TenantId, StoreId, Epoch);

/// Ranges of numbers remembered of a stream, at most; beyond it the lowest are forgotten.
const RANGES_MAX: usize = 16;

/// What is remembered of one.
#[derive(Debug, Default)]
struct Memory {
    /// Of the rows that it was seen in.
    generation: u64,
    /// No earlier epoch misses a number.
    has_complete_chain: bool,
    /// The numbers that were stored here, or the highest of them.
    seen: SeqSet,
}

/// The streams seen lately.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    inner: Mutex<HashMap<Stream, Memory>>,
}

impl Streams {
    /// No earlier epoch misses a number.
    pub(super) fn has_complete_chain(&self, stream: &Stream, generation: u64) -> bool {
        self.recall(stream, generation, |memory| memory.has_complete_chain)
    }

    /// Nobody has seen this number here, though others of the stream: most likely nobody has.
    pub(super) fn is_likely_open(&self, stream: &Stream, seq: u64, generation: u64) -> bool {
        self.recall(stream, generation, |memory| !memory.seen.is_empty() && !memory.seen.contains(seq))
    }

    /// No earlier epoch misses a number any more.
    pub(super) fn note_complete_chain(&self, stream: &Stream, generation: u64) {
        self.note(stream, generation, |memory| memory.has_complete_chain = true);
    }

    /// The stream has another predecessor now.
    pub(super) fn forget_chain(&self, stream: &Stream, generation: u64) {
        self.note(stream, generation, |memory| memory.has_complete_chain = false);
    }

    /// The number is stored, durably.
    pub(super) fn note_stored(&self, stream: &Stream, seq: u64, generation: u64) {
        self.note(stream, generation, |memory| {
            memory.seen.insert(seq);
            memory.seen.keep_highest(RANGES_MAX);
        });
    }

    fn recall(&self, stream: &Stream, generation: u64, is_so: impl FnOnce(&Memory) -> bool) -> bool {
        self.lock().get(stream).is_some_and(|memory| memory.generation == generation && is_so(memory))
    }

    fn note(&self, stream: &Stream, generation: u64, change: impl FnOnce(&mut Memory)) {
        let mut streams = self.lock();
        let fresh = Memory { generation, ..Memory::default() };
        match streams.get_mut(stream) {
            Some(memory) => {
                if memory.generation != generation {
                    *memory = fresh;
                }
                change(memory);
            }
            None => {
                if streams.len() >= STREAMS_MAX {
                    streams.clear();
                }
                change(streams.entry(stream.clone()).or_insert(fresh));
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Stream, Memory>> {
        // Every change is one call, so a panic leaves nothing half done.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream() -> Stream {
        ("acme".parse().unwrap(), "T01".parse().unwrap(), Epoch::random())
    }

    #[test]
    fn a_number_is_likely_open_if_others_of_the_stream_were_stored_here_and_it_was_not() {
        let (streams, stream) = (Streams::default(), stream());
        assert!(!streams.is_likely_open(&stream, 1, 7));
        streams.note_complete_chain(&stream, 7);
        assert!(!streams.is_likely_open(&stream, 1, 7));
        streams.note_stored(&stream, 5, 7);
        streams.note_stored(&stream, 3, 7);
        let open: Vec<bool> = (2..=6).map(|seq| streams.is_likely_open(&stream, seq, 7)).collect();
        assert_eq!(open, [true, false, true, false, true]);
    }

    #[test]
    fn nothing_is_believed_of_another_generation() {
        let (streams, stream) = (Streams::default(), stream());
        streams.note_stored(&stream, 5, 7);
        streams.note_complete_chain(&stream, 7);
        assert!(!streams.is_likely_open(&stream, 6, 8) && !streams.has_complete_chain(&stream, 8));
        streams.note_stored(&stream, 1, 8);
        assert!(!streams.has_complete_chain(&stream, 8));
    }
}
