//! What is appended, and the batches that it becomes.

use super::*;

#[tokio::test]
async fn ticks_of_one_device_become_one_frame_and_the_header_tells_the_truth() {
    let bench = Bench::new().await;
    for n in 0..5 {
        bench.append(Lane::Normal, NOW + n * 1_000, n as f64).await;
    }
    let (header, outgoing) = bench.next().await.unwrap();
    assert_eq!((header.batch.seq, header.samples, header.sealed), (1, 5, 1));
    assert_eq!(header.digest, storepulse_shared::batch::header::BodyDigest::of(&outgoing.body));
    assert!(!header.resumed && header.after.is_none());
    let text = gzip::inflate(&outgoing.body, 1 << 20).unwrap();
    let batch = decode(&text);
    assert_eq!(batch.frames.len(), 1);
    assert_eq!(batch.frames[0].times, (0..5).map(|n| NOW + n * 1_000).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_tick_that_goes_back_in_time_begins_a_frame_of_its_own() {
    let bench = Bench::new().await;
    for time in [NOW, NOW + 10, NOW + 5, NOW + 5, NOW + 20] {
        bench.append(Lane::Normal, time, 1.0).await;
    }
    let sent = bench.drain().await;
    assert_eq!(decode(&sent[0].1).frames.iter().map(|f| f.times.len()).collect::<Vec<_>>(), [2, 1, 2]);
    assert_eq!(values(&sent).len(), 5);
}

#[tokio::test]
async fn a_batch_is_sealed_by_count_and_by_span() {
    let bench = Bench::new().await;
    let times: Vec<i64> = (0..2_500).map(|n| NOW + n).collect();
    let frame = Frame {
        times,
        columns: vec![Column { series: "m".into(), values: vec![1.0; 2_500] }],
        ..tick(0, 0.0)
    };
    bench.spool().append(Lane::Normal, vec![frame], NOW).await.unwrap();
    bench.append(Lane::Normal, NOW + 7 * 3_600_000, 1.0).await;
    let sent = bench.drain().await;
    assert_eq!(sent.iter().map(|(h, _)| h.samples).collect::<Vec<_>>(), [1_000, 1_000, 500, 1]);
    assert_eq!(sent.iter().map(|(h, _)| h.batch.seq).collect::<Vec<_>>(), [1, 2, 3, 4]);
}

#[tokio::test]
async fn many_callers_share_commits_and_all_is_there() {
    let bench = Bench::new().await;
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..200 {
        let spool = bench.spool().clone();
        tasks.spawn(async move { spool.append(Lane::Normal, vec![tick(NOW + n, n as f64)], NOW).await });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap().unwrap();
    }
    let mut all = values(&bench.drain().await);
    all.sort_by(f64::total_cmp);
    assert_eq!(all, (0..200).map(f64::from).collect::<Vec<_>>());
}
