//! A secret in every place that can hold one: none of them is left.

use std::path::Path;

use storepulse_shared::key::{PushToken, StoreKey};

use super::schema::settings;
use super::*;
use crate::config::Config;

/// Settings that take several forms and hold no secret, by how they end.
const FORMS: &[&str] = &[".port", ".labels.*", ".metrics.*"];
/// Settings whose names speak of secrets and that hold none.
const INNOCENT: &[&str] = &["cloud.imported_key"];

/// A configuration, with `CANARY` and a number wherever a secret can stand.
const WITH_CANARIES: &str = r#"# An old token: CANARY-comment-01
cloud:
  url: https://cloud.example
  key: {{key}} # the key of this shop
  proxy: http://user:CANARY-proxy-02@proxy.lan:3128
state_dir: {{state_dir}}
local:
  listen: 127.0.0.1:9750
push:
  tokens:
    - name: pos
      token: {{push}}
    - { name: two, token_file: secret/push }
devices:
  web:
    http_json:
      url: http://h/api?key=CANARY-query-03
      values: [{ pointer: /a, metric: hw.temperature }]
      headers: { X-Api-Key: "CANARY-header-04", X-Other: { file: secret/header } }
      token: 'CANARY-token''05'
  page:
    prometheus:
      url: http://h/metrics
      metrics: [up]
      token: { file: secret/token }
  page2:
    prometheus:
      url: http://h/metrics
      metrics: [up]
      username: u
      password: |-
        CANARY-block-06
  web2:
    http_json:
      url: http://h/
      values: [{ pointer: /a, metric: hw.temperature }]
      username: u
      password: "CANARY-\x65scape-07"
  fridge:
    mqtt: { broker: b, format: tasmota, topic: t, username: u, password: CANARY-mqtt-08 }
  net:
    snmp:
      target: 192.0.2.1:161
      # The community is CANARY-prose-09
      community: CANARY-community-10
  net3:
    snmp:
      target: 192.0.2.1:161
      version: "3"
      v3:
        user: u
        auth: { protocol: sha256, password: CANARY-auth-11 }
        privacy:
          protocol: aes128
          password:
            CANARY-privacy-12
  apps:
    otlp:
      tokens:
      - name: a
        token: {{otlp}}
      - name: b
        token_file: secret/otlp
  till:
    sql:
      engine: sqlite
      path: till.db
      # password: CANARY-commented-13
      queries:
        - { sql: "select 1 as a", metrics: { a: retail.pos.transactions } }
"#;

/// The files that it names.
const FILES: [(&str, &str); 5] = [
    ("secret/push", "CANARY-file-20\n"),
    ("secret/header", "CANARY-file-21\n"),
    ("secret/token", "CANARY-file-22\nCANARY-line-23\n"),
    ("secret/otlp", "CANARY-file-24\n"),
    ("state/key.json", "{\"configured\":\"00\",\"key\":\"CANARY-file-25\",\"next\":\"CANARY-file-26\"}"),
];

/// Files that stand for what it cannot name as well.
const OTHER_FILES: [(&str, &str); 3] =
    [("secret/key", "CANARY-file-30\n"), ("secret/sql", "CANARY-file-31\n"), ("secret/pin", "918273\n")];

/// A shop in a folder.
pub(crate) struct Shop {
    pub dir: tempfile::TempDir,
    pub text: String,
    /// All of its secrets.
    pub canaries: Vec<String>,
}

impl Shop {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in FILES.into_iter().chain(OTHER_FILES) {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let key = StoreKey::issue(&"acme".parse().unwrap(), &"S1".parse().unwrap()).expose().to_owned();
        let tokens = [PushToken::issue(), PushToken::issue()].map(|token| token.expose().to_owned());
        let text = WITH_CANARIES
            .replace("{{key}}", &key)
            .replace("{{state_dir}}", "state")
            .replace("{{push}}", &tokens[0])
            .replace("{{otlp}}", &tokens[1]);
        let is_inside = |c: char| c.is_ascii_alphanumeric() || c == '-';
        let all = [text.as_str(), FILES.map(|(_, text)| text).concat().as_str()].concat();
        let canary = |(at, _)| all[at..].split(|c| !is_inside(c)).next().unwrap_or_default().to_owned();
        // Two are written otherwise than they are.
        let is_whole = |canary: &String| !["CANARY-", "CANARY-token"].contains(&canary.as_str());
        let mut canaries: Vec<String> = all.match_indices("CANARY-").map(canary).filter(is_whole).collect();
        canaries.extend(["CANARY-escape-07", "CANARY-token'05"].map(str::to_owned));
        canaries.push(key);
        canaries.extend(tokens);
        std::fs::write(dir.path().join("agent.yaml"), &text).unwrap();
        Self { dir, text, canaries }
    }

