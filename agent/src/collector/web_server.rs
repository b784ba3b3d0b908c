//! For tests of kinds that ask a web server: one that answers what it is told, byte by byte.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// What to say, and whether to say its last byte for ever.
type Said = (Vec<u8>, bool);

/// A server on a port of its own; dropping it closes it.
pub(crate) struct WebServer {
    pub address: SocketAddr,
    says: Arc<Mutex<Said>>,
    /// The heads of requests, as they came.
    pub asked: Arc<Mutex<Vec<String>>>,
    _tasks: JoinSet<()>,
}

impl WebServer {
    /// Listens; on a given port, if it is to come back.
    pub(crate) async fn start(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let says = Arc::new(Mutex::new(Said::default()));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = JoinSet::new();
        let (what, heads) = (Arc::clone(&says), Arc::clone(&asked));
        tasks.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let (what, heads) = (Arc::clone(&what), Arc::clone(&heads));
                open.spawn(async move {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        let Ok(byte) = stream.read_u8().await else { return };
                        head.push(byte);
                    }
                    heads.lock().unwrap().push(String::from_utf8(head).unwrap());
                    let (bytes, endless) = what.lock().unwrap().clone();
                    let _ = stream.write_all(&bytes).await;
                    if bytes.is_empty() {
                        // It hangs, until the other side goes.
                        let _ = stream.read(&mut [0; 1]).await;
                    }
                    let more = vec![*bytes.last().unwrap_or(&b'\n'); 65_536];
                    while endless && stream.write_all(&more).await.is_ok() {}
                });
            }
        });
        Self { address, says, asked, _tasks: tasks }
    }

    /// From now on it answers 200 with this.
    pub(crate) fn page(&self, content_type: &str, body: &str) {
        self.say(&format!(
            "HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        ));
    }

    /// From now on it says this, whatever it is; nothing is silence.
    pub(crate) fn say(&self, bytes: &str) {
        *self.says.lock().unwrap() = (bytes.as_bytes().to_owned(), false);
    }

    /// The same, and its last byte for ever.
    pub(crate) fn say_for_ever(&self, bytes: &str) {
        *self.says.lock().unwrap() = (bytes.as_bytes().to_owned(), true);
    }
}
