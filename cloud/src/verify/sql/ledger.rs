//! `streams` and `store_tallies`: what was received, and what became of it.

use storepulse_shared::ids::StoreId;
use uuid::Uuid;

use super::inbox::Hot;
use crate::db::TenantTx;

/// A row of `streams`, as far as it can be compared with itself.
#[derive(Debug)]
pub(in crate::verify) struct Stream {
    pub epoch: Uuid,
    pub batches: i64,
    pub samples: i64,
    pub bytes: i64,
    /// Numbers that are received.
    pub received: i64,
    /// Neither received nor void, up to the highest that was sealed.
    pub missing: i64,
    pub missing_ranges: Option<String>,
    /// Sums over the days.
    pub day_batches: i64,
    pub day_samples: i64,
    pub day_bytes: i64,
}

/// Sums over the streams of a store.
#[derive(Debug, Default)]
pub(in crate::verify) struct Streams {
    pub batches: i64,
    pub samples: i64,
}

/// What left the inbox of a store.
#[derive(Debug, Default)]
pub(in crate::verify) struct Tally {
    pub compacted_batches: i64,
    pub compacted_samples: i64,
    pub replaced_samples: i64,
    pub expired_samples: i64,
}

impl Stream {
    /// What does not add up.
    pub(in crate::verify) fn fault(&self) -> Option<String> {
        if self.batches != self.received {
            return Some(format!(
                "{} batches are counted, {} numbers are received",
                self.batches, self.received
            ));
        }
        let (counted, by_days) =
            ((self.batches, self.samples, self.bytes), (self.day_batches, self.day_samples, self.day_bytes));
        (counted != by_days).then(|| {
            format!("counted are batches, samples and bytes {counted:?}, and over its days {by_days:?}")
        })
    }
}

/// All streams of a store.
pub(in crate::verify) async fn streams(
    tx: &mut TenantTx,
    store: &StoreId,
) -> Result<Vec<Stream>, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query_as!(
        Stream,
        r#"select s.epoch, s.batches, s.samples, s.bytes, r.n as "received!", m.n as "missing!", m.ranges as missing_ranges,
            s.day_batches + d.batches as "day_batches!", s.day_samples + d.samples as "day_samples!",
            s.day_bytes + d.bytes as "day_bytes!"
        from streams s
        cross join lateral (
            select coalesce(sum(upper(x) - lower(x)), 0)::bigint as n from unnest(s.received) x
        ) r
        cross join lateral (
            select coalesce(sum(upper(x) - lower(x)), 0)::bigint as n,
                left(string_agg(format('%s to %s', lower(x), upper(x) - 1), ', ' order by lower(x)), 200) as ranges
            from unnest(int8multirange(int8range(1, s.sealed + 1)) - s.received - s.void) x
        ) m
        cross join lateral (
            select coalesce(sum((day.value ->> 0)::bigint), 0)::bigint as batches,
                coalesce(sum((day.value ->> 1)::bigint), 0)::bigint as samples,
                coalesce(sum((day.value ->> 2)::bigint), 0)::bigint as bytes
            from jsonb_each(s.days) as day
        ) d
        where s.tenant_id = $1 and s.store_id = $2
        order by s.first_received_at, s.epoch"#,
        tenant,
        store.as_str(),
    )
    .fetch_all(tx.connection())
    .await
}

/// The store's row of `store_tallies`, or zeros.
pub(in crate::verify) async fn tally(tx: &mut TenantTx, store: &StoreId) -> Result<Tally, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    let tally = sqlx::query_as!(
        Tally,
        r#"select compacted_batches, compacted_samples, replaced_samples, expired_samples from store_tallies
        where tenant_id = $1 and store_id = $2"#,
        tenant,
        store.as_str(),
    );
    Ok(tally.fetch_optional(tx.connection()).await?.unwrap_or_default())
}

/// Received = in the inbox + compacted; compacted = in `series_days` + replaced + expired.
pub(in crate::verify) fn faults(received: &Streams, hot: &Hot, tally: &Tally, in_days: i64) -> Vec<String> {
    let mut faults = Vec::new();
    let mut compare = |what: &str, received: i64, inbox: i64, compacted: i64| {
        if received != inbox + compacted {
            faults.push(format!(
                "{received} {what} were received, and {inbox} are in the inbox and {compacted} were compacted: {:+}",
                inbox + compacted - received
            ));
        }
    };
    compare("batches", received.batches, hot.batches, tally.compacted_batches);
    compare("samples", received.samples, hot.samples, tally.compacted_samples);
    let left = tally.compacted_samples - tally.replaced_samples - tally.expired_samples;
    if left != in_days {
        faults.push(format!(
            "{left} compacted samples should be in series_days ({} compacted, {} replaced, {} expired), and {in_days} are: {:+}",
            tally.compacted_samples,
            tally.replaced_samples,
            tally.expired_samples,
            in_days - left
        ));
    }
    faults
}
