//! The parameters of a query that several reads share: a range of time, how much, and what is wrong with them.

use axum::http::StatusCode;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::app::now_ms;
use crate::problem::ApiError;

/// First and last time, both included, Unix milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TimeRange {
    pub from_ms: i64,
    pub to_ms: i64,
}

impl TimeRange {
    /// From two parameters, each Unix milliseconds or RFC 3339. Without `to` it ends now, without `from` it lasts
    /// `length_ms`.
    pub(super) fn parse(from: Option<&str>, to: Option<&str>, length_ms: i64) -> Result<Self, ApiError> {
        let to_ms = to.map_or_else(|| Ok(now_ms()), |text| time("to", text))?;
        let from_ms = from.map_or_else(|| Ok(to_ms.saturating_sub(length_ms)), |text| time("from", text))?;
        if from_ms > to_ms {
            return Err(bad_query(format!("from={from_ms} is after to={to_ms}")));
        }
        Ok(Self { from_ms, to_ms })
    }
}

fn time(name: &str, text: &str) -> Result<i64, ApiError> {
    if let Ok(unix_ms) = text.parse() {
        return Ok(unix_ms);
    }
    // In a query a plus that is not escaped is a blank.
    let time = OffsetDateTime::parse(&text.replace(' ', "+"), &Rfc3339).map_err(|_| {
        bad_query(format!("{name}={text}: neither Unix milliseconds nor RFC 3339 (2026-11-21T10:30:00Z)"))
    })?;
    Ok(i64::try_from(time.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX))
}

/// How many of something a page may hold.
pub(super) fn page_limit(limit: Option<i64>, default: i64, max: i64) -> Result<i64, ApiError> {
    let limit = limit.unwrap_or(default);
    if (1..=max).contains(&limit) { Ok(limit) } else { Err(bad_query(format!("limit={limit}: 1 to {max}"))) }
}

/// A parameter is not understood.
pub(super) fn bad_query(detail: impl Into<String>) -> ApiError {
    ApiError::refused(StatusCode::BAD_REQUEST, "bad_query", detail)
}

/// A read failed in the database. 57014: it took longer than a statement of a read may.
pub(super) fn failed_read(error: sqlx::Error) -> ApiError {
    match &error {
        sqlx::Error::Database(e) if e.code().as_deref() == Some("57014") => {
            let detail = "the read took too long: choose a shorter range, a device or a metric, or try again when less is going on";
            ApiError::refused(StatusCode::SERVICE_UNAVAILABLE, "read_timeout", detail)
        }
        _ => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_unix_milliseconds_or_rfc_3339() {
        for text in [
            "1763721000123",
            "2025-11-21T10:30:00.123Z",
            "2025-11-21T12:30:00.123+02:00",
            "2025-11-21T12:30:00.123 02:00",
        ] {
            assert_eq!(time("from", text).ok(), Some(1_763_721_000_123), "{text}");
        }
        for text in ["", "yesterday", "2025-11-21", "2025-11-21T10:30:00", "1e12", "99999999999999999999"] {
            assert!(time("from", text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_left_out_is_the_time_before_now() {
        let range = TimeRange::parse(None, Some("5000"), 1_000).unwrap();
        assert_eq!(range, TimeRange { from_ms: 4_000, to_ms: 5_000 });
        assert!(TimeRange::parse(Some("5001"), Some("5000"), 0).is_err());
        assert!(TimeRange::parse(None, Some("-9223372036854775808"), 1).is_ok());
    }
}
