//! What the name of a setting says of its value.

use std::collections::BTreeSet;
use std::sync::LazyLock;

/// Words of names whose values are secrets.
const SECRET_WORDS: [&str; 17] = [
    "apikey",
    "authorization",
    "community",
    "cookie",
    "credential",
    "credentials",
    "dsn",
    "key",
    "keys",
    "pass",
    "passphrase",
    "passwd",
    "password",
    "pin",
    "pwd",
    "secret",
    "token",
];
/// The same, of lists: what stands in them has names of its own.
const SECRET_LISTS: [&str; 4] = ["passwords", "pins", "secrets", "tokens"];

/// What a value may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    /// Anybody may read it.
    Open,
    /// It is a secret, or says in which file one is.
    Secret,
    /// It is the name of a file that holds a secret.
    SecretFile,
    /// Each value in it is a secret, whatever its name.
    AllSecret,
}

/// Names that the example has. In a configuration that is not right, what has another name may be a secret whose name is
/// mistyped.
static KNOWN: LazyLock<BTreeSet<&str>> = LazyLock::new(|| {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let ends = include_str!("../../../agent.example.yaml").match_indices(':').map(|(at, _)| at);
    let example = include_str!("../../../agent.example.yaml");
    ends.filter_map(|end| example[..end].rsplit(|c| !is_name(c)).next().filter(|name| !name.is_empty()))
        .collect()
});

/// How names are judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// The configuration is right: its names are what they seem.
    Names,
    /// It is not: only names that are known are believed.
    KnownNames,
}

impl Trust {
    pub(super) fn judge(self, name: &str) -> Name {
        match of(name) {
            Name::Open if self == Self::KnownNames && !KNOWN.contains(name) => Name::Secret,
            judged => judged,
        }
    }
}

fn of(name: &str) -> Name {
    let name = name.to_lowercase();
    let words: Vec<&str> = name.split(|c: char| !c.is_alphanumeric()).collect();
    let secret = words.iter().any(|word| SECRET_WORDS.contains(word) || SECRET_LISTS.contains(word));
    match words.last() {
        Some(&"headers") => Name::AllSecret,
        Some(&("file" | "path")) if secret => Name::SecretFile,
        _ if secret => Name::Secret,
        _ => Name::Open,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_what_is_secret() {
        for (name, judged) in [
            ("password", Name::Secret),
            ("X-Api-Key", Name::Secret),
            ("tokens", Name::Secret),
            ("PIN", Name::Secret),
            ("key_file", Name::SecretFile),
            ("pin_file", Name::SecretFile),
            ("ca_file", Name::Open),
            ("headers", Name::AllSecret),
            ("keep_alive", Name::Open),
            ("mapping", Name::Open),
            ("user", Name::Open),
        ] {
            assert_eq!(of(name), judged, "{name}");
        }
    }

    #[test]
    fn where_names_are_not_believed_only_known_ones_are_open() {
        for known in ["url", "state_dir", "devices", "modbus", "interval", "ca_file", "max_size"] {
            assert_eq!(Trust::KnownNames.judge(known), Name::Open, "{known}");
        }
        for mistyped in ["pasword", "tokn", "fridge-99"] {
            assert_eq!(Trust::KnownNames.judge(mistyped), Name::Secret, "{mistyped}");
            assert_eq!(Trust::Names.judge(mistyped), Name::Open, "{mistyped}");
        }
    }
}
