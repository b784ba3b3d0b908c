//! `streams` and `sample_batches`: who has which number, and the one statement that stores a batch.

use std::collections::BTreeMap;

use storepulse_shared::batch::header::{BatchHeader, BodyDigest};
use storepulse_shared::ids::{BatchId, Epoch, StoreId};
use storepulse_shared::limits::THROUGH_EPOCHS_MAX;
use storepulse_shared::seqs::SeqSet;

use super::super::columns::Columns;
use crate::db::TenantTx;

/// What the cloud has of a batch number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ingest) enum Receipt {
    /// Nothing yet.
    Open,
    /// It is stored; with the digest of its body while the inbox holds it.
    Received(Option<BodyDigest>),
    /// It was closed and will never be stored.
    Void,
}

/// Who sends, as far as the stream's row tells people.
#[derive(Debug, Clone, Default)]
pub(in crate::ingest) struct Sender {
    pub agent_version: Option<String>,
    pub host_id: Option<String>,
}

/// PostgreSQL's `bigint`; the grammar of batch numbers ends below it.
pub(in crate::ingest) fn number(seq: u64) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}

/// Looks a number up. The inbox is asked only about what it may hold: naming it costs a look at every partition.
pub(in crate::ingest) async fn look_up(
    tx: &mut TenantTx,
    store: &StoreId,
    batch: BatchId,
) -> Result<Receipt, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    let row = sqlx::query!(
        r#"select received @> $4::bigint as "received!", void @> $4::bigint as "void!"
        from streams where tenant_id = $1 and store_id = $2 and epoch = $3"#,
        tenant,
        store.as_str(),
        batch.epoch.uuid(),
        number(batch.seq),
    )
    .fetch_optional(tx.connection())
    .await?;
    Ok(match row {
        Some(row) if row.received => Receipt::Received(digest(tx, store, batch).await?),
        Some(row) if row.void => Receipt::Void,
        _ => Receipt::Open,
    })
}

/// The digest of a batch's body, while the inbox holds it.
async fn digest(
    tx: &mut TenantTx,
    store: &StoreId,
    batch: BatchId,
) -> Result<Option<BodyDigest>, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    let digest = sqlx::query_scalar!(
        "select body_digest from sample_batches
        where tenant_id = $1 and store_id = $2 and epoch = $3 and seq = $4 limit 1",
        tenant,
        store.as_str(),
        batch.epoch.uuid(),
        number(batch.seq),
    )
    .fetch_optional(tx.connection())
    .await?;
    Ok(digest.and_then(|bytes| <[u8; 8]>::try_from(bytes).ok()).map(BodyDigest))
}

/// Stores a batch if its number is still open: the stream's row takes the number, and only then the inbox takes the
/// row. Returns the end of the contiguous range of its epoch, or `None` if the number was taken or closed meanwhile.
pub(in crate::ingest) async fn take(
    tx: &mut TenantTx,
    store: &StoreId,
    header: &BatchHeader,
    body_bytes: usize,
    columns: &Columns,
    sender: &Sender,
) -> Result<Option<u64>, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    let through = sqlx::query_scalar!(
        r#"with receipt as (
            insert into streams as s (tenant_id, store_id, epoch, received, sealed, agent_version, host_id,
                batches, samples, bytes, day_batches, day_samples, day_bytes)
            values ($1, $2, $3, int8multirange(int8range($4, $4, '[]')), $5, $6, $7, 1, $8, $9, 1, $8, $9)
            on conflict (tenant_id, store_id, epoch) do update set
                received = s.received + excluded.received,
                sealed = greatest(s.sealed, excluded.sealed),
                agent_version = coalesce(excluded.agent_version, s.agent_version),
                host_id = coalesce(excluded.host_id, s.host_id),
                last_received_at = excluded.last_received_at,
                batches = s.batches + 1,
                samples = s.samples + excluded.samples,
                bytes = s.bytes + excluded.bytes,
                days = case when s.day >= excluded.day then s.days
                    else s.days || jsonb_build_object(s.day, jsonb_build_array(s.day_batches, s.day_samples, s.day_bytes))
                    end,
                -- A transaction that began before midnight may come after one that began behind it: it counts there.
                day = greatest(s.day, excluded.day),
                day_batches = case when s.day >= excluded.day then s.day_batches else 0 end + 1,
                day_samples = case when s.day >= excluded.day then s.day_samples else 0 end + excluded.samples,
                day_bytes = case when s.day >= excluded.day then s.day_bytes else 0 end + excluded.bytes
            where not s.received @> $4::bigint and not s.void @> $4::bigint
            returning through(received + void) as through
        ), stored as (
            insert into sample_batches (tenant_id, store_id, epoch, seq, body_digest, clock, n, t_min, t_max,
                series_ids, group_runs, run_lengths, t_offsets, vals)
            select $1, $2, $3, $4, $10, $11, $8, $12, $13, $14, $15, $16, $17, $18 from receipt
        )
        select through as "through!" from receipt"#,
        tenant,
        store.as_str(),
        header.batch.epoch.uuid(),
        number(header.batch.seq),
        number(header.sealed),
        sender.agent_version,
        sender.host_id,
        i64::try_from(columns.samples()).unwrap_or(i64::MAX),
        i64::try_from(body_bytes).unwrap_or(i64::MAX),
        header.digest.0.as_slice(),
        header.clock.as_str(),
        columns.span.map(|(first, _)| first),
        columns.span.map(|(_, last)| last),
        &columns.series_ids,
        &columns.group_runs,
        &columns.run_lengths,
        &columns.t_offsets,
        &columns.vals,
    )
    .fetch_optional(tx.connection())
    .await?;
    Ok(through.map(|n| u64::try_from(n).unwrap_or_default()))
}

