//! What the cloud says to the key. It is asked for the stores that the key may see, which changes nothing: the cloud answers with
//! one, the store of the key, so that nobody else's page can be taken for its answer.

use storepulse_shared::answer::Problem as Told;
use storepulse_shared::key::StoreKey;

use super::super::check::Check;
use super::{ANSWER, portal};
use crate::finding::{Finding, Problem};

/// What is asked.
pub(super) const PATH: &str = "/v1/stores";

/// Judges an answer.
pub(super) fn judge(host: &str, key: &StoreKey, status: u16, body: &[u8]) -> Check {
    let told: Option<Told> = serde_json::from_slice(body).ok();
    let said = match &told {
        Some(told) => format!("{status} {}: {}", told.code, told.detail),
        None => status.to_string(),
    };
    let found = |problem, evidence: String| {
        let id = key.id().unwrap_or("imported");
        Check::found(ANSWER, Finding::new(problem).with("host", host).with("key_id", id), evidence)
    };
    match status {
        200 if is_ours(key, body) => {
            Check::pass(ANSWER, format!("200: the cloud knows the store {}", key.store()))
        }
        // A page, or another program.
        200..=399 | 511 => {
            let page = if looks_like_a_page(body) { "text/html" } else { "" };
            let why = portal::judge(host, status, "", page)
                .unwrap_or_else(|| format!("{said}, and not what the cloud says"));
            found(Problem::CaptivePortal, why)
        }
        // A portal or a firewall refuses with a page; the cloud refuses with a problem.
        401 | 403 if told.is_none() && looks_like_a_page(body) => {
            found(Problem::CaptivePortal, format!("{said}, with a page that is not the cloud's"))
        }
        401 => found(Problem::KeyRefused, said),
        403 => found(Problem::Suspended, said),
        404 => found(Problem::WrongPlace, said),
        407 => found(Problem::ProxyFailing, said),
        429 | 503 => found(Problem::CloudBusy, said),
        _ => found(Problem::CloudFailing, said),
    }
}

/// Whether it is what the cloud says to this key.
fn is_ours(key: &StoreKey, body: &[u8]) -> bool {
    let stores: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    stores["stores"][0]["id"] == key.store().as_str()
}

fn looks_like_a_page(body: &[u8]) -> bool {
    body.trim_ascii_start().first() == Some(&b'<')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::check::Outcome;

    #[test]
    fn answers_are_told_apart() {
        let key = StoreKey::issue(&"la-villa".parse().unwrap(), &"T01".parse().unwrap());
        let of = |status, body: &str| {
            let check = judge("cloud.example", &key, status, body.as_bytes());
            (check.outcome, check.finding.map(|finding| finding.problem))
        };
        let refused = serde_json::to_string(&Told::of(401, "unauthorized", "no")).unwrap();
        assert_eq!(of(200, r#"{"stores":[{"id":"T01"}]}"#), (Outcome::Pass, None));
        for (status, body, problem) in [
            (200, r#"{"stores":[{"id":"T02"}]}"#, Problem::CaptivePortal),
            (200, "<html>Welcome", Problem::CaptivePortal),
            (302, "", Problem::CaptivePortal),
            (403, " <!doctype html>", Problem::CaptivePortal),
            (401, &refused, Problem::KeyRefused),
            (403, &refused, Problem::Suspended),
            (404, "", Problem::WrongPlace),
            (407, "<html>", Problem::ProxyFailing),
            (500, "", Problem::CloudFailing),
        ] {
            assert_eq!(of(status, body), (Outcome::Fail, Some(problem)), "{status} {body}");
        }
        assert_eq!(of(503, ""), (Outcome::Warn, Some(Problem::CloudBusy)));
    }
}
