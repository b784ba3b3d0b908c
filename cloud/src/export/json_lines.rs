//! JSON lines: an object a row, a line feed after each (`application/x-ndjson`).
//!
//! `{"t":1763700000000,"device":"fridge-1","kind":"modbus","name":"hw.temperature","unit":"Cel","value":4.1}`

use std::io::Write as _;

use super::{Column, EncodeError, Encoder, Head, Value};

/// Rows as lines.
pub(super) struct JsonLines {
    columns: Vec<Column>,
    /// What stands between the time and the numbers: the same in every row of a series.
    middle: Vec<u8>,
    out: Vec<u8>,
}

impl JsonLines {
    pub(super) fn new(columns: Vec<Column>) -> Self {
        Self { columns, middle: Vec::new(), out: Vec::new() }
    }
}

impl Encoder for JsonLines {
    fn series(&mut self, head: &Head) -> Result<(), EncodeError> {
        let object = serde_json::to_vec(head)?;
        self.middle.clear();
        self.middle.push(b',');
        // Without its braces, so that it goes into the middle of another object.
        self.middle.extend_from_slice(&object[1..object.len() - 1]);
        Ok(())
    }

    fn row(&mut self, t: i64, values: &[Option<Value>]) -> Result<(), EncodeError> {
        write!(self.out, "{{\"t\":{t}")?;
        self.out.extend_from_slice(&self.middle);
        for (column, value) in self.columns.iter().zip(values) {
            write!(self.out, ",\"{}\":", column.name)?;
            serde_json::to_writer(&mut self.out, value)?;
        }
        self.out.extend_from_slice(b"}\n");
        Ok(())
    }

    fn finish(&mut self) -> Result<(), EncodeError> {
        Ok(())
    }

    fn take(&mut self) -> Result<Vec<u8>, EncodeError> {
        Ok(std::mem::take(&mut self.out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_an_object_with_its_series_and_what_is_not_known_is_null() {
        let columns =
            vec![Column { name: "count", is_count: true }, Column { name: "rate", is_count: false }];
        let mut lines = JsonLines::new(columns);
        let name = "m{shelf=\"a \\\"b\\\"\"}".to_owned();
        let (device, kind) = ("d".to_owned(), "k".to_owned());
        lines.series(&Head { store: None, device, kind, name: name.clone(), unit: None }).unwrap();
        lines.row(5, &[Some(Value::Count(2)), None]).unwrap();
        lines.row(6, &[Some(Value::Count(1)), Some(Value::Number(0.1))]).unwrap();
        let text = String::from_utf8(lines.take().unwrap()).unwrap();
        let rows: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let expected = |t: i64, count: u64, rate: Option<f64>| serde_json::json!({"t": t, "device": "d", "kind": "k", "name": name, "unit": null, "count": count, "rate": rate});
        assert_eq!(rows, [expected(5, 2, None), expected(6, 1, Some(0.1))]);
        assert!(lines.take().unwrap().is_empty());
    }
}
