//! The events of a store, in pages.

use serde::{Deserialize, Serialize};
use storepulse_shared::ids::StoreId;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::db::TenantTx;
use crate::store::parameters::TimeRange;

/// Where an event stands: by time, then by the batch that brought it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::store) struct EventPlace {
    pub t: i64,
    pub epoch: Uuid,
    pub seq: i64,
    pub no: i32,
}

/// Which events. What is `None` is not asked for.
#[derive(Debug)]
pub(in crate::store) struct EventFilter<'a> {
    pub range: TimeRange,
    pub device: Option<&'a str>,
    pub kind: Option<&'a str>,
    /// Only those that stand before this one.
    pub before: Option<&'a EventPlace>,
    pub limit: i64,
}

#[derive(Debug)]
pub(in crate::store) struct EventRow {
    pub epoch: Uuid,
    pub seq: i64,
    pub no: i32,
    pub device_id: String,
    pub t: i64,
    pub kind: String,
    pub text: String,
    pub clock: String,
    pub received_at: OffsetDateTime,
}

/// Events of the range, newest first.
pub(in crate::store) async fn events(
    tx: &mut TenantTx,
    store: &StoreId,
    filter: &EventFilter<'_>,
) -> Result<Vec<EventRow>, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    // The first event of a page stands below the range's end and its last possible place.
    let before = filter.before.map_or((filter.range.to_ms, Uuid::max(), i64::MAX, i32::MAX), |place| {
        (place.t.min(filter.range.to_ms), place.epoch, place.seq, place.no)
    });
    sqlx::query_as!(
        EventRow,
        r#"select epoch, seq, no, device_id, t, kind, text, clock, received_at from events
        where tenant_id = $1 and store_id = $2 and t >= $3 and t <= $4
          and (t, epoch, seq, no) < ($4, $5, $6, $7)
          and ($8::text is null or device_id = $8) and ($9::text is null or kind = $9)
        order by t desc, epoch desc, seq desc, no desc
        limit $10"#,
        tenant,
        store.as_str(),
        filter.range.from_ms,
        before.0,
        before.1,
        before.2,
        before.3,
        filter.device,
        filter.kind,
        filter.limit,
    )
    .fetch_all(tx.connection())
    .await
}
