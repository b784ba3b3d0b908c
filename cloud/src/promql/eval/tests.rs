//! Whole queries on a few samples in memory, their results computed by hand.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Budget, Data, EvalError, Evaluator, Series, Stored, Value};
use crate::promql::format;
use crate::promql::labels::{Labels, NAME};
use crate::promql::parse::parse;
use crate::promql::plan::{self, Plan, Steps};

/// Seconds that the samples begin at.
const T0: i64 = 1_000_000;

/// Metric, labels, values every 60 s from [`T0`] on; NaN is no sample.
type Given = (&'static str, &'static [(&'static str, &'static str)], &'static [f64]);

const GAP: f64 = f64::NAN;

const GIVEN: &[Given] = &[
    ("temperature", &[("device", "a"), ("room", "x")], &[1.0, 2.0, 3.0, 4.0, 5.0]),
    ("temperature", &[("device", "b"), ("room", "x")], &[10.0, 20.0, 10.0, 20.0, 10.0]),
    ("temperature", &[("device", "c"), ("room", "y")], &[7.0, GAP, GAP, GAP, 9.0]),
    ("limit", &[("device", "a")], &[3.0, 3.0, 3.0, 3.0, 3.0]),
    ("limit", &[("device", "b")], &[15.0, 15.0, 15.0, 15.0, 15.0]),
    ("room_size", &[("room", "x"), ("floor", "1")], &[100.0, 100.0, 100.0, 100.0, 100.0]),
    ("prints_total", &[("device", "a")], &[0.0, 60.0, 120.0, 30.0, 90.0]),
    ("wait_bucket", &[("le", "1")], &[5.0, 5.0, 5.0, 5.0, 5.0]),
    ("wait_bucket", &[("le", "2")], &[5.0, 5.0, 5.0, 5.0, 10.0]),
    ("wait_bucket", &[("le", "+Inf")], &[5.0, 5.0, 5.0, 5.0, 10.0]),
];

fn data(plan: &Plan) -> Data {
    let of = |selector: &plan::Selector| {
        let stored = GIVEN.iter().filter_map(|(metric, labels, values)| {
            let labels = Labels::of(labels.iter().copied().chain([(NAME, *metric)]));
            let samples = values.iter().zip(0..).filter(|(value, _)| !value.is_nan());
            let samples = samples.map(|(value, minute)| ((T0 + minute * 60) * 1_000, *value)).collect();
            selector.series.hold(metric, &labels).then(|| Stored { labels, samples: Arc::new(samples) })
        });
        let mut stored: Vec<Stored> = stored.collect();
        stored.sort_by(|a, b| a.labels.cmp(&b.labels));
        stored
    };
    plan.selectors.iter().map(of).collect()
}

fn evaluated(query: &str, steps: Steps, limit: Duration) -> Result<Value, EvalError> {
    let expr = parse(query).unwrap_or_else(|why| panic!("{query}: {why}"));
    let plan = plan::build(&expr, steps).unwrap_or_else(|why| panic!("{query}: {why}"));
    let budget = Budget::until(Instant::now() + limit);
    Evaluator { data: &data(&plan), budget: &budget }.eval(&plan.root, steps)
}

const LONG: Duration = Duration::from_secs(60);

fn spelled(series: &Series) -> String {
    let values: Vec<String> =
        series.values.iter().map(|value| value.map_or("-".to_owned(), format::value)).collect();
    format!("{} {}", series.labels, values.join(" "))
}

/// At 240 s after the first sample, unless told otherwise: one line a series, or the number.
fn at(query: &str, seconds: i64) -> Vec<String> {
    match evaluated(query, Steps::once((T0 + seconds) * 1_000), LONG).unwrap() {
        Value::Scalar(values) => vec![format::value(values[0])],
        Value::Text(text) => vec![text],
        Value::Vector(series) => series.iter().filter(|one| !one.is_empty()).map(spelled).collect(),
    }
}

fn check(cases: &[(&str, &[&str])]) {
    for (query, expected) in cases {
        assert_eq!(at(query, 240), *expected, "{query}");
    }
}

#[test]
fn selectors_choose_by_labels_and_look_back() {
    check(&[
        ("temperature{device='a'}", &[r#"{__name__="temperature", device="a", room="x"} 5"#]),
        ("temperature{device=~'a|c', room!='y'}", &[r#"{__name__="temperature", device="a", room="x"} 5"#]),
        ("temperature{device!~'a|b'}", &[r#"{__name__="temperature", device="c", room="y"} 9"#]),
        // Anchored at both ends: `limi` is not the beginning of a name, but another name.
        ("{__name__=~'limi'}", &[]),
        (
            "temperature{floor='', device='a'} offset 1m",
            &[r#"{__name__="temperature", device="a", room="x"} 4"#],
        ),
        ("limit{device='a'} @ 1000060", &[r#"{__name__="limit", device="a"} 3"#]),
        (
            "temperature{device='a'} @ start() offset 2m",
            &[r#"{__name__="temperature", device="a", room="x"} 3"#],
        ),
        ("temperature{device='c'} offset 1m", &[r#"{__name__="temperature", device="c", room="y"} 7"#]),
    ]);
    assert_eq!(at("temperature{device='a'}", 540).len(), 1, "five minutes old is not too old");
    assert_eq!(at("temperature{device='a'}", 541).len(), 0);
    assert_eq!(at("temperature", -1).len(), 0);
}

#[test]
fn ranges_hold_both_of_their_ends() {
    check(&[
        ("count_over_time(temperature{device='a'}[2m])", &[r#"{device="a", room="x"} 3"#]),
        ("sum_over_time(temperature{device='a'}[2m] offset 1m)", &[r#"{device="a", room="x"} 9"#]),
        (
            "last_over_time(temperature{device='c'}[1m])",
            &[r#"{__name__="temperature", device="c", room="y"} 9"#],
        ),
        ("quantile_over_time(0.5, temperature{device='b'}[4m])", &[r#"{device="b", room="x"} 10"#]),
        ("increase(prints_total[4m])", &[r#"{device="a"} 210"#]),
        ("rate(prints_total[4m])", &[r#"{device="a"} 0.875"#]),
        ("predict_linear(temperature{device='a'}[4m], 60)", &[r#"{device="a", room="x"} 6"#]),
        ("max_over_time((temperature{device='a'} * 2)[2m:1m])", &[r#"{device="a", room="x"} 8"#]),
        ("avg_over_time(temperature{device='a'}[4m:2m])", &[r#"{device="a", room="x"} 3"#]),
    ]);
}

#[test]
fn operators_between_scalars_and_vectors() {
    check(&[
        (
            "1 + 2 * 3 ^ 2 ^ 0.5 % 5 - -1",
            &[&format::value(1.0 + 2.0 * 3f64.powf(2f64.powf(0.5)) % 5.0 + 1.0)],
        ),
        ("2 > bool 1", &["1"]),
        ("1 / 0", &["+Inf"]),
        ("limit * 2", &[r#"{device="a"} 6"#, r#"{device="b"} 30"#]),
        ("-limit{device='a'}", &[r#"{device="a"} -3"#]),
        ("limit > 5", &[r#"{__name__="limit", device="b"} 15"#]),
        ("5 < limit", &[r#"{__name__="limit", device="b"} 15"#]),
        ("limit > bool 5", &[r#"{device="a"} 0"#, r#"{device="b"} 1"#]),
    ]);
}

#[test]
fn operators_between_vectors_match_labels() {
    check(&[
        ("temperature > on(device) limit", &[r#"{device="a"} 5"#]),
        ("temperature - ignoring(room) limit", &[r#"{device="a"} 2"#, r#"{device="b"} -5"#]),
        (
            "temperature / on(room) group_left(floor) room_size",
            &[r#"{device="a", floor="1", room="x"} 0.05"#, r#"{device="b", floor="1", room="x"} 0.1"#],
        ),
        (
            "room_size / on(room) group_right temperature",
            &[r#"{device="a", room="x"} 20"#, r#"{device="b", room="x"} 10"#],
        ),
        (
            "temperature and on(room) room_size{floor='1'} unless on(device) limit{device='b'}",
            &[r#"{__name__="temperature", device="a", room="x"} 5"#],
        ),
        (
            "limit{device='a'} or limit",
            &[r#"{__name__="limit", device="a"} 3"#, r#"{__name__="limit", device="b"} 15"#],
        ),
    ]);
}

#[test]
fn what_cannot_be_matched_is_refused() {
    let refused = |query| match evaluated(query, Steps::once((T0 + 240) * 1_000), LONG) {
        Err(EvalError::Execution(why)) => why,
        other => panic!("{query}: {other:?}"),
    };
    assert!(refused("room_size * on(room) temperature").contains("duplicate series for the match group"));
    assert!(refused("temperature * on(room) room_size").contains("many-to-one matching must be explicit"));
    assert!(refused("label_replace(limit, 'device', 'z', '', '')").contains("same labelset"));
    assert!(refused("rate({__name__=~'limit|prints_total'}[4m])").contains("same labelset"));
    assert!(refused("topk(scalar(absent(limit)) / 0, limit)").contains("overflows"));
}

#[test]
fn aggregations_by_group() {
    check(&[
        ("sum by (room) (temperature)", &[r#"{room="x"} 15"#, r#"{room="y"} 9"#]),
        ("avg without (device) (temperature)", &[r#"{room="x"} 7.5"#, r#"{room="y"} 9"#]),
        ("min(temperature)", &["{} 5"]),
        ("max(temperature)", &["{} 10"]),
        ("count(temperature)", &["{} 3"]),
        ("group(temperature)", &["{} 1"]),
        ("stdvar(limit)", &["{} 36"]),
        ("stddev(limit)", &["{} 6"]),
        ("quantile(0.5, temperature)", &["{} 9"]),
        (
            "topk(2, temperature)",
            &[
                r#"{__name__="temperature", device="b", room="x"} 10"#,
                r#"{__name__="temperature", device="c", room="y"} 9"#,
            ],
        ),
        (
            "bottomk by (room) (1, temperature)",
            &[
                r#"{__name__="temperature", device="a", room="x"} 5"#,
                r#"{__name__="temperature", device="c", room="y"} 9"#,
            ],
        ),
        ("count_values('v', temperature > 5)", &[r#"{v="10"} 1"#, r#"{v="9"} 1"#]),
        ("topk(0, temperature)", &[]),
    ]);
}

#[test]
fn functions_of_vectors() {
    check(&[
        ("histogram_quantile(0.75, wait_bucket)", &["{} 1.5"]),
        ("absent(nothing{a='1', b=~'2', c='3', c='4'})", &[r#"{a="1"} 1"#]),
        ("absent(limit)", &[]),
        ("absent_over_time(nothing{a='1'}[5m])", &[r#"{a="1"} 1"#]),
        ("scalar(limit{device='b'}) + 1", &["16"]),
        ("scalar(limit)", &["NaN"]),
        ("vector(7)", &["{} 7"]),
        ("time()", &["1000240"]),
        ("timestamp(temperature{device='c'} offset 1m)", &[r#"{device="c", room="y"} 1000000"#]),
        ("timestamp(limit{device='a'} + 1)", &[r#"{device="a"} 1000240"#]),
        (
            "clamp(temperature, 6, 9)",
            &[r#"{device="a", room="x"} 6"#, r#"{device="b", room="x"} 9"#, r#"{device="c", room="y"} 9"#],
        ),
        ("hour(vector(7200))", &["{} 2"]),
        ("day_of_week()", &["{} 1"]),
        (
            "sort_desc(limit)",
            &[r#"{__name__="limit", device="b"} 15"#, r#"{__name__="limit", device="a"} 3"#],
        ),
        (
            "label_replace(limit{device='a'}, 'to', 'x-$1', 'device', '(.*)')",
            &[r#"{__name__="limit", device="a", to="x-a"} 3"#],
        ),
        (
            "label_join(room_size, 'both', '/', 'floor', 'room')",
            &[r#"{__name__="room_size", both="1/x", floor="1", room="x"} 100"#],
        ),
        ("\"text\"", &["text"]),
    ]);
}

#[test]
fn a_series_is_one_over_all_steps() {
    let steps = Steps { start: T0 * 1_000, end: (T0 + 250) * 1_000, step: 60_000 };
    let Value::Vector(series) =
        evaluated("limit{device='a'} > 5 or temperature{room='x'} < 3", steps, LONG).unwrap()
    else {
        panic!("a vector");
    };
    let series = series.iter().filter(|one| !one.is_empty());
    let lines: Vec<String> = series.map(spelled).collect();
    assert_eq!(lines, [r#"{__name__="temperature", device="a", room="x"} 1 2 - - -"#]);
}

#[test]
fn what_is_outside_of_the_subset_is_named() {
    let refusal = |query: &str| {
        let expr = parse(query).unwrap_or_else(|why| panic!("{query}: {why}"));
        plan::build(&expr, Steps::once(0)).unwrap_err().to_string()
    };
    for (query, named) in [
        ("histogram_fraction(0, 1, limit)", "function histogram_fraction()"),
        ("limitk(1, limit)", "limitk"),
        ("mad_over_time(limit[5m])", "function mad_over_time()"),
        ("limit{a='1' or b='2'}", "\"or\" between matchers"),
        ("limit + on(device) fill(0) limit", "fill()"),
    ] {
        let refusal = refusal(query);
        assert!(refusal.contains(named) && refusal.contains("outside of the subset"), "{query}: {refusal}");
    }
    for query in ["limit[5m", "no_such_function(limit)", "limit{a=~'('}", "sum(1)", "1 > 2", "{a=~'.*'}", ""]
    {
        assert!(parse(query).is_err(), "{query}");
    }
}

#[test]
fn a_query_ends_with_its_budget() {
    let day = Steps { start: T0 * 1_000, end: (T0 + 86_400) * 1_000, step: 1 };
    let too_many = evaluated("limit", day, LONG).unwrap_err();
    assert!(too_many.to_string().contains("more than"), "{too_many}");
    let steps = Steps { start: T0 * 1_000, end: (T0 + 300) * 1_000, step: 1 };
    assert_eq!(evaluated("limit", steps, Duration::ZERO).unwrap_err(), EvalError::Timeout);
}
