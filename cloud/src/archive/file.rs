//! The file: lines in gzip, with a hash for each table and a mark at the end.

use std::io::{BufRead, BufReader, BufWriter, Read, Write};

use anyhow::Context as _;
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use storepulse_shared::ids::TenantId;

use super::Table;

const MAGIC: &str = "storepulse-archive 1 ";
/// Longest line: one batch of 20,000 samples takes a tenth of it.
const LINE_BYTES_MAX: u64 = 64 << 20;

/// What the first line tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct About {
    /// Whose it is.
    pub tenant: TenantId,
    /// The last migration of the database that it comes from.
    pub schema: i64,
}

/// Writes an archive.
pub(super) struct ArchiveWriter<W: Write> {
    out: GzEncoder<BufWriter<W>>,
    rows: u64,
    hasher: Sha256,
}

impl<W: Write> ArchiveWriter<W> {
    pub(super) fn begin(out: W, about: &About) -> anyhow::Result<Self> {
        let mut out = GzEncoder::new(BufWriter::new(out), Compression::default());
        writeln!(out, "{MAGIC}{}", serde_json::to_string(about)?)?;
        Ok(Self { out, rows: 0, hasher: Sha256::new() })
    }

    pub(super) fn table(&mut self, table: Table) -> std::io::Result<()> {
        (self.rows, self.hasher) = (0, Sha256::new());
        writeln!(self.out, "T {}", table.name())
    }

    pub(super) fn row(&mut self, row: &str) -> std::io::Result<()> {
        self.rows += 1;
        self.hasher.update(row.as_bytes());
        self.hasher.update(b"\n");
        writeln!(self.out, "R {row}")
    }

    /// Ends a table; returns how many rows it has.
    pub(super) fn end(&mut self) -> std::io::Result<u64> {
        let hash = hex(&std::mem::take(&mut self.hasher).finalize());
        writeln!(self.out, "E {} {hash}", self.rows)?;
        Ok(self.rows)
    }

    /// Says that all is there, and hands out what was written to.
    pub(super) fn finish(mut self) -> std::io::Result<W> {
        writeln!(self.out, "F")?;
        self.out.finish()?.into_inner().map_err(std::io::IntoInnerError::into_error)
    }
}

/// What is read next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Item {
    Row(Table, String),
    /// Of a table, with its rows.
    End(Table, u64),
}

/// Reads an archive, proving it on the way.
pub(super) struct ArchiveReader<R> {
    lines: BufReader<MultiGzDecoder<R>>,
    about: About,
    table: Option<Table>,
    last_table: Option<Table>,
    rows: u64,
    hasher: Sha256,
    line_no: u64,
}

impl<R: Read> ArchiveReader<R> {
    pub(super) fn open(file: R) -> anyhow::Result<Self> {
        let mut lines = BufReader::new(MultiGzDecoder::new(file));
        let mut first = String::new();
        lines.by_ref().take(LINE_BYTES_MAX).read_line(&mut first).context("not an archive of StorePulse")?;
        let about = first
            .strip_prefix(MAGIC)
            .context("not an archive of StorePulse: its first line is another one")?;
        let about = serde_json::from_str(about.trim_end()).context("line 1 of the archive")?;
        Ok(Self { lines, about, table: None, last_table: None, rows: 0, hasher: Sha256::new(), line_no: 1 })
    }

    pub(super) fn about(&self) -> &About {
        &self.about
    }

