//! From what was gathered to the database, and to what its sender is told.
//!
//! It takes the road of a body without a number. The key that makes it count once is the SHA-256 of the content: its
//! samples carry their times, so the same content is the same request tried again.

use std::collections::BTreeMap;

use bytes::Bytes;
use storepulse_shared::batch::header::BodyDigest;

use super::body::BodyError;
use super::gathered::Gathered;
use super::refusal::advice;
use crate::app::App;
use crate::auth::StoreAuth;
use crate::ingest::{Unnumbered, take_unnumbered};
use crate::problem::ApiError;

/// What came, and by which protocol.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrival<'a> {
    /// The kind of its devices.
    pub(super) kind: &'static str,
    /// The body as sent.
    pub(super) sent: &'a Bytes,
    /// The same unpacked: compressing it once more may give other bytes.
    pub(super) content: &'a [u8],
}

/// What became of it.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Samples with a value that are not stored.
    pub(super) refused: u64,
    /// The same in words, if there are any.
    pub(super) told: Option<String>,
}

/// Stores what was gathered, once, and commits. What has no samples with a value touches nothing.
///
/// # Errors
/// The samples lie too far apart, or the database is away.
pub(super) async fn take(
    app: &App,
    auth: &StoreAuth,
    arrival: Arrival<'_>,
    mut gathered: Gathered,
) -> Result<Outcome, ApiError> {
    let refused = gathered.rejections();
    let batches = gathered.take_batches(arrival.kind).map_err(BodyError::from)?;
    app.metrics.samples_without_value.inc_by(gathered.without_value);
    if refused.is_empty() && batches.iter().all(storepulse_shared::batch::Batch::is_empty) {
        return Ok(Outcome::default());
    }
    let (sha256, of_content) = (sha256(arrival.content), BodyDigest::of(arrival.content));
    let digest = BodyDigest::of(arrival.sent);
    let mut stored = 0;
    let mut reasons: BTreeMap<String, u64> = BTreeMap::new();
    for (part, batch) in batches.iter().enumerate() {
        let refused = if part == 0 { refused.as_slice() } else { &[] };
        let refused_before: u64 = refused.iter().map(|r| r.told.samples).sum();
        let key = format!("{}:{of_content}/{part}", arrival.kind);
        let body = Unnumbered {
            batch,
            samples: batch.samples() + usize::try_from(refused_before).unwrap_or(usize::MAX),
            refused,
            by_reason: true,
            idempotency_key: Some(&key),
            sha256: sha256.clone(),
            digest,
            body_bytes: if part == 0 { arrival.sent.len() } else { 0 },
        };
        let ack = take_unnumbered(app, auth, &body).await?;
        stored += ack.processed;
        for rejected in ack.rejected {
            *reasons.entry(rejected.reason).or_default() += rejected.samples;
        }
    }
    Ok(Outcome { refused: reasons.values().sum(), told: in_words(stored, &reasons, &gathered) })
}

fn in_words(stored: u64, reasons: &BTreeMap<String, u64>, gathered: &Gathered) -> Option<String> {
    if reasons.is_empty() {
        return None;
    }
    let of_reason = |(word, samples): (&String, &u64)| {
        let (example, advice) = (gathered.example(word).unwrap_or_default(), advice(word));
        let more = [example, &advice].into_iter().filter(|text| !text.is_empty());
        let more: Vec<&str> = more.collect();
        let more = if more.is_empty() { String::new() } else { format!(" ({})", more.join(": ")) };
        format!("{samples} {word}{more}")
    };
    let refused: u64 = reasons.values().sum();
    let each: Vec<String> = reasons.iter().map(of_reason).collect();
    Some(format!("{stored} samples are stored, {refused} are refused for good: {}", each.join("; ")))
}

fn sha256(bytes: &[u8]) -> Vec<u8> {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).to_vec()
}