/// Closes these numbers of an epoch, but not those that have arrived; returns the latter.
pub(in crate::ingest) async fn close(
    tx: &mut TenantTx,
    store: &StoreId,
    epoch: Epoch,
    seqs: &SeqSet,
    sealed: u64,
) -> Result<SeqSet, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    let firsts: Vec<i64> = seqs.ranges().iter().map(|(first, _)| number(*first)).collect();
    let lasts: Vec<i64> = seqs.ranges().iter().map(|(_, last)| number(*last)).collect();
    let arrived = sqlx::query!(
        r#"with closing as (
            select range_agg(int8range(first, last, '[]')) as seqs from unnest($4::bigint[], $5::bigint[]) as r (first, last)
        ), closed as (
            insert into streams as s (tenant_id, store_id, epoch, void, sealed)
            select $1, $2, $3, closing.seqs, $6 from closing
            on conflict (tenant_id, store_id, epoch) do update set
                void = s.void + (excluded.void - s.received),
                sealed = greatest(s.sealed, excluded.sealed)
            returning received
        )
        select lower(r) as "first!", upper(r) - 1 as "last!"
        from closed, closing, unnest(closed.received * closing.seqs) as r
        order by 1"#,
        tenant,
        store.as_str(),
        epoch.uuid(),
        &firsts,
        &lasts,
        number(sealed),
    )
    .fetch_all(tx.connection())
    .await?;
    let unsigned = |n: i64| u64::try_from(n).unwrap_or_default();
    let ranges: Vec<_> = arrived.iter().map(|r| (unsigned(r.first), unsigned(r.last))).collect();
    SeqSet::from_many_ranges(&ranges).map_err(|e| sqlx::Error::Decode(Box::new(e)))
}

/// Takes the rows of these epochs for this transaction, in one order, so that two batches that name each other's
/// epochs wait instead of deadlocking.
pub(in crate::ingest) async fn lock_in_order(
    tx: &mut TenantTx,
    store: &StoreId,
    epochs: &[Epoch],
) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    let epochs: Vec<_> = epochs.iter().map(|e| e.uuid()).collect();
    sqlx::query!(
        r#"select epoch from streams where tenant_id = $1 and store_id = $2 and epoch = any ($3)
        order by epoch for update"#,
        tenant,
        store.as_str(),
        &epochs,
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(())
}

/// Notes which epoch came before, and returns whether this contradicts what is known: the spool is a copy then.
pub(in crate::ingest) async fn follow(
    tx: &mut TenantTx,
    store: &StoreId,
    epoch: Epoch,
    after: BatchId,
) -> Result<bool, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    let forked = sqlx::query_scalar!(
        r#"with predecessor as (
            insert into streams as s (tenant_id, store_id, epoch, sealed) values ($1, $2, $4, $5)
            on conflict (tenant_id, store_id, epoch) do update set sealed = greatest(s.sealed, excluded.sealed)
            returning s.sealed
        ), verdict as (
            select sealed > $5 or exists (
                select from streams o
                where o.tenant_id = $1 and o.store_id = $2 and o.after_epoch = $4 and o.epoch <> $3
            ) as forked
            from predecessor
        ), noted as (
            insert into streams as s (tenant_id, store_id, epoch, after_epoch, after_seq, forked)
            select $1, $2, $3, $4, $5, forked from verdict
            on conflict (tenant_id, store_id, epoch) do update set
                after_epoch = excluded.after_epoch, after_seq = excluded.after_seq, forked = s.forked or excluded.forked
        )
        select forked as "forked!" from verdict"#,
        tenant,
        store.as_str(),
        epoch.uuid(),
        after.epoch.uuid(),
        number(after.seq),
    );
    forked.fetch_one(tx.connection()).await
}

