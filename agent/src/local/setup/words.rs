//! The words of the setup pages, in every language: `words/<language>.json`, as those of the other pages. `{name}` stands for
//! what is filled in; `one|several` are two forms, the first for exactly one.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use super::weight::Mass;
use crate::language::Language;
use crate::local::page;

type Dictionary = BTreeMap<String, String>;

static EN: LazyLock<Dictionary> = LazyLock::new(|| read(include_str!("words/en.json")));
static ES: LazyLock<Dictionary> = LazyLock::new(|| read(include_str!("words/es.json")));
static PT: LazyLock<Dictionary> = LazyLock::new(|| read(include_str!("words/pt.json")));

fn read(json: &str) -> Dictionary {
    // The files are compiled in, and a test reads them.
    serde_json::from_str(json).unwrap_or_default()
}

/// Somebody who speaks a language.
#[derive(Debug, Clone, Copy)]
pub(super) struct Words(pub Language);

impl Words {
    fn dictionary(self) -> &'static Dictionary {
        match self.0 {
            Language::En => &EN,
            Language::Es => &ES,
            Language::Pt => &PT,
        }
    }

    /// The words under this key, if there are any: for names that come from elsewhere.
    pub(super) fn find(self, key: &str) -> Option<&'static str> {
        self.dictionary().get(key).map(String::as_str)
    }

    /// The words under this key.
    pub(super) fn say(self, key: &str) -> &'static str {
        // Every language has every key that is asked for: a test holds them to it.
        self.find(key).unwrap_or_default()
    }

    /// What a kind of device is called, as on the other pages.
    pub(super) fn kind(self, name: &'static str) -> &'static str {
        page::kind(self.0, name).unwrap_or(name)
    }

    /// The words under this key, with these in the place of their names in braces; in one pass, since what is filled in may
    /// hold braces of its own.
    pub(super) fn fill(self, key: &str, with: &[(&str, &str)]) -> String {
        let mut filled = String::new();
        let mut rest = self.say(key);
        while let Some((before, after)) = rest.split_once('{') {
            filled.push_str(before);
            let Some((name, after)) = after.split_once('}') else { break };
            filled.push_str(with.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value));
            rest = after;
        }
        filled.push_str(rest);
        filled
    }

    /// The form for so many, which stand for `{n}`.
    pub(super) fn count(self, key: &str, n: usize) -> String {
        let all = self.fill(key, &[("n", &n.to_string())]);
        match all.split_once('|') {
            Some((one, _)) if n == 1 => one.to_owned(),
            Some((_, several)) => several.to_owned(),
            None => all,
        }
    }

    /// A mass in kilograms, with a comma where people write one.
    pub(super) fn mass(self, mass: Mass) -> String {
        let text = mass.to_string();
        if self.0 == Language::En { text } else { text.replace('.', ",") }
    }

    /// A span in the unit that fits, never shorter than it is.
    pub(super) fn span(self, span: Duration) -> String {
        let seconds = span.as_secs() + u64::from(span.subsec_nanos() > 0);
        match seconds {
            0..=119 => format!("{seconds} s"),
            120..=7_199 => format!("{} min", seconds.div_ceil(60)),
            7_200..=172_799 => format!("{} h", seconds / 3_600),
            _ => format!("{} {}", seconds / 86_400, self.say("days")),
        }
    }

    /// How long ago that was; nothing is later than now.
    pub(super) fn ago(self, then_ms: i64, now_ms: i64) -> String {
        let age_ms = now_ms.saturating_sub(then_ms).max(0).unsigned_abs();
        // Whole seconds: what is younger than one is no second old.
        self.fill("ago", &[("span", &self.span(Duration::from_secs(age_ms / 1_000)))])
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    fn named(text: &str) -> BTreeSet<&str> {
        text.split('{').skip(1).filter_map(|rest| rest.split('}').next()).collect()
    }

    #[test]
    fn every_language_has_the_same_keys_with_the_same_blanks_and_forms() {
        let english = Words(Language::En).dictionary();
        assert!(english.len() > 100);
        for language in Language::ALL {
            let words = Words(language);
            assert!(words.dictionary().keys().eq(english.keys()), "{}", language.code());
            for (key, text) in english {
                let said = words.say(key);
                assert!(!said.trim().is_empty(), "{}: {key}", language.code());
                assert_eq!(named(said), named(text), "{}: {key}", language.code());
                assert_eq!(
                    said.matches('|').count(),
                    text.matches('|').count(),
                    "{}: {key}",
                    language.code()
                );
            }
        }
    }

    /// The code of this folder without its tests.
    fn code() -> String {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/local/setup");
        let folders = [root.clone(), root.join("view")];
        let files = folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap());
        let paths = files.map(|file| file.unwrap().path());
        let code = paths.filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
        code.map(|path| {
            let text = std::fs::read_to_string(path).unwrap();
            text.split("#[cfg(test)]").next().unwrap().to_owned()
        })
        .collect()
    }

    #[test]
    fn the_code_asks_for_no_words_that_are_not_there_and_none_is_left_over() {
        let (code, known) = (code(), Words(Language::En).dictionary());
        let mut asked = BTreeSet::new();
        for call in ["say(\"", "fill(\"", "count(\"", "note(words, \""] {
            asked.extend(code.split(call).skip(1).filter_map(|rest| rest.split('"').next()));
        }
        let missing: Vec<_> = asked.iter().filter(|key| !known.contains_key(**key)).collect();
        assert!(missing.is_empty(), "{missing:?}");
        // Keys with a dot belong to something that has its name elsewhere.
        let unused: Vec<_> =
            known.keys().filter(|key| !key.contains('.') && !code.contains(&format!("\"{key}\""))).collect();
        assert!(unused.is_empty(), "{unused:?}");
    }

    #[test]
    fn what_a_probe_can_find_has_words() {
        let words = Words(Language::Pt);
        let whats: BTreeSet<&str> = crate::collector::introduced().collect();
        for what in &whats {
            assert!(words.find(&format!("what.{what}")).is_some(), "{what}");
        }
        let known = words.dictionary().keys().filter(|key| key.starts_with("what."));
        assert_eq!(known.count(), whats.len());
    }

    #[test]
    fn masses_spans_and_counts_are_written_as_in_the_language() {
        let [en, es, pt] = [Language::En, Language::Es, Language::Pt].map(Words);
        let mass = Mass::of_kg(1.2345);
        assert_eq!((en.mass(mass), es.mass(mass)), ("1.2345 kg".to_owned(), "1,2345 kg".to_owned()));
        assert_eq!(pt.mass(Mass::of_kg(2.0)), "2,000 kg");
        for (seconds, text) in [(0, "0 s"), (119, "119 s"), (121, "3 min"), (7_200, "2 h"), (200_000, "2 d")]
        {
            assert_eq!(en.span(Duration::from_secs(seconds)), text);
        }
        assert_eq!(en.span(Duration::from_millis(16_800)), "17 s", "not shorter than it is");
        assert_eq!(es.ago(0, 180_000), "hace 3 min");
        assert_eq!(pt.ago(5_000, 0), "há 0 s", "a clock that was set back");
        assert_eq!((es.count("unassigned", 1), es.count("unassigned", 2)).0, "1 puerto sin asignar");
        assert_eq!(en.fill("bad_place", &[("place", "{place}{")]).matches("{place}{").count(), 1);
    }
}
