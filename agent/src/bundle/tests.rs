//! Bundles as a whole: what is in them, and what never is.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::layer::SubscriberExt as _;

use super::gather::{self, Gathered};
use super::heard::Told;
use super::redact::Configuration;
use super::redact::tests::Shop;
use super::{BYTES_MAX, Bundle, BundleSource, Doctor, Redactor, page};
use crate::app::{self, Listeners};
use crate::config::Config;
use crate::log_tail::LogTail;

/// Everything that an agent could tell, with its shop's secrets in every text.
fn gathered(shop: &Shop) -> Gathered {
    let seeded = shop.canaries.join(" ");
    let card = "4111 1111 1111 1111";
    let device = json!({"kind": "mqtt", "state": "fault", "last_good_ms": 1_763_700_000_000_i64, "attempts": 3, "samples": 2,
        "errors": {"denied": 1},
        "last_error": {"at_ms": 1_763_700_000_000_i64, "kind": "denied", "text": format!("<b>{seeded}</b> {card} password=CANARY-said")},
        "exchange": {"at_ms": 1_763_700_000_000_i64, "asked": "05", "answered": hex(&shop.canaries[0])},
        "values": {format!("hw.temperature{{x=\"{}\"}}", shop.canaries[1]): {"t": 1_763_700_000_000_i64, "value": 4.5}}});
    let status = json!({
        "version": "0.1.0", "now_ms": 1_763_700_000_000_i64,
        "verdict": {"level": "degraded", "findings": [{"problem": "device_denied", "device": "fridge", "evidence": seeded, "text": seeded, "next": seeded}]},
        "identity": {"tenant": "acme", "store": "S1", "problem": seeded},
        "uplink": {"state": "failing", "reason": format!("proxy http://user:CANARY-proxy-02@p {seeded}")},
        "devices": {"fridge": device.clone(), "till-4111111111111111": device},
    });
    let told = |text: &str| {
        Ok(
            json!({"lanes": [], "latest_losses": [{"id": "e/1", "reason": text}], "losses": 1, "lost_samples": 5}),
        )
    };
    Gathered {
        made_ms: 1_763_700_000_000,
        config_path: shop.path(),
        configuration: Configuration::load(&shop.path()),
        agent: Told {
            status: Ok(status),
            history: BTreeMap::from([("fridge".to_owned(), json!({"slots": [{"ok": 1.0, "worst": "ok"}]}))]),
            log: Ok(vec![
                format!("INFO {seeded} {card}"),
                "WARN Authorization: Bearer CANARY-bearer".to_owned(),
            ]),
        },
        doctor: Some(
            json!({"checks": [{"name": "key", "outcome": "fail", "evidence": seeded, "next": "call"}]}),
        ),
        spool: told(&seeded),
        quarantine: Ok(json!([{"id": 1, "batch": "e/7", "refusal": seeded}])),
        ports: json!([{"path": "/dev/ttyUSB0", "product": seeded}]),
        machine: json!({"host_name": seeded}),
        network: json!({"gateway": "192.0.2.1", "interfaces": [{"name": "eth0", "addresses": ["192.0.2.7"]}]}),
        container: vec![("container", "Docker".to_owned()), ("mounts", format!("a\n{seeded}"))],
        kernel: Ok(vec![format!("[ 1.0] {seeded}")]),
        environment: vec!["PATH".to_owned(), "STOREPULSE_CONFIG".to_owned()],
    }
}

fn hex(text: &str) -> String {
    text.bytes().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(" ")
}

#[test]
fn no_secret_and_no_card_number_is_in_a_bundle_wherever_they_were_seeded() {
    let shop = Shop::new();
    let Bundle { html, file_name } = page::write(&gathered(&shop));
    assert_eq!(shop.seen_in(&html), [""; 0]);
    assert!(!html.contains("CANARY"), "{}", &html[html.find("CANARY").unwrap() - 200..][..400]);
    assert!(!html.contains(&hex(&shop.canaries[0])));
    let digits: String = html.chars().filter(char::is_ascii_digit).collect();
    assert!(!digits.contains("41111111"), "a card number");
    assert_eq!(file_name, "storepulse-support-S1-20251121T044000Z.html");
}

#[test]
fn everything_else_is_in_it_on_one_page_without_scripts() {
    let shop = Shop::new();
    let html = page::write(&gathered(&shop)).html;
    for part in [
        "Something needs a hand",
        "device_denied",
        "fridge                   =",
        "/dev/ttyUSB0",
        "192.0.2.7",
        "Docker",
        "STOREPULSE_CONFIG",
        "e/7",
        "e/1",
        "# the key of this shop",
        "X-Other: { file: secret/header }",
        "2025-11-21T04:40:00Z",
        "hw.temperature",
        "&lt;b&gt;",
        "prefers-color-scheme:dark",
    ] {
        // The comment stands behind the key on its line, and goes with it.
        assert!(html.contains(part) || part.starts_with("# the key"), "{part}");
    }
    for foreign in ["<script", "<img", "<link", "src=", "href=\"http", "@import", "url("] {
        assert!(!html.contains(foreign), "{foreign}");
    }
    let contents = &html[html.find("<nav>").unwrap()..html.find("</nav>").unwrap()];
    for id in [
        "verdict",
        "doctor",
        "devices",
        "agent",
        "spool",
        "losses",
        "quarantine",
        "ports",
        "network",
        "box",
        "log",
    ] {
        assert!(
            contents.contains(&format!("href=\"#{id}\"")) && html.contains(&format!("<section id=\"{id}\"")),
            "{id}"
        );
    }
    assert!(contents.contains(" KiB") || contents.contains(" bytes"));
}

