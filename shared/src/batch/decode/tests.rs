//! The agent form, read and refused.

use proptest::prelude::*;

use super::super::encode::encode;
use super::*;

const FROZEN: &[u8] = include_bytes!("../../../testdata/agent_form.json");
const FROZEN_REPLAY: &[u8] = include_bytes!("../../../testdata/agent_form_replay.json");

fn refusal(body: &str) -> String {
    decode(body.as_bytes()).unwrap_err().to_string()
}

fn with_frame(frame: &str) -> String {
    format!(r#"{{"v":1,"frames":[{frame}]}}"#)
}

#[test]
fn the_frozen_body_is_read_and_written_back_to_the_byte() {
    let batch = decode(FROZEN.trim_ascii_end()).unwrap();
    assert_eq!(batch.samples(), 5);
    assert_eq!(batch.span(), Some((1_763_700_000_000, 1_763_700_060_000)));
    assert_eq!(batch.events[0].kind, "printer.cover_open");
    assert_eq!(batch.losses[0].seqs.values().next().unwrap().ranges(), [(17, 19)]);
    assert!(matches!(batch.frames[0].columns[0].series, Cow::Borrowed(_)));
    assert_eq!(String::from_utf8(encode(&batch)), String::from_utf8(FROZEN.trim_ascii_end().to_vec()));
}

#[test]
fn the_frozen_replay_names_what_it_recovers() {
    let batch = decode(FROZEN_REPLAY.trim_ascii_end()).unwrap();
    let recovers = batch.recovers.map(|batch| batch.to_string());
    assert_eq!(recovers.as_deref(), Some("0b37f9c2-7a52-4a4e-9a63-0d3a8f7d9c11/17"));
    assert_eq!(String::from_utf8(encode(&batch)), String::from_utf8(FROZEN_REPLAY.trim_ascii_end().to_vec()));
}

#[test]
fn a_malformed_body_is_refused_with_the_place_and_the_reason() {
    let frame = |t: &str, m: &str| with_frame(&format!(r#"{{"device":"d","kind":"k","t":{t},"m":{m}}}"#));
    for (body, at, why) in [
        ("", "body", "EOF"),
        ("[]", "body", "invalid type: sequence, expected an object"),
        (r#"[1,[["d","k",[1],{"a":[1]}]]]"#, "body", "expected an object"),
        (&with_frame(r#"["d","k",[1],{"a":[1]}]"#), "frames[0]", "expected an object"),
        ("{\"v\":1}", "body", "empty batch"),
        ("{\"v\":1} x", "body", "trailing"),
        (r#"{"v":2,"frames":[]}"#, "v", "not a known version"),
        (r#"{"v":1,"frames":[],"frames":[]}"#, "body", "duplicate field `frames`"),
        (r#"{"v":1,"flames":[]}"#, "flames", "unknown field"),
        (r#"{"v":1,"recovers":"17"}"#, "recovers", "not a batch id"),
        (r#"{"v":1,"recovers":"0b37f9c2-7a52-4a4e-9a63-0d3a8f7d9c11/17"}"#, "body", "empty batch"),
        (&frame("[1,0]", r#"{"a":[1,2]}"#), "frames[0].t", "step 0 is not above 0"),
        (&frame("[1,-5]", r#"{"a":[1,2]}"#), "frames[0].t", "step -5"),
        (&frame("[1,1.5]", r#"{"a":[1,2]}"#), "frames[0].t[1]", "1.5"),
        (&frame("[9223372036854775807,1]", r#"{"a":[1,2]}"#), "frames[0].t", "beyond all time"),
        (&frame("[]", r#"{"a":[]}"#), "frames[0].t", "without times"),
        (&frame("[1]", "{}"), "frames[0].m", "without series"),
        (&frame("[1,1]", r#"{"a":[1]}"#), r#"frames[0].m["a"]"#, "1 values for 2 times"),
        (&frame("[1]", r#"{"a":[1,2]}"#), r#"frames[0].m["a"]"#, "2 values for 1 times"),
        (&frame("[1]", r#"{"a":[1],"b":[1],"a":[2]}"#), "frames[0].m", "duplicate key \"a\""),
        (&frame("[1]", r#"{"a":[NaN]}"#), "frames[0].m", "expected"),
        (&frame("[1]", r#"{"a":[1e999]}"#), "frames[0].m", "out of range"),
        (&frame("[1]", r#"{"a":["1"]}"#), "frames[0].m", "invalid type: string"),
        (&frame("[1]", r#"{"a b":[1]}"#), r#"frames[0].m["a b"]"#, "not a metric name"),
        (&frame("[1]", r#"{"a{b=\"1\",b=\"2\"}":[1]}"#), "frames[0].m", "list of labels"),
        (
            &with_frame(r#"{"device":"d d","kind":"k","t":[1],"m":{"a":[1]}}"#),
            "frames[0].device",
            "not a device id",
        ),
        (&with_frame(r#"{"device":"d","kind":"K","t":[1],"m":{"a":[1]}}"#), "frames[0].kind", "not a kind"),
        (&with_frame(r#"{"device":"d","t":[1],"m":{"a":[1]}}"#), "frames[0]", "missing field `kind`"),
        (r#"{"v":1,"events":[{"device":"d","t":1,"kind":"a","text":"\u0000"}]}"#, "events[0].text", "NUL"),
        (r#"{"v":1,"events":[{"device":"d","t":1,"kind":"A","text":""}]}"#, "events[0].kind", "not a kind"),
    ] {
        let refusal = refusal(body);
        assert!(refusal.starts_with(at), "{body}\n  at {at}: {refusal}");
        assert!(refusal.contains(why), "{body}\n  why {why}: {refusal}");
    }
}

#[test]
fn too_much_of_anything_is_too_large_and_says_the_limit() {
    let column = |name: usize, n: usize| format!(r#""m{name}":[{}]"#, vec!["1"; n].join(","));
    let times = |n: usize| format!("[1{}]", ",1".repeat(n - 1));
    let body = |n: usize, columns: usize| {
        let columns: Vec<_> = (0..columns).map(|at| column(at, n)).collect();
        with_frame(&format!(r#"{{"device":"d","kind":"k","t":{},"m":{{{}}}}}"#, times(n), columns.join(",")))
    };
    assert!(decode(body(1_000, 20).as_bytes()).is_ok());
    for (body, code) in [(body(1_000, 21), "too_many_samples"), (body(1, 1_001), "too_many_columns")] {
        let error = decode(body.as_bytes()).unwrap_err();
        assert!(matches!(error, BatchError::TooLarge { .. }), "{error}");
        assert_eq!(error.code(), code);
    }
    let event = r#"{"device":"d","t":1,"kind":"a","text":""}"#;
    let events = format!(r#"{{"v":1,"events":[{}]}}"#, vec![event; EVENTS_MAX + 1].join(","));
    assert_eq!(decode(events.as_bytes()).unwrap_err().code(), "too_many_events");
}

#[test]
fn a_span_of_more_than_a_day_is_told_apart_from_a_malformed_body() {
    let body =
        |step: i64| with_frame(&format!(r#"{{"device":"d","kind":"k","t":[0,{step}],"m":{{"a":[1,2]}}}}"#));
    assert!(decode(body(86_400_000).as_bytes()).is_ok());
    let error = decode(body(86_400_001).as_bytes()).unwrap_err();
    assert_eq!(error, BatchError::SpanTooLong { span_ms: 86_400_001 });
}

#[test]
fn nulls_are_no_samples_and_escapes_in_names_are_read() {
    let body = with_frame(r#"{"device":"d","kind":"k","t":[1,1],"m":{"a{b=\"x\"}":[null,2],"c":[1,3]}}"#);
    let batch = decode(body.as_bytes()).unwrap();
    assert_eq!(batch.samples(), 3);
    assert_eq!(batch.frames[0].columns[0].series, r#"a{b="x"}"#);
}

fn arbitrary_batch() -> impl Strategy<Value = Batch<'static>> {
    let value = prop_oneof![
        any::<f64>().prop_filter("finite", |v| v.is_finite()),
        (-1_000_i32..1_000).prop_map(|v| f64::from(v) / 10.0),
        Just(f64::NAN),
        Just(-0.0),
        Just(9_007_199_254_740_993.0),
    ];
    let frame =
        (1_usize..6, 1_usize..4, "[a-z0-9.:_-]{0,10}").prop_flat_map(move |(ticks, series, device)| {
            let columns = prop::collection::vec(prop::collection::vec(value.clone(), ticks), series);
            let steps = prop::collection::vec(1_i64..100_000, ticks);
            (Just(device), steps, columns).prop_map(|(device, steps, columns)| Frame {
                device: format!("d{device}").into(),
                kind: "host".into(),
                times: steps
                    .iter()
                    .scan(1_763_700_000_000, |t, s| {
                        *t += s;
                        Some(*t)
                    })
                    .collect(),
                columns: columns
                    .into_iter()
                    .enumerate()
                    .map(|(at, values)| Column { series: format!("m{at}{{x=\"ñ\\\"\"}}").into(), values })
                    .collect(),
            })
        });
    let recovers =
        prop::option::of("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}/[1-9][0-9]{0,9}");
    (prop::collection::vec(frame, 1..4), recovers).prop_map(|(frames, recovers)| Batch {
        frames,
        recovers: recovers.map(|id| id.parse().unwrap()),
        ..Batch::default()
    })
}

fn bits(batch: &Batch<'_>) -> Vec<Vec<u64>> {
    let columns = batch.frames.iter().flat_map(|f| &f.columns);
    columns.map(|c| c.values.iter().map(|v| v.to_bits()).collect()).collect()
}

proptest! {
    #[test]
    fn every_batch_is_read_back_to_the_bit(batch in arbitrary_batch()) {
        let text = encode(&batch);
        let back = decode(&text).unwrap();
        prop_assert_eq!(bits(&back), bits(&batch));
        prop_assert_eq!(back.recovers, batch.recovers);
        prop_assert_eq!(back.frames.iter().map(|f| &f.times).collect::<Vec<_>>(),
                        batch.frames.iter().map(|f| &f.times).collect::<Vec<_>>());
    }

    #[test]
    fn no_damage_makes_it_panic(at in 0_usize..400, byte in any::<u8>()) {
        let mut body = FROZEN.to_vec();
        let at = at % body.len();
        body[at] = byte;
        let _ = decode(&body).map(|batch| batch.samples());
    }
}
