//! Content that came without a number of its own: flat bodies, and those of foreign protocols.
//!
//! It gets the next number of the store's own epoch. Exactly once is what an idempotency key makes of it: the client's,
//! or one that is derived from the content.

use std::collections::BTreeMap;

use storepulse_shared::answer::Rejected;
use storepulse_shared::batch::Batch;
use storepulse_shared::batch::header::BodyDigest;

use super::columns::Rejection;

/// What a body without a number brought.
#[derive(Debug)]
pub(crate) struct Unnumbered<'a> {
    /// What can be stored; its samples span [`SPAN_MAX`](storepulse_shared::limits::SPAN_MAX) at most.
    pub(crate) batch: &'a Batch<'a>,
    /// How many samples the body had, those of `refused` among them.
    pub(crate) samples: usize,
    /// Samples that were refused before they came here.
    pub(crate) refused: &'a [Rejection],
    /// Whether rejections are told and recorded as one a reason, instead of one a place in the body.
    pub(crate) by_reason: bool,
    /// The same key and content is stored once.
    pub(crate) idempotency_key: Option<&'a str>,
    /// Of the content.
    pub(crate) sha256: Vec<u8>,
    /// Of the body as sent.
    pub(crate) digest: BodyDigest,
    /// Of the body as sent.
    pub(crate) body_bytes: usize,
}

impl Unnumbered<'_> {
    /// All that was not taken: what was refused before, and what is rejected now.
    pub(super) fn all_rejections(&self, rejected: Vec<Rejection>) -> Vec<Rejection> {
        let all = self.refused.iter().cloned().chain(rejected);
        if self.by_reason { by_reason(all) } else { all.collect() }
    }
}

/// One rejection a reason, whose path is the reason.
fn by_reason(rejections: impl Iterator<Item = Rejection>) -> Vec<Rejection> {
    let mut reasons: BTreeMap<String, Rejection> = BTreeMap::new();
    for Rejection { told, span } in rejections {
        let path = format!("/{}", told.reason);
        match reasons.get_mut(&told.reason) {
            Some(known) => {
                known.told.samples += told.samples;
                known.span = (known.span.0.min(span.0), known.span.1.max(span.1));
            }
            None => {
                let rejection = Rejection { told: Rejected { path, ..told.clone() }, span };
                reasons.insert(told.reason, rejection);
            }
        }
    }
    reasons.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejections_of_one_reason_become_one() {
        let of = |path: &str, reason: &str, samples, span| Rejection {
            told: Rejected { path: path.into(), reason: reason.into(), samples },
            span,
        };
        let many = [of("/a", "x", 1, (5, 6)), of("/b", "y", 2, (1, 1)), of("/c", "x", 3, (2, 9))];
        let folded = by_reason(many.into_iter());
        assert_eq!(folded, [of("/x", "x", 4, (2, 9)), of("/y", "y", 2, (1, 1))]);
    }
}
