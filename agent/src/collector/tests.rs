//! What holds for all kinds: the documents are made of the code, and parsers tell what they say they tell.

use std::collections::BTreeMap;
use std::path::Path;

use storepulse_shared::catalogue;

use super::rig::{Rig, plug};
use super::tape::Tape;
use super::*;
use crate::board::DeviceState;

/// With this set, a test that compares a document writes it instead.
const BLESS: &str = "STOREPULSE_BLESS";

/// Where the devices begin in the example; what stands above is written by hand.
const DEVICES: &str = "\ndevices:\n";

fn holds(file: &str, wanted: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    #[expect(clippy::disallowed_methods, reason = "a test's own switch")]
    if std::env::var_os(BLESS).is_some() {
        std::fs::write(&path, wanted).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == wanted,
        "{file} is not what the code says; {BLESS}=1 cargo test --package storepulse-agent documents"
    );
}

#[test]
fn the_documents_are_made_of_the_code() {
    let kinds = Kind::ALL.iter().zip(Kind::SHOWS_BYTES).map(|((name, about), shows)| (*name, about, *shows));
    holds("DEVICES.md", &document(kinds));
    let example = include_str!("../../agent.example.yaml");
    let (above, _) = example.split_once(DEVICES).unwrap();
    let blocks: Vec<&str> = Kind::ALL.iter().map(|(_, about)| about.example).collect();
    holds("agent.example.yaml", &format!("{above}{DEVICES}{}", blocks.join("\n")));
}

#[test]
fn what_a_kind_gives_is_in_the_catalogue() {
    for (kind, about) in Kind::ALL {
        for name in about.metrics {
            assert!(catalogue::find(name).is_some(), "{kind}: {name} is not in the catalogue");
        }
        assert!(
            about.example.ends_with('\n') && about.example.contains(&format!("    {kind}:")),
            "{kind}: its example"
        );
    }
}

/// Takes the names of a struct's fields, and nothing else.
struct Fields<'a>(&'a mut Vec<&'static str>);

impl<'de> serde::Deserializer<'de> for Fields<'_> {
    type Error = serde::de::value::Error;

    fn deserialize_any<V: serde::de::Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
        Err(serde::de::Error::custom("no struct"))
    }

    fn deserialize_struct<V: serde::de::Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Self::Error> {
        self.0.extend(fields);
        Err(serde::de::Error::custom("seen"))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

pub(super) fn fields_of<S: serde::de::DeserializeOwned>() -> Vec<&'static str> {
    let mut fields = Vec::new();
    let _ = S::deserialize(Fields(&mut fields));
    fields
}

#[test]
fn the_example_of_a_kind_shows_every_setting() {
    for ((kind, about), fields) in Kind::ALL.iter().zip(Kind::FIELDS) {
        let fields = fields();
        assert!(!fields.is_empty(), "{kind} has no settings");
        for field in fields {
            assert!(
                about.example.contains(&format!("{field}:")),
                "{kind}: its example does not show {field}"
            );
        }
    }
}

#[test]
fn every_vector_of_a_parser_has_one_of_its_outcomes() {
    for subject in Kind::SUBJECTS.iter().copied().flatten() {
        assert!(!subject.vectors.is_empty(), "{} has no vectors", subject.name);
        for vector in subject.vectors {
            for end in 0..=vector.len() {
                let outcome = (subject.outcome)(&vector[..end]);
                assert!(
                    subject.outcomes.contains(&outcome),
                    "{}: {outcome} of {:02x?}",
                    subject.name,
                    &vector[..end]
                );
            }
        }
    }
}

