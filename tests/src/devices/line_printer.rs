//! A device that prints lines on a serial port, which is a pseudo-terminal here.
//!
//! `SALE no=<counter> ms=<duration>` at a steady pace; the counter never repeats. It can be unplugged and plugged in again,
//! as a USB adapter can. Parity, handshake lines and baud rate do not exist on a pseudo-terminal.

use std::fs::File;
use std::os::fd::AsFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{PtyMaster, grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};
use nix::unistd::write;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{DeviceLog, Sent};

/// A running printer of lines.
#[derive(Debug)]
pub struct LinePrinter {
    /// The port, a link that stays the same while the pseudo-terminal behind it changes.
    pub port: PathBuf,
    /// What it sent.
    pub log: DeviceLog,
    stop: CancellationToken,
    plug: tokio::sync::watch::Sender<bool>,
    task: JoinHandle<anyhow::Result<Option<PtyMaster>>>,
}

/// A printer that prints no more. Its port stays open until this is dropped: what the agent has not read yet would be gone
/// with it.
#[derive(Debug)]
pub struct Stopped {
    /// What it sent.
    pub log: DeviceLog,
    _terminal: Option<PtyMaster>,
}

impl LinePrinter {
    /// Begins to print on the port `<dir>/<name>`, once in `every`.
    ///
    /// # Errors
    /// No pseudo-terminal can be had.
    pub fn start(dir: &Path, name: &str, every: Duration) -> anyhow::Result<Self> {
        let port = dir.join(name);
        let log = DeviceLog::create(&dir.join(format!("{name}.log")))?;
        let stop = CancellationToken::new();
        let (plug, plugged) = tokio::sync::watch::channel(true);
        let line = Line { port: port.clone(), log: log.clone(), next: 1 };
        let terminal = line.plug_in()?;
        #[expect(clippy::disallowed_methods, reason = "joined by stop(); ends with the process otherwise")]
        let task = tokio::spawn(print(line, Some(terminal), every, plugged, stop.clone()));
        Ok(Self { port, log, stop, plug, task })
    }

    /// Pulls the plug: the port goes away.
    pub fn unplug(&self) {
        self.plug.send_replace(false);
    }

    /// Plugs it in again: the port is back, on another pseudo-terminal.
    pub fn plug(&self) {
        self.plug.send_replace(true);
    }

    /// Stops printing.
    ///
    /// # Errors
    /// It had failed.
    pub async fn stop(self) -> anyhow::Result<Stopped> {
        self.stop.cancel();
        let terminal = self.task.await??;
        Ok(Stopped { log: self.log, _terminal: terminal })
    }
}

struct Line {
    port: PathBuf,
    log: DeviceLog,
    next: u64,
}

async fn print(
    mut line: Line,
    mut terminal: Option<PtyMaster>,
    every: Duration,
    plugged: tokio::sync::watch::Receiver<bool>,
    stop: CancellationToken,
) -> anyhow::Result<Option<PtyMaster>> {
    let mut pace = tokio::time::interval(every);
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(terminal),
            _ = pace.tick() => {}
        }
        let wanted = *plugged.borrow();
        match (&terminal, wanted) {
            (Some(terminal), true) => line.print(terminal)?,
            (Some(_), false) => {
                // The link first: the number of the terminal may be somebody else's in a moment.
                std::fs::remove_file(&line.port)?;
                terminal = None;
            }
            (None, true) => terminal = Some(line.plug_in()?),
            (None, false) => {}
        }
    }
}

impl Line {
    /// Makes a pseudo-terminal and points the port's link to it.
    fn plug_in(&self) -> anyhow::Result<PtyMaster> {
        // Close-on-exec from the start: a child of ours that held it too would keep the port from ever hanging up.
        let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        let master = posix_openpt(flags).context("a pseudo-terminal")?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let name = ptsname_r(&master)?;
        let slave =
            File::options().read(true).write(true).custom_flags(OFlag::O_NOCTTY.bits()).open(&name)?;
        let mut settings = tcgetattr(&slave)?;
        // Otherwise the terminal would echo and translate line ends.
        cfmakeraw(&mut settings);
        tcsetattr(&slave, SetArg::TCSANOW, &settings)?;
        let fresh = self.port.with_extension("new");
        std::os::unix::fs::symlink(&name, &fresh).context("the port's link")?;
        std::fs::rename(&fresh, &self.port)?;
        Ok(master)
    }

    fn print(&mut self, terminal: &PtyMaster) -> anyhow::Result<()> {
        // Lines that nobody reads would fill the terminal's buffer, and are nobody's loss.
        let held = is_held(terminal)?;
        if !held {
            return Ok(());
        }
        let n = self.next;
        let line = format!("SALE no={n} ms={}.5\r\n", 200 + n % 700);
        let written = write(terminal.as_fd(), line.as_bytes());
        // Somebody who let go of the port in between owes nothing; a part of a line is no line.
        let whole = written.is_ok_and(|bytes| bytes == line.len());
        self.next += 1;
        self.log.note(Sent { n, at: Instant::now(), owed: whole && is_held(terminal)? })
    }
}

/// Whether somebody has the other side open.
fn is_held(terminal: &PtyMaster) -> anyhow::Result<bool> {
    let mut polled = [PollFd::new(terminal.as_fd(), PollFlags::POLLOUT)];
    poll(&mut polled, PollTimeout::ZERO)?;
    Ok(!polled[0].revents().unwrap_or(PollFlags::POLLHUP).contains(PollFlags::POLLHUP))
}
