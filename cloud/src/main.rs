//! The service's binary: the command line is the library's.

use std::process::ExitCode;

fn main() -> ExitCode {
    storepulse_cloud::run_cli(std::env::args_os())
}
