//! The words of the pages, in every language: `words/<language>.json`, read once; tests hold the languages to the same keys and
//! the code to keys that exist.
//!
//! `{name}` stands for what is filled in; `one|several` are two forms, the first for exactly one. Keys with a dot belong to
//! something that has a name elsewhere: `kind.escpos`, `fault.timeout`, `metric.hw.temperature`, `value.near_end`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::language::Language;

type Dictionary = BTreeMap<String, String>;

static EN: LazyLock<Dictionary> = LazyLock::new(|| read(include_str!("words/en.json")));
static ES: LazyLock<Dictionary> = LazyLock::new(|| read(include_str!("words/es.json")));
static PT: LazyLock<Dictionary> = LazyLock::new(|| read(include_str!("words/pt.json")));

fn read(json: &str) -> Dictionary {
    // The files are compiled in, and a test reads them.
    serde_json::from_str(json).unwrap_or_default()
}

fn dictionary(language: Language) -> &'static Dictionary {
    match language {
        Language::En => &EN,
        Language::Es => &ES,
        Language::Pt => &PT,
    }
}

/// The words under this key, if there are any: for names that come from elsewhere.
#[must_use]
pub(crate) fn find(language: Language, key: &str) -> Option<&'static str> {
    dictionary(language).get(key).map(String::as_str)
}

/// The words under this key.
#[must_use]
pub(crate) fn say(language: Language, key: &str) -> &'static str {
    // Every language has every key that is asked for: a test holds them to it.
    find(language, key).unwrap_or_default()
}

/// The words under this key, with these in the place of their names in braces.
#[must_use]
pub(crate) fn fill(language: Language, key: &str, with: &[(&str, &str)]) -> String {
    let mut filled = String::new();
    let mut rest = say(language, key);
    // In one pass: what is filled in may hold braces of its own.
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        let Some((name, after)) = after.split_once('}') else { break };
        filled.push_str(with.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| *value));
        rest = after;
    }
    filled.push_str(rest);
    filled
}

/// The form for so many, with `n` and these filled in; `n` as it is written in the language.
#[must_use]
pub(crate) fn count(language: Language, key: &str, n: u64, with: &[(&str, &str)]) -> String {
    let all = fill(language, key, with);
    match all.split_once('|') {
        Some((one, _)) if n == 1 => one.to_owned(),
        Some((_, several)) => several.to_owned(),
        None => all,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use storepulse_shared::catalogue::{METRICS, MetricKind};

    use super::*;
    use crate::collector::Kind;

    fn keys(language: Language) -> BTreeSet<&'static str> {
        dictionary(language).keys().map(String::as_str).collect()
    }

    /// The names in braces.
    fn named(text: &str) -> BTreeSet<&str> {
        text.split('{').skip(1).filter_map(|rest| rest.split('}').next()).collect()
    }

    #[test]
    fn every_language_has_the_same_keys_with_the_same_blanks_and_forms() {
        assert!(keys(Language::En).len() > 100);
        for language in Language::ALL {
            let differing: Vec<_> =
                keys(Language::En).symmetric_difference(&keys(language)).copied().collect();
            assert!(differing.is_empty(), "{}: {differing:?}", language.code());
            for (key, english) in dictionary(Language::En) {
                let text = say(language, key);
                assert!(!text.trim().is_empty(), "{}: {key}", language.code());
                assert_eq!(named(text), named(english), "{}: {key}", language.code());
                assert_eq!(
                    text.matches('|').count(),
                    english.matches('|').count(),
                    "{}: {key}",
                    language.code()
                );
            }
        }
    }

    /// The literal keys that the code of the pages asks for.
    fn asked_for() -> BTreeSet<String> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/local/page");
        let mut asked = BTreeSet::new();
        for file in std::fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "rs") {
                continue;
            }
            let code = std::fs::read_to_string(path).unwrap();
            let code = code.split("#[cfg(test)]").next().unwrap();
            for call in ["say(\"", "fill(\"", "count(\""] {
                let found = code.split(call).skip(1).filter_map(|rest| rest.split('"').next());
                asked.extend(found.map(str::to_owned));
            }
        }
        asked
    }

    #[test]
    fn the_code_asks_for_no_words_that_are_not_there_and_none_is_left_over() {
        let (asked, known) = (asked_for(), keys(Language::En));
        assert!(asked.len() > 50, "{asked:?}");
        let missing: Vec<_> = asked.iter().filter(|key| !known.contains(key.as_str())).collect();
        assert!(missing.is_empty(), "{missing:?}");
        let plain = known.iter().filter(|key| !key.contains('.'));
        let unused: Vec<_> = plain.filter(|key| !asked.contains(**key)).collect();
        assert!(unused.is_empty(), "{unused:?}");
    }

    #[test]
    fn what_has_a_name_elsewhere_has_words() {
        let mut wanted: BTreeSet<String> = Kind::ALL.iter().map(|(kind, _)| format!("kind.{kind}")).collect();
        let faults = include_str!("../../collector/fault.rs").split("=> \"").skip(1);
        wanted.extend(faults.filter_map(|rest| rest.split('"').next()).map(|name| format!("fault.{name}")));
        for metric in METRICS {
            wanted.insert(format!("metric.{}", metric.name));
            if let MetricKind::State(names) = metric.kind {
                wanted.extend(names.iter().map(|name| format!("value.{name}")));
            }
        }
        let known = keys(Language::En);
        let missing: Vec<_> = wanted.iter().filter(|key| !known.contains(key.as_str())).collect();
        assert!(missing.is_empty(), "{missing:?}");
        let families = ["kind.", "fault.", "value."];
        let named = known.iter().filter(|key| families.iter().any(|family| key.starts_with(family)));
        let unused: Vec<_> = named.filter(|key| !wanted.contains(**key)).collect();
        assert!(unused.is_empty(), "{unused:?}");
    }

    #[test]
    fn what_is_filled_in_is_not_filled_again() {
        let filled = fill(Language::En, "look_at", &[("device", "{device}{")]);
        assert_eq!(filled, "Look at {device}{");
    }
}
