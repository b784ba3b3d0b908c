//! A balancer as an operator has one before several instances of the cloud: it asks each every 100 ms whether it is ready, and
//! gives a new connection to the next one that is, or to another if that cannot be connected to. It knows nothing of what it
//! carries: TLS goes through, and a connection stays where it is until one side closes it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::cloud::http_client;

/// How often an instance is asked, and how long it may take.
const ASK_EVERY: Duration = Duration::from_millis(100);
const ASK_TIMEOUT: Duration = Duration::from_secs(2);

/// A running balancer.
#[derive(Debug)]
pub struct Balancer {
    /// Where it listens.
    pub address: SocketAddr,
    instances: Arc<[Instance]>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

#[derive(Debug)]
struct Instance {
    address: SocketAddr,
    is_ready: AtomicBool,
    connections: AtomicUsize,
}

impl Balancer {
    /// Listens on a free port.
    ///
    /// # Errors
    /// No port is free, or the authority's file cannot be read.
    pub async fn start(instances: &[SocketAddr], ca: &Path) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let instances: Arc<[Instance]> = instances
            .iter()
            .map(|address| Instance {
                address: *address,
                is_ready: AtomicBool::new(false),
                connections: AtomicUsize::new(0),
            })
            .collect();
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        for at in 0..instances.len() {
            tasks.spawn(ask(Arc::clone(&instances), at, http_client(Some(ca))?));
        }
        tasks.spawn(accept(listener, Arc::clone(&instances)));
        let stopped = stop.clone();
        #[expect(clippy::disallowed_methods, reason = "joined by stop(); ends with the process otherwise")]
        let task = tokio::spawn(async move {
            stopped.cancelled().await;
            tasks.shutdown().await;
        });
        Ok(Self { address, instances, stop, task })
    }

    /// Whether it gives connections to an instance.
    #[must_use]
    pub fn is_ready(&self, at: usize) -> bool {
        self.instances[at].is_ready.load(Ordering::Acquire)
    }

    /// How many connections each instance was given.
    #[must_use]
    pub fn connections(&self) -> Vec<usize> {
        self.instances.iter().map(|one| one.connections.load(Ordering::Relaxed)).collect()
    }

    /// Closes everything.
    pub async fn stop(self) {
        self.stop.cancel();
        // A panic of the balancer's has been printed; nothing depends on it any more.
        let _ = self.task.await;
    }
}

async fn ask(instances: Arc<[Instance]>, at: usize, client: reqwest::Client) {
    let instance = &instances[at];
    let url = format!("https://{}/ready", instance.address);
    let mut tick = tokio::time::interval(ASK_EVERY);
    loop {
        tick.tick().await;
        let answer = client.get(&url).timeout(ASK_TIMEOUT).send().await;
        let is_ready = answer.is_ok_and(|answer| answer.status().is_success());
        instance.is_ready.store(is_ready, Ordering::Release);
    }
}

async fn accept(listener: TcpListener, instances: Arc<[Instance]>) {
    let mut connections = JoinSet::new();
    let mut next = 0;
    loop {
        let accepted = tokio::select! {
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            accepted = listener.accept() => accepted,
        };
        if let Ok((client, _)) = accepted {
            next += 1;
            connections.spawn(carry(client, Arc::clone(&instances), next));
        }
    }
}

async fn carry(mut client: TcpStream, instances: Arc<[Instance]>, first: usize) {
    let order = (0..instances.len()).map(|more| &instances[(first + more) % instances.len()]);
    for instance in order.filter(|one| one.is_ready.load(Ordering::Acquire)) {
        let Ok(mut server) = TcpStream::connect(instance.address).await else { continue };
        instance.connections.fetch_add(1, Ordering::Relaxed);
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        // An error is a connection that broke; both sides see it.
        let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
        return;
    }
}
