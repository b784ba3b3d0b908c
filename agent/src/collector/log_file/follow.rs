//! One file: where it has been read to, whether it is still the same file, and its lines from there.
//!
//! A file is known by device and inode, and by the CRC-32 of the first 256 bytes (or of as many as have been read). A stronger
//! hash would say no more, and could be asked for a card number that stands at the beginning. If the file is shorter than it
//! was read to, or begins otherwise, it has been cut and begins anew: that is looked at after bytes have been read, so bytes
//! of before and after are never one line.
//!
//! The place is always the beginning of a line: a line without an end is read again, and no piece of it is ever kept.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Instant;

use nix::fcntl::OFlag;
use serde::{Deserialize, Serialize};

use super::super::fault::FaultKind;
use super::super::parse::Unread;
use super::format::{Format, Header};
use super::piece::{LINE_BYTES_MAX, line};
use super::rule::Heard;

/// Bytes of the beginning that a file is known by.
const HEAD_BYTES: usize = 256;
/// Read at once.
const CHUNK_BYTES: usize = 64 << 10;
/// Most chunks of a poll, all files together: 1 MiB.
pub(super) const CHUNKS_MAX: u32 = 16;
const _: () = assert!(CHUNK_BYTES > 2 * LINE_BYTES_MAX, "a line fits, with what stands before it");

/// Where a file has been read to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    pub dev: u64,
    pub ino: u64,
    pub offset: u64,
    /// How many bytes `head` is of.
    pub head_bytes: usize,
    pub head: u32,
    /// It stands inside a line that is too long.
    pub skipping: bool,
    /// When it was last written.
    pub modified_ms: i64,
    /// Nothing more is expected of it.
    pub done: bool,
}

/// A file that is followed.
#[derive(Debug)]
pub(super) struct Follow {
    pub place: Place,
    pub path: PathBuf,
    /// Not after a restart, when it failed, and when it is done.
    pub file: Option<File>,
    /// When it last grew.
    pub grew: Instant,
    header: Option<Header>,
    /// Length and time of change when it was read to its end.
    seen: Option<(u64, i64, i64)>,
}

/// What lines become.
#[derive(Debug)]
pub(super) struct Out<'a> {
    pub format: &'a Format,
    pub heard: &'a mut Heard,
    pub records: u64,
    pub truncations: u64,
    pub faults: Vec<FaultKind>,
}

impl Place {
    /// The beginning of a file.
    fn first(meta: &Metadata) -> Self {
        Self {
            dev: meta.dev(),
            ino: meta.ino(),
            offset: 0,
            head_bytes: 0,
            head: crc32fast::hash(b""),
            skipping: false,
            modified_ms: modified_ms(meta),
            done: false,
        }
    }

    pub(super) fn id(&self) -> (u64, u64) {
        (self.dev, self.ino)
    }

    /// Whether a file can be the one that was read to here.
    pub(super) fn fits(&self, file: &File) -> io::Result<bool> {
        Ok(file.metadata()?.len() >= self.offset && self.begins_as(&head(file)?))
    }

    fn begins_as(&self, head: &[u8]) -> bool {
        head.get(..self.head_bytes).is_some_and(|head| crc32fast::hash(head) == self.head)
    }
}

/// Opens a file for reading; `None` if it is no file. Never waits for the other end of a pipe.
pub(super) fn open(path: &Path) -> io::Result<Option<File>> {
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path)?;
    Ok(file.metadata()?.is_file().then_some(file))
}

pub(super) fn modified_ms(meta: &Metadata) -> i64 {
    meta.mtime() * 1_000 + meta.mtime_nsec() / 1_000_000
}

fn head(file: &File) -> io::Result<Vec<u8>> {
    read_at(file, 0, HEAD_BYTES)
}

/// As many bytes as there are.
fn read_at(file: &File, offset: u64, bytes_max: usize) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0; bytes_max];
    let mut length = 0;
    while length < bytes_max {
        match file.read_at(&mut buffer[length..], offset + length as u64) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    buffer.truncate(length);
    Ok(buffer)
}

impl Follow {
    /// From the beginning.
    pub(super) fn begin(path: PathBuf, file: File) -> io::Result<Self> {
        let place = Place::first(&file.metadata()?);
        Ok(Self { file: Some(file), ..Self::at(path, place) })
    }

    /// From the end; a line that is being written is not read.
    pub(super) fn at_end(path: PathBuf, file: File) -> io::Result<Self> {
        let mut follow = Self::begin(path, file)?;
        if let Some(file) = &follow.file {
            let length = file.metadata()?.len();
            let head = head(file)?;
            let place = &mut follow.place;
            place.offset = length;
            place.head_bytes = head.len().min(usize::try_from(length).unwrap_or(usize::MAX));
            place.head = crc32fast::hash(&head[..place.head_bytes]);
            place.skipping = length > 0 && read_at(file, length - 1, 1)? != b"\n";
        }
        Ok(follow)
    }

