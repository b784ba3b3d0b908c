//! The same samples in both: what taking them costs, what is left on disk, what reading them back takes.
//!
//! Of ours counts what the service, PostgreSQL and upkeep burn, so that at the end both have their final form on disk.

use std::path::Path;
use std::time::{Duration, Instant};

use super::super::figure::Figure;
use super::super::ingest::Rig;
use super::super::ingest::compaction::series_days_bytes;
use super::super::ingest::sender::Senders;
use super::super::progress;
use super::super::reference::ReferenceStore;
use super::super::wire::bytes_a_sample;
use super::victoria::{Victoria, lines};
use super::{Chain, PAST_BATCH, Size, of_a_day, reads, timed};
use crate::upkeep;

/// 14.4 million samples.
const SIZE: Size = Size { tenant: "beside", stores: 20, days: 5 };
const REQUESTS: usize = 100;

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::figures) enum Comparison {
    Ingest,
    Disk,
    Day,
    Hours,
}

/// Ours and theirs, of one run.
#[derive(Debug, Clone, Copy)]
pub(in crate::figures) struct Beside {
    ingest: (f64, f64),
    disk: (f64, f64),
    day: (f64, f64),
    hours: (f64, f64),
}

impl Beside {
    pub(in crate::figures) fn figure(&self, what: Comparison) -> Figure {
        let (ours, theirs) = match what {
            Comparison::Ingest => self.ingest,
            Comparison::Disk => self.disk,
            Comparison::Day => self.day,
            Comparison::Hours => self.hours,
        };
        Figure::new(ours).beside(theirs)
    }

    pub(in crate::figures) async fn measure(rig: &Rig, dir: &Path) -> anyhow::Result<Self> {
        let theirs = Victoria::start(dir).await?;
        let chain = Chain::onboard(rig, SIZE, &dir.join("stores")).await?;
        let disk_before = series_days_bytes(rig).await?;
        let (ours_cpu, samples) = fill_ours(rig, &chain).await?;
        let disk_ours = usize::try_from(series_days_bytes(rig).await? - disk_before)?;
        progress::say("    the same into VictoriaMetrics …")?;
        let theirs_cpu = fill_theirs(&theirs, &chain).await?;
        let disk_theirs = usize::try_from(theirs.bytes()?)?;
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let a_sample = |taken: Duration| taken.as_secs_f64() * 1e6 / samples as f64;
        let (mut day, mut hours) = ((Vec::new(), Vec::new()), (Vec::new(), Vec::new()));
        for n in 0..=REQUESTS {
            let (ours, store, device, metric) = chain.somewhere()?;
            ours.get("/health").await?;
            let (from, to) = chain.day(rand::random_range(0..SIZE.days));
            let path = format!(
                "/v1/stores/{}/metrics?device={device}&metric={metric}&from={from}&to={to}",
                store.id
            );
            let selector =
                format!("{}{{store=\"{}\",device=\"{device}\"}}", metric.replace('.', "_"), store.id);
            let (of_ours, _) = timed(&ours, &path).await?;
            let query = [("match[]", selector.clone()), ("start", seconds(from)), ("end", seconds(to))];
            let (of_theirs, text) = timed_theirs(&theirs, "/api/v1/export", &query).await?;
            anyhow::ensure!(text.len() > 5_000, "VictoriaMetrics gave {text:.200}");
            let (from, to) = (chain.day(0).0, chain.day(SIZE.days - 1).1);
            let query = [
                ("query", format!("avg_over_time({selector}[1h])")),
                ("start", seconds(from + 3_600_000)),
                ("end", seconds(to)),
                ("step", "1h".to_owned()),
            ];
            let (of_theirs_hours, _) = timed_theirs(&theirs, "/api/v1/query_range", &query).await?;
            if n > 0 {
                day.0.push(of_ours);
                day.1.push(of_theirs);
                hours.1.push(of_theirs_hours);
            }
        }
        hours.0 = reads::hours(&chain, SIZE.days).await?;
        let slow = |pair: &(Vec<f64>, Vec<f64>)| (reads::slow(&pair.0).value, reads::slow(&pair.1).value);
        Ok(Self {
            ingest: (a_sample(ours_cpu), a_sample(theirs_cpu)),
            disk: (bytes_a_sample(disk_ours, samples), bytes_a_sample(disk_theirs, samples)),
            day: slow(&day),
            hours: slow(&hours),
        })
    }
}

async fn fill_ours(rig: &Rig, chain: &Chain) -> anyhow::Result<(Duration, usize)> {
    let mut senders = Senders::of(rig, &chain.stores)?;
    let mut reference = ReferenceStore::open_chain(chain.from_ms);
    let (mut cpu, mut samples) = (Duration::ZERO, 0);
    for _ in 0..chain.size.days {
        senders.load(&of_a_day(&mut reference, PAST_BATCH))?;
        let begun = rig.clocks()?;
        samples += senders.send(senders.pool_len()).await?.samples;
        let sent = rig.clocks()?;
        upkeep::run(&rig.db).await?;
        rig.checkpoint().await?;
        let ended = rig.clocks()?;
        cpu += (sent.service - begun.service) + (ended.server - begun.server) + (ended.client - sent.client);
    }
    Ok((cpu, samples))
}

async fn fill_theirs(theirs: &Victoria, chain: &Chain) -> anyhow::Result<Duration> {
    let mut reference = ReferenceStore::open_chain(chain.from_ms);
    let begun = theirs.cpu()?;
    for _ in 0..chain.size.days {
        for batch in of_a_day(&mut reference, PAST_BATCH) {
            for store in &chain.stores {
                theirs.import(lines(store.id.as_str(), &batch)).await?;
            }
        }
    }
    theirs.settle().await?;
    Ok(theirs.cpu()? - begun)
}

async fn timed_theirs(
    theirs: &Victoria,
    path: &str,
    query: &[(&str, String)],
) -> anyhow::Result<(f64, String)> {
    let begun = Instant::now();
    let text = theirs.get(path, query).await?;
    Ok((begun.elapsed().as_secs_f64() * 1e3, text))
}

fn seconds(ms: i64) -> String {
    format!("{}.{:03}", ms / 1000, ms % 1000)
}
