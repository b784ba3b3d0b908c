//! How a unit is reached: on a line that it shares with others, or over a connection of its own.
//!
//! On a line a question waits until the others had theirs, in the order of coming, and then for 3.5 characters of silence. A
//! connection stays open between questions. It is closed after every failure, so that no late answer can be taken for
//! another; if the other side closed it in the meantime, as gateways do when nothing happens, it is opened again at once.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;

use super::frame::{Answer, RTU_BYTES_MAX, Request, TCP_BYTES_MAX};
use crate::collector::fault::{Fault, FaultKind};
use crate::collector::link::{Question, ask, connect};
use crate::collector::serial::Bus;
use crate::collector::tape::Tape;

/// Above this speed the silence stays as long as it is.
const FASTEST: u32 = 19_200;

/// How a unit is reached.
pub(super) enum Way {
    Line { bus: Arc<Bus>, silence: Duration },
    Connection(Connection),
}

impl Way {
    pub(super) fn line(bus: Arc<Bus>) -> Self {
        let silence = silence(bus.line().baud);
        Self::Line { bus, silence }
    }

    pub(super) fn connection(target: String) -> Self {
        Self::Connection(Connection { target, transaction: 0, stream: None })
    }

    pub(super) async fn ask(
        &mut self,
        tape: &Tape,
        request: Request,
        timeout: Duration,
    ) -> Result<Answer, Fault> {
        match self {
            Self::Line { bus, silence } => {
                let parse = |bytes: &[u8]| request.parse_rtu(bytes);
                bus.ask(tape, &request.rtu(), (*silence, timeout), RTU_BYTES_MAX, parse).await
            }
            Self::Connection(connection) => connection.ask(tape, request, timeout).await,
        }
    }

    pub(super) fn is_gone(&self) -> bool {
        match self {
            Self::Line { bus, .. } => bus.is_gone(),
            Self::Connection(_) => false,
        }
    }
}

/// 3.5 characters of 11 bits.
fn silence(baud: u32) -> Duration {
    Duration::from_secs_f64(38.5 / f64::from(baud.clamp(300, FASTEST)))
}

/// A connection that is opened when it is needed.
pub(super) struct Connection {
    target: String,
    transaction: u16,
    stream: Option<TcpStream>,
}

impl Connection {
    async fn ask(&mut self, tape: &Tape, request: Request, timeout: Duration) -> Result<Answer, Fault> {
        if let Some(stream) = self.stream.take() {
            match self.ask_on(stream, tape, request, timeout).await {
                Err(fault) if fault.kind == FaultKind::Refused => {}
                answered => return answered,
            }
        }
        let stream = connect(&self.target, timeout).await?;
        // A question is one small packet that nothing follows. If this cannot be set it is only slower.
        let _ = stream.set_nodelay(true);
        self.ask_on(stream, tape, request, timeout).await
    }

    async fn ask_on(
        &mut self,
        mut stream: TcpStream,
        tape: &Tape,
        request: Request,
        timeout: Duration,
    ) -> Result<Answer, Fault> {
        self.transaction = self.transaction.wrapping_add(1);
        let (transaction, bytes) = (self.transaction, request.tcp(self.transaction));
        let ended = FaultKind::Refused;
        let question = Question { bytes: &bytes, timeout, answer_bytes_max: TCP_BYTES_MAX, ended, tape };
        let answer = ask(&mut stream, question, |bytes| request.parse_tcp(transaction, bytes)).await;
        match answer {
            Ok(answer) => {
                self.stream = Some(stream);
                Ok(answer)
            }
            Err(fault) => Err(Fault::new(fault.kind, format!("{}: {}", self.target, fault.text))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_silence_is_that_of_the_speed() {
        for (baud, micros) in [(1_200, 32_083), (9_600, 4_010), (19_200, 2_005), (115_200, 2_005)] {
            assert_eq!(silence(baud).as_micros(), micros, "{baud}");
        }
    }
}
