//! What the cloud refuses: cut, looked through for the poison, quarantined, sent under another number.

use super::*;

/// A cloud that refuses every batch with the sample `poison` in it. Returns what it took, and how often it refused.
async fn send_to_a_picky_cloud(bench: &Bench, poison: impl Fn(f64) -> bool) -> (Vec<f64>, usize) {
    let (mut taken, mut refused) = (Vec::new(), 0);
    while let Some((header, outgoing)) = bench.next().await {
        let text = gzip::inflate(&outgoing.body, 16 << 20).unwrap();
        let samples = values(&[(header, text)]);
        if samples.iter().any(|value| poison(*value)) {
            refused += 1;
            bench.settle(&outgoing, Settlement::Refused { why: "422".to_owned() }).await;
        } else {
            bench.ack(&outgoing).await;
            taken.extend(samples);
        }
    }
    (sorted(taken), refused)
}

#[tokio::test]
async fn a_batch_that_is_too_large_goes_on_in_two_under_new_numbers() {
    let bench = Bench::new().await;
    for n in 0..10 {
        bench.append(Lane::Normal, NOW + n, n as f64).await;
    }
    let (whole, outgoing) = bench.next().await.unwrap();
    bench.settle(&outgoing, Settlement::TooLarge).await;
    let sent = bench.drain().await;
    assert_eq!(sent.iter().map(|(h, _)| (h.batch.seq, h.samples)).collect::<Vec<_>>(), [(2, 5), (3, 5)]);
    assert_eq!(sent[0].0.batch.epoch, whole.batch.epoch);
    assert_eq!(values(&sent), (0..10).map(f64::from).collect::<Vec<_>>());
}

#[tokio::test]
async fn one_poisonous_sample_is_quarantined_and_the_others_are_delivered() {
    let bench = Bench::with(Limits { batch_samples_max: 5_000, ..LIMITS }).await;
    for n in 0..5_000 {
        bench.append(Lane::Normal, NOW + n, n as f64).await;
    }
    let (taken, refused) =
        send_to_a_picky_cloud(&bench, |value| value.to_bits() == 1_234_f64.to_bits()).await;
    assert_eq!(taken, (0..5_000).filter(|n| *n != 1_234).map(f64::from).collect::<Vec<_>>());
    assert!(refused <= 14, "{refused} refusals");
    let status = bench.status().await;
    assert_eq!(status.quarantine.iter().map(|q| (q.samples, &*q.refusal)).collect::<Vec<_>>(), [(1, "422")]);
    assert_eq!((status.losses, status.lost_samples), (1, 1));
}

#[tokio::test]
async fn a_cloud_that_takes_nothing_of_a_batch_does_not_see_it_sample_by_sample() {
    let bench = Bench::new().await;
    for n in 0..1_000 {
        bench.append(Lane::Normal, NOW + n, n as f64).await;
    }
    let (taken, refused) = send_to_a_picky_cloud(&bench, |_| true).await;
    assert_eq!((taken.len(), refused), (0, 15), "one, two, four and eight pieces");
    let status = bench.status().await;
    assert_eq!(status.quarantine.iter().map(|q| q.samples).collect::<Vec<_>>(), [125; 8]);
    assert_eq!(status.lost_samples, 1_000);
}

#[tokio::test]
async fn what_is_quarantined_is_told_as_a_loss_with_its_number() {
    let bench = Bench::new().await;
    bench.append(Lane::Normal, NOW + 5, 1.0).await;
    let (header, outgoing) = bench.next().await.unwrap();
    bench.settle(&outgoing, Settlement::Refused { why: "400 malformed".to_owned() }).await;
    let sent = bench.drain().await;
    let loss = &decode(&sent[0].1).losses[0];
    assert_eq!((&*loss.reason, loss.samples, loss.from, loss.to), ("quarantined", 1, NOW + 5, NOW + 5));
    assert_eq!(loss.seqs[&header.batch.epoch].ranges(), [(1, 1)]);
}

#[tokio::test]
async fn a_conflict_opens_an_epoch_for_everything_that_was_never_sent() {
    let bench = Bench::new().await;
    bench.append(Lane::Normal, NOW, 1.0).await;
    let (old, refused) = bench.next().await.unwrap();
    bench.append(Lane::Normal, NOW, 2.0).await;
    bench.append(Lane::Bulk, NOW, 3.0).await;
    bench.settle(&refused, Settlement::Conflict).await;
    let sent = bench.drain().await;
    assert!(sent.iter().all(|(h, _)| h.batch.epoch != old.batch.epoch && !h.resumed), "{sent:?}");
    assert_eq!(sorted(values(&sent)), [1.0, 2.0, 3.0]);
    let critical = decode(&sent[0].1);
    assert_eq!(critical.events[0].kind, "agent.possible_clone");
    assert_eq!(critical.losses[0].seqs[&old.batch.epoch].ranges(), [(2, 3)]);
    assert_eq!((critical.losses[0].samples, &*critical.losses[0].reason), (0, "renumbered"));
}
