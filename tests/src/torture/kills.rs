//! SIGKILL at random moments.
use std::io::Write;
use std::path::Path;
use super::TortureArgs;
pub(super) async fn run(_args: TortureArgs, _testbed: &Path, _out: &mut impl Write) -> anyhow::Result<bool> {
    anyhow::bail!("not yet")
}