/// The contiguous ends of up to eight earlier epochs on the chain of `after` that still miss a number.
pub(in crate::ingest) async fn incomplete_before(
    tx: &mut TenantTx,
    store: &StoreId,
    epoch: Epoch,
) -> Result<BTreeMap<Epoch, u64>, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    let rows = sqlx::query!(
        r#"with recursive chain as (
            select epoch, after_epoch, received + void as answered, sealed, 0 as depth from streams
            where tenant_id = $1 and store_id = $2 and epoch = $3
            union all
            select s.epoch, s.after_epoch, s.received + s.void, s.sealed, c.depth + 1
            from chain c join streams s on s.tenant_id = $1 and s.store_id = $2 and s.epoch = c.after_epoch
            -- Nobody restarts a thousand times without a batch; the bound stops a circle of lies.
            where c.depth < 1000
        )
        select epoch as "epoch!", through(answered) as "through!" from chain
        where depth > 0 and through(answered) < sealed
        order by depth limit $4"#,
        tenant,
        store.as_str(),
        epoch.uuid(),
        i64::try_from(THROUGH_EPOCHS_MAX).unwrap_or(i64::MAX),
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(rows
        .into_iter()
        .map(|r| (Epoch::from_uuid(r.epoch), u64::try_from(r.through).unwrap_or_default()))
        .collect())
}

/// The contiguous end of one epoch.
pub(in crate::ingest) async fn through(
    tx: &mut TenantTx,
    store: &StoreId,
    epoch: Epoch,
) -> Result<u64, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    let through = sqlx::query_scalar!(
        r#"select through(received + void) as "through!" from streams
        where tenant_id = $1 and store_id = $2 and epoch = $3"#,
        tenant,
        store.as_str(),
        epoch.uuid(),
    );
    let through = through.fetch_optional(tx.connection()).await?;
    Ok(through.and_then(|n| u64::try_from(n).ok()).unwrap_or_default())
}

/// Gives a flat body the next number of the store's own epoch, and stores its samples under it.
pub(in crate::ingest) async fn take_flat(
    tx: &mut TenantTx,
    store: &StoreId,
    digest: BodyDigest,
    body_bytes: usize,
    columns: &Columns,
) -> Result<BatchId, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    let row = sqlx::query!(
        r#"with receipt as (
            insert into streams as s (tenant_id, store_id, epoch, flat, received, sealed,
                batches, samples, bytes, day_batches, day_samples, day_bytes)
            values ($1, $2, gen_random_uuid(), true, '{[1,1]}', 1, 1, $3, $4, 1, $3, $4)
            on conflict (tenant_id, store_id) where flat do update set
                sealed = s.sealed + 1,
                received = s.received + int8multirange(int8range(s.sealed + 1, s.sealed + 1, '[]')),
                last_received_at = excluded.last_received_at,
                batches = s.batches + 1,
                samples = s.samples + excluded.samples,
                bytes = s.bytes + excluded.bytes,
                days = case when s.day >= excluded.day then s.days
                    else s.days || jsonb_build_object(s.day, jsonb_build_array(s.day_batches, s.day_samples, s.day_bytes))
                    end,
                -- A transaction that began before midnight may come after one that began behind it: it counts there.
                day = greatest(s.day, excluded.day),
                day_batches = case when s.day >= excluded.day then s.day_batches else 0 end + 1,
                day_samples = case when s.day >= excluded.day then s.day_samples else 0 end + excluded.samples,
                day_bytes = case when s.day >= excluded.day then s.day_bytes else 0 end + excluded.bytes
            returning epoch, sealed
        ), stored as (
            insert into sample_batches (tenant_id, store_id, epoch, seq, body_digest, clock, n, t_min, t_max,
                series_ids, group_runs, run_lengths, t_offsets, vals)
            select $1, $2, epoch, sealed, $5, 'ok', $3, $6, $7, $8, $9, $10, $11, $12 from receipt
        )
        select epoch as "epoch!", sealed as "seq!" from receipt"#,
        tenant,
        store.as_str(),
        i64::try_from(columns.samples()).unwrap_or(i64::MAX),
        i64::try_from(body_bytes).unwrap_or(i64::MAX),
        digest.0.as_slice(),
        columns.span.map(|(first, _)| first),
        columns.span.map(|(_, last)| last),
        &columns.series_ids,
        &columns.group_runs,
        &columns.run_lengths,
        &columns.t_offsets,
        &columns.vals,
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(BatchId { epoch: Epoch::from_uuid(row.epoch), seq: u64::try_from(row.seq).unwrap_or_default() })
}
