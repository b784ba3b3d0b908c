//! More than can be taken: it is refused in time, in order of urgency, and nothing grows.

#![expect(clippy::disallowed_methods, reason = "the database is held up from outside the service")]

use std::time::{Duration, Instant};

use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use storepulse_cloud::admission::AdmissionLimits;
use storepulse_shared::batch::{Lane, header};
use storepulse_shared::ids::Epoch;
use storepulse_testbed::by_hand::{ByHand, HandBatch, samples};
use storepulse_testbed::cloud::Cloud;
use storepulse_testbed::cluster::TestDb;
use storepulse_testbed::store::{self, Store};
use storepulse_testbed::wait;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::setting::{TENANT, database, folder, now_ms};

const LIMIT: Duration = Duration::from_secs(20);

/// A cloud that lets in little: of the database's eight connections ingest has six, one of them for critical batches.
struct Small {
    db: TestDb,
    cloud: Cloud,
    store: Store,
}

impl Small {
    async fn start(limits: AdmissionLimits) -> Self {
        let db = database().await;
        let cloud = Cloud::start_within(limits, &db, None).await.unwrap();
        let stores = store::onboard(&db, TENANT, &["T01"], &cloud.url(), None, &folder().await).await;
        Self { db, cloud, store: stores.unwrap().remove(0) }
    }

    fn by_hand(&self) -> ByHand {
        ByHand::new(&self.cloud.url(), None, Some(self.store.bearer())).unwrap()
    }

    /// One of the service's own numbers.
    async fn number(&self, name: &str) -> u64 {
        let text = self.by_hand().request(reqwest::Method::GET, "/metrics").send().await.unwrap();
        let text = text.text().await.unwrap();
        let line = text.lines().find_map(|l| l.strip_prefix(&format!("storepulse_cloud_{name} ")));
        line.unwrap_or_else(|| panic!("{name} in {text}")).parse().unwrap()
    }

    async fn until(&self, name: &str, value: u64) {
        let what = format!("{name} to be {value}");
        wait::until(&what, LIMIT, async || {
            let now = self.number(name).await;
            if now == value { Ok(Some(())) } else { anyhow::bail!("it is {now}") }
        })
        .await
        .unwrap();
    }

    /// The head of a batch, as HTTP/1 writes it, with a body of so many bytes to come.
    fn head(&self, batch: &HandBatch, length: usize) -> String {
        format!(
            "POST /v1/metrics/batch HTTP/1.1\r\nHost: cloud\r\nAuthorization: {}\r\nContent-Encoding: gzip\r\n\
             Content-Length: {length}\r\n{}: {}\r\n\r\n",
            self.store.bearer(),
            header::NAME,
            batch.header
        )
    }
}

fn batch(seq: u64, lane: Lane) -> HandBatch {
    let mut batch = HandBatch::of(Epoch::random(), seq, &samples("m", &[now_ms()], &[1.0]));
    batch.header.lane = lane;
    batch
}

