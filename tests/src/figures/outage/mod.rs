//! The link was away for 72 hours and is back: how long until everything is delivered, and until the present is seen.
//!
//! The link carries 1 Mbit/s and takes 100 ms each way ([`crate::proxy::Link`]); TLS goes over it unchanged. The backlog was
//! sealed by the spool as it does while the cloud does not answer, with sample times over 72 hours, in an earlier life of
//! the agent. The shipped agent then finds the link cut, for longer than its longest pause, so that it waits as it does
//! after three days. A device pushes a value every second all the while.
//!
//! Counted is from the first byte that comes back over the link, which is of a TLS handshake. *Drained* is when PostgreSQL
//! has the receipts of all batches of the backlog; *live* is when it has a value that was read at the first answer or
//! later, or within the second before, that being the pace of the device.

#![expect(clippy::disallowed_methods, reason = "what is visible is no business of the service")]

mod backlog;
mod live;

use std::time::{Duration, Instant};

use anyhow::Context as _;
use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Row as _};
use storepulse_agent::time::now_ms;

use self::backlog::Backlog;
use self::live::Live;
use super::bench::Bench;
use super::figure::Figure;
use super::ingest::Rig;
use super::progress;
use super::report::number;
use super::shipped::Shipped;
use crate::proxy::{Fault, Link, Proxy};
use crate::store::Store;
use crate::wait;

const LINK: Link = Link { bits_per_s: 1_000_000, delay: Duration::from_millis(100) };
/// The longest pause between two attempts, as it is by default; the backlog also waits up to this long after a start.
const RETRY_MAX: Duration = Duration::from_secs(60);
/// How long the agent finds the link cut.
const CUT: Duration = Duration::from_secs(65);
/// How long a drain may take before it is given up.
const DRAIN_LIMIT: Duration = Duration::from_secs(900);
const LOOK: Duration = Duration::from_millis(100);
const TELL: Duration = Duration::from_secs(10);
/// A value is a live one if it was read at most this long before.
const LIVE_PACE: Duration = Duration::from_secs(1);

/// Which store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Size {
    /// The reference store: 570,000 samples.
    Reference,
    /// 500 series every ten seconds: 13 million samples.
    Dense,
}

/// What an outage came to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outcome {
    /// From the link's return to the first attempt.
    attempt: Duration,
    /// From the first answer on.
    drained: Duration,
    live: Duration,
}

impl Size {
    /// Seconds until the backlog is delivered.
    pub(super) async fn drained(self, bench: &mut Bench) -> anyhow::Result<Figure> {
        let most = if self == Self::Dense { 300.0 } else { 30.0 };
        Ok(seconds(bench.outage(self).await?.drained).at_most(most).binding())
    }

    /// Seconds until a live value is visible.
    pub(super) async fn live(self, bench: &mut Bench) -> anyhow::Result<Figure> {
        Ok(seconds(bench.outage(self).await?.live).at_most(5.0).binding())
    }

    /// Seconds from the return of the link to the first attempt.
    pub(super) async fn attempt(self, bench: &mut Bench) -> anyhow::Result<Figure> {
        Ok(seconds(bench.outage(self).await?.attempt).at_most(RETRY_MAX.as_secs_f64()).binding())
    }

    const fn store(self) -> usize {
        match self {
            Self::Reference => 4,
            Self::Dense => 5,
        }
    }
}

fn seconds(time: Duration) -> Figure {
    Figure::new(time.as_secs_f64())
}

/// Has an outage, and its end.
pub(super) async fn run(rig: &Rig, size: Size) -> anyhow::Result<Outcome> {
    let store = &rig.stores[size.store()];
    let link = Proxy::start_as_link(rig.address(), LINK).await?;
    link.set(Fault::Cut);
    let mut agent = Shipped::install(store, &format!("https://{}", link.address), "256MiB")?;
    let backlog = backlog::fill(size, &agent.spool_dir()).await?;
    agent.start()?;
    let live = Live::start(agent.push)?;
    progress::say(&format!("    the link stays cut for {} s …", CUT.as_secs()))?;
    tokio::time::sleep(CUT).await;
    let outcome = come_back(rig, store, &link, &agent, &backlog).await.with_context(|| agent.said())?;
    live.stop().await?;
    agent.stop().await?;
    link.stop().await;
    Ok(outcome)
}

