//! `agent/README.md`: an agent in its folder, with a cloud that takes its batches.

use std::path::Path;
use std::time::Duration;

use storepulse_agent::spool::{self, Limits, Next, Reach, Settlement, Spool, Wish};
use storepulse_shared::batch::{Clock, Column, Frame, Lane};
use storepulse_testbed::devices::LinePrinter;
use storepulse_testbed::store::{Agent, AgentSetup};

use super::run;
use super::session::Stage;
use crate::setting::{Setting, folder, now_ms, testbed};

pub(super) const README: &str = "agent/README.md";

/// Two batches that a cloud refused, each its own item; returns the items' short numbers.
async fn refused_twice(state_dir: &Path) -> Vec<String> {
    std::fs::create_dir_all(state_dir).unwrap();
    let limits = Limits { bytes_max: 64 << 20, batch_samples_max: 1_000 };
    let (opened, thread) = Spool::open(state_dir, limits, now_ms()).unwrap();
    for value in [1.0, 2.0] {
        let columns = vec![Column { series: "m".into(), values: vec![value] }];
        let tick = Frame { device: "d".into(), kind: "host".into(), times: vec![now_ms()], columns };
        opened.append(Lane::Normal, vec![tick], now_ms()).await.unwrap();
        opened.seal_all(now_ms()).await.unwrap();
        let wish = Wish {
            age: [Duration::ZERO; 3],
            clock: Clock::Ok,
            in_flight: vec![],
            reach: Some(Reach::Backlog),
        };
        let Next::Send(outgoing) = opened.next(wish, now_ms()).await.unwrap() else {
            panic!("nothing to send")
        };
        let refused = Settlement::Refused { why: "422 not_liked".to_owned() };
        opened.settle(outgoing.id, refused, now_ms()).await.unwrap();
    }
    drop(opened);
    thread.join();
    spool::quarantine(state_dir).unwrap().iter().map(|item| item.id.to_string()).collect()
}

#[tokio::test]
async fn every_command_of_the_agents_readme_works() {
    let (mut stage, setting) = (Stage::new().await, Setting::new().await);
    let store = &setting.stores[0];
    let printer = LinePrinter::start(&store.dir, "ttyPOS", Duration::from_millis(100)).unwrap();
    let devices = "  gateway:\n    host: { interval: 1s }\n".to_owned();
    Agent::install(testbed(), store, &AgentSetup { devices, ..AgentSetup::default() }).unwrap();
    let items = refused_twice(&store.dir.join("spool")).await;
    std::fs::remove_dir(&stage.here).unwrap();
    std::os::unix::fs::symlink(&store.dir, &stage.here).unwrap();
    stage.play("/media/stick", folder().await.display().to_string());
    stage.play("/dev/ttyUSB0", printer.port.display().to_string());
    stage.play("agent.yaml 17", format!("agent.yaml {}", items[0]));
    stage.play("agent.yaml 18", format!("agent.yaml {}", items[1]));
    // What it thinks of the box that the tests run on is no matter of the document.
    stage.may_end = vec![("storepulse-agent doctor", 1), ("storepulse-agent doctor", 2)];
    run(README, &stage).await;
}
