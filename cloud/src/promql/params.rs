//! Parameters of a request, from its query string and, with POST, from a form in its body: times, durations, texts.

use axum::extract::{FromRequest, Request};
use axum::http::Method;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::answer::QueryError;

/// Longest form, in bytes. Beyond: 413.
const FORM_BYTES_MAX: usize = 256 << 10;
/// Most parameters of one name that counts more than once.
const REPEATED_MAX: usize = 64;
/// Farthest from 1970 that a time may be, in milliseconds: some 290,000 years, as in Prometheus.
const TIME_MAX_MS: f64 = 9.2e15;
/// What Prometheus' clients write for the beginning and the end of all time.
const ENDS_OF_TIME: [&str; 2] = ["-292273086-05-16T16:47:06Z", "292277025-08-18T07:12:54.999999999Z"];

/// Names and values, the body's first.
#[derive(Debug)]
pub(crate) struct Params(Vec<(String, String)>);

impl<S: Send + Sync> FromRequest<S> for Params {
    type Rejection = QueryError;

    async fn from_request(request: Request, _: &S) -> Result<Self, QueryError> {
        let (parts, body) = request.into_parts();
        let mut pairs = Vec::new();
        if parts.method == Method::POST {
            let body = axum::body::to_bytes(body, FORM_BYTES_MAX).await;
            let body = body.map_err(|_| {
                QueryError::TooLarge(format!(
                    "the form could not be read, or has more than {FORM_BYTES_MAX} bytes"
                ))
            })?;
            pairs.extend(form_urlencoded::parse(&body).into_owned());
        }
        let query = parts.uri.query().unwrap_or_default();
        pairs.extend(form_urlencoded::parse(query.as_bytes()).into_owned());
        Ok(Self(pairs))
    }
}

impl Params {
    /// The first value of this name that is not empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, value)| n == name && !value.is_empty()).map(|(_, value)| &**value)
    }

    /// All values of this name.
    pub(super) fn all(&self, name: &str) -> Result<Vec<&str>, QueryError> {
        let all: Vec<&str> = self.0.iter().filter(|(n, _)| n == name).map(|(_, value)| &**value).collect();
        if all.len() > REPEATED_MAX {
            return Err(QueryError::parameter(name, format!("{} times: at most {REPEATED_MAX}", all.len())));
        }
        Ok(all)
    }

    pub(super) fn required(&self, name: &str) -> Result<&str, QueryError> {
        self.get(name).ok_or_else(|| QueryError::parameter(name, "it is missing"))
    }

    /// Unix milliseconds.
    pub(super) fn time(&self, name: &str) -> Result<Option<i64>, QueryError> {
        self.get(name)
            .map(|text| parse_time(text).map_err(|why| QueryError::parameter(name, why)))
            .transpose()
    }

    pub(super) fn required_time(&self, name: &str) -> Result<i64, QueryError> {
        parse_time(self.required(name)?).map_err(|why| QueryError::parameter(name, why))
    }

    /// Milliseconds.
    pub(super) fn duration(&self, name: &str) -> Result<Option<i64>, QueryError> {
        self.get(name)
            .map(|text| parse_duration(text).map_err(|why| QueryError::parameter(name, why)))
            .transpose()
    }
}

/// Seconds since 1970, with a fraction, or RFC 3339.
fn parse_time(text: &str) -> Result<i64, String> {
    let refused = || format!("cannot parse {text:.60?} to a valid timestamp");
    if let Ok(seconds) = text.parse::<f64>() {
        return milliseconds(seconds).ok_or_else(refused);
    }
    if ENDS_OF_TIME.contains(&text) {
        return milliseconds(if text.starts_with('-') { -TIME_MAX_MS } else { TIME_MAX_MS } / 1_000.0)
            .ok_or_else(refused);
    }
    let time = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| refused())?;
    i64::try_from(time.unix_timestamp_nanos().div_euclid(1_000_000)).map_err(|_| refused())
}

/// Seconds, with a fraction, or a text such as `1h30m`.
fn parse_duration(text: &str) -> Result<i64, String> {
    let refused = || format!("cannot parse {text:.60?} to a valid duration");
    if let Ok(seconds) = text.parse::<f64>() {
        return milliseconds(seconds).ok_or_else(refused);
    }
    let mut rest = text;
    let mut total: i64 = 0;
    // Each unit once, the longest first.
    for (unit, ms) in [
        ("y", 365 * 86_400_000),
        ("w", 7 * 86_400_000),
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1_000),
        ("ms", 1_i64),
    ] {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let Some(behind) = rest[digits..].strip_prefix(unit) else { continue };
        // `5ms` is not `5m` and an `s`.
        if digits == 0 || behind.starts_with(|c: char| !c.is_ascii_digit()) {
            continue;
        }
        let count: i64 = rest[..digits].parse().map_err(|_| refused())?;
        total = count.checked_mul(ms).and_then(|ms| total.checked_add(ms)).ok_or_else(refused)?;
        rest = behind;
    }
    #[expect(clippy::cast_precision_loss, reason = "compared with a bound far below 2^63")]
    let fits = total as f64 <= TIME_MAX_MS;
    if rest.is_empty() && !text.is_empty() && fits { Ok(total) } else { Err(refused()) }
}

#[expect(clippy::cast_possible_truncation, reason = "within bounds, and whole milliseconds are meant")]
fn milliseconds(seconds: f64) -> Option<i64> {
    let ms = (seconds * 1_000.0).round();
    (ms.abs() <= TIME_MAX_MS).then_some(ms as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_or_dates() {
        for (text, ms) in [
            ("1435781451.781", 1_435_781_451_781),
            ("0", 0),
            ("-1.5", -1_500),
            ("1e3", 1_000_000),
            ("2015-07-01T20:10:51.781Z", 1_435_781_451_781),
            ("2015-07-01T22:10:51+02:00", 1_435_781_451_000),
        ] {
            assert_eq!(parse_time(text), Ok(ms), "{text}");
        }
        for text in ENDS_OF_TIME {
            assert!(parse_time(text).unwrap().abs() > 4_102_444_800_000);
        }
        for text in ["", "yesterday", "NaN", "inf", "1e300", "2015-07-01"] {
            assert!(parse_time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_are_seconds_or_units() {
        for (text, ms) in [
            ("15", 15_000),
            ("0.5", 500),
            ("1h30m", 5_400_000),
            ("5ms", 5),
            ("1m5ms", 60_005),
            ("1d", 86_400_000),
        ] {
            assert_eq!(parse_duration(text), Ok(ms), "{text}");
        }
        for text in ["", "h", "5", "1m1h", "5x", "1.5h", "99999999999999999999y", "9999999999y", "NaN"] {
            assert!(text == "5" || parse_duration(text).is_err(), "{text}");
        }
    }
}