    /// The next row or end of a table; `None` after the last, if the file is whole.
    pub(super) fn next(&mut self) -> anyhow::Result<Option<Item>> {
        loop {
            let Some(line) = self.line()? else {
                anyhow::bail!("the archive is cut off: its end is missing")
            };
            let no = self.line_no;
            let wrong = |what: &str| anyhow::anyhow!("line {no} of the archive: {what}");
            let (kind, rest) = line.split_once(' ').unwrap_or((&line, ""));
            match (kind, self.table) {
                ("T", None) => {
                    let table = Table::named(rest).ok_or_else(|| wrong("a table that is not known"))?;
                    anyhow::ensure!(self.last_table < Some(table), wrong("its tables are not in order"));
                    (self.table, self.rows, self.hasher) = (Some(table), 0, Sha256::new());
                }
                ("R", Some(table)) => {
                    self.rows += 1;
                    self.hasher.update(rest.as_bytes());
                    self.hasher.update(b"\n");
                    return Ok(Some(Item::Row(table, rest.to_owned())));
                }
                ("E", Some(table)) => {
                    let hash = hex(&std::mem::take(&mut self.hasher).finalize());
                    let is_so = rest == format!("{} {hash}", self.rows);
                    anyhow::ensure!(is_so, wrong(&format!("{} is not as it was written", table.name())));
                    (self.table, self.last_table) = (None, Some(table));
                    return Ok(Some(Item::End(table, self.rows)));
                }
                // Reading on also proves the end of the gzip stream.
                ("F", None) if self.line()?.is_none() => return Ok(None),
                _ => return Err(wrong("it does not belong here")),
            }
        }
    }

    fn line(&mut self) -> anyhow::Result<Option<String>> {
        let mut line = String::new();
        let read = self.lines.by_ref().take(LINE_BYTES_MAX).read_line(&mut line);
        let read = read.with_context(|| format!("after line {} of the archive", self.line_no))?;
        if read == 0 {
            return Ok(None);
        }
        self.line_no += 1;
        anyhow::ensure!(line.pop() == Some('\n'), "line {} of the archive has no end", self.line_no);
        Ok(Some(line))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive() -> Vec<u8> {
        let about = About { tenant: "la-villa".parse().unwrap(), schema: 12 };
        let mut writer = ArchiveWriter::begin(Vec::new(), &about).unwrap();
        writer.table(Table::Stores).unwrap();
        writer.row(r#"{"store_id":"T01"}"#).unwrap();
        assert_eq!(writer.end().unwrap(), 1);
        writer.table(Table::Series).unwrap();
        writer.end().unwrap();
        writer.finish().unwrap()
    }

    fn read(file: &[u8]) -> anyhow::Result<Vec<Item>> {
        let mut reader = ArchiveReader::open(file)?;
        assert_eq!(reader.about().tenant.as_str(), "la-villa");
        std::iter::from_fn(|| reader.next().transpose()).collect()
    }

    /// The archive with another text in it.
    fn altered(from: &str, to: &str) -> Vec<u8> {
        let mut text = String::new();
        MultiGzDecoder::new(&*archive()).read_to_string(&mut text).unwrap();
        assert!(text.contains(from), "{text}");
        let mut out = GzEncoder::new(Vec::new(), Compression::fast());
        out.write_all(text.replace(from, to).as_bytes()).unwrap();
        out.finish().unwrap()
    }

    #[test]
    fn what_was_written_is_read_again() {
        let row = Item::Row(Table::Stores, r#"{"store_id":"T01"}"#.to_owned());
        assert_eq!(
            read(&archive()).unwrap(),
            [row, Item::End(Table::Stores, 1), Item::End(Table::Series, 0)]
        );
    }

    #[test]
    fn an_archive_that_is_cut_off_or_altered_is_refused() {
        let whole = archive();
        assert!(read(&whole[..whole.len() - 9]).is_err());
        for (from, to, why) in [
            ("T01", "T02", "not as it was written"),
            ("E 1", "E 2", "not as it was written"),
            ("F\n", "", "cut off"),
            ("T series", "T tills", "not known"),
            ("T series", "T stores", "not in order"),
            ("T stores\n", "", "does not belong here"),
            ("storepulse-archive 1", "storepulse-archive 2", "not an archive"),
        ] {
            let error = format!("{:#}", read(&altered(from, to)).unwrap_err());
            assert!(error.contains(why), "{from} -> {to}: {error}");
        }
        assert!(format!("{:#}", read(b"PK rubbish").unwrap_err()).contains("not an archive"));
    }
}
