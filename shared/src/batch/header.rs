//! `StorePulse-Batch`, the header before an agent body:
//!
//! ```text
//! <epoch>/<seq>; lane=normal; samples=186; sealed=42; sha256=<16 hex>; offset-ms=0; clock=ok[; resumed][; after=<epoch>/<seq>]
//! ```
//!
//! It lets the cloud look up the receipt, admit by lane and charge limits before it inflates anything.
//! `sha256` is the beginning of the SHA-256 of the body as sent; `sealed` is the highest number that the
//! epoch has sealed; `offset-ms` is added to every time by the cloud. One header has one spelling: fields
//! in this order, separated by `; `.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

use super::{Clock, Lane};
use crate::ids::BatchId;
use crate::limits::{HEADER_BYTES_MAX, SEQ_MAX};

/// Name of the header, in lower case as HTTP/2 wants it.
pub const NAME: &str = "storepulse-batch";
/// Largest correction of a clock that a header can carry, in milliseconds: 100 years.
const OFFSET_MS_MAX: i64 = 100 * 366 * 24 * 3600 * 1000;

/// What is known of a batch before its body is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchHeader {
    /// Which batch.
    pub batch: BatchId,
    /// Its urgency.
    pub lane: Lane,
    /// Values in the body that are not null.
    pub samples: u32,
    /// Highest number that its epoch has sealed so far.
    pub sealed: u64,
    /// Of the body as sent.
    pub digest: BodyDigest,
    /// Added to every time of the body, in milliseconds.
    pub offset_ms: i64,
    /// What the sender knows of the clock behind those times.
    pub clock: Clock,
    /// The batch is of an earlier opening of its spool than the one that sends it.
    pub resumed: bool,
    /// The last batch of the epoch before, in the first batch of an epoch.
    pub after: Option<BatchId>,
}

/// The first 8 bytes of a body's SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BodyDigest(pub [u8; 8]);

impl BodyDigest {
    /// Of these bytes, as sent.
    #[must_use]
    pub fn of(body: &[u8]) -> Self {
        let full = Sha256::digest(body);
        let mut first = [0; 8];
        first.copy_from_slice(&full[..8]);
        Self(first)
    }
}

impl fmt::Display for BodyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

impl FromStr for BodyDigest {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let lower_hex = text.len() == 16 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let bits = lower_hex.then(|| u64::from_str_radix(text, 16).ok()).flatten().ok_or(())?;
        Ok(Self(bits.to_be_bytes()))
    }
}

/// Why a header was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("header StorePulse-Batch: {0}")]
pub struct HeaderError(String);

impl fmt::Display for BatchHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}; lane={}; samples={}; sealed={}; sha256={}; offset-ms={}; clock={}",
            self.batch,
            self.lane.as_str(),
            self.samples,
            self.sealed,
            self.digest,
            self.offset_ms,
            self.clock.as_str()
        )?;
        if self.resumed {
            f.write_str("; resumed")?;
        }
        if let Some(after) = self.after {
            write!(f, "; after={after}")?;
        }
        Ok(())
    }
}

impl FromStr for BatchHeader {
    type Err = HeaderError;

