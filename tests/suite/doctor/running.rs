//! The doctor beside a running agent, which it asks, and whose ports it leaves alone; and the screen that people see.

use std::time::Duration;

use storepulse_testbed::devices::Answering;
use storepulse_testbed::store::{Agent, AgentSetup};
use storepulse_testbed::wait;

use crate::command_line::{agent, text};
use crate::setting::{Setting, testbed};

const LIMIT: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn beside_a_running_agent_only_what_is_broken_is_named() {
    let setting = Setting::new().await;
    let store = &setting.stores[0];
    let good = store.dir.join("ttyGOOD");
    let answer = |asked: &[u8], _| asked.starts_with(b"\x10\x04").then_some(0x12).into_iter().collect();
    let device = Answering::plug_in(&good, answer).unwrap();
    let block = |id: &str, port: &std::path::Path| {
        format!("  {id}:\n    escpos: {{ port: {}, interval: 200ms, jitter: 1ms }}\n", port.display())
    };
    let devices = block("printer-1", &good);
    let setup = AgentSetup { devices: devices.clone(), ..AgentSetup::default() };
    let mut running = Agent::start(testbed(), store, &setup).await.unwrap();
    until_state(&running, "printer-1", "ok").await;

    let well = agent(&store.dir, &["doctor"]);
    assert_eq!(well.status.code(), Some(0), "{}", text(&well));
    assert!(
        text(&well).contains("the cloud knows the store T01") && text(&well).contains("ttyGOOD"),
        "{}",
        text(&well)
    );

    running.stop().await.unwrap();
    let devices = devices + &block("printer-2", &store.dir.join("ttyBAD"));
    running.configure(&AgentSetup { devices, ..AgentSetup::default() }).unwrap();
    running.restart().await.unwrap();
    until_state(&running, "printer-1", "ok").await;
    until_state(&running, "printer-2", "unreachable").await;
    let ill = agent(&store.dir, &["doctor"]);
    assert_eq!(ill.status.code(), Some(1), "{}", text(&ill));
    let shown = text(&ill);
    let mut lines = shown.lines().filter(|line| !line.trim().is_empty());
    let (_, first) = (lines.next().unwrap(), lines.next().unwrap());
    assert!(first.starts_with(" 1. ") && first.contains("ttyBAD"), "{shown}");
    assert!(!shown.contains(store.key.expose()), "a key is never shown");
    until_state(&running, "printer-1", "ok").await;
    running.stop().await.unwrap();
    drop(device);
}

async fn until_state(agent: &Agent, device: &str, state: &str) {
    wait::until("the state of a device", LIMIT, async || {
        let status = agent.read_status().await?;
        Ok((status["devices"][device]["state"] == state).then_some(()))
    })
    .await
    .unwrap();
}
