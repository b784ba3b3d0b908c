//! A table of an older system is taken over while its writers go on: every row once, wherever it is killed, and none dropped
//! without being named.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use storepulse_cloud::commands::verify;
use storepulse_cloud::db::Db;
use storepulse_cloud::takeover::{self, Account, How, Request, Stage};
use storepulse_testbed::cluster::TestDb;
use storepulse_testbed::isolation::session::Session;
use storepulse_testbed::upkeep::as_admin;
use storepulse_testbed::wait;

use crate::setting::{Setting, TENANT, database};

/// Other tests share the server, and their open transactions hold the horizon back.
const LIMIT: Duration = Duration::from_secs(60);

const TABLE: &str = r#"create table metrics (store_id text, device_id text, metric text, value double precision,
    "timestamp" timestamptz)"#;

/// The older system, the tenant that takes it over, and how.
struct Move {
    setting: Setting,
    old: TestDb,
    db: Db,
    how: How,
}

impl Move {
    async fn new() -> Self {
        let (setting, old) = (Setting::new().await, database().await);
        as_admin(&old, TABLE).await.unwrap();
        let db = Db::connect(&setting.db.config()).await.unwrap();
        Self { setting, old, db, how: How { blocks: 4, stop_after: None } }
    }

    fn request(&self) -> Request {
        let (tenant, from) = (TENANT.parse().unwrap(), self.old.admin.clone());
        Request { tenant, from, table: "metrics".to_owned(), again: false }
    }

    async fn run(&self) -> anyhow::Result<Account> {
        takeover::run(&self.db, &self.request(), &self.how, |_| {}).await
    }

    /// Again and again, until the old table has nothing that was not read.
    async fn finish(&self) -> Account {
        let done = wait::until("the old table to be read", LIMIT, async || {
            let account = self.run().await?;
            Ok((account.newer == 0).then_some(account))
        });
        done.await.unwrap()
    }

    async fn killed_after(&self, stage: Stage, times: u32) -> String {
        let how = How { stop_after: Some((stage, times)), ..self.how.clone() };
        let killed = takeover::run(&self.db, &self.request(), &how, |_| {}).await;
        killed.map_or_else(|error| format!("{error:#}"), |_| String::new())
    }

    async fn old(&self, statement: &str) -> Vec<String> {
        as_admin(&self.old, statement).await.unwrap()
    }

    /// Rows of many series on three days, no time twice in any.
    async fn fill(&self, rows: u32) {
        let fill = format!(
            "insert into metrics select 'T0' || (1 + n % 3), 'pos-' || (n / 3 % 5), 'm' || (n / 15 % 4), (n % 1000) / 4.0,
                date_trunc('minute', now()) - interval '3 days' + n * interval '43 seconds' from generate_series(1, {rows}) n"
        );
        self.old(&fill).await;
        self.settled().await;
    }

    /// Waits until a pass sees all that is there: one leaves what is newer than the oldest transaction that is open anywhere
    /// on the server, and tests beside this one have theirs there, too.
    async fn settled(&self) {
        let begun = self.old("select pg_snapshot_xmax(pg_current_snapshot())::text").await.remove(0);
        let ended = format!("select (pg_snapshot_xmin(pg_current_snapshot()) >= '{begun}'::xid8)::text");
        let seen = wait::until("older transactions of the server to end", LIMIT, async || {
            Ok((self.old(&ended).await == ["true"]).then_some(()))
        });
        seen.await.unwrap();
    }

