//! The account of a takeover: what the old table has now beside what was counted when it was stored, store by store and series by
//! series, and what the receipts of the stores say.

use std::collections::BTreeMap;

use storepulse_shared::ids::{StoreId, TenantId};

use super::piece::epoch;
use super::rows::{self, Place, Tallies};
use super::source::Source;
use super::sql::{self, State};
use crate::db::Db;

/// Sums of doubles depend on their order; beyond this share of what was summed up they are not the same numbers.
const ROUNDING: f64 = 1e-9;
/// Differences that are told one by one.
const DIFFERENCES_SHOWN: usize = 50;

/// What came of it.
#[derive(Debug, Clone, Default)]
pub struct Account {
    /// As the old server calls it.
    pub table: String,
    /// By store, as the old table names them.
    pub stores: BTreeMap<String, OfStore>,
    /// What could not be taken.
    pub refused: Vec<Refused>,
    /// Series of which the old table has more than was counted, and stores whose receipts say something else: something is wrong.
    pub missing: Vec<String>,
    /// Series of which the old table has less than was counted: rows were changed or deleted there.
    pub changed: Vec<String>,
    /// Rows of the old table that are newer than the last pass.
    pub newer: i64,
    /// How many series were compared.
    pub series: usize,
}

/// One store's part of it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct OfStore {
    /// Rows that the old table has.
    pub there: i64,
    /// What their values come to.
    pub total_there: f64,
    /// Rows that were taken.
    pub taken: i64,
    /// Rows that were refused.
    pub refused: i64,
    /// What the values of both come to.
    pub total: f64,
}

/// Rows that were refused for one reason.
#[derive(Debug, Clone)]
pub struct Refused {
    /// As the rows say.
    pub store: String,
    /// As the rows say.
    pub device: String,
    /// As the rows say.
    pub metric: String,
    /// Why, as a word.
    pub reason: String,
    /// How many.
    pub rows: i64,
    /// First and last time, Unix milliseconds.
    pub span: Option<(i64, i64)>,
    /// The ctid of one of them.
    pub example: Option<String>,
}

impl Refused {
    /// What can be done for them. A row that is changed in the old table is taken by the next run.
    #[must_use]
    pub fn way_out(&self) -> &'static str {
        match self.reason.as_str() {
            "store_missing" => "give them a store_id",
            "store_name" => {
                "correct their store_id: letters, digits and '-', 50 at most, not another store's but for the case"
            }
            "device_missing" => "give them a device_id",
            "device_name" => "correct their device_id: letters, digits and . : _ -, a letter or digit first",
            "metric_missing" => "give them a metric",
            "metric_name" => {
                "correct their metric: letters, digits, '_', ':' and dots between, labels as in Prometheus"
            }
            "value_null" | "value_not_finite" => {
                "they say nothing: give them a value, or leave or delete them"
            }
            "time_null" | "time_not_finite" => "give them a timestamp",
            "time_ahead" => "correct their timestamp, or wait until it has come and run with --again",
            "outside_retention" => "raise the tenant's retention_days and run with --again, or leave them",
            _ => "the store or device has as many series as it may: let go of some and run with --again",
        }
    }
}

/// Compares.
pub(super) async fn settle(
    db: &Db,
    source: &mut Source,
    tenant: &TenantId,
    blocks_at_once: i64,
    state: &State,
) -> anyhow::Result<Account> {
    let mut tx = db.tenant(tenant).await?;
    let tallies = sql::tallies(&mut tx, &source.id).await?;
    // Counting takes its time, and no transaction of ours is to be open for so long.
    tx.rollback().await?;
    let mut account = Account { table: source.name().to_owned(), ..Account::default() };
    let there = count(source, blocks_at_once, state, &mut account).await?;
    account.compare(&there, &tallies);
    let mut tx = db.tenant(tenant).await?;
    for (name, of_store) in &account.stores {
        let Ok(store) = name.parse::<StoreId>() else { continue };
        let received = sql::received(&mut tx, &store, epoch(&source.id, tenant.as_str(), &store)).await?;
        if received < of_store.taken {
            account.missing.push(format!(
                "store {store}: {} rows were taken, its receipts tell of {received} samples",
                of_store.taken
            ));
        }
    }
    tx.rollback().await?;
    Ok(account)
}

