//! What the account says, and how it follows from the rows.

use std::collections::BTreeMap;

use serde::Serialize;
use sqlx::types::Json;
use storepulse_shared::seqs::SeqSet;
use utoipa::ToSchema;
use uuid::Uuid;

use super::sql;
use crate::app::rfc3339;

/// Losses of one epoch that one answer tells; `losses_before` goes on.
pub(super) const LOSSES_MAX: i64 = 100;

/// What has become of everything that the store's spool ever sealed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Delivery {
    /// The store's id.
    pub(super) store: String,
    /// Over all epochs, whatever this page shows.
    pub(super) totals: Totals,
    /// Newest first.
    pub(super) epochs: Vec<EpochDelivery>,
    /// Give it as `before` for the next page; null on the last one.
    pub(super) next: Option<Uuid>,
}

/// Sums over all epochs of the store.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Totals {
    epochs: i64,
    /// Batches sealed.
    sealed: i64,
    /// Batches received.
    received: i64,
    /// Batches that will never come.
    void: i64,
    /// Batches that are due.
    missing: i64,
    /// Samples stored.
    samples: i64,
    /// Bytes of bodies received.
    bytes: i64,
    /// Records of what was lost or rejected.
    losses: i64,
    /// Samples that these speak of.
    lost_samples: i64,
    /// Events that these speak of.
    lost_events: i64,
    /// Of the lost samples: those that a replay from quarantine has brought after all.
    recovered_samples: i64,
    /// Of the lost events: the same.
    recovered_events: i64,
    /// The spool was restored from a copy, or cloned, at least once.
    forked: bool,
}

/// One opening of the spool.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EpochDelivery {
    epoch: Uuid,
    /// Highest batch number sealed.
    sealed: i64,
    /// Numbers whose batches are stored.
    received: Numbers,
    /// Numbers that were closed: lost, refused, or given up by the agent.
    void: Numbers,
    /// Numbers that are due: `[1..sealed]` − received − void.
    missing: Numbers,
    /// The end of the contiguous range received or void.
    through: i64,
    /// `<epoch>/<number>` of the batch that the spool sealed before this epoch, if it has told.
    after: Option<String>,
    /// When the cloud first heard of it, RFC 3339; null while nothing has arrived.
    first_received: Option<String>,
    /// When the last of its batches was committed, RFC 3339; null while nothing has arrived.
    last_received: Option<String>,
    /// The spool continued from a copy here.
    forked: bool,
    /// Flat bodies, numbered by the cloud.
    flat: bool,
    agent_version: Option<String>,
    host_id: Option<String>,
    samples: i64,
    bytes: i64,
    /// What its batches reported as lost, and what of them was rejected, by reason.
    reasons: Vec<Reason>,
    /// The same one by one, newest first.
    losses: Vec<Loss>,
    /// Give it as `losses_before`, with `epoch`, for more; null if these are all.
    losses_next: Option<String>,
}

/// Batch numbers of an epoch.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Numbers {
    /// How many numbers.
    count: i64,
    /// `[first, last]`, ascending; the first 200.
    #[schema(value_type = Vec<Vec<i64>>)]
    ranges: Vec<(i64, i64)>,
    /// Ranges beyond these.
    ranges_left_off: i64,
}

/// Losses of one reason.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Reason {
    reason: String,
    losses: i64,
    samples: i64,
    events: i64,
}

/// A record of what was lost or rejected.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Loss {
    id: String,
    /// Number of the batch that reported it, or of which it was rejected.
    seq: i64,
    /// Of a rejection: where in the batch.
    path: Option<String>,
    lane: String,
    /// First time lost, Unix milliseconds UTC.
    from: i64,
    /// Last time lost, Unix milliseconds UTC.
    to: i64,
    samples: i64,
    events: i64,
    reason: String,
    /// By epoch, the numbers that it closed.
    #[schema(value_type = BTreeMap<String, Vec<Vec<u64>>>)]
    seqs: BTreeMap<Uuid, SeqSet>,
    /// Numbers among them that had arrived before the loss was told; null if none had.
    #[schema(value_type = Option<BTreeMap<String, Vec<Vec<u64>>>>)]
    delivered_after_all: Option<BTreeMap<Uuid, SeqSet>>,
    /// What replays from quarantine have brought of it since; null if nothing.
    recovered: Option<Recovered>,
    /// RFC 3339.
    recorded: String,
}

