//! Child processes that cannot outlive us.
//!
//! A child is this very binary in another role (`storepulse-testbed agent …`), because `cargo test` builds no other
//! package's binaries. It holds the end of a pipe as its standard input, and kills itself when the other end closes: by our
//! wish, or because we are gone.

use std::ffi::OsStr;
use std::fmt::Debug;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A child in one of our roles.
#[derive(Debug)]
pub struct Role {
    child: Child,
    log: PathBuf,
}

impl Role {
    /// Starts `<testbed> <args…>`; what it says goes to the end of `log`.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start<A: AsRef<OsStr> + Debug>(testbed: &Path, args: &[A], log: &Path) -> anyhow::Result<Self> {
        let file =
            File::options().create(true).append(true).open(log).with_context(|| log.display().to_string())?;
        let child = Command::new(testbed)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(file.try_clone()?)
            .stderr(file)
            .env_remove("RUST_LOG")
            .spawn()
            .with_context(|| format!("{} {args:?}", testbed.display()))?;
        Ok(Self { child, log: log.to_owned() })
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL, as the power switch would.
    ///
    /// # Errors
    /// It cannot be signalled or waited for.
    pub fn kill(mut self) -> anyhow::Result<ExitStatus> {
        self.child.kill()?;
        Ok(self.child.wait()?)
    }

    /// SIGTERM.
    ///
    /// # Errors
    /// It cannot be signalled.
    pub fn terminate(&self) -> anyhow::Result<()> {
        Ok(kill(Pid::from_raw(i32::try_from(self.child.id())?), Signal::SIGTERM)?)
    }

    /// SIGTERM, and wait for the end.
    ///
    /// # Errors
    /// It does not end in 20 s.
    pub async fn stop(mut self) -> anyhow::Result<ExitStatus> {
        self.terminate()?;
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            anyhow::ensure!(
                Instant::now() < deadline,
                "pid {} does not end\n{}",
                self.child.id(),
                self.said()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Whether it has ended by itself.
    ///
    /// # Errors
    /// It cannot be waited for.
    pub fn ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// All it has said.
    #[must_use]
    pub fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        // Both fail only if it has ended and been waited for already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// In a child: end at once when the parent's end of our standard input closes.
pub fn end_with_parent() {
    std::thread::spawn(|| {
        let mut byte = [0];
        // End of file or an error both mean that nobody holds the other end.
        while std::io::stdin().read(&mut byte).is_ok_and(|n| n > 0) {}
        let _ = kill(Pid::this(), Signal::SIGKILL);
    });
}
