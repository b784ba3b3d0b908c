//! The serial line of a fiscal printer: its port, and the handshake of RTS and CTS that some models want and others cannot
//! bear.

use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio_serial::SerialPort as _;

use super::Handshake;
use crate::collector::Context;
use crate::collector::fault::{Fault, FaultKind};
use crate::collector::link::{Question, ask_who_works};
use crate::collector::parse::Parsed;
use crate::collector::serial::{Line, Port, PortSettings};

/// Longest wait for CTS.
pub(super) const CLEAR_TIMEOUT: Duration = Duration::from_secs(4);
/// How often CTS is looked at.
const LOOK: Duration = Duration::from_millis(10);
/// Longer than any answer that is read.
const ANSWER_BYTES_MAX: usize = 1_024;

/// A port that is opened when it is first needed, and again after it was gone.
pub(super) struct Wire<'a> {
    pub ctx: &'a Context,
    pub settings: &'a PortSettings,
    pub expected: Line,
    pub handshake: Handshake,
    pub timeout: Duration,
    pub port: Option<Port>,
}

impl Wire<'_> {
    /// Asks; `works` finds in bytes that came that the printer is still at work.
    pub(super) async fn ask<T>(
        &mut self,
        bytes: &[u8],
        works: impl Fn(&[u8]) -> bool,
        parse: impl Fn(&[u8]) -> Parsed<T>,
    ) -> Result<T, Fault> {
        let (timeout, handshake) = (self.timeout, self.handshake);
        let port = match &mut self.port {
            Some(port) => port,
            none => {
                none.insert(self.ctx.ports.open(self.ctx.sink.device(), self.settings, self.expected).await?)
            }
        };
        if handshake == Handshake::RtsCts {
            clear_to_send(port).await?;
        }
        let ended = FaultKind::MissingPort;
        let tape = self.ctx.sink.tape();
        let question = Question { bytes, timeout, answer_bytes_max: ANSWER_BYTES_MAX, ended, tape };
        let answer = ask_who_works(&mut port.stream, question, works, parse).await;
        if handshake == Handshake::RtsCts {
            raise_rts(port, false)?;
        }
        answer.map_err(|fault| self.named(fault))
    }

    /// Says something that has no answer.
    pub(super) async fn say(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let Some(port) = &mut self.port else { return Ok(()) };
        let said = port.stream.write_all(bytes).await;
        said.map_err(|error| self.named(Fault::new(FaultKind::MissingPort, error.to_string())))
    }

    /// Whether the port has gone while nobody asked; it is closed then.
    pub(super) fn is_gone(&mut self) -> bool {
        let gone = self.port.as_ref().is_some_and(Port::is_gone);
        if gone {
            self.port = None;
        }
        gone
    }

    /// A port that went away is closed first, or its adapter would come back under another name.
    fn named(&mut self, fault: Fault) -> Fault {
        if fault.kind == FaultKind::MissingPort {
            self.port = None;
        }
        Fault::new(fault.kind, format!("{}: {}", self.settings.name, fault.text))
    }
}

fn raise_rts(port: &mut Port, up: bool) -> Result<(), Fault> {
    port.stream.write_request_to_send(up).map_err(|error| no_handshake(&error))
}

async fn clear_to_send(port: &mut Port) -> Result<(), Fault> {
    raise_rts(port, true)?;
    let clear = tokio::time::timeout(CLEAR_TIMEOUT, async {
        while !port.stream.read_clear_to_send()? {
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    });
    match clear.await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(no_handshake(&error)),
        Err(_) => {
            raise_rts(port, false)?;
            let timeout = humantime::format_duration(CLEAR_TIMEOUT);
            let text =
                format!("no CTS within {timeout}; a model that does not give it wants handshake: none");
            Err(Fault::new(FaultKind::Timeout, text))
        }
    }
}

fn no_handshake(error: &tokio_serial::Error) -> Fault {
    let text = format!("this port has no RTS and CTS ({error}); set handshake: none, or use another adapter");
    Fault::new(FaultKind::Unsupported, text)
}