    fn from_str(text: &str) -> Result<Self, HeaderError> {
        if text.len() > HEADER_BYTES_MAX {
            return Err(HeaderError(format!("{} bytes, at most {HEADER_BYTES_MAX}", text.len())));
        }
        let mut fields = Fields { rest: text.split("; ").peekable() };
        let batch: BatchId =
            fields.rest.next().unwrap_or_default().parse().map_err(|e| HeaderError(format!("{e}")))?;
        let lane = fields.take("lane", "critical, normal or bulk", Lane::from_name)?;
        let samples = fields
            .take("samples", "a number of samples", |v| number(v).and_then(|n| u32::try_from(n).ok()))?;
        let sealed =
            fields.take("sealed", "a batch number", |v| number(v).filter(|n| (1..=SEQ_MAX).contains(n)))?;
        let digest = fields.take("sha256", "16 lower-case hex digits", |v| v.parse().ok())?;
        let offset_ms = fields.take("offset-ms", "milliseconds, at most 100 years", |v| {
            v.parse().ok().filter(|ms: &i64| ms.abs() <= OFFSET_MS_MAX && ms.to_string() == v)
        })?;
        let clock = fields.take("clock", "ok, repaired or unsure", Clock::from_name)?;
        let resumed = fields.rest.next_if(|field| *field == "resumed").is_some();
        let after: Option<BatchId> = match fields.rest.peek() {
            Some(field) if field.starts_with("after=") => {
                Some(fields.take("after", "a batch id", |v| v.parse().ok())?)
            }
            _ => None,
        };
        if let Some(field) = fields.rest.next() {
            return Err(HeaderError(format!("{field:?} is not expected there")));
        }
        if sealed < batch.seq {
            return Err(HeaderError(format!(
                "sealed={sealed} is below the batch's own number {}",
                batch.seq
            )));
        }
        if after.is_some_and(|after| after.epoch == batch.epoch) {
            return Err(HeaderError("after names the batch's own epoch".to_owned()));
        }
        Ok(Self { batch, lane, samples, sealed, digest, offset_ms, clock, resumed, after })
    }
}

struct Fields<'a, I: Iterator<Item = &'a str>> {
    rest: std::iter::Peekable<I>,
}

impl<'a, I: Iterator<Item = &'a str>> Fields<'a, I> {
    /// The next field, which must have this name and a value that `parse` takes.
    fn take<T>(
        &mut self,
        name: &str,
        expected: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, HeaderError> {
        let field = self.rest.next().unwrap_or_default();
        let value = field.strip_prefix(name).and_then(|rest| rest.strip_prefix('='));
        let value = value.ok_or_else(|| HeaderError(format!("expected {name}=…, found {field:?}")))?;
        parse(value).ok_or_else(|| HeaderError(format!("{name}={value} is not {expected}")))
    }
}

fn number(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    plain.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FROZEN: &str = include_str!("../../testdata/header.txt");

    #[test]
    fn the_frozen_headers_keep_their_spelling() {
        let lines: Vec<_> = FROZEN.lines().collect();
        assert_eq!(lines.len(), 3);
        for line in lines {
            assert_eq!(line.parse::<BatchHeader>().unwrap().to_string(), line);
        }
    }

    #[test]
    fn a_field_that_is_missing_wrong_or_too_much_is_named() {
        let good = FROZEN.lines().next().unwrap();
        for (from, to, named) in [
            ("lane=normal", "lane=urgent", "lane=urgent"),
            ("; lane=normal", "", "expected lane=…"),
            ("samples=186", "samples=-1", "samples=-1"),
            ("sealed=42", "sealed=41", "below the batch's own number"),
            ("sealed=42", "sealed=042", "sealed=042"),
            ("sha256=9f86d081884c7d65", "sha256=9F86D081884C7D65", "sha256"),
            ("offset-ms=0", "offset-ms=9223372036854775807", "offset-ms"),
            ("offset-ms=0", "offset-ms=-0", "offset-ms"),
            ("clock=ok", "clock=ok; new=1", "new=1"),
            ("; ", ";", "not a batch id"),
        ] {
            let bad = good.replace(from, to);
            assert_ne!(bad, good);
            let error = bad.parse::<BatchHeader>().unwrap_err().to_string();
            assert!(error.contains(named), "{bad}: {error}");
        }
        assert!(format!("{good}; {}", "x".repeat(1_000)).parse::<BatchHeader>().is_err());
    }

    #[test]
    fn an_epoch_cannot_come_after_itself() {
        let line = FROZEN.lines().nth(1).unwrap();
        let header: BatchHeader = line.parse().unwrap();
        let own = format!("after={}", header.batch);
        let bad = line.replace(&format!("after={}", header.after.unwrap()), &own);
        assert!(bad.parse::<BatchHeader>().is_err());
    }
}
