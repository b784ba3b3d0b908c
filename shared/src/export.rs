//! A spool on a stick: batches in a file, for a store whose link stays away.
//!
//! ```text
//! storepulse-export 1
//! tenant=la-villa; store=T01; key=k3yId008; made=1763700000000
//! batch 1234; <the header StorePulse-Batch>
//! <1234 bytes: the body as it is sent>
//! …
//! end 2; hmac-sha256=<64 hex digits>
//! ```
//!
//! Every line and every body ends with a line feed, so `head` and `strings` show what a file is. `batch` says how many
//! bytes its body has, `end` how many batches there were: a file that stops early is recognised. The HMAC-SHA256 covers
//! every byte before its digits. Its key is the SHA-256 of the store key, which the agent can compute and the cloud has
//! in `store_keys`; so only the store's agent can have made the file, and nobody on the way can alter it. `key` names the
//! key in public, `made` is the box's clock.
//!
//! A reader holds one batch at a time. It has verified nothing until [`ExportReader::next_batch`] has returned the end:
//! read a file through once before you believe any of it.

use std::io::{self, BufRead, Read as _, Write};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::batch::header::BatchHeader;
use crate::hex;
use crate::ids::{StoreId, TenantId};
use crate::key::StoreKey;
use crate::limits::{HEADER_BYTES_MAX, INFLATED_BYTES_MAX};

/// The first line, without its version.
const MAGIC: &str = "storepulse-export ";
/// The version that is written, and the only one that is read.
const VERSION: &str = "1";
/// Longest line, in bytes: a header with its length before it.
const LINE_BYTES_MAX: usize = HEADER_BYTES_MAX + 64;
/// Longest body that is held. What a cloud takes is less; it refuses the rest by its number.
const BODY_BYTES_MAX: u64 = INFLATED_BYTES_MAX as u64;
/// What stands before the digits on the last line.
const HMAC_FIELD: &str = "; hmac-sha256=";

type HmacSha256 = Hmac<Sha256>;

/// Why a file cannot be used. Nothing of it may be believed then.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// It is something else.
    #[error("it is no export of a spool: it does not begin with {MAGIC:?}")]
    NotAnExport,
    /// A newer agent made it.
    #[error("it is an export of version {0:?}, this program reads {VERSION}: use a newer one")]
    Version(String),
    /// It stops before its end.
    #[error(
        "it is truncated: it stops after {batches} whole batches, before its end line; copy it again, or export again"
    )]
    Truncated {
        /// Batches before that.
        batches: u64,
    },
    /// A line is not what it should be.
    #[error(
        "{at} is not what it should be ({why}): it was altered or damaged; copy it again, or export again"
    )]
    Malformed {
        /// Which line.
        at: String,
        /// What is wrong with it.
        why: String,
    },
    /// The HMAC does not fit.
    #[error(
        "its HMAC does not fit its content: it was altered or damaged on the way; copy it again, or export again"
    )]
    Altered,
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
}

/// Whose spool it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// The tenant.
    pub tenant: TenantId,
    /// The store.
    pub store: StoreId,
    /// The key that it is sealed with, as [`StoreKey::label`] has it.
    pub key: String,
    /// When it was made by the box's clock, Unix milliseconds UTC.
    pub made_ms: i64,
}

impl About {
    fn line(&self) -> String {
        let Self { tenant, store, key, made_ms } = self;
        format!("tenant={tenant}; store={store}; key={key}; made={made_ms}\n")
    }

    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.split("; ");
        let mut take = |name: &str| fields.next()?.strip_prefix(name)?.strip_prefix('=');
        let about = Self {
            tenant: take("tenant")?.parse().ok()?,
            store: take("store")?.parse().ok()?,
            key: take("key")?.to_owned(),
            made_ms: take("made")?.parse().ok()?,
        };
        fields.next().is_none().then_some(about)
    }
}

/// A batch of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportedBatch {
    /// As it would be sent.
    pub header: BatchHeader,
    /// As it would be sent.
    pub body: Vec<u8>,
}

/// Writes a file.
#[derive(Debug)]
pub struct ExportWriter<W> {
    out: W,
    mac: HmacSha256,
    batches: u64,
}

