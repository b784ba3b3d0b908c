//! The kind as a whole against an SQLite file that a till writes.

use std::os::unix::fs::PermissionsExt as _;

use rusqlite::Connection;

use super::super::FaultKind;
use super::super::rig::Rig;
use crate::board::DeviceState;

/// A till's file; the connection is the till's.
fn till(rig: &Rig, journal: &str) -> Connection {
    let db = Connection::open(rig.dir.path().join("pos.db")).unwrap();
    db.pragma_update(None, "journal_mode", journal).unwrap();
    db.execute_batch("create table tickets (lane text, total numeric, sold_at text)").unwrap();
    db
}

fn sell(db: &Connection, lane: &str, total: f64, seconds_ago: i64) {
    let sql = "insert into tickets values (?1, ?2, strftime('%Y-%m-%d %H:%M:%S', 'now', ?3))";
    db.execute(sql, (lane, total, format!("-{seconds_ago} seconds"))).unwrap();
}

const TICKETS: &str = "{ sql: 'select count(*) as n, sum(total) as s, max(sold_at) as last from tickets', metrics: { n: retail.pos.transactions, s: retail.pos.sales, last: { metric: retail.pos.last_transaction.age, age: true } } }";

fn kind(rig: &Rig, queries: &str) -> String {
    let path = rig.dir.path().join("pos.db");
    format!(
        "sql:\n  engine: sqlite\n  path: {}\n  timezone: UTC\n  interval: 50ms\n  jitter: 1ms\n  statement_timeout: 200ms\n  queries: [{queries}]",
        path.display()
    )
}

#[tokio::test]
async fn tickets_sales_and_the_age_of_the_last_are_read_while_the_till_writes() {
    for journal in ["wal", "delete"] {
        let rig = Rig::new();
        let db = till(&rig, journal);
        let _tasks = rig.start(&kind(&rig, TICKETS));
        // No ticket, no sum and no last one: NULL is no value, and the database answers.
        rig.until("no ticket", |status| status.state == Some(DeviceState::Ok)).await;
        assert_eq!(rig.values()["retail.pos.transactions"], 0.0);
        assert!(!rig.values().contains_key("retail.pos.sales"));
        sell(&db, "1", 10.5, 90);
        sell(&db, "2", 2.25, 40);
        rig.until("two tickets", |status| {
            status.values.get("retail.pos.transactions").is_some_and(|reading| reading.value == 2.0)
        })
        .await;
        let values = rig.values();
        assert_eq!(values["retail.pos.sales"], 12.75);
        let age = values["retail.pos.last_transaction.age"];
        assert!((40.0..45.0).contains(&age), "{age}");
        assert_eq!(rig.status().errors.len(), 0, "{:?}", rig.status());
    }
}

#[tokio::test]
async fn nothing_is_made_beside_the_file_and_the_till_can_close_it() {
    let rig = Rig::new();
    let db = till(&rig, "wal");
    let tasks = rig.start(&kind(&rig, TICKETS));
    rig.until_state(DeviceState::Ok).await;
    db.close().unwrap();
    // Nobody has it open now, and to read it would make files.
    rig.until_state(DeviceState::Unreachable).await;
    drop(tasks);
    let mut names: Vec<_> = std::fs::read_dir(rig.dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("pos"))
        .collect();
    names.sort();
    assert_eq!(names, ["pos.db"]);
    let error = rig.status().last_error.unwrap();
    assert!(error.kind == "refused" && error.text.contains("WAL"), "{error:?}");
}

#[tokio::test]
async fn a_query_without_end_is_interrupted_and_the_file_is_free() {
    let rig = Rig::new();
    let db = till(&rig, "delete");
    let endless = "{ sql: 'with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) as n from n', metrics: { n: a } }";
    let _tasks = rig.start(&kind(&rig, endless));
    rig.until_error(FaultKind::Timeout).await;
    assert_eq!(rig.status().state, Some(DeviceState::Unreachable));
    db.busy_timeout(std::time::Duration::from_secs(5)).unwrap();
    sell(&db, "1", 1.0, 0);
}

#[tokio::test]
async fn one_query_that_fails_does_not_take_the_others_with_it() {
    let rig = Rig::new();
    let db = till(&rig, "wal");
    sell(&db, "1", 1.0, 0);
    sell(&db, "9", 1.0, 0);
    let by_lane = "{ sql: 'select lane, count(*) as n from tickets group by lane', label: { column: lane, values: ['1', '2'] }, metrics: { n: b } }";
    let no_table = "{ sql: 'select count(*) as n from sales_4111111111111111', metrics: { n: c } }";
    let too_much = "{ sql: 'select count(*) as n, max(total) as other from tickets', metrics: { n: d } }";
    let _tasks = rig.start(&kind(&rig, &[TICKETS, by_lane, no_table, too_much].join(", ")));
    rig.until_error(FaultKind::Exception).await;
    let status = rig.until_state(DeviceState::Ok).await;
    assert!(status.errors.contains_key("parse"), "{status:?}");
    let values = rig.values();
    assert_eq!(values["b{lane=\"1\"}"], 1.0);
    assert!(!values.contains_key("b{lane=\"9\"}") && !values.contains_key("c") && !values.contains_key("d"));
    assert!(!format!("{:?}", status.last_error).contains("4111"), "{status:?}");
}

