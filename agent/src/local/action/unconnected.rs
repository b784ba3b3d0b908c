//! What stands where `app` does not give what tests and what makes bundles yet: jobs that say so.

use std::sync::Arc;

use super::{File, MakeBundle, TestDevice};

pub(crate) fn unconnected_test() -> TestDevice {
    Arc::new(|_, _| Box::pin(async { Err("testing is not connected in this build".to_owned()) }))
}

pub(crate) fn unconnected_bundle() -> MakeBundle {
    Arc::new(|progress| {
        progress.attach(File { name: "none.txt".to_owned(), media_type: "text/plain", content: Vec::new() });
        Box::pin(async { Err("bundles are not connected in this build".to_owned()) })
    })
}
