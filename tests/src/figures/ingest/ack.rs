//! How long an agent waits for its ack while the cloud works at 70 % of what it can: the 99th percentile, beside that of a
//! bare commit.
//!
//! What the cloud can is measured before each turn, since the machine may have other things to do: eight senders, one batch
//! after the other. Then the same eight keep to a timetable of 70 % of that rate. The limit is eight connections that insert
//! one number into a table of their own and commit, by the same timetable: nothing durable takes less. Who is late because
//! the one before took long waits from the time on the timetable; being woken late is not counted, on either side.

#![expect(clippy::disallowed_methods, reason = "the limit must not run through the service's code")]

use std::cell::Cell;
use std::time::Duration;

use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::super::figure::Figure;
use super::super::{progress, rounds};
use super::Rig;
use super::sender::Senders;

const ROUNDS: usize = 5;
/// Acks that each of the eight waits for in a turn: 3,200 in all, of which the 32 slowest lie above the percentile.
const TURN_ACKS: usize = 400;
/// Acks that each waits for while what the cloud can is measured.
const RATE_ACKS: usize = 200;
const LOAD: f64 = 0.7;
const RATIO_MAX: f64 = 5.0;

pub(in crate::figures) const SIZES: [usize; 2] = [100, 1_000];

/// In milliseconds.
pub(in crate::figures) async fn measure(size: usize, rig: &Rig) -> anyhow::Result<Figure> {
    let mut senders = Senders::connect(rig, size)?;
    senders.send(senders.pool_len()).await?;
    let mut commits = Commits::connect(rig, senders.all.len()).await?;
    let timetable = Cell::new(Timetable::of(full_pace(&mut senders).await?, LOAD));
    let value = async || {
        timetable.set(Timetable::of(full_pace(&mut senders).await?, LOAD));
        rig.checkpoint().await?;
        Ok(percentile_99_ms(senders.send_by(timetable.get(), TURN_ACKS).await?))
    };
    let limit = async || {
        rig.checkpoint().await?;
        Ok(percentile_99_ms(commits.commit_by(timetable.get(), TURN_ACKS).await?))
    };
    Ok(rounds::alternate(ROUNDS, value, limit).await?.ratio_at_most(RATIO_MAX).binding())
}

/// How long a batch of each sender takes when all bring as many as they can.
pub(super) async fn full_pace(senders: &mut Senders) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    senders.send(RATE_ACKS).await?;
    let each = begun.elapsed() / u32::try_from(RATE_ACKS)?;
    let per_second = f64::from(u32::try_from(senders.all.len())?) / each.as_secs_f64();
    progress::say(&format!("    {per_second:.0} batches/s at full load"))?;
    Ok(each)
}

pub(super) fn percentile_99_ms(mut waits: Vec<Duration>) -> f64 {
    waits.sort_unstable();
    let at = (waits.len() * 99).div_ceil(100).saturating_sub(1);
    waits.get(at).map_or(f64::NAN, |wait| wait.as_secs_f64() * 1e3)
}

/// When each of several has its turns: at the same pace, evenly apart.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timetable {
    every: Duration,
}

/// One's place in it.
#[derive(Debug)]
pub(super) struct Turns {
    next: Instant,
    every: Duration,
}

impl Timetable {
    /// Of this share of a pace.
    pub(super) fn of(full_pace: Duration, load: f64) -> Self {
        Self { every: full_pace.div_f64(load) }
    }

    /// One turn each so often.
    pub(super) const fn every(every: Duration) -> Self {
        Self { every }
    }

    /// Of number `no` of so many, from now on.
    pub(super) fn turns(self, no: u32, of: u32) -> Turns {
        Turns { next: Instant::now() + self.every * no / of, every: self.every }
    }
}

impl Turns {
    /// Waits for the next turn; returns since when it is waited for.
    pub(super) async fn next(&mut self) -> Instant {
        let due = self.next;
        self.next += self.every;
        if Instant::now() > due {
            return due;
        }
        sleep_until(due).await;
        Instant::now()
    }
}

/// Connections that do nothing but commit.
struct Commits(Vec<PgConnection>);

impl Commits {
    async fn connect(rig: &Rig, count: usize) -> anyhow::Result<Self> {
        let mut all = Vec::new();
        for _ in 0..count {
            all.push(PgConnection::connect_with(&rig.db.admin).await?);
        }
        if let Some(first) = all.first_mut() {
            let table =
                "create schema if not exists figures; create table if not exists figures.commits (n bigint)";
            sqlx::raw_sql(table).execute(first).await?;
        }
        Ok(Self(all))
    }

    /// How long each commit took.
    async fn commit_by(&mut self, timetable: Timetable, each: usize) -> anyhow::Result<Vec<Duration>> {
        let mut tasks = JoinSet::new();
        let of = u32::try_from(self.0.len())?;
        for (no, connection) in (0..).zip(self.0.drain(..)) {
            tasks.spawn(commit_one_by_one(connection, timetable.turns(no, of), each));
        }
        let mut waits = Vec::new();
        while let Some(done) = tasks.join_next().await {
            let (connection, took) = done??;
            self.0.push(connection);
            waits.extend(took);
        }
        Ok(waits)
    }
}

async fn commit_one_by_one(
    mut connection: PgConnection,
    mut turns: Turns,
    count: usize,
) -> anyhow::Result<(PgConnection, Vec<Duration>)> {
    let mut waits = Vec::with_capacity(count);
    for n in 0..count {
        let since = turns.next().await;
        sqlx::query("insert into figures.commits values ($1)")
            .bind(i64::try_from(n)?)
            .execute(&mut connection)
            .await?;
        waits.push(since.elapsed());
    }
    Ok((connection, waits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_a_hundred_lies_above_the_percentile() {
        let waits = (1..=200).rev().map(Duration::from_millis).collect();
        assert!((percentile_99_ms(waits) - 198.0).abs() < 1e-9);
        assert!(percentile_99_ms(Vec::new()).is_nan());
    }

    #[tokio::test]
    async fn who_is_late_waits_since_the_timetable_said_so() {
        let (begun, every) = (Instant::now(), Duration::from_millis(10));
        let mut turns = Turns { next: begun - 2 * every, every };
        assert_eq!(turns.next().await, begun - 2 * every);
        assert_eq!(turns.next().await, begun - every);
        turns.next().await;
        assert!(turns.next().await >= begun + every);
    }
}
