//! Series names: a metric, or `metric{label="value",…}` with sorted labels, as keys of `m` on the wire.
//!
//! One series has one spelling: labels strictly ascending by name, values never empty, without control characters,
//! escaped as in the Prometheus text exposition format (`\\`, `\"`, `\n`). Names are the union of what OpenTelemetry
//! and Prometheus allow: a letter, `_` or `:`, then letters, digits and `_ : . / -`.

use std::borrow::Cow;

use crate::limits::SERIES_BYTES_MAX;

/// Why a series name was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SeriesError {
    /// Longer than [`SERIES_BYTES_MAX`].
    #[error("a series name of {0} bytes: at most {SERIES_BYTES_MAX}")]
    TooLong(usize),
    /// The part before `{` is not a metric name.
    #[error(
        "{0:?} is not a metric name: a letter, '_' or ':', then letters, digits, '_', ':', '.', '/' or '-'"
    )]
    Metric(String),
    /// The part in braces is not a list of labels.
    #[error(
        "{0:?} does not end in a list of labels: {{name=\"value\",…}} with names in ascending order and no value empty"
    )]
    Labels(String),
}

/// A series name taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeriesName<'a> {
    /// The metric.
    pub metric: &'a str,
    /// Labels in ascending order of their names, values unescaped.
    pub labels: Vec<(&'a str, Cow<'a, str>)>,
}

/// Checks and takes apart a series name.
///
/// # Errors
/// See [`SeriesError`].
pub fn parse(text: &str) -> Result<SeriesName<'_>, SeriesError> {
    if text.len() > SERIES_BYTES_MAX {
        return Err(SeriesError::TooLong(text.len()));
    }
    let (metric, rest) = match text.find('{') {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    if !is_metric(metric) {
        return Err(SeriesError::Metric(metric.to_owned()));
    }
    let labels = match rest {
        Some(rest) => parse_labels(rest).ok_or_else(|| SeriesError::Labels(text.to_owned()))?,
        None => Vec::new(),
    };
    Ok(SeriesName { metric, labels })
}

/// Checks a series name; the common case, a bare metric, costs one pass over its bytes.
///
/// # Errors
/// See [`SeriesError`].
pub fn check(text: &str) -> Result<(), SeriesError> {
    if text.len() <= SERIES_BYTES_MAX && is_metric(text) { Ok(()) } else { parse(text).map(|_| ()) }
}

/// Writes the one spelling of a series. Labels need not be sorted; their names must be valid and distinct.
///
/// # Errors
/// See [`SeriesError`].
pub fn compose(metric: &str, labels: &[(&str, &str)]) -> Result<String, SeriesError> {
    let mut text = metric.to_owned();
    if !labels.is_empty() {
        let mut sorted = labels.to_vec();
        sorted.sort_unstable();
        text.push('{');
        for (at, (name, value)) in sorted.into_iter().enumerate() {
            if at > 0 {
                text.push(',');
            }
            text.push_str(name);
            text.push_str("=\"");
            for c in value.chars() {
                match c {
                    '\\' => text.push_str("\\\\"),
                    '"' => text.push_str("\\\""),
                    '\n' => text.push_str("\\n"),
                    c => text.push(c),
                }
            }
            text.push('"');
        }
        text.push('}');
    }
    check(&text)?;
    Ok(text)
}

fn is_metric(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || matches!(b, b'_' | b':'))
        && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b':' | b'.' | b'/' | b'-'))
}

fn is_label(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.'))
}

/// Parses `name="value",…}` to its very end.
fn parse_labels(mut rest: &str) -> Option<Vec<(&str, Cow<'_, str>)>> {
    let mut labels: Vec<(&str, Cow<'_, str>)> = Vec::new();
    loop {
        let (name, after) = rest.split_once("=\"")?;
        let (value, after) = split_value(after)?;
        let ascending = labels.last().is_none_or(|(previous, _)| *previous < name);
        if !is_label(name) || !ascending || value.is_empty() {
            return None;
        }
        labels.push((name, value));
        match after {
            "}" => return Some(labels),
            _ => rest = after.strip_prefix(',')?,
        }
    }
}

/// Splits at the quote that ends a value, and unescapes the value.
fn split_value(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let mut unescaped: Option<String> = None;
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => {
                let value = unescaped.map_or(Cow::Borrowed(&text[..at]), Cow::Owned);
                return Some((value, &text[at + 1..]));
            }
            c if c.is_control() => return None,
            '\\' => {
                let (_, escaped) = chars.next()?;
                let real = match escaped {
                    '\\' => '\\',
                    '"' => '"',
                    'n' => '\n',
                    _ => return None,
                };
                unescaped.get_or_insert_with(|| text[..at].to_owned()).push(real);
            }
            c => {
                if let Some(value) = &mut unescaped {
                    value.push(c);
                }
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_bare_metric_and_a_labelled_one_are_taken_apart() {
        assert_eq!(parse("hw.temperature").unwrap().labels, []);
        let name = parse(r#"hw.errors{error.type="time\"out\\",port="a\nb"}"#).unwrap();
        assert_eq!(name.metric, "hw.errors");
        assert_eq!(name.labels[0], ("error.type", Cow::Borrowed("time\"out\\")));
        assert_eq!(name.labels[1], ("port", Cow::Borrowed("a\nb")));
    }

    #[test]
    fn one_series_has_one_spelling() {
        for bad in [
            "",
            "9lives",
            "a b",
            "a{",
            "a{}",
            r#"a{b="1""#,
            r#"a{b="1"}x"#,
            r#"a{b="1",}"#,
            r#"a{c="1",b="2"}"#,
            r#"a{b="1",b="1"}"#,
            r#"a{b=""}"#,
            r#"a{b="\q"}"#,
            r#"a{b='1'}"#,
            r#"a{1b="1"}"#,
            "a{b=\"1\n\"}",
        ] {
            assert!(parse(bad).is_err(), "{bad:?}");
            assert!(check(bad).is_err(), "{bad:?}");
        }
        assert_eq!(check(&"a".repeat(513)), Err(SeriesError::TooLong(513)));
    }

    proptest! {
        #[test]
        fn what_is_composed_is_parsed_back(a in "\\PC{1,20}", b in "[\\\\\"\n a-z]{1,20}") {
            let text = compose("m", &[("zz", &b), ("aa", &a)]).unwrap();
            let name = parse(&text).unwrap();
            prop_assert_eq!(&name.labels, &[("aa", Cow::Borrowed(&*a)), ("zz", Cow::Borrowed(&*b))]);
        }

        #[test]
        fn no_text_makes_it_panic(text in "[a{}=\",\\\\b]{0,30}") {
            prop_assert_eq!(parse(&text).is_ok(), check(&text).is_ok());
        }
    }
}
