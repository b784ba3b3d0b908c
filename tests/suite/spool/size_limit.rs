//! The cap on disk, and what goes first when it is reached.

use super::*;

const SMALL: Limits = Limits { bytes_max: BYTES_MIN, batch_samples_max: 2_000 };
/// Samples of one append.
const CELLS: u64 = 2_000;

/// Values that do not compress, a tick a second.
fn noise(n: i64) -> Frame<'static> {
    let times: Vec<i64> = (0..200).map(|t| NOW + (n * 200 + t) * 1_000).collect();
    let column = |c: i64| Column {
        series: format!("m{c}").into(),
        values: times.iter().map(|t| ((t * 31 + c) as f64 * 0.739_085_133).sin() * 1e6).collect(),
    };
    Frame { columns: (0..10).map(column).collect(), times: times.clone(), ..tick(0, 0.0) }
}

impl Bench {
    /// Bytes of everything that the spool has on disk.
    fn bytes_on_disk(&self) -> u64 {
        let files = std::fs::read_dir(&self.dir).unwrap();
        files.map(|file| file.unwrap().metadata().unwrap().len()).sum()
    }

    /// Appends so many times, looking at the disk each time.
    async fn flood(&self, lane: Lane, appends: std::ops::Range<i64>) {
        for n in appends {
            self.spool().append(lane, vec![noise(n)], NOW).await.unwrap();
            let bytes = self.bytes_on_disk();
            assert!(bytes <= SMALL.bytes_max, "{bytes} bytes after {n} appends");
        }
    }
}

/// Samples delivered, and the losses.
fn account(sent: &[(BatchHeader, Vec<u8>)]) -> (u64, Vec<storepulse_shared::batch::Loss>) {
    let batches: Vec<_> = sent.iter().map(|(_, body)| decode(body)).collect();
    let delivered: usize = batches.iter().map(Batch::samples).sum();
    (delivered as u64, batches.into_iter().flat_map(|b| b.losses).collect())
}

fn lost(losses: &[storepulse_shared::batch::Loss], lane: Lane, reason: &str) -> u64 {
    losses.iter().filter(|l| l.lane == lane && l.reason == reason).map(|l| l.samples).sum()
}

#[tokio::test]
async fn the_cap_holds_with_the_wal_and_every_sample_is_delivered_or_reported() {
    let bench = Bench::with(SMALL).await;
    bench.record("k", "keep me").await;
    bench.flood(Lane::Normal, 0..500).await;
    let sent = bench.drain().await;
    let (delivered, losses) = account(&sent);
    assert!(lost(&losses, Lane::Normal, "spool_full") > 0, "the flood was too small");
    assert_eq!(delivered + losses.iter().map(|l| l.samples).sum::<u64>(), 500 * CELLS);
    assert!(delivered > 200_000, "only {delivered} samples found room");
    assert!(sent.iter().flat_map(|(_, body)| decode(body).events).any(|e| e.text == "keep me"));
    assert!(bench.bytes_on_disk() <= SMALL.bytes_max);
}

#[tokio::test]
async fn bulk_is_thinned_before_it_is_dropped_and_dropped_before_normal() {
    let bench = Bench::with(SMALL).await;
    bench.flood(Lane::Bulk, 0..300).await;
    bench.flood(Lane::Normal, 300..400).await;
    bench.spool().seal_all(NOW).await.unwrap();
    let thinned = bench.status().await;
    assert_eq!(thinned.lanes[1].waiting_samples, 100 * CELLS, "normal is whole while there is bulk");
    bench.flood(Lane::Normal, 400..700).await;
    let (delivered, losses) = account(&bench.drain().await);
    let of = |lane, reason| lost(&losses, lane, reason);
    assert!(of(Lane::Bulk, "thinned") > 250 * CELLS, "{}", of(Lane::Bulk, "thinned"));
    assert!(of(Lane::Bulk, "spool_full") > 0 && of(Lane::Normal, "spool_full") > 0);
    assert_eq!(of(Lane::Bulk, "thinned") + of(Lane::Bulk, "spool_full"), 300 * CELLS);
    assert_eq!(delivered + losses.iter().map(|l| l.samples).sum::<u64>(), 700 * CELLS);
}

#[tokio::test]
async fn acked_batches_go_first_and_have_half_of_the_cap_at_most() {
    let bench = Bench::with(SMALL).await;
    bench.flood(Lane::Normal, 0..200).await;
    bench.drain().await;
    bench.flood(Lane::Normal, 200..400).await;
    bench.spool().seal_all(NOW).await.unwrap();
    let status = bench.status().await;
    assert_eq!(status.lanes[1].waiting_samples, 200 * CELLS, "nothing but acked batches had to go");
    assert_eq!(status.losses, 0);
}

#[tokio::test]
async fn critical_batches_have_half_of_the_cap_at_most() {
    let bench = Bench::with(SMALL).await;
    bench.flood(Lane::Critical, 0..600).await;
    let status = bench.status().await;
    assert!(status.lanes[0].waiting_bytes <= SMALL.bytes_max / 2, "{}", status.lanes[0].waiting_bytes);
    let (delivered, losses) = account(&bench.drain().await);
    assert_eq!(delivered + lost(&losses, Lane::Critical, "spool_full"), 600 * CELLS);
}

#[tokio::test]
async fn a_burst_of_events_becomes_one() {
    let bench = Bench::new().await;
    for n in 0..1_000 {
        bench.record("printer.cover_open", &format!("no. {n}")).await;
    }
    bench.record("printer.paper_out", "another kind").await;
    let sent = bench.drain().await;
    let events: Vec<_> = sent.iter().flat_map(|(_, body)| decode(body).events).collect();
    assert_eq!(events.len(), 60 + 1 + 1);
    assert!(events[60].text.starts_with("940 more like this") && events[60].text.ends_with("no. 999"));
}

#[tokio::test]
async fn a_replay_that_has_to_go_is_no_second_loss() {
    let bench = Bench::with(SMALL).await;
    bench.spool().append(Lane::Bulk, vec![noise(0)], NOW).await.unwrap();
    while let Some((header, outgoing)) = bench.next().await {
        match header.lane {
            Lane::Bulk => bench.settle(&outgoing, Settlement::Refused { why: "422".to_owned() }).await,
            _ => bench.ack(&outgoing).await,
        }
    }
    let items = storepulse_agent::spool::quarantine(&bench.dir).unwrap();
    assert_eq!(items.iter().map(|item| item.samples).sum::<u64>(), CELLS);
    for item in &items {
        bench.spool().replay(item.batch, NOW).await.unwrap().unwrap();
    }
    bench.flood(Lane::Normal, 1..500).await;
    let (_, losses) = account(&bench.drain().await);
    let bulk: Vec<_> = losses.iter().filter(|loss| loss.lane == Lane::Bulk).collect();
    assert!(bulk.iter().all(|loss| loss.reason == "spool_full" && loss.samples == 0), "{bulk:?}");
    let closed: u64 = bulk
        .iter()
        .flat_map(|loss| loss.seqs.values())
        .flat_map(|seqs| seqs.ranges())
        .map(|(first, last)| last - first + 1)
        .sum();
    assert_eq!(closed, items.len() as u64, "their numbers are closed all the same");
}
