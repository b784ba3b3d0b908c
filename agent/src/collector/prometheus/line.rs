//! One line of the text formats of Prometheus (0.0.4) and OpenMetrics (1.0).
//!
//! ```text
//! # HELP node_boot_time_seconds Node boot time, in unixtime.
//! # TYPE node_boot_time_seconds gauge
//! node_boot_time_seconds 1.7637e+09
//! http_request_duration_seconds_bucket{method="get",le="0.05"} 24054 1395066363000
//! requests_total{path="/a"} 3 1395066.363 # {trace_id="x"} 0.67
//! # EOF
//! ```
//!
//! Blanks are spaces and tabs. Values of labels escape `\\`, `\"` and `\n`. A time is milliseconds in the first format and
//! seconds in the other. What `# HELP`, `# TYPE` and `# UNIT` say is not needed; exemplars are passed over. Names in quotes
//! (`{"my.metric"}`), which are only sent to who asks for them, are not read.

use std::borrow::Cow;

use crate::collector::fault::FaultKind;
use crate::collector::parse::{Parsed, Unread};

/// Longest line.
pub(super) const LINE_BYTES_MAX: usize = 4_096;
/// Most labels of a sample.
const LABELS_MAX: usize = 64;

/// What a line is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Line<'a> {
    Sample(Sample<'a>),
    /// Also an empty one.
    Comment,
    /// `# EOF`.
    End,
}

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sample<'a> {
    pub name: &'a str,
    pub labels: Vec<(&'a str, Cow<'a, str>)>,
    pub value: f64,
    /// As it stands there.
    pub time: Option<f64>,
}

/// Reads the first line of these bytes.
pub(super) fn parse(bytes: &[u8]) -> Parsed<Line<'_>> {
    let Some(end) = bytes.iter().take(LINE_BYTES_MAX + 1).position(|byte| *byte == b'\n') else {
        return Err(if bytes.len() > LINE_BYTES_MAX {
            Unread::Bad(FaultKind::TooLarge)
        } else {
            Unread::Need(1)
        });
    };
    let text = std::str::from_utf8(&bytes[..end]).map_err(|_| Unread::Bad(FaultKind::Parse))?;
    let text = text.strip_suffix('\r').unwrap_or(text).trim_matches(BLANKS);
    let line = match text.strip_prefix('#') {
        Some(comment) if comment.trim_matches(BLANKS) == "EOF" => Line::End,
        Some(_) => Line::Comment,
        None if text.is_empty() => Line::Comment,
        None => Line::Sample(sample(text).ok_or(Unread::Bad(FaultKind::Parse))?),
    };
    Ok((line, end + 1))
}

const BLANKS: [char; 2] = [' ', '\t'];

fn sample(text: &str) -> Option<Sample<'_>> {
    let (name, rest) = name(text, true)?;
    let rest = rest.trim_start_matches(BLANKS);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        // Without braces something must part the name from the value.
        None if rest.len() + name.len() == text.len() => return None,
        None => (Vec::new(), rest),
    };
    let mut words = rest.split(BLANKS).filter(|word| !word.is_empty());
    let value = words.next()?.parse().ok()?;
    let time = match words.next() {
        None | Some("#") => None,
        Some(time) => {
            let time: f64 = time.parse().ok()?;
            // What follows is an exemplar or nothing.
            if !time.is_finite() || words.next().is_some_and(|word| word != "#") {
                return None;
            }
            Some(time)
        }
    };
    Some(Sample { name, labels, value, time })
}

/// A name, and what follows it.
fn name(text: &str, is_metric: bool) -> Option<(&str, &str)> {
    let named = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || (byte == b':' && is_metric);
    let end = text.bytes().position(|byte| !named(byte)).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    (name.bytes().next().is_some_and(|first| !first.is_ascii_digit())).then_some((name, rest))
}

