//! What an answer means: every status, every body, in one place.
//!
//! Nothing here can destroy data. A batch counts as delivered only by an ack that names it, and as refused only by a
//! problem that names it; whatever else comes back (a captive portal's page, a redirect, a proxy's error) is a failure
//! of the way, and the batch is sent again.

use std::time::Duration;

use storepulse_shared::answer::{Ack, PROBLEM_MEDIA_TYPE, Problem};
use storepulse_shared::ids::BatchId;
use storepulse_shared::limits::RETRY_AFTER_MAX;

use super::cause::{Cause, Failure, of_answer};

/// An answer as it came.
#[derive(Debug)]
pub(super) struct Answer {
    pub status: u16,
    pub media_type: Option<String>,
    pub retry_after: Option<String>,
    pub body: Vec<u8>,
}

/// What to do.
#[derive(Debug, PartialEq)]
pub(super) enum Outcome {
    /// The cloud has it.
    Acked(Box<Ack>),
    /// Its number is closed, and it was too large: cut it.
    TooLarge(String),
    /// Its number was closed before: give its content a new one.
    Closed,
    /// Its number holds another body.
    Conflict,
    /// Its number is closed, and it was not understood: keep it for people.
    Refused(String),
    /// The key or the store is refused: hold everything.
    Held(Failure),
    /// Come back after this time.
    Wait(Duration, Failure),
    /// The way is broken.
    Failing(Failure),
}

pub(super) fn judge(answer: &Answer, batch: BatchId) -> Outcome {
    let failure = |why: String| Failure::new(of_answer(answer, problem(answer).is_some()), why);
    match answer.status {
        200 => match serde_json::from_slice::<Ack>(&answer.body) {
            Ok(ack) if ack.batch == batch => Outcome::Acked(Box::new(ack)),
            Ok(ack) => {
                let why = format!("the answer acknowledges {}, not {batch}", ack.batch);
                Outcome::Failing(Failure::new(Cause::Server, why))
            }
            Err(_) => {
                let why = "something between here and the cloud answers with a page of its own (a captive portal or a proxy)";
                Outcome::Failing(failure(why.to_owned()))
            }
        },
        status @ (400 | 409 | 410 | 413 | 422) => match problem(answer).filter(|p| p.batch == Some(batch)) {
            Some(problem) => refused(status, &problem),
            None => {
                Outcome::Failing(failure(format!("{status}, but not about this batch: {}", said(answer))))
            }
        },
        status @ (401 | 403 | 404) => Outcome::Held(failure(format!("{status}: {}", said(answer)))),
        status @ (429 | 503) => match answer.retry_after.as_deref().and_then(|s| s.trim().parse().ok()) {
            Some(seconds) => {
                let wait = Duration::from_secs(seconds).min(RETRY_AFTER_MAX);
                Outcome::Wait(wait, Failure::new(Cause::Busy, format!("{status}: {}", said(answer))))
            }
            None => Outcome::Failing(failure(format!("{status}: {}", said(answer)))),
        },
        status => Outcome::Failing(failure(format!("{status}: {}", said(answer)))),
    }
}

fn refused(status: u16, problem: &Problem) -> Outcome {
    let text = format!("{status} {}: {}", problem.code, problem.detail);
    match status {
        409 => Outcome::Conflict,
        410 => Outcome::Closed,
        413 => Outcome::TooLarge(text),
        _ => Outcome::Refused(text),
    }
}

fn problem(answer: &Answer) -> Option<Problem> {
    let media_type = answer.media_type.as_deref()?.split(';').next()?.trim();
    media_type
        .eq_ignore_ascii_case(PROBLEM_MEDIA_TYPE)
        .then(|| serde_json::from_slice(&answer.body).ok())
        .flatten()
}