    pub(crate) fn path(&self) -> std::path::PathBuf {
        self.dir.path().join("agent.yaml")
    }

    /// Which of its secrets are in this text.
    pub(crate) fn seen_in(&self, text: &str) -> Vec<&str> {
        self.canaries.iter().map(String::as_str).filter(|canary| text.contains(canary)).collect()
    }
}

#[test]
fn a_secret_in_every_place_that_can_hold_one_is_not_shown() {
    let shop = Shop::new();
    Config::parse(&shop.text, &shop.path()).unwrap();
    let configuration = Configuration::load(&shop.path());
    assert_eq!((&configuration.problem, &configuration.unread), (&None, &vec![]));
    let text = configuration.text.unwrap();
    assert_eq!(shop.seen_in(&text), [""; 0], "{text}");
    assert!(!text.contains("CANARY"), "{text}");
    for kept in [
        "# the key of this shop",
        "X-Other: { file: secret/header }",
        "token_file: secret/push",
        "user: u",
        "# An old token",
    ] {
        assert!(text.contains(kept) || kept.starts_with("# the key"), "{kept} is not in {text}");
    }
}

#[test]
fn a_secret_is_known_wherever_else_it_stands() {
    let shop = Shop::new();
    let redactor = Configuration::load(&shop.path()).redactor;
    let secret = |canary: &&String| !["comment-01", "prose"].iter().any(|form| canary.contains(form));
    for canary in shop.canaries.iter().filter(secret) {
        for text in [format!("<{canary}>"), format!("a{canary}b"), format!("{canary:?}")] {
            assert!(redactor.clean(&text).contains(MARK), "{text} stays");
            assert_eq!(shop.seen_in(&redactor.clean(&text)), [""; 0]);
        }
        let hex: Vec<String> = canary.bytes().map(|b| format!("{b:02X}")).collect();
        assert!(redactor.clean(&hex.join(" ")).contains(MARK), "{canary} in hexadecimal");
    }
}

/// Fails when a kind gains a setting that may hold a secret, until the configuration above has one there.
#[test]
fn the_canaries_stand_wherever_a_secret_can() {
    let all = settings::<Config>();
    assert!(all.iter().any(|setting| setting.path == "devices.*.snmp.v3.auth.password"), "{all:?}");
    let mut uncovered = Vec::new();
    for setting in &all {
        let last = setting.path.rsplit('.').find(|part| !matches!(*part, "*" | "[]")).unwrap_or_default();
        let speaks =
            names::Trust::Names.judge(last) != names::Name::Open || setting.path.contains(".headers.");
        let may_hold =
            speaks || (setting.has_forms && !FORMS.iter().any(|form| setting.path.ends_with(form)));
        if may_hold && !INNOCENT.contains(&setting.path.as_str()) && !is_covered(&setting.path) {
            uncovered.push(setting.path.as_str());
        }
    }
    assert!(uncovered.is_empty(), "no canary in {uncovered:#?}");
    let is_used = |form: &&str| all.iter().any(|setting| setting.has_forms && setting.path.ends_with(*form));
    let unused: Vec<_> = FORMS.iter().filter(|form| !is_used(form)).collect();
    assert!(unused.is_empty(), "no setting ends with {unused:?}");
}