/// Labels behind `{`, and what follows `}`. A comma may stand behind the last.
#[expect(clippy::type_complexity, reason = "named nowhere else")]
fn labels(mut rest: &str) -> Option<(Vec<(&str, Cow<'_, str>)>, &str)> {
    let mut labels = Vec::new();
    loop {
        rest = rest.trim_start_matches(BLANKS);
        if let Some(rest) = rest.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (label, after) = name(rest, false)?;
        let after = after.trim_start_matches(BLANKS).strip_prefix('=')?;
        let (value, after) = quoted(after.trim_start_matches(BLANKS).strip_prefix('"')?)?;
        if labels.len() == LABELS_MAX {
            return None;
        }
        labels.push((label, value));
        let after = after.trim_start_matches(BLANKS);
        rest = match after.strip_prefix(',') {
            Some(after) => after,
            None if after.starts_with('}') => after,
            None => return None,
        };
    }
}

/// A value up to its quote, unescaped, and what follows.
fn quoted(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let mut unescaped: Option<String> = None;
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => {
                let value = unescaped.map_or(Cow::Borrowed(&text[..at]), Cow::Owned);
                return Some((value, &text[at + 1..]));
            }
            '\\' => {
                let real = match chars.next()?.1 {
                    'n' => '\n',
                    c @ ('\\' | '"') => c,
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
    use super::*;

    fn read(text: &str) -> Option<Sample<'_>> {
        match parse(text.as_bytes()) {
            Ok((Line::Sample(sample), used)) if used == text.len() => Some(sample),
            _ => None,
        }
    }

    #[test]
    fn samples_are_read_with_labels_escapes_and_times() {
        let sample =
            read("a:b_c{path=\"C:\\\\DIR\\n\\\"x\\\"\", le = \"+Inf\" , } \t 1.5e3 \t1395066363000\n")
                .unwrap();
        assert_eq!((sample.name, sample.value, sample.time), ("a:b_c", 1_500.0, Some(1_395_066_363_000.0)));
        assert_eq!(sample.labels, [("path", "C:\\DIR\n\"x\"".into()), ("le", "+Inf".into())]);
        for (text, value) in [
            ("a 1\n", 1.0),
            ("a\t-3.5\r\n", -3.5),
            ("  a{} +Inf\n", f64::INFINITY),
            ("a{}1\n", 1.0),
            ("a 3 # {trace_id=\"x\"} 0.67\n", 3.0),
            ("a 3 1395066.363 # {trace_id=\"x\"} 0.67 1395066.3\n", 3.0),
            ("a{b=\"#\"} 4\n", 4.0),
        ] {
            assert_eq!(read(text).map(|sample| sample.value), Some(value), "{text:?}");
        }
        assert!(read("a NaN\n").unwrap().value.is_nan());
    }

    #[test]
    fn comments_and_the_end_are_none() {
        for text in ["\n", " \t\n", "# HELP a b\n", "# TYPE a gauge\n", "#\n", "# EOFX\n"] {
            assert_eq!(parse(text.as_bytes()), Ok((Line::Comment, text.len())), "{text:?}");
        }
        assert_eq!(parse(b"# EOF\nx"), Ok((Line::End, 6)));
    }

    #[test]
    fn what_is_no_sample_is_bad() {
        for text in [
            "a\n",
            "a x\n",
            "1a 1\n",
            "a{ 1\n",
            "a{b} 1\n",
            "a{b=1} 1\n",
            "a{b=\"1} 1\n",
            "a{b=\"\\q\"} 1\n",
            "a{b=\"1\" c=\"2\"} 1\n",
            "a{b:c=\"1\"} 1\n",
            "a 1 x\n",
            "a 1 NaN\n",
            "a 1 2 3\n",
            "{\"a\"} 1\n",
            "<html>\n",
            "a-b 1\n",
            "+1\n",
            ": \n",
        ] {
            assert_eq!(parse(text.as_bytes()), Err(Unread::Bad(FaultKind::Parse)), "{text:?}");
        }
        assert_eq!(parse(b"a \xff\n"), Err(Unread::Bad(FaultKind::Parse)));
    }

    #[test]
    fn a_line_without_an_end_is_waited_for_up_to_a_limit() {
        assert_eq!(parse(b"a 1"), Err(Unread::Need(1)));
        assert_eq!(parse(&[b'a'; LINE_BYTES_MAX]), Err(Unread::Need(1)));
        assert_eq!(parse(&[b'a'; LINE_BYTES_MAX + 1]), Err(Unread::Bad(FaultKind::TooLarge)));
    }
}
