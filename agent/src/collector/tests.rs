//! What holds for all kinds: the documents are made of the code, and parsers tell what they say they tell.

use std::path::Path;

use storepulse_shared::catalogue;

use super::*;

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
    holds("DEVICES.md", &document(Kind::ALL.iter().map(|(name, about)| (*name, about))));
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