    /// Rows, sums, first and last time of every series, there and here.
    async fn compare(&self) {
        const THERE: &str = r#"select concat_ws(' ', store_id, device_id, metric, count(*), sum(value), min("timestamp"), max("timestamp"))
            from metrics group by store_id, device_id, metric order by 1"#;
        const HERE: &str =
            "select concat_ws(' ', store_id, device_id, metric, count(*), sum(value), min(time), max(time))
            from samples group by store_id, device_id, metric order by 1";
        assert_eq!(as_admin(&self.setting.db, HERE).await.unwrap(), self.old(THERE).await);
        // The view shows a sample once, though it were stored twice: what was received is counted for itself.
        let received = as_admin(&self.setting.db, "select sum(samples)::text from streams").await.unwrap();
        assert_eq!(received, self.old("select count(*)::text from metrics").await);
        let request = verify::Request { tenant: Some(TENANT.parse().unwrap()), json: true };
        let mut said = Vec::new();
        let ended = verify::run(&self.db, &request, &mut said, &mut Vec::new()).await;
        assert!(ended.is_ok(), "{}", String::from_utf8_lossy(&said));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_is_taken_once_wherever_it_is_killed_while_writers_go_on() {
    let moving = Move::new().await;
    moving.fill(6_000).await;
    let stop = AtomicBool::new(false);
    let writers = async {
        let mut sessions = Vec::new();
        for _ in 0..3 {
            sessions.push(Session::open(&moving.old.admin).await.unwrap());
        }
        let mut n = 0;
        while !stop.load(Ordering::Relaxed) {
            for (at, session) in sessions.iter_mut().enumerate() {
                n += 1;
                // One commits at once, one in savepoints and much later, one gives half of it up.
                let insert = format!(
                    "insert into metrics values ('T0{}', 'late-{at}', 'm', {n}, date_trunc('milliseconds', now()) - interval '1 day' + {n} * interval '1 ms')",
                    1 + at
                );
                let statement = match (at, n / 3 % 4) {
                    (1, 0) => format!("begin; savepoint a; {insert}; release a"),
                    (1, 3) => format!("savepoint b; {insert}; commit"),
                    (1, _) => "select 1".to_owned(),
                    (2, _) => format!("begin; {insert}; savepoint c; {insert}; rollback to c; commit"),
                    _ => insert,
                };
                session.run(&statement).await.unwrap();
            }
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
        // Whatever is open is ended with its connection.
    };
    let kills = async {
        // From the last stage to the first: whoever ends where a pass begins would let it come to its end before.
        for stage in Stage::ALL.into_iter().rev() {
            for times in 1..=2 {
                let said = moving.killed_after(stage, times).await;
                let is_killed = said.contains("stopped after");
                assert!(is_killed || said.is_empty() && stage == Stage::Begun, "{stage:?}: {said}");
            }
        }
        // At any moment, that of a commit too.
        for millis in (1..120).step_by(7) {
            let _ = tokio::time::timeout(Duration::from_millis(millis), moving.run()).await;
        }
        stop.store(true, Ordering::Relaxed);
    };
    tokio::join!(writers, kills);
    let account = moving.finish().await;
    assert_eq!(
        (account.missing.len(), account.changed.len(), account.refused.len()),
        (0, 0, 0),
        "{account:?}"
    );
    let there: i64 = account.stores.values().map(|of| of.there).sum();
    assert!(there > 6_000 && account.stores.len() == 3, "{account:?}");
    moving.compare().await;
    // Once more there is nothing to do, and nothing comes twice.
    moving.finish().await;
    moving.compare().await;
}

#[tokio::test]
async fn a_row_of_a_savepoint_that_was_open_during_a_pass_is_taken_by_the_next() {
    let moving = Move::new().await;
    moving.fill(300).await;
    let mut open = Session::open(&moving.old.admin).await.unwrap();
    let row = "insert into metrics values ('T01', 'late', 'm', 1, date_trunc('minute', now()))";
    open.run(&format!("begin; {row}; savepoint a; {}", row.replace("late", "later"))).await.unwrap();
    // What begins and ends meanwhile has higher numbers than the open ones.
    moving.old("insert into metrics values ('T01', 'between', 'm', 1, date_trunc('minute', now()))").await;
    moving.run().await.unwrap();
    open.run("commit").await.unwrap();
    moving.finish().await;
    moving.compare().await;
}

#[tokio::test]
async fn rows_that_cannot_be_taken_are_named_and_come_once_they_are_corrected() {
    let moving = Move::new().await;
    moving.fill(300).await;
    moving
        .old(
            "insert into metrics values
            ('T01', 'pos-1', 'null', null, now()), ('T01', 'pos-1', 'nan', 'NaN', now()), ('T01', 'pos-1', 'inf', '-Infinity', now()),
            (null, 'pos-1', 'm', 1, now()), ('', 'pos-1', 'm', 1, now()), ('T 9', 'pos-1', 'm', 1, now()), ('t01', 'pos-1', 'm', 1, now()),
            ('T01', null, 'm', 1, now()), ('T01', 'POS 1', 'm', 1, now()), ('T01', repeat('x', 300), 'm', 1, now()),
            ('T01', 'pos-1', null, 1, now()), ('T01', 'pos-1', 'a b', 1, now()), ('T01', 'pos-1', repeat('x', 9000), 1, now()),
            ('T01', 'pos-1', 'm', 1, null), ('T01', 'pos-1', 'm', 1, 'infinity'), ('T01', 'pos-1', 'm', 1, now() + interval '3 hours'),
            ('T01', 'pos-1', 'm', 1, '2004-02-29'), ('T01', 'pos-1', 'm', 1, '4713-01-01 BC'), ('T01', 'pos-1', 'm', 1, '294276-12-31')",
        )
        .await;
    let account = moving.finish().await;
    let mut told: Vec<String> =
        account.refused.iter().map(|refused| format!("{} {}", refused.reason, refused.rows)).collect();
    told.sort();
    let expected = [
        "device_missing 1",
        "device_name 1",
        "device_name 1",
        "metric_missing 1",
        "metric_name 1",
        "metric_name 1",
        "outside_retention 3",
        "store_missing 2",
        "store_name 1",
        "store_name 1",
        "time_ahead 1",
        "time_not_finite 1",
        "time_null 1",
        "value_not_finite 1",
        "value_not_finite 1",
        "value_null 1",
    ];
    assert_eq!(told, expected, "{account:?}");
    assert_eq!((account.missing.len(), account.changed.len()), (0, 0), "{account:?}");
    let (there, kept): (i64, i64) =
        account.stores.values().fold((0, 0), |(a, b), of| (a + of.there, b + of.taken + of.refused));
    assert_eq!((there, kept), (319, 319));
    // Those of a store that we know stand among its losses, too.
    let lost = "select sum(samples)::text from losses where reason like 'rejected:%'";
    assert_eq!(as_admin(&moving.setting.db, lost).await.unwrap(), ["15"]);

    // The first of those that the account names is the one that is corrected.
    let named = account.refused.iter().find(|refused| refused.device == "POS 1").unwrap();
    let ctid = named.example.as_ref().unwrap();
    moving.old(&format!("update metrics set device_id = 'POS-1' where ctid = '{ctid}'")).await;
    moving.finish().await;
    let came = "select count(*)::text from samples where device_id = 'POS-1'";
    assert_eq!(as_admin(&moving.setting.db, came).await.unwrap(), ["1"]);
}

#[tokio::test]
async fn of_two_rows_of_one_time_the_later_one_counts_and_both_are_accounted_for() {
    let moving = Move::new().await;
    moving
        .old("insert into metrics select 'T01', 'd', 'm', n, timestamptz '2026-11-01 12:00Z' + n / 2 * interval '1 s' from generate_series(2, 9) n")
        .await;
    let account = moving.finish().await;
    assert_eq!((account.stores["T01"].there, account.stores["T01"].taken), (8, 8));
    let here = as_admin(&moving.setting.db, "select value::text from samples order by time").await.unwrap();
    assert_eq!(here, ["3", "5", "7", "9"]);
}

#[tokio::test]
async fn stores_beyond_what_the_tenant_may_have_stop_it_until_it_may() {
    let moving = Move::new().await;
    moving.fill(600).await;
    let allow = |max: u32| format!("update tenants set max_stores = {max} where tenant_id = '{TENANT}'");
    as_admin(&moving.setting.db, &allow(2)).await.unwrap();
    let refused = format!("{:#}", moving.run().await.unwrap_err());
    assert!(refused.contains("store T03") && refused.contains("raise max_stores"), "{refused}");
    as_admin(&moving.setting.db, &allow(3)).await.unwrap();
    moving.finish().await;
    moving.compare().await;
}

#[tokio::test]
async fn a_table_that_is_written_anew_under_a_pass_is_read_again_and_nothing_is_seen_twice() {
    let moving = Move::new().await;
    moving.fill(3_000).await;
    moving.killed_after(Stage::Committed, 2).await;
    moving.old("vacuum full metrics").await;
    let refused = format!("{:#}", moving.run().await.unwrap_err());
    assert!(refused.contains("--again"), "{refused}");
    let again = Request { again: true, ..moving.request() };
    takeover::run(&moving.db, &again, &moving.how, |_| {}).await.unwrap();
    moving.finish().await;
    let seen = as_admin(&moving.setting.db, "select concat(count(*), ' ', sum(value)) from samples").await;
    assert_eq!(seen.unwrap(), moving.old("select concat(count(*), ' ', sum(value)) from metrics").await);
}

#[tokio::test]
async fn what_is_not_such_a_table_is_refused_with_what_to_do() {
    let moving = Move::new().await;
    moving.old("create table parts (like metrics) partition by list (store_id)").await;
    moving.old("create view seen as select * from metrics").await;
    moving
        .old("create table poor (store_id text, device_id text, metric text, value text, \"timestamp\" timestamptz)")
        .await;
    for (table, says) in [
        ("nothing", "--table"),
        ("parts", "partitions"),
        ("seen", "plain table"),
        ("poor", "change its type"),
    ] {
        let request = Request { table: table.to_owned(), ..moving.request() };
        let refused = takeover::run(&moving.db, &request, &moving.how, |_| {}).await.unwrap_err();
        assert!(format!("{refused:#}").contains(says), "{table}: {refused:#}");
    }
}
