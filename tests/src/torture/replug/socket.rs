//! A device that is pulled and plugged in again and again, half of the times under another name of the kernel's.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use rand::RngExt as _;
use rand::rngs::StdRng;
use storepulse_agent::time::now_ms;
use tokio::sync::watch;

use super::super::rounds::wait_ms;
use crate::devices::Terminal;

/// How long it stays plugged in after it was recovered, and how long it is away, in milliseconds.
const LIFE_MS: std::ops::Range<u64> = 50..700;
const ABSENCE_MS: std::ops::Range<u64> = 20..2_500;
/// How often it looks at its port.
const LOOK: Duration = Duration::from_millis(10);
/// A line printer prints so often.
const PRINT: Duration = Duration::from_millis(50);
/// Pseudo-terminals that are tried for the same name.
const TRIES: usize = 64;
/// How long a device may take until it is given up.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the device does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Prints lines by itself.
    Talks,
    /// Answers the status questions of a receipt printer.
    Answers,
}

/// One absence.
#[derive(Debug, Clone)]
pub(super) struct Round {
    pub device: String,
    /// Whether the kernel's name was another one afterwards.
    pub renamed: bool,
    /// From pulling to plugging in.
    pub absent: Duration,
    /// From plugging in until the agent had a reading again.
    pub recovered: Duration,
}

/// A socket with its device.
pub(super) struct Socket {
    pub device: String,
    pub way: Way,
    pub port: PathBuf,
    terminal: Option<Terminal>,
    rng: StdRng,
    printed: Instant,
    line: u64,
}

/// What the agent knows of all devices; `None` before it was first asked.
pub(super) type Known = watch::Receiver<Option<serde_json::Value>>;

impl Socket {
    pub(super) fn new(device: String, way: Way, port: PathBuf, rng: StdRng) -> anyhow::Result<Self> {
        let terminal = Some(Terminal::plug_in(&port)?);
        Ok(Self { device, way, port, terminal, rng, printed: Instant::now(), line: 0 })
    }

    /// Its block of the configuration.
    pub(super) fn block(&self) -> String {
        let (device, port) = (&self.device, self.port.display());
        match self.way {
            Way::Talks => format!(
                "  {device}:\n    serial_lines:\n      port: {port}\n      patterns:\n        \
                 - {{ match: 'LINE (?<n>\\d+)', metrics: {{ n: retail.printer.lines }} }}\n"
            ),
            Way::Answers => format!("  {device}:\n    escpos:\n      port: {port}\n      interval: 20s\n"),
        }
    }

    /// Serves until the agent has had a reading since `since_ms`.
    pub(super) async fn serve_until_read(&mut self, since_ms: i64, known: &mut Known) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.serve()?;
            let is_read = known.borrow().as_ref().is_some_and(|status| {
                let device = &status["devices"][&self.device];
                device["state"] == "ok"
                    && device["last_good_ms"].as_i64().is_some_and(|last| last >= since_ms)
            });
            if is_read {
                return Ok(());
            }
            anyhow::ensure!(Instant::now() < deadline, "{} is not read: {:?}", self.device, known.borrow());
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Serves for a while.
    pub(super) async fn serve_for(&mut self, time: Duration) -> anyhow::Result<()> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.serve()?;
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// One absence.
    pub(super) async fn round(&mut self, rename: bool, known: &mut Known) -> anyhow::Result<Round> {
        let life = wait_ms(&mut self.rng, LIFE_MS);
        self.serve_for(life).await?;
        let pulled = Instant::now();
        let name = self.unplug()?;
        tokio::time::sleep(wait_ms(&mut self.rng, ABSENCE_MS)).await;
        let (plugged, plugged_ms) = (Instant::now(), now_ms());
        self.plug(&name, rename)?;
        self.serve_until_read(plugged_ms, known).await?;
        Ok(Round {
            device: self.device.clone(),
            renamed: self.terminal.as_ref().is_some_and(|terminal| terminal.name != name),
            absent: plugged - pulled,
            recovered: plugged.elapsed(),
        })
    }

    /// Pulls the plug; the name that the kernel had for it.
    pub(super) fn unplug(&mut self) -> anyhow::Result<String> {
        // The link first: the number of the terminal may be somebody else's in a moment.
        std::fs::remove_file(&self.port)?;
        Ok(self.terminal.take().map(|terminal| terminal.name).unwrap_or_default())
    }

    /// Plugs it in, under the old name if that can be had, or surely under another one.
    pub(super) fn plug(&mut self, old: &str, rename: bool) -> anyhow::Result<()> {
        let mut terminal = Terminal::make()?;
        let mut aside = Vec::new();
        for _ in 0..TRIES {
            if (terminal.name != old) == rename {
                break;
            }
            aside.push(std::mem::replace(&mut terminal, Terminal::make()?));
        }
        terminal.link(&self.port)?;
        self.terminal = Some(terminal);
        Ok(())
    }

    fn serve(&mut self) -> anyhow::Result<()> {
        let Some(terminal) = &self.terminal else { return Ok(()) };
        match self.way {
            Way::Talks if self.printed.elapsed() >= PRINT && terminal.is_held()? => {
                self.printed = Instant::now();
                self.line += 1;
                // Who let go of the port in between misses a line, as with a real one.
                let _ = terminal.write(format!("LINE {}\n", self.line).as_bytes());
            }
            Way::Talks => {}
            Way::Answers => {
                let mut buffer = [0; 64];
                let heard = terminal.heard(&mut buffer)?;
                for question in buffer[..heard].windows(2).filter(|bytes| *bytes == [0x10, 0x04]) {
                    // Online, nothing wrong: the same byte to all four questions.
                    let _ = (question, terminal.write(&[0x12]));
                }
            }
        }
        Ok(())
    }

    pub(super) fn is_renamed_next(&mut self) -> bool {
        self.rng.random_bool(0.5)
    }
}
