//! What a technician can have done from the page, behind a PIN: always a POST, with a token of the session.

mod connect;
mod jobs;
mod routes;
mod runner;
mod sign_in;
mod watch;

use std::pin::Pin;
use std::sync::Arc;

use serde_json::Value;
use storepulse_shared::ids::DeviceId;

pub(crate) use self::connect::{bundle_by, test_by};
pub(crate) use self::jobs::{File, Job, JobState, Jobs, Progress};

pub(crate) use self::routes::{
    begin_maintenance, end_maintenance, identify, make_bundle, show_bundle, show_job, test_device,
};
pub(crate) use self::sign_in::{show_sign_in, sign_in, sign_out};

/// Work of a job, until its outcome.
pub(crate) type Outcome = Pin<Box<dyn Future<Output = Result<Value, String>> + Send>>;
/// Tests a device now; the outcome is what was found, as JSON.
pub(crate) type TestDevice = Arc<dyn Fn(DeviceId, Progress) -> Outcome + Send + Sync>;
/// Makes a support bundle and attaches it; the outcome names it.
pub(crate) type MakeBundle = Arc<dyn Fn(Progress) -> Outcome + Send + Sync>;

#[cfg(test)]
mod tests;