#[test]
fn the_bytes_of_few_kinds_are_shown_and_each_was_thought_about() {
    let shown =
        Kind::ALL.iter().zip(Kind::SHOWS_BYTES).filter(|(_, shows)| **shows).map(|((name, _), _)| *name);
    // No frame of these can hold card data, names or secrets. A line of a scanner, a log, a till or a sensor's broker can;
    // nut tells contacts, fiscal the shop's tax number and its sales, snmp its community and names.
    assert_eq!(shown.collect::<Vec<_>>(), ["ds18b20", "escpos", "modbus", "scale"]);
    for (name, about) in Kind::ALL {
        let devices: BTreeMap<String, Kind> = serde_yaml::from_str(about.example).unwrap();
        for kind in devices.values() {
            let tape = Tape::of(kind.shows_bytes());
            tape.asks(CANARY);
            tape.hears(CANARY);
            let is_kept = tape.exchange(0).is_some();
            assert_eq!(is_kept, ["ds18b20", "escpos", "modbus", "scale"].contains(name), "{name}");
        }
    }
}

/// What must not be seen of a line: no card number, which other rules would hide.
const CANARY: &[u8] = b"JUAN PEREZ canary";

/// Answers everything with the canary, and says it unasked; true of what is shown of it.
async fn shows_the_canary(kind: &str, good: &[u8]) -> bool {
    let rig = Rig::new();
    let path = rig.dir.path().join("port");
    let answer = good.to_owned();
    let device = plug(&path, move |_| answer.clone());
    let _tasks = rig.start(&kind.replace("PORT", &path.display().to_string()));
    let mut status = rig.status();
    while status.errors.is_empty() {
        device.say(&[CANARY, b"\r\n"].concat());
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        status = rig.status();
    }
    let hex: Vec<String> = b"canary".iter().map(|byte| format!("{byte:02x}")).collect();
    let all = serde_json::to_string(&status).unwrap();
    assert!(!all.contains("canary"), "{all}");
    all.contains(&hex.join(" "))
}

#[tokio::test]
async fn no_kind_that_may_not_show_bytes_ever_has_them_on_the_board() {
    let fiscal = |protocol: &str| {
        format!("fiscal: {{ port: PORT, protocol: {protocol}, interval: 50ms, timeout: 100ms }}")
    };
    for kind in [
        fiscal("hka").as_str(),
        fiscal("bematech").as_str(),
        fiscal("hasar").as_str(),
        "scanner: { port: PORT, prefix: 'x' }",
        "serial_lines: { port: PORT, patterns: [{ match: '^TEMP (?<c>\\d+)$', metrics: { c: hw.temperature } }] }",
    ] {
        assert!(!shows_the_canary(kind, CANARY).await, "{kind}");
    }
    // The test can fail: of a scale that answers the same, it is evidence.
    let scale = "scale: { port: PORT, protocol: toledo_8217, interval: 50ms, timeout: 100ms }";
    assert!(shows_the_canary(scale, CANARY).await);
}

#[tokio::test]
async fn what_a_device_says_by_itself_and_its_silence_are_attempts_and_repetitions_are_none() {
    let rig = Rig::new();
    let sink = &rig.ctx.sink;
    let ticks = || vec![Tick { time_ms: sink.now_ms(), values: vec![("a".to_owned(), 1.0)] }];
    let wait = std::time::Duration::ZERO;
    let attempts = || rig.status().attempts;
    assert!(sink.accept(ticks(), wait).await && sink.keep(ticks(), wait).await);
    sink.offer(ticks(), wait).await.unwrap();
    assert_eq!(attempts(), 3);
    assert!(sink.repeat(ticks(), wait).await);
    assert_eq!((attempts(), rig.status().samples), (3, 4), "nothing new came");
    sink.error(FaultKind::Parse, "a line".to_owned());
    assert_eq!(attempts(), 4);
    for state in [DeviceState::Stale, DeviceState::Stale, DeviceState::Ok] {
        sink.state(state).await;
    }
    assert_eq!(attempts(), 5, "one silence");
    // Who is asked is counted by who keeps its pace.
    let asked = sink.clone().of_kind(&Rig::kind("host: {}"));
    asked.error(FaultKind::Parse, "a part".to_owned());
    assert!(asked.accept(ticks(), wait).await);
    assert_eq!(attempts(), 5);
    asked.ended(true);
    assert_eq!(attempts(), 6);
}
