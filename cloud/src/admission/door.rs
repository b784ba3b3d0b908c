//! The door: how many connections are open, and how many of them are in a TLS handshake.
//!
//! A fleet that returns opens thousands of connections at once. Each open one costs a file descriptor and some kilobytes:
//! beyond the limit a new one is closed at once, and its agent comes back after a random time. A handshake costs a signature
//! and a key exchange, so only so many are under way and the others wait for their turn; a client that says nothing does
//! not take a turn, and who has waited for [`HANDSHAKE_WAIT`] is closed, since its client has given up by then.
//!
//! Boxes lose their power without closing their connections: HTTP/2 pings find out.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum_server::Server;
use axum_server::accept::Accept;
use hyper_util::rt::TokioTimer;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Handshakes under way at once.
const HANDSHAKES_MAX: usize = 512;
/// The longest wait for a client's first byte, and for a turn: as long as an agent waits for its connection.
const HANDSHAKE_WAIT: Duration = Duration::from_secs(10);
/// Descriptors for everything that is not a client: the database, files, the listener.
const DESCRIPTORS_RESERVED: u64 = 256;
/// Bytes of bodies that a client may send before we read them, on one connection: over a way of 200 ms that is 330 kB/s.
pub(super) const WINDOW_BYTES: u32 = 64 << 10;
/// Requests at once on one connection; an agent has eight.
const STREAMS_MAX: u32 = 32;
/// How often a silent connection is asked whether somebody is there, and how long it may take to answer.
const PING_EVERY: Duration = Duration::from_secs(60);
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// How long the head of a request may take (HTTP/1).
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// Open connections, and handshakes under way.
#[derive(Debug, Clone)]
pub(crate) struct Door {
    connections: Arc<Semaphore>,
    connections_max: usize,
    handshakes: Arc<Semaphore>,
    turned_away: Arc<AtomicU64>,
    made: Arc<AtomicU64>,
}

impl Door {
    pub(super) fn new(connections_max: usize) -> Self {
        let connections_max = connections_max.min(Semaphore::MAX_PERMITS);
        Self {
            connections: Arc::new(Semaphore::new(connections_max)),
            connections_max,
            handshakes: Arc::new(Semaphore::new(HANDSHAKES_MAX)),
            turned_away: Arc::default(),
            made: Arc::default(),
        }
    }

    /// Connections open now.
    pub(crate) fn open(&self) -> usize {
        self.connections_max - self.connections.available_permits()
    }

    /// Connections closed at the door since the start.
    pub(crate) fn turned_away(&self) -> u64 {
        self.turned_away.load(Ordering::Relaxed)
    }

    /// Connections made since the start, their handshakes done.
    pub(super) fn made(&self) -> u64 {
        self.made.load(Ordering::Relaxed)
    }

    /// Before an acceptor that makes handshakes.
    pub(crate) fn before<A>(&self, acceptor: A, has_handshake: bool) -> Guarded<A> {
        Guarded { door: self.clone(), acceptor, has_handshake }
    }

    fn turn_away(&self, why: &'static str) -> io::Error {
        let before = self.turned_away.fetch_add(1, Ordering::Relaxed);
        // Once for each thousand: a flood must not flood the log.
        if before.is_multiple_of(1_000) {
            tracing::warn!(before, why, "connections are closed at the door");
        }
        io::Error::new(io::ErrorKind::ConnectionRefused, why)
    }
}

/// What each connection may do.
pub(crate) fn set_limits<A>(server: &mut Server<SocketAddr, A>) {
    let builder = server.http_builder();
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    builder
        .http2()
        .timer(TokioTimer::new())
        .initial_connection_window_size(WINDOW_BYTES)
        .initial_stream_window_size(WINDOW_BYTES)
        .max_concurrent_streams(STREAMS_MAX)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_TIMEOUT);
}

/// So many connections, or as many as this process may have open, after asking for all it is allowed.
pub(crate) fn within_open_files(connections_max: usize) -> usize {
    let allowed = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(soft, hard)| {
        if soft < hard {
            setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
        }
        Ok(hard)
    });
    match allowed {
        Ok(allowed) => {
            let most = usize::try_from(allowed.saturating_sub(DESCRIPTORS_RESERVED)).unwrap_or(usize::MAX);
            if most < connections_max {
                tracing::warn!(
                    most,
                    connections_max,
                    "fewer connections: this process may not open more files"
                );
            }
            connections_max.min(most)
        }
        Err(error) => {
            tracing::warn!(%error, "the limit of open files is not known");
            connections_max
        }
    }
}

/// An acceptor behind the door.
#[derive(Debug, Clone)]
pub(crate) struct Guarded<A> {
    door: Door,
    acceptor: A,
    has_handshake: bool,
}

type Accepted<S, T> = Pin<Box<dyn Future<Output = io::Result<(S, T)>> + Send>>;

impl<A, S> Accept<TcpStream, S> for Guarded<A>
where
    A: Accept<TcpStream, S> + Clone + Send + Sync + 'static,
    A::Stream: Send,
    A::Service: Send,
    A::Future: Send,
    S: Send + 'static,
{
    type Stream = Counted<A::Stream>;
    type Service = A::Service;
    type Future = Accepted<Self::Stream, Self::Service>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let Self { door, acceptor, has_handshake } = self.clone();
        Box::pin(async move {
            let Ok(connection) = Arc::clone(&door.connections).try_acquire_owned() else {
                return Err(door.turn_away("too many connections"));
            };
            let turn = if has_handshake { Some(door.turn(&stream).await?) } else { None };
            let (inner, service) = acceptor.accept(stream, service).await?;
            drop(turn);
            door.made.fetch_add(1, Ordering::Relaxed);
            Ok((Counted { inner, _connection: connection }, service))
        })
    }
}

impl Door {
    /// A turn for a handshake, once the client has begun it.
    async fn turn(&self, stream: &TcpStream) -> io::Result<OwnedSemaphorePermit> {
        let turn = async {
            stream.peek(&mut [0]).await?;
            Arc::clone(&self.handshakes).acquire_owned().await.map_err(io::Error::other)
        };
        match tokio::time::timeout(HANDSHAKE_WAIT, turn).await {
            Ok(turn) => turn,
            Err(_) => Err(self.turn_away("no handshake in time")),
        }
    }
}

/// A connection that is counted until it is closed.
#[derive(Debug)]
pub(crate) struct Counted<S> {
    inner: S,
    _connection: OwnedSemaphorePermit,
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}
