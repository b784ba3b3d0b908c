//! A mail server of a few lines (RFC 5321) for the suite: it takes what it is given, refuses whom it is told to, and keeps all of it.
//! Whether mail is as mail should be is for a real one to say ([`crate::peers`]).

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::wait;

/// How long a mail may take: the service looks for one every five seconds.
const ARRIVAL: Duration = Duration::from_secs(20);

/// A mail server that ends when it is dropped.
#[derive(Debug)]
pub struct Mailbox {
    /// Where it listens.
    pub address: SocketAddr,
    taken: Arc<Mutex<Vec<Taken>>>,
    _serving: JoinSet<()>,
}

/// A mail.
#[derive(Debug, Clone)]
pub struct Taken {
    /// Whom it is for.
    pub to: String,
    /// Head and body, without the line breaks that quoted-printable adds.
    pub text: String,
}

impl Taken {
    /// The secret of its link: what follows `#`.
    #[must_use]
    pub fn secret(&self) -> Option<&str> {
        let (_, behind) = self.text.split_once('#')?;
        let end = behind.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-')?;
        Some(&behind[..end])
    }
}

impl Mailbox {
    /// Opens one that refuses every recipient who begins with `nobody`.
    ///
    /// # Errors
    /// No port is free.
    pub async fn open() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let taken = Arc::new(Mutex::new(Vec::new()));
        let mut serving = JoinSet::new();
        let all = Arc::clone(&taken);
        serving.spawn(async move {
            let mut talks = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let taken = Arc::clone(&all);
                // A client that goes away in the middle has sent nothing.
                talks.spawn(async move { drop(talk(stream, &taken).await) });
            }
        });
        Ok(Self { address, taken, _serving: serving })
    }

    /// All that was taken so far.
    #[must_use]
    pub fn taken(&self) -> Vec<Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The n-th mail to an address, once it is there.
    ///
    /// # Errors
    /// It does not come.
    pub async fn wait_for(&self, to: &str, n: usize) -> anyhow::Result<Taken> {
        wait::until("a mail to arrive", ARRIVAL, async || {
            Ok(self.taken().into_iter().filter(|mail| mail.to == to).nth(n))
        })
        .await
    }
}

async fn talk(stream: TcpStream, taken: &Mutex<Vec<Taken>>) -> std::io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    write.write_all(b"220 mailbox\r\n").await?;
    let mut to = String::new();
    while let Some(line) = lines.next_line().await? {
        let verb = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        let answer = match verb.as_str() {
            "RCPT" => {
                to = line.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
                if to.starts_with("nobody") { "550 there is no such person" } else { "250 ok" }
            }
            "DATA" => {
                write.write_all(b"354 go on\r\n").await?;
                let mut text = String::new();
                while let Some(line) = lines.next_line().await?.filter(|line| line != ".") {
                    text.push_str(&line);
                    text.push_str("\r\n");
                }
                let text = text.replace("=\r\n", "");
                taken.lock().unwrap_or_else(PoisonError::into_inner).push(Taken { to: to.clone(), text });
                "250 taken"
            }
            "QUIT" => "221 bye",
            _ => "250 ok",
        };
        write.write_all(format!("{answer}\r\n").as_bytes()).await?;
    }
    Ok(())
}