async fn come_back(
    rig: &Rig,
    store: &Store,
    link: &Proxy,
    agent: &Shipped,
    backlog: &Backlog,
) -> anyhow::Result<Outcome> {
    let status = agent.read_status().await?;
    let running = status["spool"]["epoch"].as_str().context("the running epoch")?.to_owned();
    let before = link.connections();
    let returned = Instant::now();
    link.set(Fault::None);
    let limit = RETRY_MAX + Duration::from_secs(20);
    let attempted = async || Ok((link.connections() > before).then(|| returned.elapsed()));
    let attempt = wait::until("an attempt", limit, attempted).await?;
    wait::until("an answer", limit, async || Ok((link.downstream_bytes() > 0).then_some(()))).await?;
    let (answered, answered_ms) = (Instant::now(), now_ms());
    progress::say(&format!("    first attempt {} s after the link's return", number(attempt.as_secs_f64())))?;

    let mut admin = PgConnection::connect_with(&rig.db.admin).await?;
    let mut cloud = Cloud { db: &mut admin, store, backlog, running: &running };
    let (mut live, mut oldest_ms, mut told) = (None, 0, Instant::now());
    let drained = loop {
        let (newest, delivered) = (cloud.newest_live_ms().await?, cloud.delivered().await?);
        let (since, sent) = (answered.elapsed(), link.upstream_bytes());
        if let (Some(_), Some(ms)) = (live, newest) {
            oldest_ms = oldest_ms.max(now_ms().abs_diff(ms));
        }
        if live.is_none() && newest.is_some_and(|ms| ms >= answered_ms - in_ms(LIVE_PACE)) {
            live = Some(since);
        }
        if told.elapsed() > TELL {
            told = Instant::now();
            let line = format!(
                "    {:>3} s: {delivered} of {} batches, {} KiB/s",
                since.as_secs(),
                backlog.batches,
                number(rate(sent, since) / 1_024.0)
            );
            progress::say(&line)?;
        }
        if delivered >= backlog.batches && live.is_some() {
            break since;
        }
        anyhow::ensure!(since < DRAIN_LIMIT, "not drained in time: {delivered} of {}", backlog.batches);
        tokio::time::sleep(LOOK).await;
    };
    admin.close().await?;
    let live = live.unwrap_or(drained);
    tell(link, drained, live, Duration::from_millis(oldest_ms))?;
    Ok(Outcome { attempt, drained, live })
}

/// What was seen beside the figures.
fn tell(link: &Proxy, drained: Duration, live: Duration, oldest: Duration) -> anyhow::Result<()> {
    progress::say(&format!(
        "    drained after {} s with {} of 125 KB/s, a live value visible after {} s; the newest visible value was never older than {} s",
        number(drained.as_secs_f64()),
        number(rate(link.upstream_bytes(), drained) / 1_000.0),
        number(live.as_secs_f64()),
        number(oldest.as_secs_f64()),
    ))
    .map_err(Into::into)
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn rate(bytes: u64, time: Duration) -> f64 {
    bytes as f64 / time.as_secs_f64().max(0.001)
}

fn in_ms(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// What the cloud has of the store.
struct Cloud<'a> {
    db: &'a mut PgConnection,
    store: &'a Store,
    backlog: &'a Backlog,
    running: &'a str,
}

impl Cloud<'_> {
    /// Batches of the backlog that it has receipts of.
    async fn delivered(&mut self) -> anyhow::Result<u64> {
        let rows = sqlx::query(
            "select coalesce(sum(upper(r) - lower(r)), 0)::bigint
            from streams, unnest(received) r where tenant_id = $1 and store_id = $2 and epoch = $3::uuid",
        );
        let tenant = self.store.tenant.to_string();
        let rows = rows.bind(tenant).bind(self.store.id.to_string()).bind(&self.backlog.epoch);
        Ok(u64::try_from(rows.fetch_one(&mut *self.db).await?.get::<i64, _>(0))?)
    }

    /// The newest value of the running epoch, in which there is nothing old.
    async fn newest_live_ms(&mut self) -> anyhow::Result<Option<i64>> {
        let rows = sqlx::query(
            "select max(t_max) from sample_batches where tenant_id = $1 and store_id = $2 and epoch = $3::uuid",
        );
        let tenant = self.store.tenant.to_string();
        let rows = rows.bind(tenant).bind(self.store.id.to_string()).bind(self.running);
        Ok(rows.fetch_one(&mut *self.db).await?.get(0))
    }
}