/// Rows and what their values come to.
type Sums = BTreeMap<Place, (i64, f64)>;

async fn count(
    source: &mut Source,
    blocks_at_once: i64,
    state: &State,
    account: &mut Account,
) -> anyhow::Result<Sums> {
    let mut there = Sums::new();
    let (mut next, end) = (0, source.horizon().await?.blocks);
    while next < end {
        let to = next.saturating_add(blocks_at_once).min(end);
        for counted in source.count(state.origin, state.upper, next..to).await? {
            account.newer += counted.newer;
            let place = rows::named([&counted.store, &counted.device, &counted.metric], "");
            let sums = there.entry(place).or_default();
            *sums = (sums.0 + counted.rows, sums.1 + counted.total);
        }
        next = to;
    }
    there.retain(|_, (rows, _)| *rows > 0);
    Ok(there)
}

impl Account {
    fn compare(&mut self, there: &Sums, tallies: &Tallies) {
        let mut here = Sums::new();
        for (place, tally) in tallies {
            let sums = here.entry(Place { reason: String::new(), ..place.clone() }).or_default();
            *sums = (sums.0 + tally.rows, sums.1 + tally.total);
            let of_store = self.stores.entry(place.store.clone()).or_default();
            of_store.total += tally.total;
            if place.reason.is_empty() {
                of_store.taken += tally.rows;
                continue;
            }
            of_store.refused += tally.rows;
            let Place { store, device, metric, reason } = place.clone();
            let (rows, span, example) = (tally.rows, tally.span, tally.example.clone());
            self.refused.push(Refused { store, device, metric, reason, rows, span, example });
        }
        for (place, (rows, total)) in there {
            let of_store = self.stores.entry(place.store.clone()).or_default();
            of_store.there += rows;
            of_store.total_there += total;
            here.entry(place.clone()).or_default();
        }
        self.series = here.len();
        for (place, (rows, total)) in &here {
            let (old_rows, old_total) = there.get(place).copied().unwrap_or_default();
            let is_equal = *rows == old_rows && same(*total, old_total);
            let list = if old_rows > *rows { &mut self.missing } else { &mut self.changed };
            if !is_equal && list.len() < DIFFERENCES_SHOWN {
                let Place { store, device, metric, .. } = place;
                list.push(format!(
                    "store {store:?}, device {device:?}, metric {metric:?}: {old_rows} rows with a sum of {old_total} \
                     in the old table, {rows} with {total} here"
                ));
            }
        }
    }
}

fn same(a: f64, b: f64) -> bool {
    (a - b).abs() <= ROUNDING * a.abs().max(b.abs()).max(1.0)
}

#[cfg(test)]
mod tests {
    use super::super::rows::Tally;
    use super::*;

    fn place(reason: &str) -> Place {
        Place { store: "T01".into(), device: "d".into(), metric: "m".into(), reason: reason.into() }
    }

    fn compared(there: (i64, f64), taken: (i64, f64)) -> Account {
        let tally = |(rows, total)| Tally { rows, total, ..Tally::default() };
        let tallies = Tallies::from([(place(""), tally(taken)), (place("time_ahead"), tally((1, 5.0)))]);
        let mut account = Account::default();
        account.compare(&Sums::from([(place(""), there)]), &tallies);
        account
    }

    #[test]
    fn what_was_taken_and_refused_together_is_what_the_old_table_has() {
        let account = compared((3, 8.0), (2, 3.0));
        assert_eq!((account.missing.len(), account.changed.len(), account.refused.len()), (0, 0, 1));
        let of_store = OfStore { there: 3, total_there: 8.0, taken: 2, refused: 1, total: 8.0 };
        assert_eq!(account.stores["T01"], of_store);
    }

    #[test]
    fn more_rows_there_are_missing_here_and_other_sums_were_changed_there() {
        assert_eq!(compared((4, 8.0), (2, 3.0)).missing.len(), 1);
        assert_eq!(compared((3, 9.0), (2, 3.0)).changed.len(), 1);
        assert_eq!(compared((2, 8.0), (2, 3.0)).changed.len(), 1);
    }
}
