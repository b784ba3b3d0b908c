//! What problems are called, in every language: `words/<language>.json`, read once.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

use super::Problem;
use crate::language::Language;

/// What a problem is called, and what to do. `{device}` and the like stand for particulars.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Words {
    pub text: String,
    pub next: String,
    /// What stands in the place of a particular that is not known.
    #[serde(default)]
    pub unknown: BTreeMap<String, String>,
}

impl Words {
    /// What stands in the place of this particular when it is not known.
    pub(super) fn unknown(&self, language: Language, name: &str) -> &str {
        self.unknown.get(name).map_or_else(|| some_device(language), String::as_str)
    }
}

/// Whatever is named by none of the files is the device.
const fn some_device(language: Language) -> &'static str {
    match language {
        Language::En => "the device",
        Language::Es => "el aparato",
        Language::Pt => "o aparelho",
    }
}

type Dictionary = BTreeMap<String, Words>;

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

/// The words of a problem.
pub(super) fn of(language: Language, problem: Problem) -> &'static Words {
    static NONE: Words = Words { text: String::new(), next: String::new(), unknown: BTreeMap::new() };
    // Every language has every problem: a test holds them to it.
    dictionary(language).get(problem.name()).unwrap_or(&NONE)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The particulars that a text names.
    fn named(text: &str) -> BTreeSet<&str> {
        text.split('{').skip(1).filter_map(|rest| rest.split('}').next()).collect()
    }

    #[test]
    fn every_language_has_every_problem_and_names_only_its_particulars() {
        for language in Language::ALL {
            let words = dictionary(language);
            for &problem in Problem::ALL {
                let Words { text, next, unknown: unknown_ones } = of(language, problem);
                let (code, name) = (language.code(), problem.name());
                assert!(!text.is_empty() && !next.is_empty(), "{code}: {name} has no words");
                assert!(!text.ends_with('.') && next.ends_with('.'), "{code}: {name}: {text:?} {next:?}");
                let known: BTreeSet<&str> = problem.particulars().iter().copied().chain(["device"]).collect();
                let unknown: Vec<_> =
                    named(text).union(&named(next)).filter(|n| !known.contains(**n)).copied().collect();
                assert!(unknown.is_empty(), "{code}: {name} names {unknown:?}");
                let named: Vec<_> =
                    named(text).union(&named(next)).copied().filter(|n| *n != "device").collect();
                let told: Vec<_> = unknown_ones.keys().map(String::as_str).collect();
                assert_eq!(named, told, "{code}: {name}: what stands for each of them if it is not known");
            }
            assert_eq!(words.len(), Problem::ALL.len(), "{}: words without a problem", language.code());
        }
    }
}
