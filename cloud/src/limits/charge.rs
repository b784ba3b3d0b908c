//! What a request takes, from its head alone: nothing is read or inflated for it.

use axum::http::header::CONTENT_LENGTH;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use storepulse_shared::batch::Lane;
use storepulse_shared::batch::header::{self, BatchHeader};

use super::account::{Book, Cost};

/// What is charged, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Charge {
    pub(super) book: Book,
    pub(super) cost: Cost,
}

impl Charge {
    /// Of a request. What the head does not tell (the samples of a body without `StorePulse-Batch`, the bytes of one without
    /// `Content-Length`) is owed afterwards.
    pub(crate) fn of(parts: &Parts) -> Self {
        let mut cost = Cost { requests: 1, ..Cost::default() };
        if is_question(&parts.method, parts.uri.path()) {
            return Self { book: Book::Reading, cost };
        }
        let batch =
            parts.headers.get(header::NAME).and_then(|text| text.to_str().ok()?.parse::<BatchHeader>().ok());
        let is_critical = batch.as_ref().is_some_and(|batch| batch.lane == Lane::Critical);
        if parts.method != Method::DELETE {
            cost.samples = batch.map_or(0, |batch| u64::from(batch.samples));
            cost.bytes = length(&parts.headers).unwrap_or(0);
        }
        Self { book: if is_critical { Book::Critical } else { Book::Ordinary }, cost }
    }
}

/// Everything that is got, and the Prometheus query API, which may also be asked with `POST`.
fn is_question(method: &Method, path: &str) -> bool {
    let of_query_api = || path.strip_prefix("/api/v1/").is_some_and(|rest| rest != "write");
    *method == Method::GET || *method == Method::HEAD || of_query_api()
}

/// What the sender says of its body, if it says so.
pub(crate) fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    const HEADER: &str = "0b37f9c2-7a52-4a4e-9a63-0d3a8f7d9c11/7; lane=normal; samples=94; sealed=7; \
                          sha256=00112233445566ff; offset-ms=0; clock=ok";

    fn of(method: &str, path: &str, headers: &[(&str, &str)]) -> (Book, u64, u64, u64) {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let Charge { book, cost } = Charge::of(&request.body(()).unwrap().into_parts().0);
        (book, cost.requests, cost.samples, cost.bytes)
    }

    #[test]
    fn the_head_tells_what_a_request_takes() {
        let batch = "/v1/metrics/batch";
        let critical = HEADER.replace("normal", "critical");
        let length = ("content-length", "600");
        assert_eq!(of("POST", batch, &[(header::NAME, HEADER), length]), (Book::Ordinary, 1, 94, 600));
        assert_eq!(of("POST", batch, &[(header::NAME, &critical), length]), (Book::Critical, 1, 94, 600));
        assert_eq!(of("DELETE", batch, &[(header::NAME, HEADER)]), (Book::Ordinary, 1, 0, 0));
        assert_eq!(of("POST", batch, &[(header::NAME, "nonsense"), length]), (Book::Ordinary, 1, 0, 600));
        assert_eq!(of("POST", "/api/v1/write", &[length]), (Book::Ordinary, 1, 0, 600));
        assert_eq!(of("POST", "/api/v1/query", &[length]), (Book::Reading, 1, 0, 0));
        assert_eq!(of("GET", "/v1/stores", &[]), (Book::Reading, 1, 0, 0));
    }
}
