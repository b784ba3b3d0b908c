//! The reference store at sixty times its pace: every device pushes flat samples to the gateway, as a POS terminal does.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use storepulse_agent::time::now_ms;
use storepulse_shared::batch::Frame;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::super::reference::{EPOCH_MS, ReferenceStore};

/// A second is a minute.
const SPEED: u32 = 60;
/// Pause before a push is tried again by which the first sample is timed.
const AGAIN: Duration = Duration::from_millis(1);

/// Devices that push.
pub(super) struct Feed {
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<usize>>,
}

impl Feed {
    pub(super) fn start(gateway: SocketAddr) -> anyhow::Result<Self> {
        let stop = CancellationToken::new();
        #[expect(clippy::disallowed_methods, reason = "joined by stop(); ends with the process otherwise")]
        let task = tokio::spawn(run(gateway, stop.clone()));
        Ok(Self { stop, task })
    }

    /// Returns how many samples were pushed.
    pub(super) async fn stop(self) -> anyhow::Result<usize> {
        self.stop.cancel();
        self.task.await?
    }
}

async fn run(gateway: SocketAddr, stop: CancellationToken) -> anyhow::Result<usize> {
    let (mut store, client) =
        (ReferenceStore::open(EPOCH_MS), reqwest::Client::builder().no_proxy().build()?);
    let mut pace = tokio::time::interval(ReferenceStore::PACE / SPEED);
    let mut samples = 0;
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(samples),
            _ = pace.tick() => {}
        }
        for frame in store.tick().frames {
            let answer =
                client.post(url(gateway)).header("Content-Type", "application/json").body(flat(&frame)?);
            match answer.send().await {
                Ok(answer) => samples += answer.error_for_status().map(|_| frame.columns.len())?,
                // It has only just been started.
                Err(error) if error.is_connect() => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Pushes one sample until it is taken, and returns when it was.
pub(in crate::figures) async fn push_one(
    gateway: SocketAddr,
    device: &str,
    deadline: Instant,
) -> anyhow::Result<Instant> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    loop {
        let row = row(device, "retail.pos.up", 1.0);
        let request = client.post(url(gateway)).header("Content-Type", "application/json");
        match request.body(format!(r#"{{"metrics":[{row}]}}"#)).send().await {
            Ok(answer) if answer.status().is_success() => return Ok(Instant::now()),
            other if Instant::now() > deadline => anyhow::bail!("no sample was taken: {other:?}"),
            _ => tokio::time::sleep(AGAIN).await,
        }
    }
}

fn url(gateway: SocketAddr) -> String {
    format!("http://{gateway}/v1/metrics/batch")
}

/// One tick of a device, dated now: the agent's clock is not sped up.
fn flat(frame: &Frame<'_>) -> anyhow::Result<String> {
    let value = |values: &Vec<f64>| values.last().copied().context("a frame without a value");
    let rows = frame.columns.iter().map(|c| Ok(row(&frame.device, &c.series, value(&c.values)?)));
    let rows: Vec<String> = rows.collect::<anyhow::Result<_>>()?;
    Ok(format!(r#"{{"metrics":[{}]}}"#, rows.join(",")))
}

fn row(device: &str, metric: &str, value: f64) -> String {
    let now = now_ms();
    format!(r#"{{"device_id":"{device}","metric":"{metric}","value":{value},"timestamp":{now}}}"#)
}
