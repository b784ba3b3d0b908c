//! A receipt printer that understands ESC/POS's real-time questions, on TCP as on port 9100 and on serial ports, which are
//! pseudo-terminals here.
//!
//! On TCP it takes one connection at a time, as many printers do: who comes second is connected and hears nothing. What it
//! answers is made of bits as Epson's command reference names them; it prints nothing. It writes down what it was sent that is
//! no real-time question.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::Terminal;

/// How often a serial port is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// How much paper there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Roll {
    /// Enough.
    #[default]
    Full,
    /// The sensor of the near end sees none.
    NearEnd,
    /// None.
    Out,
}

/// What is the matter with it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Condition {
    /// Somebody has opened the cover.
    pub cover_open: bool,
    /// Somebody holds the feed button.
    pub feed_button: bool,
    /// The cutter is stuck.
    pub cutter_error: bool,
    /// It needs to be switched off.
    pub unrecoverable: bool,
    /// The drawer's switch gives the high level.
    pub drawer_high: bool,
    /// The paper.
    pub roll: Roll,
    /// It does not answer.
    pub silent: bool,
}

impl Condition {
    /// It cannot print now.
    #[must_use]
    pub fn offline(self) -> bool {
        self.cover_open
            || self.feed_button
            || self.cutter_error
            || self.unrecoverable
            || self.roll == Roll::Out
    }

    fn answer(self, n: u8) -> Option<u8> {
        let bit = |is: bool, bits: u8| if is { bits } else { 0 };
        let error = self.cutter_error || self.unrecoverable;
        let out = self.roll == Roll::Out;
        let bits = match n {
            1 => bit(self.drawer_high, 0x04) | bit(self.offline(), 0x08),
            2 => bit(self.cover_open, 0x04) | bit(self.feed_button, 0x08) | bit(out, 0x20) | bit(error, 0x40),
            3 => bit(self.cutter_error, 0x08) | bit(self.unrecoverable, 0x20),
            // Where there is none, there is none near the end either.
            4 => bit(self.roll != Roll::Full, 0x0c) | bit(out, 0x60),
            _ => return None,
        };
        (!self.silent).then_some(0x12 | bits)
    }
}

#[derive(Debug, Default)]
struct Inside {
    condition: Condition,
    questions: usize,
    /// Bytes that were no real-time question.
    others: usize,
}

/// A running printer.
#[derive(Debug)]
pub struct EscposPrinter {
    inside: Arc<Mutex<Inside>>,
    lines: JoinSet<()>,
}

impl Default for EscposPrinter {
    fn default() -> Self {
        Self { inside: Arc::default(), lines: JoinSet::new() }
    }
}

impl EscposPrinter {
    /// Makes this the matter with it.
    pub fn set(&self, condition: Condition) {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner).condition = condition;
    }

    /// How many real-time questions it was asked, and how many other bytes it was sent.
    #[must_use]
    pub fn heard(&self) -> (usize, usize) {
        let inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        (inside.questions, inside.others)
    }

    /// Listens on TCP, on this port of the loopback or, if that is 0, on any.
    ///
    /// # Errors
    /// The port cannot be had.
    pub async fn listen(&mut self, port: u16) -> anyhow::Result<SocketAddr> {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.context("the printer's port")?;
        let address = listener.local_addr()?;
        let inside = Arc::clone(&self.inside);
        self.lines.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                serve(stream, &inside).await;
            }
        });
        Ok(address)
    }

    /// Plugs it in as a serial port of this name. It may have many.
    ///
    /// # Errors
    /// No pseudo-terminal can be had.
    pub fn plug_in(&mut self, port: &Path) -> anyhow::Result<()> {
        // Whoever looks for other readers of the port finds none.
        let terminal = Terminal::plug_in(port)?;
        let inside = Arc::clone(&self.inside);
        self.lines.spawn(async move {
            let mut ear = Ear::default();
            let mut buffer = [0; 256];
            // Who cannot be asked any more is gone.
            while let Ok(heard) = terminal.heard(&mut buffer) {
                let answers = ear.take(&buffer[..heard], &inside);
                // Who has let go of the port gets no answer.
                let _ = terminal.write(&answers);
                tokio::time::sleep(LOOK).await;
            }
        });
        Ok(())
    }

    /// Pulls all its plugs.
    pub async fn unplug(&mut self) {
        self.lines.shutdown().await;
    }
}

async fn serve(mut stream: TcpStream, inside: &Mutex<Inside>) {
    let mut ear = Ear::default();
    let mut buffer = [0; 256];
    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
        let answers = ear.take(&buffer[..read], inside);
        if stream.write_all(&answers).await.is_err() {
            return;
        }
    }
}

/// Hears real-time questions in what it is sent, wherever they are cut.
#[derive(Debug, Default)]
struct Ear {
    begun: Vec<u8>,
}

impl Ear {
    fn take(&mut self, bytes: &[u8], inside: &Mutex<Inside>) -> Vec<u8> {
        let mut inside = inside.lock().unwrap_or_else(PoisonError::into_inner);
        let mut answers = Vec::new();
        for &byte in bytes {
            self.begun.push(byte);
            match *self.begun.as_slice() {
                [0x10] | [0x10, 0x04] => continue,
                [0x10, 0x04, n @ 1..=4] => {
                    inside.questions += 1;
                    answers.extend(inside.condition.answer(n));
                }
                _ => inside.others += self.begun.len(),
            }
            self.begun.clear();
        }
        answers
    }
}
