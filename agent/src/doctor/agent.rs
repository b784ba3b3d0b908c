//! Whether the agent runs here, and what it says of itself; and if somebody else listens where it would, who.

use std::io;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};

use super::check::Check;
use super::listener;
use crate::collector::Holder;
use crate::config::Config;
use crate::finding::{Finding, Problem};
use crate::status::units::duration;

pub(super) const AGENT: &str = "agent";
pub(super) const PUSH: &str = "push listener";
pub(super) const UPLINK: &str = "uplink";

/// How long it may take to answer.
const LIMIT: Duration = Duration::from_secs(4);
/// Most of an answer that is read.
const BYTES_MAX: usize = 8 << 20;

/// The running agent, if one runs.
#[derive(Debug, Default)]
pub(super) struct Running {
    /// What it says of itself, as of `/status`.
    pub status: Option<Value>,
    /// Its process, if we may see it.
    pub pid: Option<u32>,
}

impl Running {
    /// What it says of a device.
    pub(super) fn device(&self, id: &str) -> Option<&Value> {
        self.status.as_ref()?["devices"].get(id)
    }
}

/// Asks it.
pub(super) async fn look(config: &Config) -> (Running, Vec<Check>) {
    let address = config.local.listen;
    let connected = tokio::time::timeout(LIMIT, TcpStream::connect(address)).await;
    if !matches!(connected, Ok(Ok(_))) {
        let finding = Finding::new(Problem::NotRunning).with("address", address.to_string());
        let mut evidence = format!("nothing answers on {address}");
        if let Err(error) = TcpListener::bind(address).await {
            evidence = format!("{evidence}, and the agent could not listen there: {error}");
        }
        let push = push_listener(config).await;
        let uplink = Check::skipped(UPLINK, "no agent runs");
        return (Running::default(), vec![Check::found(AGENT, finding, evidence), push, uplink]);
    }
    drop(connected);
    let holder = listener::holder(Path::new("/proc"), address);
    let pid = holder.as_ref().map(|holder| holder.pid);
    let push = Check::skipped(PUSH, "the running agent has it");
    let check = match ask(config).await {
        Ok((200, status)) if is_ours(&status) => {
            let check = Check::pass(AGENT, runs(&status, address));
            let uplink = uplink(&status);
            return (Running { status: Some(status), pid }, vec![check, push, uplink]);
        }
        Ok((503, told)) if is_of_us(holder.as_ref()) => {
            let said = told.as_str().unwrap_or("no reason").to_owned();
            Check::found(AGENT, Finding::new(Problem::SpoolFailing), said)
        }
        answered => taken(holder.as_ref(), address, answered.err()),
    };
    (Running { status: None, pid }, vec![check, push, Check::skipped(UPLINK, "the agent does not tell")])
}

/// Its version, and since when it runs: one that has just started, and nobody has started it, has died.
fn runs(status: &Value, address: std::net::SocketAddr) -> String {
    let version = status["version"].as_str().unwrap_or("-");
    let age_ms = status["now_ms"].as_i64().zip(status["started_ms"].as_i64()).map(|(now, since)| now - since);
    let age = age_ms.map_or_else(String::new, |ms| format!(" for {}", duration(ms)));
    format!("runs{age}, version {version}, answers on {address}")
}

/// How the agent's own uplink is doing. What is wrong with the way is found by going it.
fn uplink(status: &Value) -> Check {
    let uplink = &status["uplink"];
    let (state, reason) = (uplink["state"].as_str().unwrap_or("-"), uplink["reason"].as_str());
    let now_ms = status["now_ms"].as_i64().unwrap_or_default();
    let ack = uplink["last_ack_ms"].as_i64().map_or_else(
        || "no acknowledgement yet".to_owned(),
        |ack_ms| format!("last acknowledgement {} ago", duration(now_ms.saturating_sub(ack_ms))),
    );
    let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
    let evidence = format!("{state}{reason}; {ack}");
    if state == "connected" { Check::pass(UPLINK, evidence) } else { Check::skipped(UPLINK, evidence) }
}

fn taken(holder: Option<&Holder>, address: std::net::SocketAddr, why: Option<String>) -> Check {
    let why = why.map_or_else(String::new, |why| format!(": {why}"));
    if is_of_us(holder) {
        let finding = Finding::new(Problem::NotRunning).with("address", address.to_string());
        return Check::found(AGENT, finding, format!("it listens on {address} and does not answer{why}"));
    }
    let who = holder.map_or_else(|| "another program".to_owned(), ToString::to_string);
    let finding =
        Finding::new(Problem::ListenerTaken).with("address", address.to_string()).with("holder", &who);
    Check::found(AGENT, finding, format!("{who} listens on {address}, and is no agent{why}"))
}

/// Whether it is a process of this program.
fn is_of_us(holder: Option<&Holder>) -> bool {
    let ours = std::env::current_exe().ok();
    let theirs = holder.and_then(|holder| std::fs::read_link(format!("/proc/{}/exe", holder.pid)).ok());
    ours.is_some() && ours == theirs
}

fn is_ours(status: &Value) -> bool {
    status["version"].is_string() && status["devices"].is_object() && status["uplink"].is_object()
}

/// Status and body, as JSON or as the text that it is.
async fn ask(config: &Config) -> Result<(u16, Value), String> {
    let client = reqwest::Client::builder().no_proxy().timeout(LIMIT).build().map_err(|e| e.to_string())?;
    let url = format!("http://{}/status", config.local.listen);
    let mut response = client.get(url).send().await.map_err(|error| why(&error))?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| why(&error))? {
        body.extend_from_slice(&chunk);
        if body.len() > BYTES_MAX {
            return Err("its answer is too long for one of ours".to_owned());
        }
    }
    let text = || Value::String(String::from_utf8_lossy(&body).into_owned());
    Ok((response.status().as_u16(), serde_json::from_slice(&body).unwrap_or_else(|_| text())))
}

fn why(error: &reqwest::Error) -> String {
    if error.is_timeout() { "no answer in time".to_owned() } else { "its answer is no HTTP".to_owned() }
}

/// Where an agent that does not run would take pushes.
async fn push_listener(config: &Config) -> Check {
    let Some(push) = &config.push else { return Check::skipped(PUSH, "none is configured") };
    match TcpListener::bind(push.listen).await {
        Ok(_) => Check::pass(PUSH, format!("{} is free", push.listen)),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            let holder = listener::holder(Path::new("/proc"), push.listen);
            let who = holder.map_or_else(|| "another program".to_owned(), |holder| holder.to_string());
            let finding = Finding::new(Problem::ListenerTaken)
                .with("address", push.listen.to_string())
                .with("holder", &who);
            Check::found(PUSH, finding, format!("{who} listens on {}", push.listen))
        }
        Err(error) => Check::skipped(PUSH, format!("{}: {error}", push.listen)),
    }
}
