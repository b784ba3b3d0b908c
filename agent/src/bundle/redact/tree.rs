//! The secrets of a configuration, found in what it says, however it is written.

use serde_json::Value;

use super::names::{Name, Trust};
use super::patterns;

/// What a configuration has that nobody may see.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Secrets that stand in it.
    pub secrets: Vec<String>,
    /// Files that hold one, as they are named.
    pub files: Vec<String>,
}

/// A text as a tree, if it is YAML at all.
pub(super) fn parse(text: &str) -> Option<Value> {
    serde_yaml::from_str(text).ok()
}

/// All secrets of a tree.
pub(super) fn find(tree: &Value, trust: Trust) -> Found {
    let mut found = Found::default();
    walk(tree, Name::Open, trust, &mut found);
    found
}

fn walk(node: &Value, under: Name, trust: Trust, found: &mut Found) {
    match (node, under) {
        (Value::Object(entries), _) => {
            for (name, value) in entries {
                match (under, name.as_str()) {
                    (Name::Secret, "file") => take_file(value, found),
                    (Name::AllSecret, _) => walk(value, Name::Secret, trust, found),
                    // A device can be called `pin-pad`: what has names inside is judged by them.
                    _ => match trust.judge(name) {
                        Name::SecretFile => take_file(value, found),
                        judged => walk(value, judged, trust, found),
                    },
                }
            }
        }
        // Of a list of senders each has a name and a token.
        (Value::Array(items), Name::Secret) => {
            for item in items {
                walk(item, if item.is_object() { Name::Open } else { Name::Secret }, trust, found);
            }
        }
        (Value::Array(items), _) => items.iter().for_each(|item| walk(item, under, trust, found)),
        (Value::String(text), Name::Secret | Name::AllSecret) => found.secrets.push(text.clone()),
        (Value::String(text), _) => found.secrets.extend(patterns::in_url(text)),
        (Value::Number(number), Name::Secret | Name::AllSecret) => found.secrets.push(number.to_string()),
        _ => {}
    }
}

fn take_file(value: &Value, found: &mut Found) {
    if let Value::String(path) = value {
        found.files.push(path.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, trust: Trust) -> (Vec<String>, Vec<String>) {
        let Found { secrets, files } = find(&parse(text).unwrap(), trust);
        (secrets, files)
    }

    #[test]
    fn secrets_are_found_wherever_they_stand_and_devices_are_called_as_people_like() {
        let text = "cloud: {key_file: store.key, imported_key: true}
push: {tokens: [{name: pos, token: one}, {name: two, token_file: two.token}]}
devices:
  pin-pad: {reach: {target: host}}
  web: {http_json: {headers: {X-A: three, X-B: {file: b.key}}, password: {file: c}}}
  net: {snmp: {community: 'fo''ur', v3: {auth: {password: \"fi\\x76e\"}}}}
";
        let (mut secrets, mut files) = found(text, Trust::Names);
        secrets.sort();
        files.sort();
        assert_eq!(secrets, ["five", "fo'ur", "one", "three"]);
        assert_eq!(files, ["b.key", "c", "store.key", "two.token"]);
    }

    #[test]
    fn in_a_configuration_that_is_not_right_a_mistyped_name_hides_its_value() {
        let (secrets, _) = found(
            "cloud: {url: https://x, tokn: one}\ndevices: {tv: {host: {pasword: two}}}",
            Trust::KnownNames,
        );
        assert_eq!(secrets, ["one", "two"]);
    }
}
