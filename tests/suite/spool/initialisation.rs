//! Opening: locks, versions, epochs and their chain.

use storepulse_agent::spool::FILE;

use super::*;

#[tokio::test]
async fn two_agents_cannot_share_a_spool() {
    let bench = Bench::new().await;
    let error = Spool::open(&bench.dir, LIMITS, NOW).unwrap_err().to_string();
    assert!(error.contains("spool.lock") && error.contains("another agent"), "{error}");
}

#[tokio::test]
async fn a_spool_from_a_newer_version_is_left_alone() {
    let mut bench = Bench::new().await;
    bench.append(Lane::Normal, NOW, 1.0).await;
    bench.close();
    let path = bench.dir.join(FILE);
    let db = rusqlite::Connection::open(&path).unwrap();
    db.pragma_update(None, "user_version", 2).unwrap();
    db.execute("update spool set version = 2", []).unwrap();
    drop(db);
    let error = Spool::open(&bench.dir, LIMITS, NOW).unwrap_err().to_string();
    assert!(error.contains("spool.db") && error.contains("newer agent"), "{error}");
}

#[tokio::test]
async fn openings_without_a_batch_leave_no_gap_in_the_chain() {
    let mut bench = Bench::new().await;
    bench.append(Lane::Normal, NOW, 1.0).await;
    let first = bench.drain().await.remove(0).0;
    for _ in 0..3 {
        bench.reopen(LIMITS);
    }
    bench.append(Lane::Normal, NOW, 2.0).await;
    let (header, outgoing) = bench.next().await.unwrap();
    assert_eq!(header.after, Some(first.batch));
    // It is said until the cloud has acknowledged it once.
    bench.ack(&outgoing).await;
    bench.append(Lane::Normal, NOW, 3.0).await;
    assert_eq!(bench.next().await.unwrap().0.after, None);
}
