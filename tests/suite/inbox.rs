//! How a batch lies in the inbox: the same samples come out, by the API and in SQL, however their times are shared.

use storepulse_shared::batch::{Batch, Column, Frame};
use storepulse_shared::ids::Epoch;
use storepulse_testbed::by_hand::HandBatch;
use storepulse_testbed::upkeep::{self, as_admin, view};

use crate::setting::{Setting, TENANT, now_ms};

const NONE: f64 = f64::NAN;

fn frame(device: &str, times: [i64; 3], columns: &[(&str, [f64; 3])]) -> Frame<'static> {
    let column = |(name, values): &(&str, [f64; 3])| Column {
        series: format!("{name}.{}", device.replace('-', "_")).into(),
        values: values.to_vec(),
    };
    let columns = columns.iter().map(column).collect();
    Frame { device: device.to_owned().into(), kind: "host".into(), times: times.to_vec(), columns }
}

/// What was sent, as the view shows it.
fn expected(batch: &Batch<'_>) -> Vec<upkeep::Seen> {
    let mut all = Vec::new();
    for frame in &batch.frames {
        for column in &frame.columns {
            let samples = frame.times.iter().zip(&column.values).filter(|(_, value)| !value.is_nan());
            all.extend(samples.map(|(time, value)| (column.series.to_string(), *time, value.to_bits())));
        }
    }
    all.sort();
    all
}

async fn stored(setting: &Setting, batch: &Batch<'_>) {
    let answer = setting.by_hand().send(&HandBatch::of(Epoch::random(), 1, batch)).await.unwrap();
    assert_eq!((answer.status, &answer.json["rejected"]), (200, &serde_json::json!([])), "{answer:?}");
}

async fn seen(setting: &Setting) -> Vec<upkeep::Seen> {
    let read = setting.samples().await.into_iter();
    let mut read: Vec<_> = read.map(|(name, time, value)| (name, time, value.to_bits())).collect();
    read.sort();
    assert_eq!(read, view(&setting.db, TENANT, "T01").await.unwrap());
    read
}

#[tokio::test]
async fn devices_of_one_tick_share_its_times_and_gaps_are_left_out() {
    let setting = Setting::new().await;
    let now = now_ms();
    let (tick, other) = ([now, now + 10, now + 20], [now - 5, now + 10, now + 11]);
    let batch = Batch {
        frames: vec![
            frame(
                "a",
                tick,
                &[("up", [1.0, 2.0, 3.0]), ("load", [0.1, 0.2, 0.3]), ("rare", [NONE, 5.0, NONE])],
            ),
            frame("b", other, &[("up", [4.0, 5.0, 6.0]), ("never", [NONE; 3])]),
            frame("c", tick, &[("up", [7.0, 8.0, 9.0])]),
        ],
        ..Batch::default()
    };
    stored(&setting, &batch).await;
    assert_eq!(seen(&setting).await, expected(&batch));
    let layout =
        "select group_runs::text || run_lengths::text || cardinality(t_offsets)::text from sample_batches";
    assert_eq!(as_admin(&setting.db, layout).await.unwrap(), ["{1,3,1}{3,3,1}7"]);
    upkeep::run(&setting.db).await.unwrap();
    assert_eq!(seen(&setting).await, expected(&batch));
}

#[tokio::test]
async fn rows_that_were_stored_before_times_were_shared_are_read_and_compacted() {
    let setting = Setting::new().await;
    let now = now_ms();
    let frames =
        ["a", "b", "c"].map(|device| frame(device, [now, now + 10, now + 20], &[("up", [1.0, 2.0, 3.0])]));
    let batch = Batch { frames: frames.to_vec(), ..Batch::default() };
    stored(&setting, &batch).await;
    let as_before = "update sample_batches set group_runs = null, run_lengths = '{3,3,3}',
        t_offsets = t_offsets || t_offsets || t_offsets returning cardinality(t_offsets)::text";
    assert_eq!(as_admin(&setting.db, as_before).await.unwrap(), ["9"]);
    assert_eq!(seen(&setting).await, expected(&batch));
    upkeep::run(&setting.db).await.unwrap();
    assert_eq!(seen(&setting).await, expected(&batch));
}
