//! What a process leaves behind that ended without a word.

use super::*;

#[tokio::test]
async fn a_restart_seals_what_was_open_under_its_number_and_begins_an_epoch_that_names_the_last() {
    let mut bench = Bench::new().await;
    bench.append(Lane::Normal, NOW, 1.0).await;
    let (first, _) = bench.next().await.unwrap();
    bench.append(Lane::Normal, NOW + 1, 2.0).await;
    bench.reopen(LIMITS);
    bench.append(Lane::Normal, NOW + 2, 3.0).await;
    let sent = bench.drain().await;
    assert_eq!(values(&sent), [1.0, 2.0, 3.0]);
    let headers: Vec<_> = sent.into_iter().map(|(header, _)| header).collect();
    assert!(headers[0].resumed && headers[0].batch == first.batch);
    assert!(headers[1].resumed && headers[1].batch.epoch == first.batch.epoch && headers[1].batch.seq == 2);
    assert!(!headers[2].resumed && headers[2].batch.epoch != first.batch.epoch && headers[2].batch.seq == 1);
    assert_eq!(headers[2].after, Some(headers[1].batch));
}