#[tokio::test]
async fn a_file_that_is_missing_locked_or_none_is_told_and_read_when_it_is_there() {
    let rig = Rig::new();
    let _tasks = rig.start(&kind(&rig, TICKETS));
    rig.until_error(FaultKind::Refused).await;
    let path = rig.dir.path().join("pos.db");
    assert!(!path.exists(), "it was made");
    std::fs::write(&path, [b'x'; 4_096]).unwrap();
    rig.until_error(FaultKind::Parse).await;
    std::fs::remove_file(&path).unwrap();
    let db = till(&rig, "delete");
    rig.until_state(DeviceState::Ok).await;
    // A till that holds its file for itself.
    db.execute_batch("begin exclusive").unwrap();
    rig.until_error(FaultKind::BusyPort).await;
    db.execute_batch("commit").unwrap();
    rig.until_state(DeviceState::Ok).await;
    if !nix::unistd::geteuid().is_root() {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o000)).unwrap();
        rig.until_error(FaultKind::Denied).await;
    }
}

#[cfg(feature = "till-databases")]
mod servers {
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;

    use super::*;

    /// Says the same to everyone, and then nothing.
    async fn says(what: &'static [u8]) -> (u16, tokio::task::JoinSet<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(async move {
            let mut held = Vec::new();
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                stream.write_all(what).await.unwrap();
                held.push(stream);
            }
        });
        (port, tasks)
    }

    fn kind(engine: &str, host: &str, port: u16) -> String {
        format!(
            "sql:\n  engine: {engine}\n  host: {host}\n  port: {port}\n  database: pos\n  user: x\n  password: hunter2\n  tls: disable\n  interval: 50ms\n  jitter: 1ms\n  timeout: 300ms\n  queries: [{{ sql: 'select 1 as n', metrics: {{ n: a }} }}]"
        )
    }

    #[tokio::test]
    async fn another_protocol_and_silence_are_errors_of_their_kind() {
        let long: &[u8] = Box::leak(vec![0xff; 1 << 20].into_boxed_slice());
        let cases: [(&str, &[u8], FaultKind); 10] = [
            // A length of 1.4 GB to PostgreSQL's protocol, and 4.7 MB to MySQL's.
            ("postgres", b"SSH-2.0-OpenSSH_9.2\r\n", FaultKind::Framing),
            ("mysql", b"SSH-2.0-OpenSSH_9.2\r\n", FaultKind::Timeout),
            ("postgres", b"HTTP/1.1 400 Bad Request\r\n\r\n", FaultKind::Framing),
            ("postgres", b"", FaultKind::Timeout),
            ("mysql", b"", FaultKind::Timeout),
            ("postgres", b"E\0\0\0\x10SFATAL\0", FaultKind::Refused),
            ("postgres", long, FaultKind::Framing),
            ("mysql", long, FaultKind::Timeout),
            // A greeting that is cut short, of which sqlx takes more than there is.
            ("mysql", b"\x02\0\0\0\x0a8", FaultKind::Framing),
            ("mysql", b"\0\0\0\0", FaultKind::Framing),
        ];
        for (engine, said, expected) in cases {
            let (port, _server) = says(said).await;
            let rig = Rig::new();
            let _tasks = rig.start(&kind(engine, "127.0.0.1", port));
            let status = rig.until("an error", |status| status.last_error.is_some()).await;
            let error = status.last_error.unwrap();
            assert_eq!(
                error.kind,
                expected.name(),
                "{engine} {said:02x?}: {error:?}",
                said = &said[..said.len().min(9)]
            );
            assert!(!error.text.contains("SSH") && !error.text.contains("hunter2"), "{error:?}");
        }
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_and_a_name_that_is_none_are_told_apart() {
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        for engine in ["postgres", "mysql"] {
            for (host, expected) in [("127.0.0.1", FaultKind::Refused), ("till.invalid", FaultKind::Dns)] {
                let rig = Rig::new();
                let text = kind(engine, host, free).replace("timeout: 300ms", "timeout: 15s");
                let _tasks = rig.start(&text);
                rig.until_error(expected).await;
                assert_eq!(rig.status().state, Some(DeviceState::Unreachable));
            }
        }
    }
}
