//! A device that answers GET with JSON, a while after it was asked: well for who waits, and silent for who does not.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// What it says.
const ANSWER: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9\r\nconnection: close\r\n\r\n{\"t\":4.2}";

/// A running device; it ends when it is dropped.
#[derive(Debug)]
pub struct Late {
    /// Where it listens.
    pub address: SocketAddr,
    _tasks: JoinSet<()>,
}

impl Late {
    /// Begins to listen on a free port.
    ///
    /// # Errors
    /// No port can be had.
    pub async fn start(after: Duration) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    Ok((stream, _)) = listener.accept() => drop(connections.spawn(answer(stream, after))),
                    Some(_) = connections.join_next() => {}
                }
            }
        });
        Ok(Self { address, _tasks: tasks })
    }
}

async fn answer(mut stream: TcpStream, after: Duration) {
    let mut heard = Vec::new();
    let mut buffer = [0; 2_048];
    while !heard.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut buffer).await {
            Ok(read) if read > 0 => heard.extend_from_slice(&buffer[..read]),
            _ => return,
        }
    }
    tokio::time::sleep(after).await;
    // Who has gone away meanwhile needs no answer.
    let _ = stream.write_all(ANSWER.as_bytes()).await;
    let _ = stream.shutdown().await;
}
