//! CSV after RFC 4180: a header, quotes where they are needed, CRLF.
//!
//! `time,t,device,kind,name,unit,value`: the time twice, for people in RFC 3339 and for programs in Unix milliseconds. What
//! is not known is empty. Where series of several stores are side by side, `store` is between `t` and `device`. Names come from shops, and spreadsheets run what begins like a formula: such a text gets an
//! apostrophe before it, as spreadsheets themselves mark text.

use csv::{ByteRecord, Terminator, Writer, WriterBuilder};
use time::OffsetDateTime;
use time::format_description::FormatItem;
use time::macros::format_description;

use super::{Column, EncodeError, Encoder, Head, Value};

/// Always with milliseconds, so that texts sort as times do.
const TIME: &[FormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// Rows as records.
pub(super) struct Csv {
    writer: Writer<Vec<u8>>,
    /// Store (if it is said), device, kind, name and unit: the same in every record of a series.
    texts: Vec<String>,
    record: ByteRecord,
}

impl Csv {
    pub(super) fn new(says_store: bool, columns: &[Column]) -> Result<Self, EncodeError> {
        let mut writer = writer();
        let store = says_store.then_some("store");
        let texts = ["time", "t"].into_iter().chain(store).chain(["device", "kind", "name", "unit"]);
        writer.write_record(texts.chain(columns.iter().map(|column| column.name)))?;
        Ok(Self { writer, texts: Vec::new(), record: ByteRecord::new() })
    }
}

fn writer() -> Writer<Vec<u8>> {
    // The number of fields is ours to know.
    WriterBuilder::new().terminator(Terminator::CRLF).flexible(true).from_writer(Vec::new())
}

/// A text that no spreadsheet takes for a formula.
fn harmless(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']);
    if is_formula { format!("'{text}") } else { text.to_owned() }
}

impl Encoder for Csv {
    fn series(&mut self, head: &Head) -> Result<(), EncodeError> {
        let unit = head.unit.as_deref().unwrap_or_default();
        let store = head.store.as_deref().into_iter();
        let texts = store.chain([&*head.device, &*head.kind, &*head.name, unit]);
        self.texts = texts.map(harmless).collect();
        Ok(())
    }

    fn row(&mut self, t: i64, values: &[Option<Value>]) -> Result<(), EncodeError> {
        let unix = t.to_string();
        let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(t) * 1_000_000).ok();
        // Samples have times of this century; one without a date would still have its number.
        let time = time.and_then(|time| time.format(TIME).ok()).unwrap_or_default();
        self.record.clear();
        self.record.push_field(time.as_bytes());
        self.record.push_field(unix.as_bytes());
        for text in &self.texts {
            self.record.push_field(text.as_bytes());
        }
        for value in values {
            match value {
                None => self.record.push_field(b""),
                Some(value) => self.record.push_field(&serde_json::to_vec(value)?),
            }
        }
        self.writer.write_byte_record(&self.record)?;
        Ok(())
    }

    fn finish(&mut self) -> Result<(), EncodeError> {
        Ok(())
    }

    fn take(&mut self) -> Result<Vec<u8>, EncodeError> {
        let full = std::mem::replace(&mut self.writer, writer());
        full.into_inner().map_err(|error| EncodeError::Io(error.into_error()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_quoted_after_rfc_4180_and_are_no_formulas() {
        let mut csv = Csv::new(false, &[Column { name: "value", is_count: false }]).unwrap();
        let head = Head {
            store: None,
            device: "=cmd|' /C calc'!A0".into(),
            kind: "@SUM(1)".into(),
            name: "m{shelf=\"a, b\"}".into(),
            unit: None,
        };
        csv.series(&head).unwrap();
        csv.row(1_763_700_000_005, &[Some(Value::Number(-4.5))]).unwrap();
        csv.row(0, &[None]).unwrap();
        let text = String::from_utf8(csv.take().unwrap()).unwrap();
        let texts = "'=cmd|' /C calc'!A0,'@SUM(1),\"m{shelf=\"\"a, b\"\"}\",";
        let expected = format!(
            "time,t,device,kind,name,unit,value\r\n2025-11-21T04:40:00.005Z,1763700000005,{texts},-4.5\r\n\
             1970-01-01T00:00:00.000Z,0,{texts},\r\n"
        );
        assert_eq!(text, expected);
        assert!(csv.take().unwrap().is_empty());
    }
}
