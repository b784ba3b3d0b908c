//! The refusals that the routes of the query API share, as the document of the routes shows them.

use std::collections::BTreeMap;

use utoipa::IntoResponses;
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::{ContentBuilder, Ref, RefOr};

/// Where a store's key asks.
pub(crate) struct QueryRefusals;

/// Where an operator asks for a tenant.
pub(crate) struct TenantQueryRefusals;

const JSON: &str = "application/json";
const PROBLEM: &str = "application/problem+json";

/// In Prometheus' words.
const OF_QUERIES: [(&str, &str); 3] = [
    ("400", "`bad_data`: a parameter is not understood, or outside of the subset"),
    ("413", "the form is too large"),
    ("422", "`execution`: cannot be computed, or needs too much"),
];
/// Of whoever has a key of a store; as everywhere else (RFC 9457).
const OF_STORES: [(&str, &str); 2] =
    [("401", "no key, or one that opens nothing"), ("403", "suspended, or X-Tenant-ID names another tenant")];
/// Of an operator.
const OF_OPERATORS: [(&str, &str); 2] =
    [("401", "no operator's key, or one that opens nothing"), ("404", "no such tenant")];

impl IntoResponses for QueryRefusals {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        with(&OF_STORES)
    }
}

impl IntoResponses for TenantQueryRefusals {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        with(&OF_OPERATORS)
    }
}

fn with(credentials: &[(&str, &str)]) -> BTreeMap<String, RefOr<Response>> {
    let queries = OF_QUERIES.iter().map(|(status, why)| refusal(status, why, &[JSON]));
    let credentials = credentials.iter().map(|(status, why)| refusal(status, why, &[PROBLEM]));
    // The service is busy before anything of a query is looked at, or within it.
    let busy =
        refusal("503", "`timeout` or `unavailable`; or busy; come back after Retry-After", &[JSON, PROBLEM]);
    queries.chain(credentials).chain([busy]).collect()
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
