//! What those who run the service look at: `/health`, `/ready`, `/metrics`, `/openapi.json`.
//!
//! None of these takes a credential and none tells anything about a tenant.

mod database;
pub(crate) mod http;
pub(crate) mod metrics;
pub(crate) mod requests;
pub(crate) mod slow;
