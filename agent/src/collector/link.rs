//! A question and its answer over a stream of bytes, whether that is a serial port or TCP.

use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::fault::{Fault, FaultKind};
use super::parse::{Parsed, Unread};
use super::tape::Tape;

/// Most bytes that lie around from before a question; more, and the device is not one that is asked.
const STALE_BYTES_MAX: usize = 65_536;

/// What is asked, and how long and how much is waited for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question<'a> {
    /// The bytes, which the kind's file allows.
    pub bytes: &'a [u8],
    /// From the request's last byte to the answer's last.
    pub timeout: Duration,
    /// Longest answer.
    pub answer_bytes_max: usize,
    /// What it is if the stream ends: [`FaultKind::MissingPort`] of a serial port, [`FaultKind::Refused`] of a connection.
    pub ended: FaultKind,
    /// Where what is said is kept, if it may be shown.
    pub tape: &'a Tape,
}

/// Forgets what lies around, asks, and reads until the parser has an answer.
pub(crate) async fn ask<L, T>(
    link: &mut L,
    question: Question<'_>,
    parse: impl Fn(&[u8]) -> Parsed<T>,
) -> Result<T, Fault>
where
    L: AsyncRead + AsyncWrite + Unpin,
{
    ask_who_works(link, question, |_| false, parse).await
}

/// The same with a device that says that it is still at work: when `works` finds that in bytes that came, the time limit
/// begins anew. The limits on the answer's length and on the whole reading stay.
pub(crate) async fn ask_who_works<L, T>(
    link: &mut L,
    question: Question<'_>,
    works: impl Fn(&[u8]) -> bool,
    parse: impl Fn(&[u8]) -> Parsed<T>,
) -> Result<T, Fault>
where
    L: AsyncRead + AsyncWrite + Unpin,
{
    forget_stale(link, question).await?;
    question.tape.asks(question.bytes);
    let mut deadline = Instant::now() + question.timeout;
    let sent = async {
        link.write_all(question.bytes).await?;
        link.flush().await
    };
    match tokio::time::timeout_at(deadline, sent).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return Err(ended(question, &error)),
        Err(_) => return Err(Fault::new(FaultKind::Timeout, "the device does not take the question")),
    }
    let mut answer = Vec::with_capacity(64);
    let mut buffer = [0; 512];
    loop {
        let read = match tokio::time::timeout_at(deadline, link.read(&mut buffer)).await {
            Err(_) => return Err(too_late(&answer, question.timeout)),
            Ok(Ok(0)) => return Err(Fault::new(question.ended, "it was closed from the other side")),
            Ok(Ok(read)) => read,
            Ok(Err(error)) => return Err(ended(question, &error)),
        };
        if works(&buffer[..read]) {
            deadline = Instant::now() + question.timeout;
        }
        question.tape.hears(&buffer[..read]);
        answer.extend_from_slice(&buffer[..read]);
        match parse(&answer) {
            Ok((frame, _)) => return Ok(frame),
            Err(Unread::Bad(kind)) => {
                return Err(Fault::new(
                    kind,
                    format!("an answer of {} bytes is not understood", answer.len()),
                ));
            }
            Err(Unread::Need(_)) if answer.len() >= question.answer_bytes_max => {
                return Err(Fault::new(
                    FaultKind::TooLarge,
                    format!("an answer of more than {} bytes", question.answer_bytes_max),
                ));
            }
            Err(Unread::Need(_)) => {}
        }
    }
}

async fn forget_stale<L: AsyncRead + Unpin>(link: &mut L, question: Question<'_>) -> Result<(), Fault> {
    let mut buffer = [0; 512];
    let mut forgotten = 0;
    while let Some(read) = link.read(&mut buffer).now_or_never() {
        match read {
            Ok(0) => return Err(Fault::new(question.ended, "it was closed from the other side")),
            Ok(read) => forgotten += read,
            Err(error) => return Err(ended(question, &error)),
        }
        if forgotten > STALE_BYTES_MAX {
            return Err(Fault::new(
                FaultKind::Framing,
                "the device talks without end and without being asked",
            ));
        }
    }
    Ok(())
}

fn too_late(answer: &[u8], timeout: Duration) -> Fault {
    let timeout = humantime::format_duration(timeout);
    if answer.is_empty() {
        Fault::new(FaultKind::Timeout, format!("no answer within {timeout}"))
    } else {
        Fault::new(
            FaultKind::ShortFrame,
            format!("{} bytes of an answer, and no more within {timeout}", answer.len()),
        )
    }
}

fn ended(question: Question<'_>, error: &std::io::Error) -> Fault {
    Fault::new(question.ended, error.to_string())
}

/// Connects to `host:port`.
///
/// # Errors
/// [`FaultKind::Dns`], [`FaultKind::Refused`], [`FaultKind::Timeout`].
pub(crate) async fn connect(target: &str, timeout: Duration) -> Result<TcpStream, Fault> {
    let deadline = Instant::now() + timeout;
    let late = || {
        Fault::new(
            FaultKind::Timeout,
            format!("{target} does not answer within {}", humantime::format_duration(timeout)),
        )
    };
    let found =
        tokio::time::timeout_at(deadline, tokio::net::lookup_host(target)).await.map_err(|_| late())?;
    let addresses: Vec<_> = match found {
        Ok(found) => found.collect(),
        Err(error) => return Err(Fault::new(FaultKind::Dns, format!("{target}: {error}"))),
    };
    let mut last = Fault::new(FaultKind::Dns, format!("{target} has no address"));
    for address in addresses {
        match tokio::time::timeout_at(deadline, TcpStream::connect(address)).await {
            Err(_) => return Err(late()),
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = Fault::new(FaultKind::Refused, format!("{address}: {error}")),
        }
    }
    Err(last)
}