/// Sends; status, `Retry-After` and code of the answer.
async fn send(agent: ByHand, batch: HandBatch) -> (u16, Option<u64>, String) {
    let request = agent.request(reqwest::Method::POST, "/v1/metrics/batch");
    let request = request.header("Content-Encoding", "gzip").header(header::NAME, batch.header.to_string());
    let answer = request.body(batch.body).send().await.unwrap();
    let retry_after = answer.headers().get("retry-after").map(|v| v.to_str().unwrap().parse().unwrap());
    let status = answer.status().as_u16();
    let json: serde_json::Value = answer.json().await.unwrap();
    (status, retry_after, json["code"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn what_exceeds_the_queue_is_refused_and_a_critical_batch_still_has_a_place() {
    let limits = AdmissionLimits { waiting_max: 4, ..AdmissionLimits::default() };
    let small = Small::start(limits).await;
    assert_eq!(send(small.by_hand(), batch(1, Lane::Normal)).await.0, 200);
    // Whoever has a place now keeps it, as when the database is slow.
    let mut admin = PgConnection::connect_with(&small.db.admin).await.unwrap();
    let mut held_up = admin.begin().await.unwrap();
    sqlx::query("lock table streams in access exclusive mode").execute(&mut *held_up).await.unwrap();

    let mut normal = JoinSet::new();
    for _ in 0..9 {
        normal.spawn(send(small.by_hand(), batch(1, Lane::Normal)));
    }
    small.until("ingest_waiting", 4).await;
    assert_eq!(small.number("ingest_in_work").await, 5);
    for _ in 0..20 {
        let (status, retry_after, code) = send(small.by_hand(), batch(1, Lane::Normal)).await;
        assert_eq!((status, &*code), (503, "overloaded"));
        assert!(retry_after.is_some_and(|s| (1..=5).contains(&s)), "{retry_after:?}");
    }
    let critical = batch(1, Lane::Critical);
    let sent = Instant::now();
    let mut urgent = JoinSet::new();
    urgent.spawn(send(small.by_hand(), critical));
    small.until("ingest_in_work", 6).await;
    assert!(sent.elapsed() < LIMIT);
    held_up.rollback().await.unwrap();
    assert_eq!(urgent.join_next().await.unwrap().unwrap().0, 200);
    assert!(normal.join_all().await.iter().all(|answer| answer.0 == 200), "who was let in is served");
    assert_eq!((small.number("ingest_in_work").await, small.number("ingest_refused").await), (0, 20));
}

#[tokio::test]
async fn bodies_that_are_announced_hold_bytes_within_a_budget_and_no_place() {
    let limits = AdmissionLimits { body_bytes_max: 1 << 20, ..AdmissionLimits::default() };
    let small = Small::start(limits).await;
    // Forty that promise 400 KiB each, and send nothing: two fit into what fresh data may hold.
    let mut slow = Vec::new();
    for _ in 0..40 {
        let mut stream = TcpStream::connect(small.cloud.address).await.unwrap();
        stream.write_all(small.head(&batch(1, Lane::Normal), 400 << 10).as_bytes()).await.unwrap();
        slow.push(stream);
    }
    let mut refused = 0;
    for stream in &mut slow {
        let mut begin = [0; 12];
        if let Ok(read) =
            tokio::time::timeout(Duration::from_millis(500), stream.read_exact(&mut begin)).await
        {
            read.unwrap();
            assert_eq!(&begin, b"HTTP/1.1 503");
            refused += 1;
        }
    }
    assert_eq!((refused, small.number("body_bytes_held").await), (38, 800 << 10));
    assert_eq!(small.number("ingest_in_work").await, 0, "a body on its way holds no place");
    assert_eq!(send(small.by_hand(), batch(1, Lane::Normal)).await.0, 200, "a small one fits beside them");

    // 100 KiB are too much for a normal one now, and not for a critical one.
    for (lane, status) in [(Lane::Normal, "503"), (Lane::Critical, "400")] {
        let mut stream = TcpStream::connect(small.cloud.address).await.unwrap();
        let bytes = 100 << 10;
        stream.write_all(small.head(&batch(1, lane), bytes).as_bytes()).await.unwrap();
        stream.write_all(&vec![0; bytes]).await.unwrap();
        let mut begin = [0; 12];
        stream.read_exact(&mut begin).await.unwrap();
        // Let in, its body turns out not to be the one that the header tells of.
        assert_eq!(String::from_utf8_lossy(&begin), format!("HTTP/1.1 {status}"), "{lane:?}");
    }
    drop(slow);
    small.until("body_bytes_held", 0).await;
}

#[tokio::test]
async fn who_is_refused_from_the_head_reads_why_although_its_body_is_still_on_its_way() {
    let small = Small::start(AdmissionLimits::default()).await;
    let head = small.head(&batch(1, Lane::Normal), 1 << 20).replace(&small.store.bearer(), "Bearer nobody");
    for round in 0..10 {
        let mut stream = TcpStream::connect(small.cloud.address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        // Everything, as an HTTP/1 client does, before it looks.
        for _ in 0..16 {
            stream
                .write_all(&vec![0; 64 << 10])
                .await
                .unwrap_or_else(|error| panic!("round {round}: {error}"));
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let mut begin = [0; 12];
        stream.read_exact(&mut begin).await.unwrap_or_else(|error| panic!("round {round}: {error}"));
        assert_eq!(&begin, b"HTTP/1.1 401", "round {round}");
    }
}

#[tokio::test]
async fn beyond_the_limit_connections_are_closed_at_the_door() {
    let small = Small::start(AdmissionLimits { connections_max: 8, ..AdmissionLimits::default() }).await;
    let (mut open, mut closed) = (Vec::new(), 0);
    for _ in 0..20 {
        let mut stream = TcpStream::connect(small.cloud.address).await.unwrap();
        let read = tokio::time::timeout(Duration::from_millis(100), stream.read(&mut [0; 1])).await;
        match read {
            Err(_) => open.push(stream),
            Ok(read) => {
                assert_eq!(read.unwrap_or(0), 0);
                closed += 1;
            }
        }
    }
    assert!(open.len() <= 8 && closed >= 12, "{} open, {closed} closed", open.len());
    drop(open);
    wait::until("the door to open again", LIMIT, async || {
        Ok(small.by_hand().get("/health").await.is_ok_and(|answer| answer.status == 200).then_some(()))
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn who_connects_and_says_nothing_keeps_nobody_from_a_handshake() {
    let db = database().await;
    let cloud = Cloud::start(&db, Some(&folder().await)).await.unwrap();
    let mut silent = Vec::new();
    for _ in 0..700 {
        silent.push(TcpStream::connect(cloud.address).await.unwrap());
    }
    let agent = ByHand::new(&cloud.url(), cloud.ca.as_deref(), None).unwrap();
    let asked = Instant::now();
    assert_eq!(agent.get("/health").await.unwrap().status, 200);
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    drop(silent);
    cloud.stop().await.unwrap();
}
