//! A device that prints lines on a serial port, which is a pseudo-terminal here.
//!
//! `SALE no=<counter> ms=<duration>` at a steady pace; the counter never repeats. It can be unplugged and plugged in again,
//! as a USB adapter can. Parity, handshake lines and baud rate do not exist on a pseudo-terminal.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{DeviceLog, Sent, Terminal};

/// A running printer of lines.
#[derive(Debug)]
pub struct LinePrinter {
    /// The port, a link that stays the same while the pseudo-terminal behind it changes.
    pub port: PathBuf,
    /// What it sent.
    pub log: DeviceLog,
    stop: CancellationToken,
    plug: tokio::sync::watch::Sender<bool>,
    task: JoinHandle<anyhow::Result<Option<Terminal>>>,
}

/// A printer that prints no more. Its port stays open until this is dropped: what the agent has not read yet would be gone
/// with it.
#[derive(Debug)]
pub struct Stopped {
    /// What it sent.
    pub log: DeviceLog,
    _terminal: Option<Terminal>,
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
        let terminal = Terminal::plug_in(&line.port)?;
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
    mut terminal: Option<Terminal>,
    every: Duration,
    plugged: tokio::sync::watch::Receiver<bool>,
    stop: CancellationToken,
) -> anyhow::Result<Option<Terminal>> {
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
            (None, true) => terminal = Some(Terminal::plug_in(&line.port)?),
            (None, false) => {}
        }
    }
}

impl Line {
    fn print(&mut self, terminal: &Terminal) -> anyhow::Result<()> {
        // Lines that nobody reads would fill the terminal's buffer, and are nobody's loss.
        let held = terminal.is_held()?;
        if !held {
            return Ok(());
        }
        let n = self.next;
        let line = format!("SALE no={n} ms={}.5\r\n", 200 + n % 700);
        let written = terminal.write(line.as_bytes());
        // Somebody who let go of the port in between owes nothing; a part of a line is no line.
        let whole = written.is_ok_and(|bytes| bytes == line.len());
        self.next += 1;
        self.log.note(Sent { n, at: Instant::now(), owed: whole && terminal.is_held()? })
    }
}