impl<W: Write> ExportWriter<W> {
    /// Begins a file for the store of this key.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn begin(out: W, key: &StoreKey, made_ms: i64) -> io::Result<Self> {
        let about =
            About { tenant: key.tenant().clone(), store: key.store().clone(), key: key.label(), made_ms };
        let mut writer = Self { out, mac: mac(&key.hash()), batches: 0 };
        writer.put(format!("{MAGIC}{VERSION}\n{}", about.line()).as_bytes())?;
        Ok(writer)
    }

    /// Adds a batch: its header and body as they would be sent.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn add(&mut self, header: &str, body: &[u8]) -> io::Result<()> {
        self.put(format!("batch {}; {header}\n", body.len()).as_bytes())?;
        self.put(body)?;
        self.put(b"\n")?;
        self.batches += 1;
        Ok(())
    }

    /// Ends the file, and gives it back.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn finish(mut self) -> io::Result<W> {
        self.put(format!("end {}{HMAC_FIELD}", self.batches).as_bytes())?;
        let digits = hex::encode(&self.mac.finalize().into_bytes());
        writeln!(self.out, "{digits}")?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.mac.update(bytes);
        self.out.write_all(bytes)
    }
}

/// Reads a file from its beginning to its end.
#[derive(Debug)]
pub struct ExportReader<R> {
    source: Source<R>,
    about: About,
}

/// Where the bytes come from, and what they have come to so far.
#[derive(Debug)]
struct Source<R> {
    input: R,
    /// One for each key that may have sealed it.
    macs: Vec<HmacSha256>,
    batches: u64,
}

impl<R: BufRead> ExportReader<R> {
    /// Reads what the file is. It must be sealed with one of these keys, of which only the SHA-256 is known.
    ///
    /// # Errors
    /// See [`ExportError`].
    pub fn open(input: R, key_hashes: &[[u8; 32]]) -> Result<Self, ExportError> {
        let mut source = Source { input, macs: key_hashes.iter().map(mac).collect(), batches: 0 };
        let first = source.line("the first line").map_err(|error| match error {
            ExportError::Io(error) => ExportError::Io(error),
            _ => ExportError::NotAnExport,
        })?;
        match first.strip_prefix(MAGIC) {
            None => return Err(ExportError::NotAnExport),
            Some(VERSION) => {}
            Some(version) => return Err(ExportError::Version(version.to_owned())),
        }
        source.seal_line(&first);
        let second = source.line("the second line")?;
        source.seal_line(&second);
        let why = "expected tenant=…; store=…; key=…; made=…";
        let about = About::parse(&second).ok_or_else(|| malformed("the second line", why))?;
        Ok(Self { source, about })
    }

    /// Whose spool it was, as far as the file says.
    pub const fn about(&self) -> &About {
        &self.about
    }

    /// The next batch, or `None` at an end that proves the whole file.
    ///
    /// # Errors
    /// See [`ExportError`].
    pub fn next_batch(&mut self) -> Result<Option<ExportedBatch>, ExportError> {
        let source = &mut self.source;
        let at = format!("the line after {} batches", source.batches);
        let line = source.line(&at)?;
        if let Some(end) = line.strip_prefix("end ") {
            return source.end(end, &at).map(|()| None);
        }
        source.seal_line(&line);
        let fields = line.strip_prefix("batch ").and_then(|rest| rest.split_once("; "));
        let (bytes, header) = fields.ok_or_else(|| malformed(&at, "neither a batch nor the end"))?;
        let header: BatchHeader = header.parse().map_err(|e| malformed(&at, e))?;
        let bytes = bytes.parse().ok().filter(|n| *n <= BODY_BYTES_MAX);
        let bytes: u64 = bytes.ok_or_else(|| malformed(&at, "no length of a body"))?;
        let mut body = Vec::new();
        (&mut source.input).take(bytes + 1).read_to_end(&mut body)?;
        if (body.len() as u64) <= bytes {
            return Err(ExportError::Truncated { batches: source.batches });
        }
        source.seal(&body);
        if body.pop() != Some(b'\n') {
            return Err(malformed(&at, "its body is longer than it says"));
        }
        source.batches += 1;
        Ok(Some(ExportedBatch { header, body }))
    }
}

impl<R: BufRead> Source<R> {
    /// The rest of the last line, which must count the batches and fit all before it.
    fn end(&mut self, rest: &str, at: &str) -> Result<(), ExportError> {
        let (count, digits) =
            rest.split_once(HMAC_FIELD).ok_or_else(|| malformed(at, "an end without an HMAC"))?;
        self.seal(format!("end {count}{HMAC_FIELD}").as_bytes());
        let told = hex::decode(digits).ok_or_else(|| malformed(at, "an HMAC that is not 64 hex digits"))?;
        if !self.macs.drain(..).any(|mac| mac.verify_slice(&told).is_ok()) {
            return Err(ExportError::Altered);
        }
        if count != self.batches.to_string() {
            return Err(malformed(at, format!("it counts {count} batches")));
        }
        if !self.input.fill_buf()?.is_empty() {
            return Err(malformed("what follows the end", "nothing should"));
        }
        Ok(())
    }