/// What of a loss has been delivered after all, under other numbers.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Recovered {
    samples: i64,
    events: i64,
    /// By epoch, the numbers among the loss's own of which something was recovered.
    #[schema(value_type = BTreeMap<String, Vec<Vec<u64>>>)]
    seqs: BTreeMap<Uuid, SeqSet>,
}

impl Recovered {
    fn of(samples: i64, events: i64, numbers: Vec<(Uuid, u64)>) -> Option<Self> {
        let mut seqs: BTreeMap<Uuid, SeqSet> = BTreeMap::new();
        for (epoch, seq) in numbers {
            seqs.entry(epoch).or_default().insert(seq);
        }
        (!seqs.is_empty()).then_some(Self { samples, events, seqs })
    }
}

impl EpochDelivery {
    /// `losses` has one more than is shown, if there are more.
    pub(super) fn of(
        row: sql::EpochRow,
        reasons: Vec<sql::ReasonRow>,
        mut losses: Vec<sql::LossRow>,
    ) -> Self {
        let most = usize::try_from(LOSSES_MAX).unwrap_or_default();
        let is_all = losses.len() <= most;
        losses.truncate(most);
        let losses_next = losses.last().filter(|_| !is_all).map(|loss| loss.loss_id.clone());
        let received_at = |at| (row.received > 0).then(|| rfc3339(at));
        let numbers = |count, ranges: i64, shown: Json<Vec<(i64, i64)>>| Numbers {
            count,
            ranges_left_off: ranges - i64::try_from(shown.0.len()).unwrap_or(i64::MAX),
            ranges: shown.0,
        };
        Self {
            epoch: row.epoch,
            sealed: row.sealed,
            first_received: received_at(row.first_received_at),
            last_received: received_at(row.last_received_at),
            received: numbers(row.received, row.received_ranges, row.received_shown),
            void: numbers(row.void, row.void_ranges, row.void_shown),
            missing: numbers(row.missing, row.missing_ranges, row.missing_shown),
            through: row.through,
            after: row.after_epoch.zip(row.after_seq).map(|(epoch, seq)| format!("{epoch}/{seq}")),
            forked: row.forked,
            flat: row.flat,
            agent_version: row.agent_version,
            host_id: row.host_id,
            samples: row.samples,
            bytes: row.bytes,
            reasons: reasons.into_iter().map(Reason::from).collect(),
            losses: losses.into_iter().map(Loss::from).collect(),
            losses_next,
        }
    }
}

impl From<sql::TotalsRow> for Totals {
    fn from(row: sql::TotalsRow) -> Self {
        Self {
            epochs: row.epochs,
            sealed: row.sealed,
            received: row.received,
            void: row.void,
            missing: row.missing,
            samples: row.samples,
            bytes: row.bytes,
            losses: row.losses,
            lost_samples: row.lost_samples,
            lost_events: row.lost_events,
            recovered_samples: row.recovered_samples,
            recovered_events: row.recovered_events,
            forked: row.forked,
        }
    }
}

impl From<sql::ReasonRow> for Reason {
    fn from(row: sql::ReasonRow) -> Self {
        Self { reason: row.reason, losses: row.losses, samples: row.samples, events: row.events }
    }
}

impl From<sql::LossRow> for Loss {
    fn from(row: sql::LossRow) -> Self {
        Self {
            id: row.loss_id,
            seq: row.seq,
            path: row.path,
            lane: row.lane,
            from: row.t_from,
            to: row.t_to,
            samples: row.samples,
            events: row.events,
            reason: row.reason,
            seqs: row.seqs.0,
            delivered_after_all: row.delivered_after_all.map(|json| json.0),
            recovered: Recovered::of(row.recovered_samples, row.recovered_events, row.recovered.0),
            recorded: rfc3339(row.recorded_at),
        }
    }
}
