//! `cargo isolation`: every way that a tenant could see another one's data, tried.

use std::io::Write;

use clap::Args;

/// What to try.
#[derive(Debug, Args)]
pub struct IsolationArgs {
    /// End with one line of JSON
    #[arg(long)]
    json: bool,
}

/// Tries everything; `true` if nothing leaked.
///
/// # Errors
/// Something could not be tried.
pub async fn run(_args: IsolationArgs, _out: &mut impl Write) -> anyhow::Result<bool> {
    anyhow::bail!("no isolation suite yet")
}
