//! `cargo figures`: every promised figure beside its limit, measured in the same run.

use std::io::Write;

use clap::Args;

/// Which figures.
#[derive(Debug, Args)]
pub struct FiguresArgs {
    /// Only these; all without a name
    names: Vec<String>,
    /// End with one line of JSON
    #[arg(long)]
    json: bool,
}

/// Measures; `true` if every goal is met.
///
/// # Errors
/// Something could not be measured.
pub async fn run(_args: FiguresArgs, _out: &mut impl Write) -> anyhow::Result<bool> {
    anyhow::bail!("no figures yet")
}