    /// Where it was; not open yet.
    pub(super) fn at(path: PathBuf, place: Place) -> Self {
        Self { place, path, file: None, grew: Instant::now(), header: None, seen: None }
    }

    /// Goes on with this file.
    pub(super) fn reopen(&mut self, path: PathBuf, file: File) -> io::Result<()> {
        let meta = file.metadata()?;
        (self.place.dev, self.place.ino) = (meta.dev(), meta.ino());
        self.place.modified_ms = modified_ms(&meta);
        self.place.done = false;
        (self.path, self.file, self.header, self.seen) = (path, Some(file), None, None);
        self.grew = Instant::now();
        Ok(())
    }

    /// It was cut: from the beginning again.
    pub(super) fn restart(&mut self) {
        let Place { dev, ino, modified_ms, .. } = self.place;
        let head = crc32fast::hash(b"");
        self.place =
            Place { dev, ino, modified_ms, offset: 0, head_bytes: 0, head, skipping: false, done: false };
        (self.header, self.seen) = (None, None);
    }

    /// Reads lines from where it is, as long as there are chunks left. `last`: nothing more will come, so that its last line
    /// counts without an end.
    pub(super) fn read(&mut self, chunks: &mut u32, last: bool, out: &mut Out<'_>) -> io::Result<()> {
        while *chunks > 0 {
            let Some(file) = &self.file else { return Ok(()) };
            let meta = file.metadata()?;
            let now = (meta.len(), meta.mtime(), meta.mtime_nsec());
            if self.seen == Some(now) && !last {
                return Ok(());
            }
            *chunks -= 1;
            let mut bytes = read_at(file, self.place.offset, CHUNK_BYTES)?;
            let head = head(file)?;
            if file.metadata()?.len() < self.place.offset || !self.place.begins_as(&head) {
                self.restart();
                out.truncations += 1;
                continue;
            }
            self.place.modified_ms = modified_ms(&meta);
            if out.format.has_header() && self.header.is_none() && self.place.offset > 0 {
                let first = read_at(file, 0, LINE_BYTES_MAX)?;
                let header = line(without_bom(&first), LINE_BYTES_MAX).ok();
                self.header = Some(header.and_then(|(line, _)| out.format.header(line)).unwrap_or_default());
            }
            let is_end = bytes.len() < CHUNK_BYTES;
            if is_end && last && bytes.last().is_some_and(|byte| *byte != b'\n') {
                bytes.push(b'\n');
            }
            let used = self.take(&bytes, out).min(bytes.len()) as u64;
            if used > 0 {
                self.grew = Instant::now();
            }
            self.place.offset += used;
            self.place.head_bytes = head.len().min(usize::try_from(self.place.offset).unwrap_or(usize::MAX));
            self.place.head = crc32fast::hash(&head[..self.place.head_bytes]);
            if is_end {
                self.seen = Some(now);
                return Ok(());
            }
        }
        Ok(())
    }

    /// Takes the lines of a chunk, and says how many bytes need not be read again.
    fn take(&mut self, bytes: &[u8], out: &mut Out<'_>) -> usize {
        let mut at = 0;
        loop {
            let rest = &bytes[at..];
            if self.place.skipping {
                match rest.iter().position(|byte| *byte == b'\n') {
                    Some(end) => at += end + 1,
                    None => return bytes.len(),
                }
                self.place.skipping = false;
                continue;
            }
            match line(rest, LINE_BYTES_MAX) {
                Ok((text, used)) => {
                    self.take_line(text, self.place.offset + at as u64, out);
                    at += used;
                }
                Err(Unread::Need(_)) => {
                    // A hole before a line is none of it; it is not read again and again.
                    return at + rest.iter().take_while(|byte| **byte == 0).count();
                }
                Err(Unread::Bad(kind)) => {
                    out.faults.push(kind);
                    self.place.skipping = true;
                }
            }
        }
    }

    fn take_line(&mut self, line: &[u8], offset: u64, out: &mut Out<'_>) {
        let line = if offset == 0 { without_bom(line) } else { line };
        if offset == 0 && out.format.has_header() {
            self.header = Some(out.format.header(line).unwrap_or_default());
            return;
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            return;
        }
        let (said, fault) = out.format.read(line, self.header.as_ref(), out.heard);
        out.records += u64::from(said);
        out.faults.extend(fault);
    }
}

/// Some programs begin a file with the byte order mark of UTF-8.
fn without_bom(line: &[u8]) -> &[u8] {
    line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line)
}
