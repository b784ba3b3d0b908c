//! `verify`: whether what the database holds agrees with itself.
//!
//! Every store is read in one snapshot of its own and compared with its receipts: each batch of the inbox has its number, each
//! part of `series_days` has its checksum and its times, and what was ever received is in the inbox, in `series_days`, replaced
//! or expired. Nothing is written. A store's parts are read some series at a time, so memory stays bounded by one part and a
//! page of series, whatever the store holds. What it finds, it tells at once, with what to do; it mends nothing.

mod finding;
mod parts;
mod sql;
mod store;

use serde::Serialize;
use storepulse_shared::ids::{StoreId, TenantId};

pub use self::finding::{Check, Finding};
use crate::db::Db;

/// Findings of one kind in one store that are told singly; how many more there are is told, too.
const TOLD_SINGLY: u64 = 20;

/// What was looked at, and what it came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Tenants looked at.
    pub tenants: u64,
    /// Stores looked at.
    pub stores: u64,
    /// Openings of spools.
    pub epochs: u64,
    /// Rows of the inbox.
    pub batches: u64,
    /// Samples in them.
    pub samples: u64,
    /// Rows of `series_days`.
    pub parts: u64,
    /// Samples in them.
    pub compacted: u64,
    /// Batches that their agents have sealed and that are neither here nor given up: still on their way, or lost.
    pub missing: u64,
    /// Findings that are wrong.
    pub wrong: u64,
}

/// What is heard while it goes on.
#[derive(Debug)]
pub enum Heard<'a> {
    /// Something was found.
    Found(&'a Finding),
    /// A store, or a page of its series, was looked at.
    Progress(&'a Totals),
}

/// Looks at all tenants, or at one.
///
/// # Errors
/// The database is away. Whatever is wrong in it is a finding.
pub async fn run(
    db: &Db,
    only: Option<&TenantId>,
    hear: impl FnMut(Heard<'_>) + Send,
) -> Result<Totals, sqlx::Error> {
    let mut report = Report { totals: Totals::default(), hear };
    let mut tx = db.control().await?;
    let tenants = sql::tenants(&mut tx).await?;
    drop(tx);
    for tenant in tenants.iter().filter(|tenant| only.is_none_or(|only| only == *tenant)) {
        report.totals.tenants += 1;
        of_tenant(db, tenant, &mut report).await?;
    }
    Ok(report.totals)
}

async fn of_tenant<H: FnMut(Heard<'_>) + Send>(
    db: &Db,
    tenant: &TenantId,
    report: &mut Report<H>,
) -> Result<(), sqlx::Error> {
    let mut tx = db.snapshot(tenant).await?;
    let mut of = report.about(tenant, None);
    for (what, check) in sql::orphans(&mut tx).await? {
        of.found(check, what);
    }
    of.end();
    let stores = sql::stores(&mut tx).await?;
    tx.rollback().await?;
    for store in &stores {
        report.totals.stores += 1;
        store::verify(db, tenant, store, report).await?;
        report.progress();
    }
    Ok(())
}

/// Where findings go.
struct Report<H> {
    totals: Totals,
    hear: H,
}

impl<H: FnMut(Heard<'_>) + Send> Report<H> {
    fn progress(&mut self) {
        (self.hear)(Heard::Progress(&self.totals));
    }

    /// For findings about a store, or about a tenant as a whole.
    fn about<'a>(&'a mut self, tenant: &'a TenantId, store: Option<&'a StoreId>) -> About<'a, H> {
        About { report: self, tenant, store, counts: [0; Check::ALL.len()] }
    }
}

/// The findings about one store: each kind is told so many times, and then counted.
struct About<'a, H: FnMut(Heard<'_>) + Send> {
    report: &'a mut Report<H>,
    tenant: &'a TenantId,
    store: Option<&'a StoreId>,
    counts: [u64; Check::ALL.len()],
}

impl<H: FnMut(Heard<'_>) + Send> About<'_, H> {
    fn found(&mut self, check: Check, what: String) {
        if check.is_wrong() {
            self.report.totals.wrong += 1;
        }
        self.counts[check as usize] += 1;
        if self.counts[check as usize] <= TOLD_SINGLY {
            self.tell(check, what);
        }
    }

    fn tell(&mut self, check: Check, what: String) {
        let finding = Finding { tenant: self.tenant.clone(), store: self.store.cloned(), check, what };
        (self.report.hear)(Heard::Found(&finding));
    }

    /// Says how many were not told singly.
    fn end(mut self) {
        for check in Check::ALL {
            let more = self.counts[check as usize].saturating_sub(TOLD_SINGLY);
            if more > 0 {
                self.tell(check, format!("and {more} more of this kind"));
            }
        }
    }
}
