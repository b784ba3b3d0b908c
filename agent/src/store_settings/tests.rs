//! What an agent starts with, and what it makes of the answers of clouds that know of settings and of others that do not.

use std::path::Path;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::*;
use crate::time::{BUILD_MS, BoxClock, SystemClock};

const DEVICES: &str = "devices:\n  box: {host: {interval: 45s}}\n";

fn base(dir: &Path, url: &str) -> Config {
    let key = storepulse_shared::key::StoreKey::issue(&"la-villa".parse().unwrap(), &"T01".parse().unwrap());
    std::fs::write(dir.join("store.key"), key.expose()).unwrap();
    let text = format!("cloud: {{url: '{url}', key_file: store.key}}\nstate_dir: state\n{DEVICES}");
    Config::parse(&text, &dir.join("agent.yaml")).unwrap()
}

fn keep(dir: &Path, kept: &serde_json::Value) {
    std::fs::create_dir_all(dir.join("state")).unwrap();
    std::fs::write(dir.join("state/settings.json"), kept.to_string()).unwrap();
}

fn shown(start: &Start) -> SettingsStatus {
    let board = SettingsBoard::default();
    start.show(&board);
    board.get()
}

fn over_the_box(version: u64, interval: &str) -> serde_json::Value {
    json!({ "version": version, "settings": { "devices": { "box": { "interval": interval } } } })
}

#[test]
fn a_trial_that_stands_on_the_disk_was_not_survived() {
    let dir = tempfile::tempdir().unwrap();
    let trying = json!({ "version": 5, "state": "trying" });
    let kept = json!({ "confirmed": over_the_box(4, "50s"), "trying": over_the_box(5, "1s"), "last": trying, "told": true });
    keep(dir.path(), &kept);
    let start = Start::load(base(dir.path(), "https://cloud.example"));
    let box_of = format!("{:?}", start.config.devices);
    assert!(box_of.contains("interval: 50s"), "{box_of}");
    let status = shown(&start);
    assert_eq!((status.version, status.state, status.in_use), (5, Some(SettingsState::Reverted), 4));
    assert_eq!((start.kept.known(), start.kept.told, start.is_news), (Some(5), false, true));
}

#[test]
fn what_was_confirmed_counts_from_the_start_unless_it_does_not_fit_any_more() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(shown(&Start::load(base(dir.path(), "https://cloud.example"))), SettingsStatus::default());
    keep(dir.path(), &json!({ "confirmed": over_the_box(4, "50s") }));
    let start = Start::load(base(dir.path(), "https://cloud.example"));
    assert_eq!((shown(&start).state, start.is_news), (Some(SettingsState::Confirmed), false));
    let gone = json!({ "version": 6, "settings": { "devices": { "scale-1": { "enabled": false } } } });
    keep(
        dir.path(),
        &json!({ "confirmed": gone, "last": { "version": 6, "state": "confirmed" }, "told": true }),
    );
    let start = Start::load(base(dir.path(), "https://cloud.example"));
    let status = shown(&start);
    assert_eq!((status.state, status.in_use), (Some(SettingsState::Refused), 0));
    assert!(status.why.unwrap().contains("it names box"), "the way out");
    // What was refused is looked at again after a start: it may fit now.
    keep(dir.path(), &json!({ "last": { "version": 6, "state": "refused", "why": "x" }, "told": true }));
    assert_eq!(Start::load(base(dir.path(), "https://cloud.example")).kept.known(), None);
}

#[test]
fn a_file_that_cannot_be_read_is_set_aside() {
    let dir = tempfile::tempdir().unwrap();
    keep(dir.path(), &json!("what?"));
    let start = Start::load(base(dir.path(), "https://cloud.example"));
    assert_eq!(shown(&start), SettingsStatus::default());
    let state = dir.path().join("state");
    assert!(state.join("settings.json.damaged").exists() && !state.join("settings.json").exists());
}

/// A cloud that says always the same, and what was asked of it first.
async fn cloud(answer: &'static str) -> (String, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://localhost:{}", listener.local_addr().unwrap().port());
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4_096]).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (url, tasks)
}

#[tokio::test]
async fn an_older_cloud_is_left_alone_and_a_page_on_the_way_says_nothing() {
    let page = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\nconnection: close\r\n\r\n<h1>";
    let old = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let same = "HTTP/1.1 304 Not Modified\r\nconnection: close\r\n\r\n";
    let new =
        "HTTP/1.1 200 OK\r\ncontent-length: 27\r\nconnection: close\r\n\r\n{\"version\":7,\"settings\":{}}";
    for (answer, heard, is_reached) in
        [(page, Err(()), false), (old, Ok(None), false), (same, Ok(None), false), (new, Ok(Some(7)), true)]
    {
        let dir = tempfile::tempdir().unwrap();
        let (url, _tasks) = cloud(answer).await;
        let config = base(dir.path(), &url);
        let clock = BoxClock::new(Arc::new(SystemClock::load()), BUILD_MS);
        let client = Client::new(&config.cloud, &clock).unwrap();
        let post = Post::new(client, KeySource::new(&config.cloud, &config.state_dir));
        let said = post.ask(Some(7)).await.map_err(|_| ()).map(|heard| match heard {
            Heard::New(settings) => Some(settings.version),
            Heard::Nothing => None,
        });
        assert_eq!(said, heard, "{answer}");
        assert_eq!(post.is_reached().await.is_ok(), is_reached, "{answer}");
        // Where there is nobody to tell it to, it is told; a page has not heard it.
        let report = SettingsReport { version: 7, state: SettingsState::Confirmed, why: None };
        assert_eq!(post.tell(&report).await.is_ok(), answer == old, "{answer}");
    }
}
