//! The refusals that operators' routes share, as the document of the routes shows them.

use std::collections::BTreeMap;

use utoipa::IntoResponses;
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::{ContentBuilder, Ref, RefOr};

/// Of a route that only reads.
pub(crate) struct ReadRefusals;

/// Of a route that changes something.
pub(crate) struct ChangeRefusals;

const OF_READS: [(&str, &str); 4] = [
    ("400", "not understood"),
    ("401", "no operator's key, or one that opens nothing"),
    ("404", "no such thing"),
    ("503", "busy; come back after Retry-After"),
];

const OF_CHANGES: [(&str, &str); 4] = [
    ("409", "what is there does not allow it; the detail names the way out"),
    ("413", "the body is too large"),
    ("422", "a value cannot be taken; the detail says what is allowed"),
    ("429", "`store_limit`: the tenant has as many stores as it may; or too many requests"),
];

impl IntoResponses for ReadRefusals {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        OF_READS.iter().map(refusal).collect()
    }
}

impl IntoResponses for ChangeRefusals {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        OF_READS.iter().chain(&OF_CHANGES).map(refusal).collect()
    }
}

/// A status with what it means.
pub(crate) fn refusal((status, description): &(&str, &str)) -> (String, RefOr<Response>) {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    let response =
        ResponseBuilder::new().description(*description).content("application/problem+json", content);
    ((*status).to_owned(), RefOr::T(response.build()))
}
