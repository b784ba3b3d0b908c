//! A shop where all is well but what a test breaks, and what the doctor says of it.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use futures_util::future::{LocalBoxFuture, join_all};
use serde_json::Value;
use storepulse_testbed::store::{Store, free_address};
use tokio::net::TcpSocket;

use crate::setting::{Setting, folder, testbed};

/// What the doctor promises: it hangs for no fault.
const LIMIT: Duration = Duration::from_secs(30);

/// A shop whose agent does not run.
pub(super) struct Shop {
    pub(super) dir: PathBuf,
    pub(super) url: String,
    /// Lines of YAML below `cloud:`.
    pub(super) cloud: String,
    /// Lines of YAML for the top level.
    pub(super) more: String,
    /// Lines of YAML below `devices:`.
    pub(super) devices: String,
    pub(super) status: SocketAddr,
    /// What the doctor finds in its environment.
    pub(super) environment: Vec<(&'static str, String)>,
    /// What it is started through.
    pub(super) through: Vec<String>,
    /// Further arguments.
    pub(super) arguments: Vec<&'static str>,
}

impl Shop {
    /// With this store's key, towards this cloud.
    pub(super) async fn of(store: &Store, url: &str) -> Self {
        let dir = folder().await;
        std::fs::copy(store.dir.join("store.key"), dir.join("store.key")).unwrap();
        Self {
            dir,
            url: url.to_owned(),
            cloud: String::new(),
            more: String::new(),
            devices: String::new(),
            status: free_address().unwrap(),
            environment: Vec::new(),
            through: Vec::new(),
            arguments: Vec::new(),
        }
    }

    /// The place of a device in its folder.
    pub(super) fn port(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Adds a device.
    pub(super) fn device(&mut self, id: &str, block: &str) {
        writeln!(self.devices, "  {id}:\n    {block}").unwrap();
    }

    pub(super) fn configure(&self) {
        let devices = if self.devices.is_empty() { " {}" } else { "" };
        let text = format!(
            "cloud:\n  url: {}\n  key_file: store.key\n{}state_dir: spool\nlocal: {{ listen: '{}' }}\n{}devices:{devices}\n{}",
            self.url, self.cloud, self.status, self.more, self.devices
        );
        std::fs::write(self.dir.join("agent.yaml"), text).unwrap();
    }

    /// Asks the doctor: its exit code, and what it says as JSON.
    pub(super) async fn examine(&self) -> (i32, Value) {
        let arguments = ["agent", "doctor", "--json", "--config", "agent.yaml"];
        let mut words: Vec<String> = self.through.clone();
        words.push(testbed().display().to_string());
        words.extend(arguments.iter().chain(&self.arguments).map(|word| (*word).to_owned()));
        let mut command = tokio::process::Command::new(&words[0]);
        command.args(&words[1..]).current_dir(&self.dir).kill_on_drop(true);
        for name in ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "STOREPULSE_CONFIG"] {
            command.env_remove(name);
        }
        command.env("STOREPULSE_LANG", "en").envs(self.environment.iter().map(|(name, value)| (name, value)));
        // The child ends when its standard input does; ours stays open until it has ended.
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let held = child.stdin.take();
        let output = child.wait_with_output().await.unwrap();
        drop(held);
        let text = String::from_utf8_lossy(&output.stdout);
        let said = serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("{error}: {text}{}", String::from_utf8_lossy(&output.stderr)));
        (output.status.code().unwrap_or(-1), said)
    }
}

/// What is expected of the doctor.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected {
    /// The problem that is named first; several, with `|` between, where it depends on the machine of the test.
    pub(super) problem: &'static str,
    pub(super) code: i32,
    /// What the evidence of the first finding names.
    pub(super) seen: &'static str,
}

/// An address that refuses, and goes on doing so while the socket that has it is held.
pub(super) fn refuses() -> (SocketAddr, TcpSocket) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    (socket.local_addr().unwrap(), socket)
}

/// One line of a table: a fault, what is expected, and how it is arranged. What `arrange` returns is held while the doctor looks.
pub(super) fn fault<'a, H>(
    what: &'static str,
    (problem, code, seen): (&'static str, i32, &'static str),
    setting: &'a Setting,
    arrange: impl AsyncFnOnce(&mut Shop) -> H + 'a,
) -> LocalBoxFuture<'a, Result<(), String>> {
    Box::pin(async move {
        let mut shop = Shop::of(&setting.stores[0], &setting.cloud.url()).await;
        shop.configure();
        let held = arrange(&mut shop).await;
        if shop.dir.join("agent.yaml").exists() {
            shop.configure();
        }
        let began = Instant::now();
        let (found, said) = shop.examine().await;
        let took = began.elapsed();
        drop(held);
        judge(Expected { problem, code, seen }, found, &said, took)
            .map_err(|why| format!("{what}: {why}\n{said:#}"))
    })
}

fn judge(expected: Expected, code: i32, said: &Value, took: Duration) -> Result<(), String> {
    let first = &said["findings"][0];
    let named = first["problem"].as_str().unwrap_or("nothing");
    if !expected.problem.split('|').any(|problem| problem == named) {
        return Err(format!("{named} is named first, not {}", expected.problem));
    }
    if code != expected.code {
        return Err(format!("exit code {code}, not {}", expected.code));
    }
    let words = |name: &str| first[name].as_str().unwrap_or_default().to_owned();
    if words("text").is_empty() || words("next").len() < 20 {
        return Err("it says not what it is, or not what to do".to_owned());
    }
    // What another problem than the first choice shows is the machine's own matter.
    if expected.problem.starts_with(named) && !words("evidence").contains(expected.seen) {
        return Err(format!("{:?} is not in the evidence", expected.seen));
    }
    if took > LIMIT { Err(format!("it took {took:?}")) } else { Ok(()) }
}

/// All lines of a table at once; every one that is not as expected is told.
pub(super) async fn all(faults: Vec<LocalBoxFuture<'_, Result<(), String>>>) {
    let wrong: Vec<String> = join_all(faults).await.into_iter().filter_map(Result::err).collect();
    assert!(wrong.is_empty(), "{} of them:\n{}", wrong.len(), wrong.join("\n\n"));
}
