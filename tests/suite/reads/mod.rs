//! What is read of a store over HTTP: samples in every form, newest values, events, losses; and the overview of a tenant.

mod bad_queries;
mod compacted;
mod export;
mod latest;
mod overview;
mod pages;
mod records;
mod steps;
mod turns;

use std::collections::BTreeMap;

use storepulse_shared::batch::{Batch, Column, Frame};
use storepulse_shared::ids::Epoch;
use storepulse_testbed::by_hand::{Answer, ByHand, HandBatch};

use crate::setting::Setting;

/// Series by name, each with its samples.
type Series = BTreeMap<String, Vec<(i64, f64)>>;

/// Sends samples of the device `d` as one batch; series have no times in common.
async fn send(agent: &ByHand, series: &Series) {
    let mut content = Batch::default();
    for (name, samples) in series {
        content.frames.push(Frame {
            device: "d".into(),
            kind: "host".into(),
            times: samples.iter().map(|(t, _)| *t).collect(),
            columns: vec![Column {
                series: name.clone().into(),
                values: samples.iter().map(|(_, value)| *value).collect(),
            }],
        });
    }
    let answer = agent.send(&HandBatch::of(Epoch::random(), 1, &content)).await.unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json["rejected"], serde_json::json!([]), "{answer:?}");
}

async fn get(agent: &ByHand, what: &str) -> serde_json::Value {
    let answer = agent.get(&format!("/v1/stores/T01/{what}")).await.unwrap();
    assert_eq!(answer.status, 200, "{what}: {answer:?}");
    answer.json
}

async fn refused(setting: &Setting, what: &str) -> Answer {
    let answer = setting.by_hand().get(&format!("/v1/stores/T01/{what}")).await.unwrap();
    assert!(answer.status >= 400, "{what}: {answer:?}");
    answer
}

/// The samples of an answer, which may be a page.
fn add_samples(all: &mut Series, answer: &serde_json::Value) -> usize {
    let mut count = 0;
    for series in answer["series"].as_array().unwrap() {
        let samples = series["samples"].as_array().unwrap();
        assert!(!samples.is_empty(), "a series without samples is absent");
        count += samples.len();
        let samples = samples.iter().map(|s| (s[0].as_i64().unwrap(), s[1].as_f64().unwrap()));
        all.entry(series["name"].as_str().unwrap().to_owned()).or_default().extend(samples);
    }
    count
}

/// So many series of so many samples, a step apart, that end a second ago; no two values are the same.
fn many(series: usize, samples: i64, step_ms: i64) -> Series {
    let first = crate::setting::now_ms() - 1_000 - samples * step_ms;
    let of = |at: usize| {
        let value = |n: i64| (at as i64 * samples + n) as f64 / 8.0;
        let samples = (0..samples).map(|n| (first + n * step_ms + at as i64 % 7, value(n)));
        (format!("m{at:03}{{shelf=\"{at}, =\"}}"), samples.collect())
    };
    (0..series).map(of).collect()
}
