//! A chain of stores with a month of samples: what reading it takes, and what it takes beside another database.
//!
//! Every store has 100 series, one sample a minute each. All of it goes through the service and through upkeep; the last day
//! stays in the inbox, as the running day does. 100 stores and 30 days are 432 million samples.

mod beside;
mod crash;
mod overview;
mod reads;
mod victoria;

use std::path::Path;
use std::time::{Duration, Instant};

use rand::seq::IndexedRandom as _;
use storepulse_agent::time::now_ms;

pub(super) use self::beside::{Beside, Comparison};
pub(super) use self::crash::samples_lost;
pub(super) use self::overview::overview;
pub(super) use self::reads::{day, hot_day, month_by_hour};
use super::ingest::Rig;
use super::ingest::sender::Senders;
use super::progress;
use super::reference::ReferenceStore;
use crate::by_hand::{Answer, ByHand};
use crate::store::{self, Store};
use crate::upkeep;

const DAY_MS: i64 = 86_400_000;
/// A batch of a day that is past, and of the running one.
const PAST_BATCH: Duration = Duration::from_secs(3 * 3600);
const FRESH_BATCH: Duration = Duration::from_secs(600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// How large it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) tenant: &'static str,
    pub(super) stores: usize,
    pub(super) days: i64,
}

/// 432 million samples.
pub(super) const WHOLE: Size = Size { tenant: "chain", stores: 100, days: 30 };

/// A chain that is filled.
pub(super) struct Chain {
    pub(super) size: Size,
    stores: Vec<Store>,
    url: String,
    ca: std::path::PathBuf,
    /// UTC midnight before its first sample.
    from_ms: i64,
}

impl Chain {
    /// Onboards the stores and fills them, with upkeep after each day but the last.
    pub(super) async fn fill(rig: &Rig, size: Size, dir: &Path) -> anyhow::Result<Self> {
        let chain = Self::onboard(rig, size, dir).await?;
        let begun = Instant::now();
        let mut senders = Senders::of(rig, &chain.stores)?;
        let mut reference = ReferenceStore::open_chain(chain.from_ms);
        let mut samples = 0;
        for day in 1..=size.days {
            let is_hot = day == size.days;
            senders.load(&of_a_day(&mut reference, if is_hot { FRESH_BATCH } else { PAST_BATCH }))?;
            samples += senders.send(senders.pool_len()).await?.samples;
            if !is_hot {
                upkeep::run(&rig.db).await?;
            }
            let seconds = begun.elapsed().as_secs();
            progress::say(&format!("    day {day} of {}: {samples} samples after {seconds} s", size.days))?;
        }
        Ok(chain)
    }

    async fn onboard(rig: &Rig, size: Size, dir: &Path) -> anyhow::Result<Self> {
        let names: Vec<String> = (1..=size.stores).map(|n| format!("S{n:03}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let (url, ca) = (rig.cloud_url(), rig.ca());
        let stores = store::onboard(&rig.db, size.tenant, &names, &url, Some(&ca), dir).await?;
        // The last day is over: a whole one is read.
        let from_ms = (now_ms().div_euclid(DAY_MS) - size.days) * DAY_MS;
        Ok(Self { size, stores, url, ca, from_ms })
    }

    /// A series of some store, and whoever may read it.
    fn somewhere(&self) -> anyhow::Result<(ByHand, &Store, String, &'static str)> {
        let rng = &mut rand::rng();
        let store = self.stores.choose(rng).ok_or_else(|| anyhow::anyhow!("a chain without stores"))?;
        let hand = ByHand::new(&self.url, Some(&self.ca), Some(store.bearer()))?;
        let device = format!("pos-{:02}", rand::random_range(1..=10));
        let metric = ["hw.temperature", "retail.scanner.scans", "system.cpu.utilization"].choose(rng);
        Ok((hand, store, device, metric.copied().unwrap_or("hw.temperature")))
    }

    /// Beginning and end, both included, of the day that is this many days after the first.
    const fn day(&self, n: i64) -> (i64, i64) {
        (self.from_ms + n * DAY_MS, self.from_ms + (n + 1) * DAY_MS - 1)
    }
}

fn of_a_day(
    reference: &mut ReferenceStore,
    batch: Duration,
) -> Vec<storepulse_shared::batch::Batch<'static>> {
    let count = DAY.as_secs() / batch.as_secs();
    (0..count).map(|_| reference.time(batch)).collect()
}

/// Milliseconds until the answer was there, and the answer, which must be a good one.
async fn timed(hand: &ByHand, path: &str) -> anyhow::Result<(f64, Answer)> {
    let begun = Instant::now();
    let answer = hand.get(path).await?;
    let taken = begun.elapsed().as_secs_f64() * 1e3;
    anyhow::ensure!(answer.status == 200, "{path}: {} {}", answer.status, answer.detail());
    Ok((taken, answer))
}
