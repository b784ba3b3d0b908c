//! A port on which questions are asked, one at a time, by whoever shares it.

use std::time::Duration;

use storepulse_shared::ids::DeviceId;
use tokio::io::AsyncReadExt as _;
use tokio::sync::Mutex;
use tokio_serial::SerialStream;

use super::ports::{Port, Ports};
use super::settings::{Line, PortSettings};
use crate::collector::fault::{Fault, FaultKind};
use crate::collector::link::{Question, ask};
use crate::collector::parse::Parsed;
use crate::collector::tape::Tape;

/// A pause this long ends whatever was said; adapters hand on what came in pieces of up to 16 ms.
const HUSH: Duration = Duration::from_millis(20);
/// How long somebody who talks on and on is listened to before the next one has its turn.
const HUSH_MAX: Duration = Duration::from_millis(500);

/// A port that is opened when it is first needed, and again after it was gone.
#[derive(Debug)]
pub(crate) struct Bus {
    ports: Ports,
    device: DeviceId,
    settings: PortSettings,
    expected: Line,
    /// Who waits for it is served in the order of coming.
    port: Mutex<Option<Port>>,
}

impl Bus {
    pub(super) fn new(ports: Ports, device: DeviceId, settings: PortSettings, expected: Line) -> Self {
        Self { ports, device, settings, expected, port: Mutex::new(None) }
    }

    /// How its line is.
    pub(crate) fn line(&self) -> Line {
        self.settings.line(self.expected)
    }

    /// Asks, after this much silence. What is said goes onto the tape of who asks.
    ///
    /// # Errors
    /// Those of opening and of asking. A port that has gone is closed before this returns.
    pub(crate) async fn ask<T>(
        &self,
        tape: &Tape,
        request: &[u8],
        (silence, timeout): (Duration, Duration),
        answer_bytes_max: usize,
        parse: impl Fn(&[u8]) -> Parsed<T>,
    ) -> Result<T, Fault> {
        let mut held = self.port.lock().await;
        let port = match &mut *held {
            Some(port) => port,
            none => none.insert(self.ports.open(&self.device, &self.settings, self.expected).await?),
        };
        if !silence.is_zero() {
            tokio::time::sleep(silence).await;
        }
        let ended = FaultKind::MissingPort;
        let question = Question { bytes: request, timeout, answer_bytes_max, ended, tape };
        let answer = ask(&mut port.stream, question, parse).await;
        let broken_off = |fault: &Fault| !matches!(fault.kind, FaultKind::MissingPort | FaultKind::Timeout);
        if !silence.is_zero() && answer.as_ref().is_err_and(broken_off) {
            // What is left of a bad answer is not the next one's.
            let _ = tokio::time::timeout(HUSH_MAX, hush(&mut port.stream)).await;
        }
        answer.map_err(|fault| {
            let name = &self.settings.name;
            if fault.kind == FaultKind::MissingPort {
                *held = None;
                return Fault::new(fault.kind, format!("{name} was unplugged: {}", fault.text));
            }
            Fault::new(fault.kind, format!("{name}: {}", fault.text))
        })
    }

    /// Whether the port has gone while nobody asked; it is closed then.
    pub(crate) fn is_gone(&self) -> bool {
        let Ok(mut held) = self.port.try_lock() else { return false };
        let gone = held.as_ref().is_some_and(Port::is_gone);
        if gone {
            *held = None;
        }
        gone
    }
}

/// Listens until nobody talks.
async fn hush(stream: &mut SerialStream) {
    let mut buffer = [0; 256];
    while let Ok(Ok(1..)) = tokio::time::timeout(HUSH, stream.read(&mut buffer)).await {}
}
