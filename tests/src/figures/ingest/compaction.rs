//! Compaction: what it costs beside ingest, and what is left on disk.
//!
//! Eight stores send whole days of the reference store through the service; upkeep, in this process and at full speed, makes
//! `series_days` of them. Each round has days of its own, so that nothing is there before.

#![expect(clippy::disallowed_methods, reason = "sizes are no business of the service")]

use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use storepulse_agent::time::now_ms;

use super::super::figure::Figure;
use super::super::progress;
use super::super::reference::ReferenceStore;
use super::super::rounds::median;
use super::super::wire::bytes_a_sample;
use super::Rig;
use super::sender::Senders;
use crate::upkeep;

const ROUNDS: i64 = 3;
const DAY_MS: i64 = 86_400_000;
/// Samples of a day of the reference store.
const DAY_SAMPLES: usize = 186_912;
/// Of ingest's time.
const RATIO_MAX: f64 = 1.0 / 3.0;
const BYTES_MAX: f64 = 1.5;

pub(in crate::figures) const SIZES: [usize; 2] = [94, 1_000];
/// Samples a batch where only what is left of them counts.
const ANY_SIZE: usize = 1_000;

/// Processor time a sample, of upkeep and PostgreSQL, beside that of ingest, of the service and PostgreSQL.
pub(in crate::figures) async fn measure(size: usize, rig: &Rig) -> anyhow::Result<Figure> {
    upkeep::run(&rig.db).await?;
    let (mut values, mut limits) = (Vec::new(), Vec::new());
    // One more than is counted: the first one pays for caches, files and months.
    for round in 0..=ROUNDS {
        let mut senders = one_day(rig, size, 10 + round * 3 + if size == ANY_SIZE { 20 } else { 0 })?;
        rig.checkpoint().await?;
        let begun = rig.clocks()?;
        let sent = senders.send(senders.pool_len()).await?;
        let ended = rig.clocks()?;
        let ingest = (ended.service - begun.service) + (ended.server - begun.server);
        drop(senders);
        rig.checkpoint().await?;
        let begun = rig.clocks()?;
        let report = upkeep::run(&rig.db).await?;
        let ended = rig.clocks()?;
        let compaction = (ended.client - begun.client) + (ended.server - begun.server);
        anyhow::ensure!(report.samples == sent.samples as u64 && report.replaced == 0, "{report}");
        if round > 0 {
            #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
            let a_sample = |taken: std::time::Duration| taken.as_secs_f64() * 1e6 / sent.samples as f64;
            values.push(a_sample(compaction));
            limits.push(a_sample(ingest));
        }
    }
    progress::rounds(&values, &limits)?;
    let ratios = values.iter().zip(&limits).map(|(value, limit)| value / limit).collect();
    let figure =
        Figure { limit: Some(median(limits)), ratio: Some(median(ratios)), ..Figure::new(median(values)) };
    Ok(figure.ratio_at_most(RATIO_MAX).binding())
}

/// Growth of `series_days`, with indexes and TOAST, by a day of eight stores.
pub(in crate::figures) async fn disk(rig: &Rig) -> anyhow::Result<Figure> {
    upkeep::run(&rig.db).await?;
    let before = series_days_bytes(rig).await?;
    let mut senders = one_day(rig, ANY_SIZE, 5)?;
    let sent = senders.send(senders.pool_len()).await?;
    upkeep::run(&rig.db).await?;
    let grown = usize::try_from(series_days_bytes(rig).await? - before)?;
    Ok(Figure::new(bytes_a_sample(grown, sent.samples))
        .beside(bytes_a_sample(sent.bytes, sent.samples))
        .at_most(BYTES_MAX)
        .binding())
}

/// Eight stores with one UTC day each, so many days ago.
fn one_day(rig: &Rig, size: usize, days_ago: i64) -> anyhow::Result<Senders> {
    let from_ms = (now_ms().div_euclid(DAY_MS) - days_ago) * DAY_MS;
    let mut senders = Senders::of(rig, &rig.stores)?;
    senders.load(&ReferenceStore::open(from_ms).batches(DAY_SAMPLES / size, size))?;
    Ok(senders)
}

/// Of every month, with indexes and TOAST.
pub(in crate::figures) async fn series_days_bytes(rig: &Rig) -> anyhow::Result<i64> {
    let mut admin = PgConnection::connect_with(&rig.db.admin).await?;
    let bytes = sqlx::query_scalar(
        "select coalesce(sum(pg_total_relation_size(inhrelid)), 0)::bigint from pg_inherits
        where inhparent = 'series_days'::regclass",
    );
    let bytes = bytes.fetch_one(&mut admin).await?;
    admin.close().await?;
    Ok(bytes)
}