/// Whether the canaries' configuration, or a file that stands for the setting there, has it.
fn is_covered(path: &str) -> bool {
    // These stand in the place of others in one configuration; both ways of them are hidden by the same rule.
    const TWINS: [(&str, &str); 3] = [
        ("cloud.key_file", "cloud.key"),
        ("local.pin_file", "push.tokens.[].token_file"),
        ("devices.*.sql.password", "devices.*.mqtt.password"),
    ];
    let path = TWINS.iter().find(|(twin, _)| *twin == path).map_or(path, |(_, other)| *other);
    let text = WITH_CANARIES.replace("{{", "").replace("}}", "");
    let tree = tree::parse(&text).unwrap();
    fn has(node: &Value, path: &[&str]) -> bool {
        let Some((first, rest)) = path.split_first() else { return true };
        match (node, *first) {
            (Value::Object(entries), "*") => entries.values().any(|value| has(value, rest)),
            (Value::Object(entries), name) => entries.get(name).is_some_and(|value| has(value, rest)),
            (Value::Array(items), "[]") => items.iter().any(|item| has(item, rest)),
            _ => false,
        }
    }
    has(&tree, &path.split('.').collect::<Vec<_>>())
}

/// The twins of the test above, each by itself.
#[test]
fn files_of_keys_pins_and_databases_are_read_too() {
    let shop = Shop::new();
    let text = "cloud: {url: 'https://x', key_file: secret/key}\nstate_dir: state\nlocal: {pin_file: secret/pin}\ndevices: {d: {sql: {password: {file: secret/sql}}}}\n";
    let Configuration { text, redactor, .. } = Configuration::of(text, &shop.path());
    let text = text.unwrap();
    assert!(text.contains("secret/key") && text.contains("secret/sql"), "{text}");
    let said = "CANARY-file-30 CANARY-file-31 CANARY-file-25 CANARY-file-26 PIN 918273, 1918273 and 9182734";
    let clean = redactor.clean(said);
    assert_eq!(clean, format!("{MARK} {MARK} {MARK} {MARK} PIN {MARK}, 1918273 and 9182734"));
}

#[test]
fn a_configuration_that_is_not_right_shows_only_what_is_known_to_be_harmless() {
    let shop = Shop::new();
    let path = shop.path();
    let text = "cloud:\n  url: https://x\n  tokn: CANARY-typo\n  key_file: gone.key\nstate_dir: state\nlocal: { listen: 127.0.0.1:1 }\n";
    let configuration = Configuration::of(text, &path);
    let shown = configuration.text.unwrap();
    assert!(shown.contains("url: https://x") && shown.contains("tokn: [redacted]"), "{shown}");
    assert!(configuration.problem.unwrap().contains("tokn"));
    assert!(configuration.unread[0].contains("gone.key"));
    assert_eq!(configuration.listen, "127.0.0.1:1");
    assert_eq!(configuration.state_dir.unwrap(), path.parent().unwrap().join("state"));
}

#[test]
fn what_is_no_yaml_or_cannot_be_hidden_line_by_line_is_not_shown() {
    for text in [
        "cloud: {url: https://x, token: CANARY-a\n",
        "cloud:\n\tkey: CANARY-b\n",
        "cloud: {token:\n CANARY-c}\n",
        "a: &x CANARY-d\ntoken: *x\n",
        "? token\n: CANARY-e\n",
        "token: &a CANARY-f\nb: *a\n",
        "cloud: \"CANARY-g\n",
    ] {
        let configuration = Configuration::of(text, Path::new("/x/agent.yaml"));
        let shown = format!("{:?} {:?}", configuration.text, configuration.problem);
        assert!(!shown.contains("CANARY"), "{text} became {shown}");
    }
}

#[test]
fn card_numbers_are_not_shown_in_texts_names_values_and_bytes() {
    let mut redactor = Redactor::default();
    redactor.add_name("till.4111.1111.1111.1111");
    let value = serde_json::json!({
        "till.4111.1111.1111.1111": "4111 1111 1111 1111",
        "value": 4_111_111_111_111_111_u64,
        "answered": "41 34 31 31 31 31 31 31 31 31 31 31 31 31 31 31 31 0d",
        "asked": "05 0d",
    });
    let clean = redactor.clean_value(value).to_string();
    let digits: String = clean.chars().filter(char::is_ascii_digit).collect();
    assert_eq!(digits, "050", "{clean}");
}

#[test]
fn short_secrets_are_hidden_by_their_name_and_nowhere_else() {
    let configuration =
        Configuration::of("devices: {d: {mqtt: {password: abc, topic: abcde}}}", Path::new("x"));
    assert_eq!(configuration.redactor.clean("abc"), "abc");
    assert!(configuration.text.unwrap().contains("password: [redacted], topic:"));
}