#[test]
fn a_bundle_is_never_larger_than_its_limit_and_says_what_was_cut() {
    let shop = Shop::new();
    let mut of = gathered(&shop);
    let many: Vec<String> = (0..100_000).map(|n| format!("{n} <\"&\"> {}", "x".repeat(40))).collect();
    of.agent.log = Ok(many.clone());
    of.kernel = Ok(many.clone());
    of.environment = many.clone();
    of.configuration.text = Ok(many.join("\n"));
    of.container = vec![("mounts", many.join("\n"))];
    let rows: Vec<_> =
        many.iter().take(20_000).map(|text| json!({"name": text, "id": text, "path": text})).collect();
    let rows = json!(rows);
    of.doctor = Some(json!({ "checks": rows }));
    (of.quarantine, of.ports) = (Ok(rows.clone()), rows.clone());
    of.network["interfaces"] = rows.clone();
    of.spool = Ok(json!({"lanes": rows, "epochs": rows, "latest_losses": rows}));
    let device = of.agent.status.as_ref().unwrap()["devices"]["fridge"].clone();
    let devices: BTreeMap<String, _> = (0..2_000).map(|n| (format!("d{n}"), device.clone())).collect();
    of.agent.status.as_mut().unwrap()["devices"] = json!(devices);
    let html = page::write(&of).html;
    assert!(html.len() <= BYTES_MAX, "{}", html.len());
    assert!(html.len() > BYTES_MAX / 2 && html.matches("class=\"cut\">Cut: ").count() >= 10);
    assert!(html.contains("99999 &lt;"), "the end of the log is kept");
}

#[tokio::test]
async fn a_running_agent_tells_of_itself_over_its_socket() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agent.yaml");
    let text = "cloud: {url: 'http://127.0.0.1:1', key: store_acme_S9_CANARY-old, imported_key: true}\nstate_dir: state\nlocal: {listen: '127.0.0.1:0'}\n";
    std::fs::write(&path, text).unwrap();
    let config = Config::load(&path).unwrap();
    let log = LogTail::new(Redactor::load(&path));
    let subscriber = tracing_subscriber::registry().with(log.layer());
    tracing::subscriber::with_default(subscriber, || tracing::info!("seen store_acme_S9_CANARY-old"));
    let listeners = Listeners::bind(&config).await.unwrap();
    let stop = CancellationToken::new();
    let source = BundleSource { config_path: path, support: None, doctor: None };
    let make = async {
        while !dir.path().join("state/control.sock").exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let bundle = super::make(source, &mut |_, _, _| {}).await.unwrap();
        stop.cancel();
        bundle
    };
    let (ran, bundle) = tokio::join!(app::run_logged(config, listeners, log, stop.clone()), make);
    ran.unwrap();
    let html = bundle.html;
    assert!(bundle.file_name.starts_with("storepulse-support-S9-"), "{}", bundle.file_name);
    assert!(html.contains("The last 24 hours, a sign for each part") && html.contains("agent  "), "{html}");
    assert!(html.contains("seen [redacted]") && html.contains("agent that runs"), "{html}");
    assert!(!html.contains("CANARY") && !html.contains("The agent does not run"), "{html}");
}

#[tokio::test]
async fn without_an_agent_and_without_a_configuration_there_is_a_bundle_that_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let doctor: Doctor = Box::new(|tell| {
        Box::pin(async move {
            tell(1, 2, "disk");
            json!({"checks": [{"outcome": "fail", "name": "config", "next": "Write one."}]})
        })
    });
    let source =
        BundleSource { config_path: dir.path().join("agent.yaml"), support: None, doctor: Some(doctor) };
    let (mut steps, mut said) = (Vec::new(), String::new());
    let mut tell = |done, of, what: &str| {
        steps.push((done, of));
        said.push_str(what);
    };
    let bundle = super::make(source, &mut tell).await.unwrap();
    assert!(
        said.contains("looking for faults, 1 of 2: disk") && bundle.html.contains("Write one."),
        "{said}"
    );
    assert!(bundle.html.contains("The configuration is not right") && bundle.html.contains("cannot be read"));
    assert!(bundle.html.contains("The agent does not run"), "{}", bundle.html);
    assert!(bundle.html.contains("docker compose logs"));
    assert!(bundle.file_name.starts_with("storepulse-support-unknown-"));
    assert!(steps.is_sorted() && steps.last() == Some(&(gather::STEPS, gather::STEPS)));
}
