//! HTTP by hand: requests that no library would send (two credentials, a foreign host, a path with dots), and answers
//! byte for byte.
//!
//! HTTP/1.0, one request a connection: the answer ends where the connection does, and is never in chunks.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// No answer takes longer.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A request, nothing added on the way but its length.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// `GET`, or any word.
    pub method: String,
    /// Path and query, as they are sent.
    pub target: String,
    /// Names and values, as they are sent.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// An answer, without the lines that change by themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The lines of the head in their order, without `date` and `connection`.
    pub head: Vec<String>,
    /// The body.
    pub body: Vec<u8>,
}

impl Request {
    /// A request without headers and body.
    #[must_use]
    pub fn new(method: &str, target: &str) -> Self {
        Self { method: method.to_owned(), target: target.to_owned(), ..Self::default() }
    }

    /// With one more header.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// All that it says, for a search. The body is left as it is: if it is compressed, nothing is found in it.
    pub(super) fn text(&self) -> String {
        let mut text = format!("{} {}\n", self.method, self.target);
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\n"));
        }
        text + &String::from_utf8_lossy(&self.body)
    }

    fn bytes(&self) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.0\r\n", self.method, self.target);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("content-length: {}\r\n\r\n", self.body.len()));
        [head.as_bytes(), &self.body].concat()
    }
}

impl Answer {
    /// All that it says, for a search.
    pub(super) fn text(&self) -> String {
        format!("{}\n{}", self.head.join("\n"), String::from_utf8_lossy(&self.body))
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// It is none.
    pub fn json(&self) -> anyhow::Result<serde_json::Value> {
        serde_json::from_slice(&self.body).with_context(|| self.text())
    }
}

/// Sends, and waits for the whole answer.
///
/// # Errors
/// There is none, or it is not HTTP.
pub async fn send(address: SocketAddr, request: &Request) -> anyhow::Result<Answer> {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(&request.bytes()).await?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await?;
        anyhow::Ok(bytes)
    };
    let bytes = tokio::time::timeout(TIMEOUT, exchange).await.context("no answer in time")?;
    let of = || format!("{} {:.80}", request.method, request.target);
    read(&bytes.with_context(of)?).with_context(of)
}

fn read(bytes: &[u8]) -> anyhow::Result<Answer> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").context("an answer without a head")?;
    let head = std::str::from_utf8(&bytes[..end])?;
    let mut lines = head.split("\r\n");
    let status =
        lines.next().and_then(|line| line.split(' ').nth(1)).context("an answer without a status")?;
    let moves = |line: &&str| {
        let name = line.split(':').next().unwrap_or_default();
        ["date", "connection", "storepulse-time"].iter().any(|moving| name.eq_ignore_ascii_case(moving))
    };
    let head: Vec<String> = lines.filter(|line| !moves(line)).map(str::to_owned).collect();
    let chunked = head.iter().any(|line| line.to_ascii_lowercase().starts_with("transfer-encoding"));
    anyhow::ensure!(!chunked, "an answer in chunks to HTTP/1.0");
    Ok(Answer { status: status.parse()?, head, body: bytes[end + 4..].to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_without_the_lines_that_change_by_themselves() {
        let bytes =
            b"HTTP/1.0 404 Not Found\r\nDate: now\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno";
        let answer = read(bytes).unwrap();
        assert_eq!((answer.status, answer.body.as_slice()), (404, b"no".as_slice()));
        assert_eq!(answer.head, ["content-length: 2"]);
        assert!(read(b"HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").is_err());
        assert!(read(b"nonsense").is_err());
    }
}
