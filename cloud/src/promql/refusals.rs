//! The refusals that the routes of the query API share, as the document of the routes shows them.

use std::collections::BTreeMap;

use utoipa::IntoResponses;
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::{ContentBuilder, Ref, RefOr};

/// Of whoever asks.
pub(crate) struct QueryRefusals;

const JSON: &str = "application/json";
const PROBLEM: &str = "application/problem+json";

/// In Prometheus' words.
const OF_QUERIES: [(&str, &str); 3] = [
    ("400", "`bad_data`: a parameter is not understood, or outside of the subset"),
    ("413", "the form is too large"),
    ("422", "`execution`: cannot be computed, or needs too much"),
];
/// As everywhere else (RFC 9457).
const OF_CREDENTIALS: [(&str, &str); 2] = [
    ("401", "no credential, or one that opens nothing"),
    ("403", "suspended, X-Tenant-ID names another tenant, or the role may not do this"),
];
impl IntoResponses for QueryRefusals {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let queries = OF_QUERIES.iter().map(|(status, why)| refusal(status, why, &[JSON]));
        let credentials = OF_CREDENTIALS.iter().map(|(status, why)| refusal(status, why, &[PROBLEM]));
        // The service is busy before anything of a query is looked at, or within it.
        let busy = refusal(
            "503",
            "`timeout` or `unavailable`; or busy; come back after Retry-After",
            &[JSON, PROBLEM],
        );
        queries.chain(credentials).chain([busy]).collect()
    }
}

fn refusal(status: &str, description: &str, types: &[&str]) -> (String, RefOr<Response>) {
    let response =
        types.iter().fold(ResponseBuilder::new().description(description), |response, media_type| {
            let schema =
                Ref::from_schema_name(if *media_type == PROBLEM { "Problem" } else { "QueryProblem" });
            response.content(*media_type, ContentBuilder::new().schema(Some(schema)).build())
        });
    (status.to_owned(), RefOr::T(response.build()))
}
