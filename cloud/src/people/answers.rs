//! The refusals that people's routes share, as the document of the routes shows them.

use std::collections::BTreeMap;

use utoipa::IntoResponses;
use utoipa::openapi::RefOr;
use utoipa::openapi::response::Response;

use crate::operator::answers::{self, refusal};

/// Of a route that only reads.
pub(crate) struct ReadRefusals;

/// Of a route that changes something.
pub(crate) struct ChangeRefusals;

const OF_PEOPLE: [(&str, &str); 2] = [
    ("401", "no access token, or one whose session is over"),
    ("403", "the role may not do this; the password has to be changed first; or the tenant is not active"),
];

impl IntoResponses for ReadRefusals {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        with_peoples(answers::ReadRefusals::responses())
    }
}

impl IntoResponses for ChangeRefusals {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        with_peoples(answers::ChangeRefusals::responses())
    }
}

fn with_peoples(mut shared: BTreeMap<String, RefOr<Response>>) -> BTreeMap<String, RefOr<Response>> {
    shared.extend(OF_PEOPLE.iter().map(refusal));
    shared
}
