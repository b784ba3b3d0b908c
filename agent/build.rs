//! Writes down when this is built, which is the earliest that it can be wherever it runs. `SOURCE_DATE_EPOCH` (see
//! reproducible-builds.org) stands for now where it is set, so that the same source gives the same binary.

use std::time::{SystemTime, UNIX_EPOCH};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
    #[expect(
        clippy::disallowed_methods,
        reason = "a build script is told by its environment; what it builds is not"
    )]
    let told = std::env::var("SOURCE_DATE_EPOCH").ok().and_then(|seconds| seconds.parse::<u64>().ok());
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    println!("cargo::rustc-env=STOREPULSE_BUILD_SECONDS={}", told.unwrap_or_else(now));
}
