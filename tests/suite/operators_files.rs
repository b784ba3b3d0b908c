//! The files in `deploy/cloud` speak of things that are there: metrics, settings, programs.

use std::collections::BTreeSet;

use serde_json::Value;
use storepulse_shared::ids::Epoch;
use storepulse_testbed::by_hand::{HandBatch, samples};
use storepulse_testbed::cloud::http_client;
use storepulse_testbed::upkeep::{self, as_admin};
use storepulse_testbed::wait;

use crate::setting::{Setting, now_ms};

const PREFIX: &str = "storepulse_cloud_";
const COMPOSE: &str = include_str!("../../deploy/cloud/docker-compose.yml");
const UNIT: &str = include_str!("../../deploy/cloud/systemd/storepulse-cloud@.service");
const ALERTS: &str = include_str!("../../deploy/cloud/monitoring/alerts.yml");
const DASHBOARD: &str = include_str!("../../deploy/cloud/monitoring/dashboard.json");

/// Names of the service's metrics in a text.
fn names(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.match_indices(PREFIX)
        .map(|(at, _)| text[at..].chars().take_while(|c| is_part(*c)).collect())
        .collect()
}

fn alerts() -> Vec<String> {
    let rules: Value = serde_yaml::from_str(ALERTS).unwrap();
    let rules =
        rules["groups"].as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap());
    rules.map(|rule| rule["expr"].as_str().unwrap().to_owned()).collect()
}

fn panels() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().unwrap());
    targets.map(|target| target["expr"].as_str().unwrap().to_owned()).collect()
}

/// `/metrics` of a service that has done something of every kind.
async fn metrics() -> String {
    let setting = Setting::new().await;
    let batch = HandBatch::of(Epoch::random(), 1, &samples("m", &[now_ms()], &[1.0]));
    assert_eq!(setting.by_hand().send(&batch).await.unwrap().status, 200);
    upkeep::run(&setting.db).await.unwrap();
    let suspend = "update tenants set status = 'suspended' returning tenant_id";
    as_admin(&setting.db, suspend).await.unwrap();
    let refused = async || Ok((setting.by_hand().send(&batch).await?.status == 403).then_some(()));
    wait::until("the tenant to be refused", std::time::Duration::from_secs(10), refused).await.unwrap();
    let url = format!("{}/metrics", setting.cloud.url());
    http_client(None).unwrap().get(url).send().await.unwrap().text().await.unwrap()
}

#[tokio::test]
async fn alerts_and_dashboard_ask_for_metrics_that_the_service_has() {
    let (alerts, panels, served) = (alerts(), panels(), metrics().await);
    assert!(alerts.len() > 10 && panels.len() > 10);
    for expr in alerts.iter().chain(&panels) {
        promql_parser::parser::parse(expr).unwrap_or_else(|error| panic!("{expr}: {error}"));
    }
    let served = names(&served.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n"));
    let asked = names(&[alerts, panels].concat().join("\n"));
    let unknown: Vec<_> = asked.difference(&served).collect();
    assert!(unknown.is_empty(), "asked for and not there: {unknown:?}; there are {served:?}");
}

#[test]
fn images_are_of_this_version_and_settings_are_such_that_the_program_reads() {
    let image = format!("storepulse/cloud:{}}}", env!("CARGO_PKG_VERSION"));
    assert!(COMPOSE.contains(&image), "docker-compose.yml names another version than {image}");
    let read = [
        include_str!("../../cloud/src/config.rs"),
        include_str!("../../cloud/src/commands/certificate.rs"),
        include_str!("../../cloud/src/commands/health.rs"),
    ]
    .concat();
    let given = COMPOSE.lines().filter_map(|line| line.trim().strip_prefix("STOREPULSE_")?.split(':').next());
    let of_unit =
        UNIT.lines().filter_map(|line| line.strip_prefix("Environment=STOREPULSE_")?.split('=').next());
    let all: Vec<_> = given.chain(of_unit).collect();
    assert!(all.len() > 10, "{all:?}");
    for name in all {
        assert!(
            read.contains(&format!("\"STOREPULSE_{name}\"")),
            "STOREPULSE_{name} is given and never read"
        );
    }
}
