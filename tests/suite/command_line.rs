//! The commands as people type them: what they print, and their exit codes.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use storepulse_testbed::store::{Agent, AgentSetup};

use crate::setting::{Setting, folder, testbed};

pub(crate) fn agent(dir: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(testbed());
    // The child ends when its standard input does; ours stays open as long as the process.
    command.arg("agent").args(args).args(["--config", "agent.yaml"]).current_dir(dir).stdin(Stdio::piped());
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut child = child;
    let _held = child.stdin.take();
    child.wait_with_output().unwrap()
}

pub(crate) fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn write_config(dir: &Path, cloud: &str, more: &str) {
    let text = format!("cloud:\n  url: https://cloud.example\n{cloud}state_dir: spool\n{more}");
    std::fs::write(dir.join("agent.yaml"), text).unwrap();
}

#[tokio::test]
async fn the_key_of_the_guide_is_refused_on_the_box_unless_it_is_declared_as_imported() {
    let dir = folder().await;
    std::fs::write(dir.join("store.key"), "store_tenant1_T01_abc123\n").unwrap();
    write_config(&dir, "  key_file: store.key\n", "");
    let refused = agent(&dir, &["check"]);
    assert_eq!(refused.status.code(), Some(64), "{}", text(&refused));
    assert!(text(&refused).contains("not issued by StorePulse"), "{}", text(&refused));
    assert!(text(&refused).contains("imported_key: true") && !text(&refused).contains("abc123"));

    write_config(&dir, "  key_file: store.key\n  imported_key: true\n", "");
    let taken = agent(&dir, &["check"]);
    assert_eq!(taken.status.code(), Some(0), "{}", text(&taken));
    assert!(text(&taken).contains("tenant tenant1, store T01"), "{}", text(&taken));
}

#[tokio::test]
async fn bad_configuration_exits_with_64_and_names_the_place() {
    let dir = folder().await;
    write_config(&dir, "  key_file: store.key\n", "spol: {}\n");
    for command in ["run", "check", "status", "health"] {
        let refused = agent(&dir, &[command]);
        assert_eq!(refused.status.code(), Some(64), "{command}: {}", text(&refused));
        assert!(text(&refused).contains("agent.yaml:5:1: unknown field `spol`"), "{}", text(&refused));
    }
    assert_eq!(agent(&dir, &["jog"]).status.code(), Some(64));
    std::fs::remove_file(dir.join("agent.yaml")).unwrap();
    let missing = agent(&dir, &["run"]);
    assert!(missing.status.code() == Some(64) && text(&missing).contains("agent.yaml"), "{}", text(&missing));
}

#[tokio::test]
async fn status_and_health_tell_a_running_agent_from_one_that_is_not() {
    let setting = Setting::new().await;
    let mut running = Agent::start(
        testbed(),
        &setting.stores[0],
        &AgentSetup {
            devices: "  gateway:\n    host: { interval: 200ms }\n".to_owned(),
            ..AgentSetup::default()
        },
    )
    .await
    .unwrap();
    let dir = running.store.dir.clone();
    let connected = storepulse_testbed::wait::until(
        "a status that is good",
        std::time::Duration::from_secs(30),
        async || {
            let status = agent(&dir, &["status"]);
            Ok((status.status.code() == Some(0)).then_some(text(&status)))
        },
    );
    let screen = connected.await.unwrap();
    assert!(
        screen.contains("T01 of la-villa")
            && screen.contains("connected")
            && screen.contains("gateway (host)"),
        "{screen}"
    );
    let json = agent(&dir, &["status", "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["devices"]["gateway"]["state"], "ok");
    assert_eq!(agent(&dir, &["health"]).status.code(), Some(0));

    let second = agent(&dir, &["run"]);
    assert_eq!(second.status.code(), Some(1));
    assert!(text(&second).contains("is another agent running here?"), "{}", text(&second));

    let metrics =
        reqwest::get(format!("http://{}/metrics", running.status)).await.unwrap().text().await.unwrap();
    assert!(
        metrics.contains("storepulse_agent_uplink_connected 1") && metrics.ends_with("# EOF\n"),
        "{metrics}"
    );
    running.stop().await.unwrap();

    let stopped = agent(&dir, &["status"]);
    assert_eq!(stopped.status.code(), Some(1));
    assert!(
        text(&stopped).contains("does not run") && text(&stopped).contains("its spool holds"),
        "{}",
        text(&stopped)
    );
    assert_eq!(agent(&dir, &["health"]).status.code(), Some(1));
}

#[tokio::test]
async fn onboarding_again_keeps_the_keys_and_mends_what_is_missing() {
    let setting = Setting::new().await;
    let out = setting.stores[0].dir.parent().unwrap().to_owned();
    std::fs::remove_file(out.join("T02/store.key")).unwrap();
    let url = setting.cloud.url();
    let again =
        storepulse_testbed::store::onboard(&setting.db, "la-villa", &["T01", "T02", "T03"], &url, None, &out);
    let again = again.await.unwrap();
    assert_eq!(again[0].key, setting.stores[0].key);
    assert_ne!(again[1].key, setting.stores[1].key);
    for store in &again {
        let agent = storepulse_testbed::by_hand::ByHand::new(&url, None, Some(store.bearer())).unwrap();
        assert_eq!(agent.get("/v1/stores").await.unwrap().json["stores"][0]["id"], store.id.as_str());
        let mode = std::os::unix::fs::PermissionsExt::mode(
            &std::fs::metadata(store.dir.join("store.key")).unwrap().permissions(),
        );
        assert_eq!(mode & 0o777, 0o600);
    }
}
