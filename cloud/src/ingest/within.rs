//! Batches that the cloud makes itself, in a transaction of whoever makes them: with a number, a receipt and what was rejected,
//! like those that came from outside.

use storepulse_shared::batch::header::{BatchHeader, BodyDigest};
use storepulse_shared::batch::{Batch, Clock, Lane};
use storepulse_shared::ids::{BatchId, StoreId, TenantId};

use super::columns::{Columns, Rejection, Window, lay_out};
use super::series::SeriesCache;
use super::sql::receipts::{self, Sender};
use super::sql::records::{self, Place};
use crate::db::{Db, TenantTx};

/// How often series are made again because something else happened in between.
const ATTEMPTS: usize = 4;

/// A batch, laid out for the inbox.
#[derive(Debug)]
pub(crate) struct Prepared {
    columns: Columns,
    rejections: Vec<Rejection>,
    /// One per frame and column: `None` where the series found no place.
    pub(crate) ids: Vec<Vec<Option<i32>>>,
    generation: u64,
}

/// Finds the ids of the batch's series, and makes those that are not there yet.
pub(crate) async fn prepare(
    (db, series): (&Db, &SeriesCache),
    tenant: &TenantId,
    store: &StoreId,
    batch: &Batch<'_>,
    window: Window,
) -> Result<Prepared, sqlx::Error> {
    for _ in 0..ATTEMPTS {
        let generation = db.generation(tenant);
        if let Some(ids) = series.known(generation, tenant, store, batch) {
            let (columns, rejections) = lay_out(batch, &ids, 0, window);
            return Ok(Prepared { columns, rejections, ids, generation });
        }
        series.create(db, tenant, store, batch).await?;
    }
    Err(sqlx::Error::Protocol(format!("the series of store {store} found no rest in {ATTEMPTS} attempts")))
}

/// Stores a batch under its number, with what was refused before it was one. `false`: the number is not open, or the ids are those
/// of other rows than the ones that this transaction sees; it must be given up.
pub(crate) async fn store_within(
    db: &Db,
    tx: &mut TenantTx,
    (tenant, store): (&TenantId, &StoreId),
    batch: BatchId,
    prepared: &Prepared,
    refused: &[Rejection],
) -> Result<bool, sqlx::Error> {
    if db.generation(tenant) != prepared.generation {
        return Ok(false);
    }
    let header = BatchHeader {
        batch,
        lane: Lane::Bulk,
        samples: u32::try_from(prepared.columns.samples()).unwrap_or(u32::MAX),
        sealed: batch.seq,
        digest: BodyDigest::of(&[]),
        offset_ms: 0,
        clock: Clock::Ok,
        resumed: false,
        after: None,
    };
    let taken = receipts::take(tx, store, &header, 0, &prepared.columns, &Sender::default()).await?;
    if taken.is_none() {
        return Ok(false);
    }
    let place = Place { store, batch };
    records::insert_rejections(tx, place, header.lane, &prepared.rejections).await?;
    records::insert_rejections(tx, place, header.lane, refused).await?;
    Ok(true)
}
