//! A POS terminal that pushes flat samples to the gateway and keeps each until it is answered 2xx.
//!
//! Every push carries an `Idempotency-Key`, so that one that was taken and not answered can be sent again.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{DeviceLog, PUSHED_COUNTER, Sent};

/// How long one push may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Pause after a push that failed.
const RETRY: Duration = Duration::from_millis(100);

/// A running pusher.
#[derive(Debug)]
pub struct Pusher {
    /// What it pushed; owed is what was answered 2xx.
    pub log: DeviceLog,
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Pusher {
    /// Begins to push the counter of `device` to a gateway, once in `every`.
    ///
    /// # Errors
    /// The log cannot be made.
    pub fn start(dir: &Path, device: &str, gateway: SocketAddr, every: Duration) -> anyhow::Result<Self> {
        let log = DeviceLog::create(&dir.join(format!("{device}.log")))?;
        let stop = CancellationToken::new();
        let http = reqwest::Client::builder().no_proxy().timeout(TIMEOUT).build()?;
        let url = format!("http://{gateway}/v1/metrics/batch");
        let push = Push { http, url, device: device.to_owned(), log: log.clone() };
        #[expect(clippy::disallowed_methods, reason = "joined by stop(); ends with the process otherwise")]
        let task = tokio::spawn(push.run(every, stop.clone()));
        Ok(Self { log, stop, task })
    }

    /// Stops; the push that is under way is tried once more, so that its fate is known.
    ///
    /// # Errors
    /// It had failed.
    pub async fn stop(self) -> anyhow::Result<DeviceLog> {
        self.stop.cancel();
        self.task.await??;
        Ok(self.log)
    }
}

struct Push {
    http: reqwest::Client,
    url: String,
    device: String,
    log: DeviceLog,
}

impl Push {
    async fn run(self, every: Duration, stop: CancellationToken) -> anyhow::Result<()> {
        let mut pace = tokio::time::interval(every);
        pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        for n in 1.. {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = pace.tick() => {}
            }
            let body = self.body(n)?;
            let owed = loop {
                match self.push(n, &body).await {
                    Ok(answered) => break answered,
                    Err(_) if stop.is_cancelled() => break false,
                    Err(_) => tokio::time::sleep(RETRY).await,
                }
            };
            self.log.note(Sent { n, at: Instant::now(), owed })?;
        }
        Ok(())
    }

    fn body(&self, n: u64) -> anyhow::Result<String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
        Ok(format!(
            r#"{{"metrics":[{{"device_id":"{}","metric":"{PUSHED_COUNTER}","value":{n},"timestamp":{now}}}]}}"#,
            self.device
        ))
    }

    /// `Ok(true)`: taken. `Ok(false)`: refused for good. An error: ask again.
    async fn push(&self, n: u64, body: &str) -> anyhow::Result<bool> {
        let request = self
            .http
            .post(&self.url)
            .header("Content-Type", "application/json")
            .header("Idempotency-Key", format!("{}-{n}", self.device))
            .body(body.to_owned());
        let answer = request.send().await?;
        match answer.status().as_u16() {
            200..300 => {
                // A 2xx that breaks off is none.
                answer.bytes().await?;
                Ok(true)
            }
            status @ (429 | 500..600) => anyhow::bail!("{status}"),
            _ => Ok(false),
        }
    }
}
