//! How a line is a record: by patterns, as CSV, as JSON. Pure; card-like numbers are dropped before anything is looked at.
//!
//! - *lines*: every pattern is tried on every line, whole unless `search: true`. A line that matches none says nothing:
//!   debug output, and the lines of a stack trace.
//! - *csv* (RFC 4180 but for line breaks inside of quotes): columns by name if the file begins with a header, else by
//!   number from 1.
//! - *json*: an object a line; fields by JSON pointer (RFC 6901).

use std::borrow::Cow;

use serde::Deserialize;

use super::super::fault::FaultKind;
use super::super::pan;
use super::super::parse::{Parsed, Unread};
use super::rule::{Heard, Pattern, Take, Taken};

/// Which of the settings counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum FormatName {
    /// `patterns:`
    #[default]
    Lines,
    /// `columns:`
    Csv,
    /// `fields:`
    Json,
}

/// How lines are read.
#[derive(Debug, Clone)]
pub(super) enum Format {
    Lines(Vec<Pattern>),
    Csv { delimiter: u8, take: Take },
    Json(Take),
}

/// The names of the columns of a file.
pub(super) type Header = Vec<String>;

impl Format {
    /// All that its records can become.
    pub(super) fn takes(&self) -> Vec<&Take> {
        match self {
            Self::Lines(patterns) => patterns.iter().map(|pattern| &pattern.take).collect(),
            Self::Csv { take, .. } | Self::Json(take) => vec![take],
        }
    }

    /// Whether the first line of a file names its columns.
    pub(super) fn has_header(&self) -> bool {
        matches!(self, Self::Csv { take, .. } if take.fields().any(|field| number_of(field).is_none()))
    }

    /// The header that a line is; names are trimmed.
    pub(super) fn header(&self, line: &[u8]) -> Option<Header> {
        let Self::Csv { delimiter, .. } = self else { return None };
        let (fields, _) = split(line, *delimiter).ok()?;
        Some(fields.iter().map(|field| field.trim().to_owned()).collect())
    }

    /// Reads a line: whether it said something, and what was wrong with it.
    pub(super) fn read(
        &self,
        line: &[u8],
        header: Option<&Header>,
        heard: &mut Heard,
    ) -> (bool, Option<FaultKind>) {
        let text = String::from_utf8_lossy(line);
        if let Self::Lines(patterns) = self {
            return read_lines(patterns, &pan::scrub(&text, "*"), heard);
        }
        let taken = match self {
            Self::Json(take) => read_json(take, &text, heard),
            Self::Csv { delimiter, take } => read_csv(take, *delimiter, &text, header, heard),
            Self::Lines(_) => Ok(Taken::NotListed),
        };
        match taken {
            Ok(Taken::Whole) => (true, None),
            Ok(Taken::NotListed | Taken::NotANumber) => (false, Some(FaultKind::Parse)),
            Err(kind) => (false, Some(kind)),
        }
    }
}

fn read_lines(patterns: &[Pattern], line: &str, heard: &mut Heard) -> (bool, Option<FaultKind>) {
    let (mut said, mut fault) = (false, None);
    for pattern in patterns {
        let Some(captures) = pattern.regex.captures(line) else { continue };
        let group = |name: &str| captures.name(name).map(|group| group.as_str().to_owned());
        match pattern.take.apply(group, heard) {
            Ok(Taken::Whole) => said = true,
            // It is not for this line.
            Ok(Taken::NotListed) => {}
            Ok(Taken::NotANumber) => fault = Some(FaultKind::Parse),
            Err(kind) => fault = Some(kind),
        }
    }
    (said, fault)
}

fn read_csv(
    take: &Take,
    delimiter: u8,
    line: &str,
    header: Option<&Header>,
    heard: &mut Heard,
) -> Result<Taken, FaultKind> {
    let clean = pan::scrub(line, "*");
    let (fields, _) = split(clean.as_bytes(), delimiter).map_err(|_| FaultKind::Parse)?;
    let at = |name: &str| number_of(name).or_else(|| header?.iter().position(|column| column == name));
    if take.fields().any(|name| at(name).is_none_or(|at| at >= fields.len())) {
        return Err(FaultKind::Parse);
    }
    let field = |name: &str| Some(fields.get(at(name)?)?.trim().to_owned()).filter(|text| !text.is_empty());
    take.apply(field, heard)
}

fn read_json(take: &Take, line: &str, heard: &mut Heard) -> Result<Taken, FaultKind> {
    // `null` is as good inside a string as in the place of a number.
    let clean = pan::scrub(line, "null");
    let value: serde_json::Value = serde_json::from_str(&clean).map_err(|_| FaultKind::Parse)?;
    if !value.is_object() {
        return Err(FaultKind::Parse);
    }
    take.apply(|pointer| value.pointer(pointer).and_then(plain), heard)
}

/// A JSON value as text: a state is 0 or 1, `null` is nothing, and what has parts is no value.
fn plain(value: &serde_json::Value) -> Option<String> {
    match value {
        serde_json::Value::Null => None,
        serde_json::Value::Bool(is) => Some(u8::from(*is).to_string()),
        serde_json::Value::Number(number) => Some(number.to_string()),
        serde_json::Value::String(text) => Some(text.clone()),
        _ => Some(String::new()),
    }
}

/// The place of a column that is given by its number, from 1.
fn number_of(field: &str) -> Option<usize> {
    field.parse::<usize>().ok()?.checked_sub(1)
}

/// The fields of a CSV record.
pub(super) fn split(line: &[u8], delimiter: u8) -> Parsed<Vec<Cow<'_, str>>> {
    let mut fields = Vec::new();
    let mut at = 0;
    loop {
        let rest = &line[at..];
        let (field, used) = if rest.first() == Some(&b'"') {
            quoted(&rest[1..]).map(|(field, used)| (field, used + 1))?
        } else {
            let end = rest.iter().position(|byte| *byte == delimiter).unwrap_or(rest.len());
            (String::from_utf8_lossy(&rest[..end]), end)
        };
        fields.push(field);
        at += used;
        match line.get(at) {
            None => return Ok((fields, at)),
            Some(byte) if *byte == delimiter => at += 1,
            Some(_) => return Err(Unread::Bad(FaultKind::Framing)),
        }
    }
}

/// A field up to the quote that ends it, and how long that is.
fn quoted(rest: &[u8]) -> Parsed<Cow<'_, str>> {
    let mut field = Vec::new();
    let mut at = 0;
    loop {
        match (rest.get(at), rest.get(at + 1)) {
            (None, _) => return Err(Unread::Need(1)),
            (Some(b'"'), Some(b'"')) => {
                field.push(b'"');
                at += 2;
            }
            (Some(b'"'), _) => return Ok((Cow::Owned(String::from_utf8_lossy(&field).into_owned()), at + 1)),
            (Some(byte), _) => {
                field.push(*byte);
                at += 1;
            }
        }
    }
}
