//! What a technician can have done from the page, behind a PIN: always a POST, with a token of the session.

mod jobs;

pub(crate) use self::jobs::{Job, JobState, Jobs, Progress};
