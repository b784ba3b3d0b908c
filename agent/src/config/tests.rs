//! Configurations that are taken, and mistakes that are named with their place.

use storepulse_shared::key::{PushToken, StoreKey};

use super::*;

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("/etc/storepulse/agent.yaml"))
}

fn minimal(more: &str) -> String {
    format!("cloud:\n  url: https://cloud.example\n  key_file: store.key\nstate_dir: spool\n{more}")
}

// It shows a database server, which a build without the feature refuses.
#[cfg(feature = "till-databases")]
#[test]
fn the_example_is_valid_and_shows_every_kind() {
    let config = parse(include_str!("../../agent.example.yaml")).unwrap();
    for (kind, _) in Kind::ALL {
        assert!(config.devices.values().any(|device| device.name() == *kind), "{kind} is not in the example");
    }
    assert!(config.push.is_some());
}

#[test]
fn paths_are_relative_to_the_file() {
    let config = parse(&minimal("local: {pin_file: page.pin}\n")).unwrap();
    assert_eq!(config.state_dir, Path::new("/etc/storepulse/spool"));
    assert_eq!(config.local.pin_file.as_deref(), Some(Path::new("/etc/storepulse/page.pin")));
    assert_eq!(config.cloud.key_file.as_deref(), Some(Path::new("/etc/storepulse/store.key")));
}

#[test]
fn a_mistake_is_named_with_line_and_column() {
    for (more, place, why) in [
        ("spol: {}\n", "5:1", "unknown field `spol`"),
        ("batches:\n  max_age: 30\n", "6:12", "\"30\" is not a duration"),
        ("batches:\n  max_age: 0s\n", "6:12", "not above zero"),
        ("spool:\n  max_size: 256MB\n", "6:13", "not a size"),
        ("devices:\n  a b:\n    host: {}\n", "6:3", "not a device id"),
        ("devices:\n  a:\n    hots: {}\n", "7:5", "unknown variant `hots`"),
        ("devices:\n  a:\n    host: {}\n  a:\n    host: {}\n", "8:3", "duplicate"),
        (
            "devices:\n  a:\n    serial_lines:\n      port: x\n      patterns:\n        - match: '('\n",
            "10:18",
            "regex",
        ),
        ("push:\n  tokens:\n    - {name: a, token: push_x}\n", "7:24", "not a push token"),
        ("local:\n  listen: 9750\n", "6:11", "socket address"),
        ("local:\n  hosts: [box, 'http://box']\n", "6:16", "neither a host name"),
    ] {
        let error = parse(&minimal(more)).unwrap_err().to_string();
        assert!(error.starts_with(&format!("/etc/storepulse/agent.yaml:{place}: ")), "{more}\n{error}");
        assert!(error.contains(why), "{more}\n{error}");
    }
}

#[test]
fn settings_that_do_not_go_together_are_named() {
    for (text, why) in [
        (minimal("").replace("  key_file: store.key\n", ""), "neither key_file nor key"),
        (minimal("spool: {max_size: 1MiB}\n"), "at least 8MiB"),
        (minimal("batches: {max_samples: 50000}\n"), "1 to 20000"),
        (minimal("push: {listen: '0.0.0.0:9751'}\n"), "tokens are required"),
        (minimal("push: {tokens: [{name: a}]}\n"), "neither token nor token_file"),
        (minimal("devices: {agent: {host: {}}}\n"), "the agent itself"),
        (minimal("").replace("https://cloud.example", "http://cloud.example"), "not https://"),
        (minimal("").replace("https://cloud.example", "https://cloud.example/api"), "has a path"),
    ] {
        let error = parse(&text).unwrap_err().to_string();
        assert!(error.contains(why), "{text}\n{error}");
    }
}

#[test]
fn the_key_of_the_guide_is_refused_unless_it_is_declared_as_imported() {
    let text = minimal("").replace("key_file: store.key", "key: store_tenant1_T01_abc123");
    let error = parse(&text).unwrap_err().to_string();
    assert!(error.contains("not issued by StorePulse"), "{error}");
    assert!(!error.contains("abc123"), "{error}");
    let text = text.replace("  key:", "  imported_key: true\n  key:");
    let key = KeySource::new(&parse(&text).unwrap().cloud, Path::new("/nowhere")).read().unwrap();
    assert_eq!((key.tenant().as_str(), key.store().as_str()), ("tenant1", "T01"));
}

#[test]
fn a_push_token_may_stand_in_a_file_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let text = minimal("push: {listen: '0.0.0.0:9751', tokens: [{name: pos, token_file: push.token}]}\n");
    let config = Config::parse(&text, &dir.path().join("agent.yaml")).unwrap();
    let read = || config.push.as_ref().unwrap().tokens[0].read();
    assert!(read().unwrap_err().to_string().contains("push.token"), "the file is named");
    let token = PushToken::issue();
    std::fs::write(dir.path().join("push.token"), format!("{}x", token.expose())).unwrap();
    let mistyped = read().unwrap_err().to_string();
    assert!(mistyped.contains("not a push token") && !mistyped.contains(&token.expose()[6..]), "{mistyped}");
    std::fs::write(dir.path().join("push.token"), format!("{}\n", token.expose())).unwrap();
    assert_eq!(read().unwrap(), token);
}

#[test]
fn no_error_and_no_debug_shows_a_secret() {
    let key = StoreKey::issue(&"la-villa".parse().unwrap(), &"T01".parse().unwrap());
    let token = PushToken::issue();
    let text = minimal(&format!("push:\n  tokens:\n    - {{name: a, token: {}}}\n", token.expose()))
        .replace("key_file: store.key", &format!("key: {}", key.expose()));
    let shown = format!("{:?}", parse(&text).unwrap());
    let mistyped = parse(&text.replace(key.expose(), &format!("{}x", key.expose()))).unwrap_err().to_string();
    let unknown = parse(&text.replace("tokens:", "token:")).unwrap_err().to_string();
    for shown in [shown, mistyped, unknown] {
        assert!(!shown.contains(&key.expose()[20..]) && !shown.contains(&token.expose()[6..]), "{shown}");
    }
}
