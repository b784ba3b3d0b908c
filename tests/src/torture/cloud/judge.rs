//! What is stored, against what was answered.
//!
//! The rows of the inbox tell whether a number is there twice or should not be there; they leave it when they are compacted.
//! The view `samples` tells of hot and compacted alike how many samples there are, and of what sum. `streams` must agree with
//! the answers in every number and count.

#![expect(clippy::disallowed_methods, reason = "the judge must not share the service's queries")]

use std::collections::BTreeMap;

use anyhow::Context as _;
use serde::Serialize;
use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Row as _};
use storepulse_shared::seqs::SeqSet;

use super::stream::{Account, Fate};
use crate::by_hand::ByHand;
use crate::cloud::CloudProcess;
use crate::cluster::TestDb;
use crate::store::Store;

/// What it came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Verdict {
    /// Samples of batches answered 200 that are not stored.
    pub(super) lost: u64,
    /// Rows of a number beyond its first.
    pub(super) duplicate: u64,
    /// Rows of numbers that were not answered 200, and samples that nobody sent.
    pub(super) invented: u64,
    /// Streams whose row does not say what was answered.
    pub(super) miscounted: u64,
    /// Numbers that a store still waits for, as its agent is told.
    pub(super) missing: u64,
}

impl Verdict {
    pub(super) fn is_clean(self) -> bool {
        self == Self::default()
    }
}

pub(super) async fn judge(
    db: &TestDb,
    cloud: &CloudProcess,
    stores: &[Store],
    accounts: &[Account],
) -> anyhow::Result<Verdict> {
    let mut admin = PgConnection::connect_with(&db.admin).await?;
    let mut verdict = Verdict::default();
    let mut held = BTreeMap::new();
    for (at, store) in stores.iter().enumerate() {
        for (device, found) in samples(&mut admin, store).await? {
            held.insert((at, device), found);
        }
        let status = ByHand::new(&cloud.url(), Some(&cloud.ca()), Some(store.bearer()))?
            .get(&format!("/v1/stores/{}/status", store.id))
            .await?;
        verdict.missing += status.json["missing"].as_u64().with_context(|| format!("{status:?}"))?;
    }
    for account in accounts {
        let at = account.store % stores.len();
        let store = &stores[at];
        judge_rows(&mut admin, store, account, &mut verdict).await?;
        verdict.miscounted += u64::from(!is_counted(&mut admin, store, account).await?);
        let found = held.get(&(at, account.device.clone())).copied().unwrap_or_default();
        let expected = expected(account);
        verdict.lost += expected.0.saturating_sub(found.0);
        verdict.invented += found.0.saturating_sub(expected.0);
        // The same number of samples, and others.
        verdict.invented += u64::from(found.0 == expected.0 && (found.1 - expected.1).abs() > f64::EPSILON);
    }
    admin.close().await?;
    Ok(verdict)
}

/// How many samples, and their sum.
fn expected(account: &Account) -> (u64, f64) {
    account.numbers(Fate::Stored).fold((0, 0.0), |(count, sum), seq| {
        let (_, values) = account.content(seq);
        (count + values.len() as u64, sum + values.iter().sum::<f64>())
    })
}

/// The samples of each device of a store: how many, and their sum.
async fn samples(admin: &mut PgConnection, store: &Store) -> anyhow::Result<Vec<(String, (u64, f64))>> {
    let rows = sqlx::query(
        "select device_id, count(*), sum(value) from samples where tenant_id = $1 and store_id = $2 group by 1",
    )
    .bind(store.tenant.as_str())
    .bind(store.id.as_str())
    .fetch_all(admin)
    .await?;
    let read = |row: &sqlx::postgres::PgRow| {
        let count: i64 = row.try_get(1)?;
        anyhow::Ok((row.try_get(0)?, (u64::try_from(count)?, row.try_get(2)?)))
    };
    rows.iter().map(read).collect()
}

/// Each row that the inbox holds is of a stored number, the only one of it, and with its samples.
async fn judge_rows(
    admin: &mut PgConnection,
    store: &Store,
    account: &Account,
    verdict: &mut Verdict,
) -> anyhow::Result<()> {
    let rows = sqlx::query(
        "select seq, n from sample_batches where tenant_id = $1 and store_id = $2 and epoch = $3 order by seq",
    )
    .bind(store.tenant.as_str())
    .bind(store.id.as_str())
    .bind(account.epoch.uuid())
    .fetch_all(admin)
    .await?;
    let mut stored = account.numbers(Fate::Stored).peekable();
    let mut before = None;
    for row in rows {
        let (seq, n) =
            (u64::try_from(row.try_get::<i64, _>(0)?)?, usize::try_from(row.try_get::<i32, _>(1)?)?);
        if before == Some(seq) {
            verdict.duplicate += 1;
            continue;
        }
        before = Some(seq);
        while stored.next_if(|known| *known < seq).is_some() {}
        let is_ours = stored.next_if_eq(&seq).is_some() && account.content(seq).0.len() == n;
        verdict.invented += u64::from(!is_ours);
    }
    Ok(())
}

/// The row of `streams` says what was answered.
async fn is_counted(admin: &mut PgConnection, store: &Store, account: &Account) -> anyhow::Result<bool> {
    let bind = |text: &'static str| {
        sqlx::query(text).bind(store.tenant.as_str()).bind(store.id.as_str()).bind(account.epoch.uuid())
    };
    let counts = bind(
        "select s.batches, s.samples, s.bytes, (select count(*) from losses l
            where l.tenant_id = s.tenant_id and l.store_id = s.store_id and l.epoch = s.epoch)
        from streams s where tenant_id = $1 and store_id = $2 and epoch = $3",
    );
    let Some(counts) = counts.fetch_optional(&mut *admin).await? else { return Ok(account.stored() == 0) };
    let count = |at: usize| anyhow::Ok(u64::try_from(counts.try_get::<i64, _>(at)?)?);
    let found = (count(0)?, count(1)?, count(2)?, count(3)?);
    let right = (account.stored(), expected(account).0, account.bytes, account.losses);
    let received = bind(
        "select lower(r), upper(r) - 1 from streams, unnest(received) r
        where tenant_id = $1 and store_id = $2 and epoch = $3",
    );
    let received = numbers(&received.fetch_all(&mut *admin).await?)?;
    let void = bind(
        "select lower(r), upper(r) - 1 from streams, unnest(void) r where tenant_id = $1 and store_id = $2 and epoch = $3",
    );
    let void = numbers(&void.fetch_all(admin).await?)?;
    let of = |fate| SeqSet::from_many_ranges(&account.numbers(fate).map(|n| (n, n)).collect::<Vec<_>>());
    Ok(found == right && received == of(Fate::Stored)? && void == of(Fate::Closed)?)
}

fn numbers(rows: &[sqlx::postgres::PgRow]) -> anyhow::Result<SeqSet> {
    let number =
        |row: &sqlx::postgres::PgRow, at: usize| anyhow::Ok(u64::try_from(row.try_get::<i64, _>(at)?)?);
    let ranges = rows.iter().map(|row| Ok((number(row, 0)?, number(row, 1)?)));
    Ok(SeqSet::from_many_ranges(&ranges.collect::<anyhow::Result<Vec<_>>>()?)?)
}