    /// A line without its end.
    fn line(&mut self, at: &str) -> Result<String, ExportError> {
        let mut line = Vec::new();
        (&mut self.input).take(LINE_BYTES_MAX as u64).read_until(b'\n', &mut line)?;
        if line.pop() != Some(b'\n') {
            return Err(if line.len() + 1 == LINE_BYTES_MAX {
                malformed(at, "it is too long")
            } else {
                ExportError::Truncated { batches: self.batches }
            });
        }
        String::from_utf8(line).map_err(|_| malformed(at, "it is not text"))
    }

    fn seal_line(&mut self, line: &str) {
        self.seal(line.as_bytes());
        self.seal(b"\n");
    }

    fn seal(&mut self, bytes: &[u8]) {
        for mac in &mut self.macs {
            mac.update(bytes);
        }
    }
}

fn malformed(at: &str, why: impl ToString) -> ExportError {
    ExportError::Malformed { at: at.to_owned(), why: why.to_string() }
}

fn mac(key_hash: &[u8; 32]) -> HmacSha256 {
    #[expect(clippy::expect_used, reason = "RFC 2104: a key of any length")]
    HmacSha256::new_from_slice(key_hash).expect("an HMAC key")
}

#[cfg(test)]
mod tests {
    use super::*;

    const FROZEN: &[u8] = include_bytes!("../testdata/spool.export");

    fn key() -> StoreKey {
        include_str!("../testdata/key.txt").trim().parse().unwrap()
    }

    fn read(file: &[u8], key: &StoreKey) -> Result<(About, Vec<ExportedBatch>), ExportError> {
        let mut reader = ExportReader::open(file, &[[7; 32], key.hash()])?;
        let mut batches = Vec::new();
        while let Some(batch) = reader.next_batch()? {
            batches.push(batch);
        }
        Ok((reader.about().clone(), batches))
    }

    #[test]
    fn the_frozen_export_is_read_and_written_back() {
        let (about, batches) = read(FROZEN, &key()).unwrap();
        assert_eq!((about.tenant.as_str(), about.store.as_str()), ("la-villa", "T01"));
        assert_eq!((&*about.key, about.made_ms), ("k3yId008", 1_763_700_000_000));
        assert_eq!(batches.iter().map(|b| b.header.batch.seq).collect::<Vec<_>>(), [41, 1]);
        let mut writer = ExportWriter::begin(Vec::new(), &key(), about.made_ms).unwrap();
        for batch in &batches {
            writer.add(&batch.header.to_string(), &batch.body).unwrap();
        }
        assert_eq!(writer.finish().unwrap(), FROZEN);
    }

    #[test]
    fn a_file_that_stops_early_is_no_file() {
        for end in 0..FROZEN.len() {
            assert!(read(&FROZEN[..end], &key()).is_err(), "{end} bytes of {} passed", FROZEN.len());
        }
        let half = read(&FROZEN[..FROZEN.len() / 2], &key()).unwrap_err().to_string();
        assert!(half.contains("truncated") && half.contains("copy it again"), "{half}");
        assert!(read(&[FROZEN, b"\n"].concat(), &key()).is_err(), "something may follow the end");
    }

    #[test]
    fn no_bit_can_be_altered() {
        for at in 0..FROZEN.len() * 8 {
            let mut altered = FROZEN.to_vec();
            altered[at / 8] ^= 1 << (at % 8);
            assert!(read(&altered, &key()).is_err(), "bit {at} was altered and nobody noticed");
        }
    }

    #[test]
    fn only_the_stores_own_key_seals_its_file() {
        let other = StoreKey::issue(key().tenant(), key().store());
        assert!(matches!(read(FROZEN, &other), Err(ExportError::Altered)));
        let mut without_keys = ExportReader::open(FROZEN, &[]).unwrap();
        let verdict = std::iter::from_fn(|| without_keys.next_batch().transpose()).find(Result::is_err);
        assert!(matches!(verdict, Some(Err(ExportError::Altered))));
    }

    #[test]
    fn what_is_no_export_is_said_to_be_none() {
        for other in [&b""[..], b"PK\x03\x04", b"{\"metrics\":[]}\n", &[0; 10_000]] {
            assert!(matches!(read(other, &key()), Err(ExportError::NotAnExport)));
        }
        let newer = String::from_utf8_lossy(FROZEN).replacen("export 1", "export 2", 1);
        assert!(matches!(read(newer.as_bytes(), &key()), Err(ExportError::Version(v)) if v == "2"));
    }
}
