//! Maintenance begins, is told, outlives a restart and ends.

use std::sync::atomic::{AtomicI64, Ordering};

use tokio::task::JoinSet;

use super::*;
use crate::spool::{Limits, WriterHandle};
use crate::time::{ClockSource, Reading};

const NOON: i64 = 1_763_726_400_000;
const MINUTE: i64 = 60_000;

/// A clock that is set by hand.
#[derive(Debug, Default)]
struct Hand {
    boot_ms: AtomicI64,
    wall_ms: AtomicI64,
}

impl ClockSource for Hand {
    fn boot_id(&self) -> String {
        "a".to_owned()
    }

    fn read(&self) -> Reading {
        Reading {
            boot_ms: self.boot_ms.load(Ordering::Relaxed),
            wall_ms: self.wall_ms.load(Ordering::Relaxed),
        }
    }

    fn is_synchronised(&self) -> bool {
        false
    }
}

impl Hand {
    fn pass(&self, minutes: i64) {
        self.boot_ms.fetch_add(minutes * MINUTE, Ordering::Relaxed);
        self.wall_ms.fetch_add(minutes * MINUTE, Ordering::Relaxed);
    }
}

struct Scene {
    dir: tempfile::TempDir,
    hand: Arc<Hand>,
    spool: Spool,
    maintenance: Maintenance,
    writer: WriterHandle,
}

fn scene() -> Scene {
    let dir = tempfile::tempdir().unwrap();
    let hand = Arc::new(Hand::default());
    hand.wall_ms.store(NOON, Ordering::Relaxed);
    let source: Arc<dyn ClockSource> = Arc::<Hand>::clone(&hand);
    let clock = BoxClock::new(source, 0);
    let limits = Limits { bytes_max: 64 << 20, batch_samples_max: 5_000 };
    let (spool, writer) = Spool::open(dir.path(), limits, NOON).unwrap();
    let maintenance = Maintenance::load(dir.path(), clock, spool.clone());
    Scene { dir, hand, spool, maintenance, writer }
}

impl Scene {
    /// As after a restart of the agent.
    fn again(&self) -> Maintenance {
        Maintenance::load(self.dir.path(), self.maintenance.0.clock.clone(), self.spool.clone())
    }

    /// Ends, and tells all that was told: events by kind and text, and the samples.
    fn told(self) -> (Vec<(String, String)>, Vec<f64>) {
        let Self { dir, spool, maintenance, writer, .. } = self;
        drop((spool, maintenance));
        writer.join();
        let db = rusqlite::Connection::open(dir.path().join(crate::spool::FILE)).unwrap();
        let mut events = db.prepare("select kind, text from open_events order by batch_id, n").unwrap();
        let events = events.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        let mut samples = db.prepare("select hex(vals) from open_ticks order by batch_id, n").unwrap();
        let samples: Vec<String> =
            samples.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        let number = |hex: &String| if hex.contains("F03F") || hex.contains("3FF0") { 1.0 } else { 0.0 };
        (events.map(Result::unwrap).collect(), samples.iter().map(number).collect())
    }
}

#[tokio::test]
async fn it_ends_by_itself_and_both_ends_are_told() {
    let scene = scene();
    assert_eq!(scene.maintenance.under_way(), None);
    scene.maintenance.begin(Plan::new(60, "new scale").unwrap()).await.unwrap();
    scene.hand.pass(20);
    let expected = UnderWay {
        until_ms: NOON + 60 * MINUTE,
        left_ms: 40 * MINUTE,
        minutes: 60,
        note: Some("new scale".to_owned()),
    };
    assert_eq!(scene.maintenance.under_way(), Some(expected.clone()));
    assert_eq!(scene.again().under_way(), Some(expected), "a restart changes nothing");
    scene.maintenance.look().await;
    assert!(scene.maintenance.under_way().is_some());
    scene.hand.pass(40);
    assert_eq!(scene.maintenance.under_way(), None, "it is over before anybody looked");
    scene.maintenance.look().await;
    assert!(scene.maintenance.lock().is_none() && !scene.dir.path().join(FILE).exists());
    scene.maintenance.look().await;
    let (events, samples) = scene.told();
    let said = |kind: &str, text: &str| (kind.to_owned(), text.to_owned());
    let expected = [
        said("agent.maintenance_started", "maintenance for 60 minutes: new scale"),
        said("agent.maintenance_ended", "maintenance ended by itself after 60 minutes"),
    ];
    assert_eq!((events.as_slice(), samples.as_slice()), (&expected[..], &[1.0, 0.0][..]));
}

#[tokio::test]
async fn it_is_ended_by_hand_once() {
    let scene = scene();
    assert!(!scene.maintenance.end().await.unwrap());
    scene.maintenance.begin(Plan::new(60, "").unwrap()).await.unwrap();
    scene.hand.pass(12);
    assert!(scene.maintenance.end().await.unwrap());
    assert!(!scene.maintenance.end().await.unwrap());
    assert_eq!(scene.again().under_way(), None);
    let (events, _) = scene.told();
    assert_eq!(events[1].1, "maintenance was ended after 12 of 60 minutes");
    assert_eq!(events.len(), 2);
}

#[tokio::test]
async fn what_ended_while_the_agent_did_not_run_is_told_by_the_next() {
    let scene = scene();
    scene.maintenance.begin(Plan::new(5, "").unwrap()).await.unwrap();
    scene.hand.pass(300);
    let next = scene.again();
    let (stop, mut tasks) = (CancellationToken::new(), JoinSet::new());
    tasks.spawn(next.clone().run(stop.clone()));
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while next.lock().is_some() {
        assert!(std::time::Instant::now() < deadline, "it was not ended");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stop.cancel();
    tasks.join_next().await.unwrap().unwrap();
    drop(next);
    let (events, samples) = scene.told();
    assert_eq!((events.len(), samples.as_slice()), (2, &[1.0, 0.0][..]));
}

#[tokio::test]
async fn it_is_neither_begun_nor_ended_where_it_cannot_be_told() {
    let scene = scene();
    scene.maintenance.begin(Plan::new(60, "").unwrap()).await.unwrap();
    let db = rusqlite::Connection::open(scene.dir.path().join(crate::spool::FILE)).unwrap();
    db.execute_batch("create trigger t before insert on open_events begin select raise(abort, 'no'); end")
        .unwrap();
    assert!(scene.maintenance.end().await.is_err());
    assert!(scene.maintenance.under_way().is_some());
    assert!(scene.maintenance.begin(Plan::new(300, "").unwrap()).await.is_err());
    assert_eq!(scene.again().under_way().map(|now| now.minutes), Some(60), "what was before goes on");
    db.execute_batch("drop trigger t").unwrap();
    assert!(scene.maintenance.end().await.unwrap());
}

#[tokio::test]
async fn a_file_that_is_none_of_ours_is_no_maintenance() {
    let scene = scene();
    for rubbish in ["", "{}", "[1]", "\u{0}"] {
        std::fs::write(scene.dir.path().join(FILE), rubbish).unwrap();
        assert_eq!(scene.again().under_way(), None);
    }
}
