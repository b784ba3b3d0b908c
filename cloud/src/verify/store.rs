//! One store, in one snapshot: its inbox, its streams, its ledger, its days.

use storepulse_shared::ids::{StoreId, TenantId};

use super::finding::Check;
use super::sql::{inbox, ledger, records};
use super::{Heard, Report, parts};
use crate::db::Db;

/// Looks at everything that the database holds of a store.
pub(super) async fn verify<H: FnMut(Heard<'_>) + Send>(
    db: &Db,
    tenant: &TenantId,
    store: &StoreId,
    report: &mut Report<H>,
) -> Result<(), sqlx::Error> {
    let mut tx = db.snapshot(tenant).await?;
    let hot = inbox::totals(&mut tx, store).await?;
    report.totals.batches += unsigned(hot.batches);
    report.totals.samples += unsigned(hot.samples);
    let mut of = report.about(tenant, Some(store));
    inbox::faults(&mut tx, store, |check, what| of.found(check, what)).await?;

    let mut of_streams = ledger::Streams::default();
    for stream in ledger::streams(&mut tx, store).await? {
        of_streams.batches += stream.batches;
        of_streams.samples += stream.samples;
        of.report.totals.epochs += 1;
        of.report.totals.missing += unsigned(stream.missing);
        if let Some(fault) = stream.fault() {
            of.found(Check::Stream, format!("epoch {}: {fault}", stream.epoch));
        }
        if stream.missing > 0 {
            let ranges = stream.missing_ranges.as_deref().unwrap_or_default();
            of.found(Check::Gap, format!("epoch {}: {} missing: {ranges}", stream.epoch, stream.missing));
        }
    }
    records::faults(&mut tx, store, |check, what| of.found(check, what)).await?;

    let compacted = parts::verify(&mut tx, store, &mut of).await?;
    let tally = ledger::tally(&mut tx, store).await?;
    for fault in ledger::faults(&of_streams, &hot, &tally, compacted) {
        of.found(Check::Ledger, fault);
    }
    of.end();
    tx.rollback().await
}

fn unsigned(n: i64) -> u64 {
    u64::try_from(n).unwrap_or_default()
}
