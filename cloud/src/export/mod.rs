//! Samples as files that other programs read: JSON lines, CSV, Parquet.
//!
//! An [`Encoder`] takes rows and gives bytes, piece by piece, and never holds a whole file. Each row names its series, so
//! that files can be joined and sorted. Where rows come from is not known here.

mod csv;
mod json_lines;
mod parquet;

use serde::Serialize;
use serde::ser::{SerializeSeq as _, Serializer};

/// What an export is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// One JSON document; not a stream, and not written here.
    Json,
    /// One JSON object a line.
    JsonLines,
    /// RFC 4180, with a header.
    Csv,
    /// Apache Parquet.
    Parquet,
}

impl Format {
    /// From its name in a request.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        match name {
            "json" => Some(Self::Json),
            "jsonl" => Some(Self::JsonLines),
            "csv" => Some(Self::Csv),
            "parquet" => Some(Self::Parquet),
            _ => None,
        }
    }

    /// The first that a header `Accept` names; JSON if it names none of ours.
    pub(crate) fn accepted(accept: Option<&str>) -> Self {
        let types = accept.unwrap_or_default().split(',');
        let known = types.filter_map(|range| match range.split(';').next().unwrap_or_default().trim() {
            "application/json" => Some(Self::Json),
            "application/x-ndjson" | "application/jsonl" => Some(Self::JsonLines),
            "text/csv" => Some(Self::Csv),
            "application/vnd.apache.parquet" => Some(Self::Parquet),
            _ => None,
        });
        known.into_iter().next().unwrap_or(Self::Json)
    }

    /// Its media type.
    pub(crate) const fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::JsonLines => "application/x-ndjson",
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::Parquet => "application/vnd.apache.parquet",
        }
    }

    /// How a file of it ends.
    pub(crate) const fn extension(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::JsonLines => "jsonl",
            Self::Csv => "csv",
            Self::Parquet => "parquet",
        }
    }
}

/// What every row of a series says about it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Head {
    /// Where series of several stores are side by side.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store: Option<String>,
    pub device: String,
    /// The collector kind of the device.
    pub kind: String,
    /// `metric{label="value",…}`
    pub name: String,
    /// UCUM, if it is known.
    pub unit: Option<String>,
}

/// A number of a row. None of them is NaN or infinite.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(untagged)]
pub(crate) enum Value {
    /// How many.
    Count(u64),
    /// Anything else.
    Number(f64),
}

/// A time with its numbers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    /// Unix milliseconds UTC.
    pub t: i64,
    /// One for each column; `None` is not known.
    pub values: Vec<Option<Value>>,
}

/// As an array: the time, then the numbers.
impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut sequence = serializer.serialize_seq(Some(1 + self.values.len()))?;
        sequence.serialize_element(&self.t)?;
        for value in &self.values {
            sequence.serialize_element(value)?;
        }
        sequence.end()
    }
}

/// A column of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Column {
    pub name: &'static str,
    /// Its values are [`Value::Count`].
    pub is_count: bool,
}

/// Why rows could not be written. None of it is the reader's doing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EncodeError {
    /// CSV.
    #[error("csv: {0}")]
    Csv(#[from] ::csv::Error),
    /// JSON.
    #[error("json: {0}")]
    Json(#[from] serde_json::Error),
    /// Parquet.
    #[error("parquet: {0}")]
    Parquet(#[from] ::parquet::errors::ParquetError),
    /// The buffer.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// Rows in, bytes out.
pub(crate) trait Encoder: Send {
    /// The rows that follow are of this series.
    fn series(&mut self, head: &Head) -> Result<(), EncodeError>;

    /// A row, with a value for each column.
    fn row(&mut self, t: i64, values: &[Option<Value>]) -> Result<(), EncodeError>;

    /// No row follows.
    fn finish(&mut self) -> Result<(), EncodeError>;

    /// What is written and was not taken yet; may be empty.
    fn take(&mut self) -> Result<Vec<u8>, EncodeError>;
}

/// The encoder of a format; JSON lines for [`Format::Json`]. `says_store`: every [`Head`] names its store.
pub(crate) fn encoder(
    format: Format,
    says_store: bool,
    columns: Vec<Column>,
) -> Result<Box<dyn Encoder>, EncodeError> {
    Ok(match format {
        Format::Json | Format::JsonLines => Box::new(json_lines::JsonLines::new(columns)),
        Format::Csv => Box::new(csv::Csv::new(says_store, &columns)?),
        Format::Parquet => Box::new(parquet::Parquet::new(says_store, columns)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_known_type_of_accept_counts_and_json_otherwise() {
        for (accept, format) in [
            (None, Format::Json),
            (Some("*/*"), Format::Json),
            (Some("text/html,application/xhtml+xml,*/*;q=0.8"), Format::Json),
            (Some("text/csv"), Format::Csv),
            (Some("text/plain, application/x-ndjson;q=0.9"), Format::JsonLines),
            (Some("application/vnd.apache.parquet, application/json"), Format::Parquet),
        ] {
            assert_eq!(Format::accepted(accept), format, "{accept:?}");
        }
    }
}
