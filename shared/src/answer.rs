//! What the cloud (and a gateway) answers: an [`Ack`], or a [`Problem`] (RFC 9457).
//!
//! An agent takes an answer for its own only if it names the agent's batch: a captive portal must be able
//! neither to acknowledge nor to refuse data. Unknown fields are ignored, so that a newer cloud can say more.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::{BatchId, Epoch};

/// In the answer to `GET /health`: the time of whoever answers, Unix milliseconds UTC, finer than `Date`. A gateway that
/// does not know the time says [`TIME_UNKNOWN`]. An agent asks for it before it sends what a clock dated that nobody
/// vouches for.
pub const TIME_HEADER: &str = "storepulse-time";
/// What stands in [`TIME_HEADER`] instead of a time that is not known.
pub const TIME_UNKNOWN: &str = "unknown";

/// Media type of a [`Problem`].
pub const PROBLEM_MEDIA_TYPE: &str = "application/problem+json";

/// The answer 200 to a batch: it is committed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Ack {
    /// Always `success`.
    pub status: Success,
    /// The batch that was sent; of a flat body, the number that the cloud gave it.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub batch: BatchId,
    /// Samples of it that are stored.
    pub processed: u64,
    /// Whether it was stored by an earlier request.
    pub duplicate: bool,
    /// Samples of it that could not be taken; the others are stored.
    pub rejected: Vec<Rejected>,
    /// By epoch, the end of the contiguous range from 1 that was received or is void.
    #[cfg_attr(feature = "openapi", schema(value_type = BTreeMap<String, u64>))]
    pub through: BTreeMap<Epoch, u64>,
    /// The cloud's clock, Unix milliseconds UTC.
    pub server_time: i64,
    /// How fast the agent may send what it has in stock.
    pub pace: Pace,
    /// An operator has opened a window: the agent is to make a new key ([`crate::rotation`]).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rotate_key: bool,
    /// The version of the store's settings that an operator has set ([`crate::settings`]); absent if none ever were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<u64>,
}

/// The word `success`, as the guide's answer has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Success {
    /// Committed.
    Success,
}

/// Samples that could not be taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Rejected {
    /// Where they are in the body, as a JSON pointer to a time or a series of a frame
    /// (`/frames/0/t/3`, `/frames/0/m/hw.temperature`); a run of times is `/frames/0/t/3-17`.
    pub path: String,
    /// Why, as a word.
    pub reason: String,
    /// How many.
    pub samples: u64,
}

/// How fast, and how soon, an agent may send what it has in stock. Fresh data is not held back by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Pace {
    /// Bytes a second of backlog.
    pub backlog_bytes_per_s: u64,
    /// Wait this long before the next batch of backlog.
    pub start_in_ms: u64,
}

/// A refusal, as `application/problem+json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Problem {
    /// `urn:storepulse:problem:<code>`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The HTTP status once more.
    pub status: u16,
    /// The word that programs compare.
    pub code: String,
    /// What is wrong in general.
    pub title: String,
    /// What is wrong here, with the value and the way out.
    pub detail: String,
    /// The batch that is refused; its number is closed with 400, 409, 410, 413 and 422.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub batch: Option<BatchId>,
    /// The limit that was exceeded, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
}

impl Problem {
    /// A problem without batch and limit; the title follows from the status.
    #[must_use]
    pub fn of(status: u16, code: &str, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:storepulse:problem:{code}"),
            status,
            code: code.to_owned(),
            title: title(status).to_owned(),
            detail: detail.into(),
            batch: None,
            limit: None,
        }
    }
}

/// What is wrong in general.
fn title(status: u16) -> &'static str {
    match status {
        401 => "the credential opens nothing",
        403 => "the credential may not do this",
        404 => "not found",
        409 => "in conflict with what is there",
        410 => "the number is closed",
        413 => "too large",
        422 => "nothing of it can be stored",
        429 => "over a limit",
        500 => "internal error",
        503 => "busy",
        _ => "the request is not understood",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frozen_ack_is_read_and_written_back() {
        let text = include_str!("../testdata/ack.json").trim();
        let ack: Ack = serde_json::from_str(text).unwrap();
        assert_eq!(ack.batch.seq, 42);
        assert_eq!(serde_json::to_string(&ack).unwrap(), text);
    }

    #[test]
    fn the_frozen_problem_is_read_and_written_back() {
        let text = include_str!("../testdata/problem.json").trim();
        let problem: Problem = serde_json::from_str(text).unwrap();
        assert_eq!(problem.limit, Some(1_048_576));
        assert_eq!(problem.title, title(413));
        assert_eq!(serde_json::to_string(&problem).unwrap(), text);
    }

    #[test]
    fn a_foreign_200_is_not_an_ack_and_a_newer_one_is() {
        let frozen = include_str!("../testdata/ack.json").trim();
        for foreign in
            ["{}", r#"{"status":"ok"}"#, "<html>Welcome</html>", &frozen.replace("success", "fine")]
        {
            assert!(serde_json::from_str::<Ack>(foreign).is_err(), "{foreign}");
        }
        let newer = frozen.replacen('{', r#"{"news":1,"#, 1);
        assert!(serde_json::from_str::<Ack>(&newer).is_ok());
    }
}
