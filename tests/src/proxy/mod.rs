//! A TCP proxy with faults: it delays, cuts, and swallows answers. It can also be a slow, long link.
//!
//! It knows nothing of what it carries, so TLS goes through it as it is. An answer is swallowed by letting the request
//! through and then giving nothing back: the other side has committed, and its client never learns.

pub mod balancer;
mod link;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use self::link::Link;
use self::link::Wire;

/// A TLS handshake sends fewer bytes than this from the client, a request with a batch more.
const HANDSHAKE_BYTES_MAX: u64 = 1_000;
/// How long the answer is waited for before a swallowing connection is closed.
const SWALLOW_TIME: Duration = Duration::from_millis(400);

/// What happens to traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// Connections are closed, new ones at once.
    Cut,
    /// Every chunk arrives this much later, in both directions.
    Delay(Duration),
    /// Requests go through, answers do not.
    SwallowAnswers,
}

/// A running proxy.
#[derive(Debug)]
pub struct Proxy {
    /// Where it listens.
    pub address: SocketAddr,
    fault: watch::Sender<Fault>,
    counters: Arc<Counters>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Counters {
    connections: AtomicUsize,
    swallowed: AtomicUsize,
    upstream_bytes: AtomicU64,
    downstream_bytes: AtomicU64,
}

/// The two directions of a link, up and down.
type Wires = Option<(Wire, Wire)>;

impl Proxy {
    /// Listens on a free port and passes on to `target`.
    ///
    /// # Errors
    /// No port is free.
    pub async fn start(target: SocketAddr) -> anyhow::Result<Self> {
        Self::listen(target, None).await
    }

    /// The same over a slow, long link. Of the faults it knows [`Fault::Cut`] only.
    ///
    /// # Errors
    /// No port is free.
    pub async fn start_as_link(target: SocketAddr, link: Link) -> anyhow::Result<Self> {
        Self::listen(target, Some((Wire::new(link), Wire::new(link)))).await
    }

    async fn listen(target: SocketAddr, wires: Wires) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (fault, watching) = watch::channel(Fault::None);
        let counters = Arc::new(Counters::default());
        let stop = CancellationToken::new();
        let accepting = accept(listener, target, wires, watching, Arc::clone(&counters), stop.clone());
        #[expect(clippy::disallowed_methods, reason = "joined by stop(); ends with the process otherwise")]
        let task = tokio::spawn(accepting);
        Ok(Self { address, fault, counters, stop, task })
    }

    /// From now on.
    pub fn set(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }

    /// How many answers have been swallowed.
    #[must_use]
    pub fn swallowed(&self) -> usize {
        self.counters.swallowed.load(Ordering::Relaxed)
    }

    /// How many connections were accepted.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.counters.connections.load(Ordering::Relaxed)
    }

    /// Bytes that went to the target.
    #[must_use]
    pub fn upstream_bytes(&self) -> u64 {
        self.counters.upstream_bytes.load(Ordering::Relaxed)
    }

    /// Bytes that came back over a link.
    #[must_use]
    pub fn downstream_bytes(&self) -> u64 {
        self.counters.downstream_bytes.load(Ordering::Relaxed)
    }

    /// Closes everything.
    pub async fn stop(self) {
        self.stop.cancel();
        // A panic of the proxy's has been printed; nothing depends on it any more.
        let _ = self.task.await;
    }
}

async fn accept(
    listener: TcpListener,
    target: SocketAddr,
    wires: Wires,
    fault: watch::Receiver<Fault>,
    counters: Arc<Counters>,
    stop: CancellationToken,
) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            accepted = listener.accept() => accepted,
        };
        if let Ok((client, _)) = accepted {
            counters.connections.fetch_add(1, Ordering::Relaxed);
            connections.spawn(connect(client, target, wires.clone(), fault.clone(), Arc::clone(&counters)));
        }
    }
    connections.shutdown().await;
}

async fn connect(
    client: TcpStream,
    target: SocketAddr,
    wires: Wires,
    fault: watch::Receiver<Fault>,
    counters: Arc<Counters>,
) {
    if *fault.borrow() == Fault::Cut {
        return;
    }
    if let Some((wire, _)) = &wires {
        tokio::time::sleep(wire.round_trip()).await;
    }
    let Ok(server) = TcpStream::connect(target).await else { return };
    // Faults are timed; Nagle's algorithm would add waits of its own.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    if let Some((up, down)) = wires {
        let note = |counter: &AtomicU64, bytes: &[u8]| {
            counter.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        };
        let both = async {
            tokio::join!(
                up.carry(from_client, to_server, |bytes| note(&counters.upstream_bytes, bytes)),
                down.carry(from_server, to_client, |bytes| note(&counters.downstream_bytes, bytes)),
            );
        };
        return tokio::select! {
            () = both => {}
            () = until_cut(fault) => {}
        };
    }
    let sent = Arc::new(AtomicU64::new(0));
    let up = upstream(from_client, to_server, fault.clone(), Arc::clone(&sent), Arc::clone(&counters));
    let down = downstream(from_server, to_client, fault.clone(), sent, counters);
    tokio::select! {
        () = up => {}
        () = down => {}
        () = until_cut(fault) => {}
    }
}

async fn until_cut(mut fault: watch::Receiver<Fault>) {
    // An error means that the proxy is gone, which closes the connection too.
    let _ = fault.wait_for(|fault| *fault == Fault::Cut).await;
}

async fn upstream(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    fault: watch::Receiver<Fault>,
    sent: Arc<AtomicU64>,
    counters: Arc<Counters>,
) {
    let mut buffer = vec![0; 16 << 10];
    while let Ok(n @ 1..) = from.read(&mut buffer).await {
        delay(&fault).await;
        sent.fetch_add(n as u64, Ordering::Relaxed);
        counters.upstream_bytes.fetch_add(n as u64, Ordering::Relaxed);
        if to.write_all(&buffer[..n]).await.is_err() {
            return;
        }
    }
    let _ = to.shutdown().await;
}

async fn downstream(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    fault: watch::Receiver<Fault>,
    sent: Arc<AtomicU64>,
    counters: Arc<Counters>,
) {
    let mut buffer = vec![0; 16 << 10];
    while let Ok(n @ 1..) = from.read(&mut buffer).await {
        let swallow = *fault.borrow() == Fault::SwallowAnswers;
        if swallow && sent.load(Ordering::Relaxed) > HANDSHAKE_BYTES_MAX {
            counters.swallowed.fetch_add(1, Ordering::Relaxed);
            // The rest of the answer goes the same way; then the connection breaks.
            let drain = async { while matches!(from.read(&mut buffer).await, Ok(1..)) {} };
            let _ = tokio::time::timeout(SWALLOW_TIME, drain).await;
            return;
        }
        delay(&fault).await;
        if to.write_all(&buffer[..n]).await.is_err() {
            return;
        }
    }
    let _ = to.shutdown().await;
}

async fn delay(fault: &watch::Receiver<Fault>) {
    let fault = *fault.borrow();
    if let Fault::Delay(time) = fault {
        tokio::time::sleep(time).await;
    }
}
