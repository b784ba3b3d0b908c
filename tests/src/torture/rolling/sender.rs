//! A sender that takes every answer but 200 for a failure: it sends one batch after the other over connections that it keeps.

use std::path::Path;
use std::time::{Duration, Instant};

use storepulse_agent::time::now_ms;
use storepulse_shared::ids::Epoch;
use tokio_util::sync::CancellationToken;

use super::super::wire::{Answer, Wire};
use crate::by_hand::{self, HandBatch};
use crate::cluster::TestDb;
use crate::devices::{DeviceLog, Sent};
use crate::oracle::{self, Excuses, Verdict};
use crate::store::Store;

/// The series of all senders; each is a device of its own.
const SERIES: &str = "torture.rolling";
/// Pause after a failure, and how long a batch is tried for.
const RETRY: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) struct Sender {
    device: String,
    wire: Wire,
    every: Duration,
    log: DeviceLog,
}

/// What it came to.
pub(super) struct Sendings {
    device: String,
    log: DeviceLog,
    pub(super) batches: u64,
    /// Requests that were not answered with 200, and how.
    pub(super) failed: Vec<String>,
}

impl Sender {
    pub(super) fn new(device: String, wire: Wire, every: Duration, dir: &Path) -> anyhow::Result<Self> {
        let log = DeviceLog::create(&dir.join(format!("{device}.log")))?;
        Ok(Self { device, wire, every, log })
    }

    /// Sends until it is calm.
    pub(super) async fn send(self, calm: CancellationToken) -> anyhow::Result<Sendings> {
        let epoch = Epoch::random();
        let (mut batches, mut failed) = (0, Vec::new());
        #[expect(clippy::cast_precision_loss, reason = "counters are small")]
        while !calm.is_cancelled() {
            batches += 1;
            let mut content = by_hand::samples(SERIES, &[now_ms()], &[batches as f64]);
            content.frames[0].device = self.device.clone().into();
            let batch = HandBatch::of(epoch, batches, &content);
            let begun = Instant::now();
            loop {
                anyhow::ensure!(
                    begun.elapsed() < PATIENCE,
                    "{}: no answer in {PATIENCE:?}",
                    batch.header.batch
                );
                match self.wire.post(&batch.header, batch.body.clone()).await? {
                    Answer::Taken(_) => break,
                    other => failed.push(format!("{} after {:?}: {other:?}", self.device, begun.elapsed())),
                }
                tokio::time::sleep(RETRY).await;
            }
            self.log.note(Sent { n: batches, at: Instant::now(), owed: true })?;
            tokio::select! {
                () = calm.cancelled() => {}
                () = tokio::time::sleep(self.every) => {}
            }
        }
        Ok(Sendings { device: self.device, log: self.log, batches, failed })
    }
}

/// Compares what all senders of a store were answered with what is stored.
pub(super) async fn judge(db: &TestDb, store: &Store, all: &[Sendings]) -> anyhow::Result<Verdict> {
    let stored = oracle::stored(db, store.tenant.as_str(), store.id.as_str(), SERIES).await?;
    let mut verdict = Verdict::default();
    for one in all {
        let held = stored.get(&one.device).cloned().unwrap_or_default();
        verdict += oracle::judge(&one.log, &held, &Excuses::default());
    }
    Ok(verdict)
}
