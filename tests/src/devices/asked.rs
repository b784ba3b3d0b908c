//! A device on the network that is asked: it answers well, or is broken in one of the ways that devices are, and notes when
//! it was asked.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use storepulse_agent::time::now_ms;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// What an answer is made of: all bytes of this connection so far. Empty: not asked yet.
pub type Answer = fn(&[u8]) -> Vec<u8>;

/// How it behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// It answers.
    Well,
    /// It takes connections and questions, and says nothing.
    Silent,
    /// It answers with bytes of another world.
    Garbage,
    /// It answers a byte a second.
    Slow,
    /// It answers without end.
    Endless,
    /// It does not take connections.
    Refusing,
}

/// A running device; it ends when it is dropped.
#[derive(Debug)]
pub struct Asked {
    /// Where it listens, or nobody does.
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<i64>>>,
    _tasks: JoinSet<()>,
}

impl Asked {
    /// Begins to listen on a free port.
    ///
    /// # Errors
    /// No port can be had.
    pub async fn start(manner: Manner, answer: Answer) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let asked: Arc<Mutex<Vec<i64>>> = Arc::default();
        let mut tasks = JoinSet::new();
        if manner != Manner::Refusing {
            tasks.spawn(listen(listener, manner, answer, Arc::clone(&asked)));
        }
        Ok(Self { address, asked, _tasks: tasks })
    }

    /// When it was asked, Unix milliseconds UTC: the first question of each second.
    #[must_use]
    pub fn asked_ms(&self) -> Vec<i64> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn listen(listener: TcpListener, manner: Manner, answer: Answer, asked: Arc<Mutex<Vec<i64>>>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Ok((stream, _)) = listener.accept() => {
                connections.spawn(serve(stream, manner, answer, Arc::clone(&asked)));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(mut stream: TcpStream, manner: Manner, answer: Answer, asked: Arc<Mutex<Vec<i64>>>) {
    let mut heard = Vec::new();
    let mut buffer = [0; 4_096];
    while let Ok(read) = stream.read(&mut buffer).await {
        if read == 0 {
            return;
        }
        heard.extend_from_slice(&buffer[..read]);
        let bytes = answer(&heard);
        if bytes.is_empty() {
            continue;
        }
        heard.clear();
        note(&asked);
        if say(&mut stream, manner, &bytes).await.is_err() {
            return;
        }
    }
}

fn note(asked: &Mutex<Vec<i64>>) {
    let now = now_ms();
    let mut asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
    if asked.last().is_none_or(|last| now - last >= 1_000) {
        asked.push(now);
    }
}

async fn say(stream: &mut TcpStream, manner: Manner, bytes: &[u8]) -> std::io::Result<()> {
    match manner {
        Manner::Well => stream.write_all(bytes).await,
        Manner::Silent | Manner::Refusing => Ok(()),
        Manner::Garbage => stream.write_all(&[0xff, 0x00, 0x81, b'\n', 0x7f, 0xfe, b'\r', 0x55]).await,
        Manner::Slow => {
            for byte in bytes {
                stream.write_all(&[*byte]).await?;
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            Ok(())
        }
        Manner::Endless => loop {
            stream.write_all(&[b'x'; 1_024]).await?;
            tokio::time::sleep(Duration::from_millis(10)).await;
        },
    }
}
