//! `events`, `losses` and `recoveries`.

use std::collections::BTreeMap;

use storepulse_shared::answer::Rejected;
use storepulse_shared::batch::{Clock, Event, Lane, Loss};
use storepulse_shared::ids::{BatchId, Epoch, StoreId};
use storepulse_shared::seqs::SeqSet;

use super::super::columns::Rejection;
use super::receipts::number;
use crate::db::TenantTx;

/// Where rows of a batch belong.
#[derive(Debug, Clone, Copy)]
pub(in crate::ingest) struct Place<'a> {
    pub store: &'a StoreId,
    pub batch: BatchId,
}

/// Stores the events of a batch, numbered from `first_no`.
pub(in crate::ingest) async fn insert_events(
    tx: &mut TenantTx,
    place: Place<'_>,
    events: &[Event<'_>],
    first_no: i32,
    offset_ms: i64,
    clock: Clock,
) -> Result<(), sqlx::Error> {
    if events.is_empty() {
        return Ok(());
    }
    let tenant = tx.tenant().to_owned();
    let devices: Vec<String> = events.iter().map(|e| e.device.clone().into_owned()).collect();
    let kinds: Vec<String> = events.iter().map(|e| e.kind.clone().into_owned()).collect();
    let texts: Vec<String> = events.iter().map(|e| e.text.clone().into_owned()).collect();
    let times: Vec<i64> = events.iter().map(|e| e.t.saturating_add(offset_ms)).collect();
    sqlx::query!(
        r#"insert into events (tenant_id, store_id, epoch, seq, no, device_id, t, kind, text, clock)
        select $1, $2, $3, $4, $5 + n::integer - 1, device, t, kind, text, $6
        from unnest($7::text[], $8::bigint[], $9::text[], $10::text[]) with ordinality as e (device, t, kind, text, n)"#,
        tenant,
        place.store.as_str(),
        place.batch.epoch.uuid(),
        number(place.batch.seq),
        first_no,
        clock.as_str(),
        &devices,
        &times,
        &kinds,
        &texts,
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Records what was rejected of a batch, from where duplicates of it repeat it.
pub(in crate::ingest) async fn insert_rejections(
    tx: &mut TenantTx,
    place: Place<'_>,
    lane: Lane,
    rejections: &[Rejection],
) -> Result<(), sqlx::Error> {
    if rejections.is_empty() {
        return Ok(());
    }
    let tenant = tx.tenant().to_owned();
    let paths: Vec<String> = rejections.iter().map(|r| r.told.path.clone()).collect();
    let reasons: Vec<String> = rejections.iter().map(|r| format!("rejected:{}", r.told.reason)).collect();
    let samples: Vec<i64> = rejections.iter().map(|r| number(r.told.samples)).collect();
    let firsts: Vec<i64> = rejections.iter().map(|r| r.span.0).collect();
    let lasts: Vec<i64> = rejections.iter().map(|r| r.span.1).collect();
    sqlx::query!(
        r#"insert into losses (tenant_id, store_id, loss_id, epoch, seq, path, lane, t_from, t_to, samples, reason)
        select $1, $2, $3::uuid || '/' || $4::bigint || '#' || path, $3, $4, path, $5, t_from, t_to, samples, reason
        from unnest($6::text[], $7::bigint[], $8::bigint[], $9::bigint[], $10::text[])
            as r (path, t_from, t_to, samples, reason)"#,
        tenant,
        place.store.as_str(),
        place.batch.epoch.uuid(),
        number(place.batch.seq),
        lane.as_str(),
        &paths,
        &firsts,
        &lasts,
        &samples,
        &reasons,
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// What was rejected of a batch when it was stored.
pub(in crate::ingest) async fn rejections(
    tx: &mut TenantTx,
    place: Place<'_>,
) -> Result<Vec<Rejected>, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    let rows = sqlx::query!(
        r#"select path as "path!", reason, samples from losses
        where tenant_id = $1 and store_id = $2 and epoch = $3 and seq = $4 and path is not null
        order by path"#,
        tenant,
        place.store.as_str(),
        place.batch.epoch.uuid(),
        number(place.batch.seq),
    )
    .fetch_all(tx.connection())
    .await?;
    let told = |reason: String| reason.strip_prefix("rejected:").unwrap_or(&reason).to_owned();
    Ok(rows
        .into_iter()
        .map(|r| Rejected {
            path: r.path,
            reason: told(r.reason),
            samples: u64::try_from(r.samples).unwrap_or_default(),
        })
        .collect())
}

/// Records a loss once; says whether it was new.
pub(in crate::ingest) async fn insert_loss(
    tx: &mut TenantTx,
    place: Place<'_>,
    loss: &Loss,
    offset_ms: i64,
    delivered_after_all: &BTreeMap<Epoch, SeqSet>,
) -> Result<bool, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    let json = |seqs: &BTreeMap<Epoch, SeqSet>| {
        serde_json::to_value(seqs).map_err(|e| sqlx::Error::Encode(Box::new(e)))
    };
    let after_all = if delivered_after_all.is_empty() { None } else { Some(json(delivered_after_all)?) };
    let done = sqlx::query!(
        r#"insert into losses (tenant_id, store_id, loss_id, epoch, seq, lane, t_from, t_to, samples, events, reason,
            seqs, delivered_after_all)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
        on conflict (tenant_id, store_id, loss_id) do nothing"#,
        tenant,
        place.store.as_str(),
        loss.id.to_string(),
        place.batch.epoch.uuid(),
        number(place.batch.seq),
        loss.lane.as_str(),
        loss.from.saturating_add(offset_ms),
        loss.to.saturating_add(offset_ms),
        number(loss.samples),
        number(loss.events),
        loss.reason,
        json(&loss.seqs)?,
        after_all,
    )
    .execute(tx.connection())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Records that a batch has brought so many samples and events of one that was told as lost.
pub(in crate::ingest) async fn insert_recovery(
    tx: &mut TenantTx,
    place: Place<'_>,
    lost: BatchId,
    samples: usize,
    events: usize,
) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query!(
        "insert into recoveries (tenant_id, store_id, epoch, seq, lost_epoch, lost_seq, samples, events)
        values ($1, $2, $3, $4, $5, $6, $7, $8)",
        tenant,
        place.store.as_str(),
        place.batch.epoch.uuid(),
        number(place.batch.seq),
        lost.epoch.uuid(),
        number(lost.seq),
        number(samples as u64),
        number(events as u64),
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}
