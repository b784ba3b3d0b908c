//! Serves connections, so that nobody who is slow, many or endless takes them from others.
//!
//! `axum::serve` has no time limits; this is hyper's server beneath it, with them. A head that does not come in time closes
//! the connection, which is also the limit of an idle one; a connection ends after a while whatever it does, so that who
//! does not read an answer keeps no place for ever. Every connection is a task that is joined here.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::http::Request;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::{TowerToHyperService, TowerToHyperServiceFuture};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::door::{Door, Seats};

/// How long requests under way may go on when it is time to stop; the agent itself gives them three seconds.
const LAST_REQUEST: Duration = Duration::from_secs(2);
/// How long the last request of an old connection may take.
const OLD_REQUEST: Duration = Duration::from_secs(60);
/// How long to wait when there are no descriptors left.
const ACCEPT_REST: Duration = Duration::from_millis(200);

/// What connections may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// How many.
    pub places: Seats,
    /// How long the head of a request may take to come, or the next request.
    pub head_time: Duration,
    /// Its size.
    pub head_bytes: usize,
    /// How long a connection may be open; then it ends with the request under way.
    pub connection_time: Duration,
}

/// The two ends of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Visitor {
    /// Who it is from.
    pub peer: SocketAddr,
    /// The address of ours that it came to.
    pub own: SocketAddr,
}

/// Serves until `stop`; then requests under way may end.
pub(crate) async fn serve(
    router: Router,
    listener: TcpListener,
    limits: Limits,
    stop: CancellationToken,
    what: &'static str,
) {
    let door = Door::new(limits.places);
    let mut open = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            Some(ended) = open.join_next() => {
                note(ended, what);
                continue;
            }
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, what, "a connection could not be taken");
                tokio::time::sleep(ACCEPT_REST).await;
                continue;
            }
        };
        // Whoever finds no place is closed at once: that costs nothing, and a browser comes again.
        let (Some(place), Ok(own)) = (door.admit(peer.ip()), stream.local_addr()) else { continue };
        let visited =
            Visited { visitor: Visitor { peer, own }, router: TowerToHyperService::new(router.clone()) };
        let stop = stop.clone();
        open.spawn(async move {
            converse(stream, visited, limits, stop).await;
            drop(place);
        });
    }
    drop(listener);
    while let Some(ended) = open.join_next().await {
        note(ended, what);
    }
}

fn note(ended: Result<(), tokio::task::JoinError>, what: &str) {
    if let Err(error) = ended {
        tracing::error!(%error, what, "a request failed");
    }
}

async fn converse(stream: TcpStream, visited: Visited, limits: Limits, stop: CancellationToken) {
    // Pages are small: they should not wait for each other.
    let _ = stream.set_nodelay(true);
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.head_time).max_header_size(limits.head_bytes);
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), visited));
    tokio::select! {
        // How it ended is the other side's affair: it went, or said what is no HTTP.
        _ = connection.as_mut() => return,
        () = stop.cancelled() => {}
        () = tokio::time::sleep(limits.connection_time) => {}
    }
    connection.as_mut().graceful_shutdown();
    let stopping = async {
        stop.cancelled().await;
        tokio::time::sleep(LAST_REQUEST).await;
    };
    tokio::select! {
        _ = connection => {}
        () = stopping => {}
        () = tokio::time::sleep(OLD_REQUEST) => {}
    }
}

/// The router, told who asks.
struct Visited {
    visitor: Visitor,
    router: TowerToHyperService<Router>,
}

impl hyper::service::Service<Request<Incoming>> for Visited {
    type Response = Response;
    type Error = Infallible;
    type Future = TowerToHyperServiceFuture<Router, Request<Incoming>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(self.visitor);
        hyper::service::Service::call(&self.router, request)
    }
}
