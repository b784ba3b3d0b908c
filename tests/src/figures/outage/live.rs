//! A device that pushes a value every second, whatever the link does.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::super::footprint::push_one;
use super::LIVE_PACE;

/// How long the gateway may take to accept a value.
const PUSH_LIMIT: Duration = Duration::from_secs(30);

/// The device at work.
pub(super) struct Live {
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Live {
    pub(super) fn start(gateway: SocketAddr) -> anyhow::Result<Self> {
        let stop = CancellationToken::new();
        let task = tokio::spawn(run(gateway, stop.clone()));
        Ok(Self { stop, task })
    }

    pub(super) async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        self.task.await?
    }
}

async fn run(gateway: SocketAddr, stop: CancellationToken) -> anyhow::Result<()> {
    let mut pace = tokio::time::interval(LIVE_PACE);
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            _ = pace.tick() => {}
        }
        push_one(gateway, "live-01", Instant::now() + PUSH_LIMIT).await?;
    }
}