/// The detail of a problem; of anything else only its type, since a page is no explanation.
fn said(answer: &Answer) -> String {
    match problem(answer) {
        Some(problem) => problem.detail,
        None => answer.media_type.clone().unwrap_or_else(|| "no explanation".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BATCH: &str = "0b37f9c2-7a52-4a4e-9a63-0d3a8f7d9c11/42";

    fn answer(status: u16, media_type: &str, body: &str) -> Answer {
        Answer {
            status,
            media_type: Some(media_type.to_owned()),
            retry_after: None,
            body: body.as_bytes().to_vec(),
        }
    }

    fn about(status: u16, batch: &str) -> Answer {
        let body = format!(
            r#"{{"type":"urn:x","status":{status},"code":"the_code","title":"t","detail":"the detail","batch":"{batch}"}}"#
        );
        answer(status, "application/problem+json; charset=utf-8", &body)
    }

    fn ack(batch: &str) -> String {
        format!(
            r#"{{"status":"success","batch":"{batch}","processed":1,"duplicate":false,"rejected":[],"through":{{}},
            "server_time":1,"pace":{{"backlog_bytes_per_s":1,"start_in_ms":0}}}}"#
        )
    }

    fn of(answer: &Answer) -> Outcome {
        judge(answer, BATCH.parse().unwrap())
    }

    #[test]
    fn only_an_ack_that_names_the_batch_is_one() {
        assert!(matches!(of(&answer(200, "application/json", &ack(BATCH))), Outcome::Acked(_)));
        let other = BATCH.replace("/42", "/43");
        for body in
            [ack(&other), "<html>Welcome to the shop's wifi</html>".into(), "{}".into(), String::new()]
        {
            assert!(matches!(of(&answer(200, "text/html", &body)), Outcome::Failing(_)), "{body}");
        }
        for status in [201, 202, 204, 301, 302, 307] {
            assert!(
                matches!(of(&answer(status, "application/json", &ack(BATCH))), Outcome::Failing(_)),
                "{status}"
            );
        }
    }

    #[test]
    fn only_a_problem_that_names_the_batch_refuses_it() {
        let text = "the_code: the detail";
        assert_eq!(of(&about(400, BATCH)), Outcome::Refused(format!("400 {text}")));
        assert_eq!(of(&about(422, BATCH)), Outcome::Refused(format!("422 {text}")));
        assert_eq!(of(&about(413, BATCH)), Outcome::TooLarge(format!("413 {text}")));
        assert_eq!(of(&about(409, BATCH)), Outcome::Conflict);
        assert_eq!(of(&about(410, BATCH)), Outcome::Closed);
        for status in [400, 409, 410, 413, 422] {
            for foreign in [
                about(status, &BATCH.replace("/42", "/43")),
                answer(status, "application/problem+json", "{}"),
                answer(status, "application/json", &String::from_utf8(about(status, BATCH).body).unwrap()),
                answer(status, "text/html", "<html>"),
            ] {
                assert!(matches!(of(&foreign), Outcome::Failing(_)), "{status} {foreign:?}");
            }
        }
    }

    #[test]
    fn a_refused_key_holds_whoever_refuses_it() {
        for status in [401, 403, 404] {
            assert!(matches!(of(&answer(status, "text/html", "<html>")), Outcome::Held(_)), "{status}");
        }
        let refused = |status, cause| {
            let failure = Failure::new(cause, format!("{status}: the detail"));
            assert_eq!(of(&about(status, BATCH)), Outcome::Held(failure));
        };
        refused(401, Cause::Key);
        refused(403, Cause::Suspended);
        refused(404, Cause::Place);
    }

    #[test]
    fn an_answer_tells_who_gave_it() {
        let cause = |answer: &Answer| match of(answer) {
            Outcome::Held(failure) | Outcome::Failing(failure) | Outcome::Wait(_, failure) => failure.cause,
            other => panic!("{other:?}"),
        };
        let page = |status| cause(&answer(status, "text/html", "<html>sign in</html>"));
        assert_eq!([200, 302, 307, 403, 511].map(page), [Cause::Portal; 5]);
        assert_eq!([400, 500, 502, 503, 504].map(page), [Cause::Server; 5]);
        assert_eq!([401, 404, 407, 429].map(page), [Cause::Key, Cause::Place, Cause::Proxy, Cause::Busy]);
        let mut busy = about(503, BATCH);
        busy.retry_after = Some("7".to_owned());
        assert_eq!(cause(&busy), Cause::Busy);
        assert_eq!(
            cause(&answer(200, "application/json", &ack(&BATCH.replace("/42", "/43")))),
            Cause::Server
        );
    }

    #[test]
    fn retry_after_is_obeyed_and_clamped() {
        for (said, waited) in [("7", 7), ("0", 0), ("999999999", 3_600)] {
            let mut busy = about(503, BATCH);
            busy.retry_after = Some(said.to_owned());
            assert!(matches!(of(&busy), Outcome::Wait(d, _) if d == Duration::from_secs(waited)), "{said}");
        }
        let mut busy = about(429, BATCH);
        for unclear in [None, Some("soon".to_owned()), Some("-1".to_owned())] {
            busy.retry_after = unclear;
            assert!(matches!(of(&busy), Outcome::Failing(_)));
        }
    }

    #[test]
    fn everything_else_is_a_failure_of_the_way() {
        for status in [100, 300, 402, 405, 407, 408, 415, 418, 500, 502, 504, 511] {
            assert!(matches!(of(&about(status, BATCH)), Outcome::Failing(_)), "{status}");
        }
    }
}
