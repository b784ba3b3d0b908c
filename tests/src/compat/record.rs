//! Writes down what this version says: exchanges of its agent and its cloud, heard by a proxy between them, and its queries. Done once
//! a version is out; the next one is held to it.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_LENGTH, HOST};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use storepulse_cloud::schema::MIGRATOR;
use storepulse_shared::ids::Epoch;
use time::OffsetDateTime;
use tokio::task::JoinSet;

use super::exchange::{ANSWER_HEADERS, Answer, Exchange, REQUEST_HEADERS};
use super::{Previous, exchange, folder, queries};
use crate::by_hand::{ByHand, HandBatch, samples};
use crate::cloud::Cloud;
use crate::cluster::{Cluster, TestDb};
use crate::run_dir::RunDir;
use crate::store::{self, Agent, AgentSetup};
use crate::wait;

const LIMIT: Duration = Duration::from_secs(30);
/// Exchanges of the agent that are kept; the rest is like them.
const OF_THE_AGENT: usize = 6;

#[derive(Clone)]
struct Ear {
    cloud: String,
    client: reqwest::Client,
    heard: Arc<Mutex<Vec<Exchange>>>,
}

/// Records into `tests/previous`, in the place of what was there.
pub(super) async fn run(testbed: &Path, out: &mut impl Write) -> anyhow::Result<()> {
    let run_dir = RunDir::create("record")?;
    let cluster = Cluster::start(&run_dir, false).await?;
    let db = cluster.database().await?;
    let exchanges = exchanges(testbed, &db, &run_dir).await?;
    let known = queries::understood(&db.admin, &queries::committed()?).await?;
    let known = known.into_iter().collect::<Result<Vec<_>, String>>().map_err(anyhow::Error::msg)?;
    let dir = folder()?;
    if dir.exists() {
        std::fs::remove_dir_all(&dir)?;
    }
    std::fs::create_dir_all(dir.join("exchanges"))?;
    for ((name, exchange), no) in exchanges.iter().zip(1..) {
        let text = serde_json::to_string_pretty(exchange)? + "\n";
        std::fs::write(dir.join(format!("exchanges/{no:02}-{name}.json")), text)?;
    }
    let lines: Vec<String> = known.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
    std::fs::write(dir.join("queries.jsonl"), lines.join("\n") + "\n")?;
    let migration = MIGRATOR.iter().map(|migration| migration.version).max().context("a migration")?;
    let version = Previous { recorded: OffsetDateTime::now_utc().date().to_string(), migration };
    std::fs::write(dir.join("version.json"), serde_json::to_string_pretty(&version)? + "\n")?;
    cluster.stop().await;
    writeln!(out, "{} exchanges and {} queries stand in {}", exchanges.len(), known.len(), dir.display())?;
    Ok(())
}

async fn exchanges(
    testbed: &Path,
    db: &TestDb,
    run_dir: &RunDir,
) -> anyhow::Result<Vec<(&'static str, Exchange)>> {
    let cloud = Cloud::start(db, None).await?;
    let (url, heard, mut task) = listen(&cloud.url()).await?;
    let out = run_dir.part("stores")?;
    let stores = store::onboard(db, "la-villa", &["T01", "T02"], &url, None, &out).await?;
    let devices = "  gateway:\n    host: { interval: 300ms }\n".to_owned();
    let setup = AgentSetup { devices, push: true, ..AgentSetup::default() };
    let mut agent = Agent::start(testbed, &stores[0], &setup).await?;
    let count = || heard.lock().unwrap_or_else(PoisonError::into_inner).len();
    wait::until("the agent to have said enough", LIMIT, async || Ok((count() >= OF_THE_AGENT).then_some(())))
        .await?;
    agent.stop().await?;
    let mut named: Vec<_> = taken(&heard).into_iter().take(OF_THE_AGENT).map(|one| ("agent", one)).collect();
    by_hand(&url, &stores[1]).await?;
    let names = BY_HAND.iter().copied();
    let by_hand = taken(&heard);
    anyhow::ensure!(by_hand.len() == BY_HAND.len(), "{} exchanges by hand", by_hand.len());
    named.extend(names.zip(by_hand));
    task.abort_all();
    cloud.stop().await?;
    Ok(named)
}

/// What [`by_hand`] says, in its order.
const BY_HAND: [&str; 12] = [
    "batch",
    "batch-again",
    "another-body",
    "span-too-long",
    "number-closed",
    "close-received",
    "close-unknown",
    "flat",
    "flat-with-a-bad-sample",
    "status",
    "no-such-route",
    "wrong-key",
];

/// What an agent says seldom, and what integrations say.
async fn by_hand(url: &str, store: &store::Store) -> anyhow::Result<()> {
    let hand = ByHand::new(url, None, Some(store.bearer()))?;
    let (epoch, now) = (Epoch::random(), storepulse_agent::time::now_ms());
    let first =
        HandBatch::of(epoch, 1, &samples("hw.temperature", &[now - 60_000, now - 30_000], &[4.1, 4.2]));
    hand.send(&first).await?;
    hand.send(&first).await?;
    hand.send(&HandBatch::of(epoch, 1, &samples("hw.temperature", &[now - 60_000], &[9.9]))).await?;
    let long = HandBatch::of(epoch, 2, &samples("hw.temperature", &[now - 100_000_000, now], &[1.0, 2.0]));
    hand.send(&long).await?;
    hand.send(&HandBatch::of(epoch, 2, &samples("hw.temperature", &[now], &[2.0]))).await?;
    hand.close(&first).await?;
    hand.close(&HandBatch::of(epoch, 3, &samples("hw.temperature", &[now], &[3.0]))).await?;
    let flat = |value: &str| {
        format!(
            "{{\"metrics\":[{{\"device_id\":\"POS01\",\"metric\":\"retail.pos.up\",\"value\":1,\"timestamp\":{now}}}{value}]}}"
        )
    };
    hand.push(&flat(""), Some("sale-4711")).await?;
    let bad =
        format!(",{{\"device_id\":\"POS 01\",\"metric\":\"retail.pos.up\",\"value\":1,\"timestamp\":{now}}}");
    hand.push(&flat(&bad), None).await?;
    hand.get("/v1/stores/T02/delivery").await?;
    hand.get("/v1/store/settings").await?;
    let wrong = format!("Bearer store_la-villa_T02_{}", "0".repeat(46));
    ByHand::new(url, None, Some(wrong))?.get("/v1/stores/T02/status").await?;
    Ok(())
}

fn taken(heard: &Mutex<Vec<Exchange>>) -> Vec<Exchange> {
    std::mem::take(&mut heard.lock().unwrap_or_else(PoisonError::into_inner))
}

type Heard = Arc<Mutex<Vec<Exchange>>>;

async fn listen(cloud: &str) -> anyhow::Result<(String, Heard, JoinSet<()>)> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let heard = Heard::default();
    let ear =
        Ear { cloud: cloud.to_owned(), client: crate::cloud::http_client(None)?, heard: Arc::clone(&heard) };
    let mut task = JoinSet::new();
    task.spawn(async move {
        // It ends with the set.
        let _ = axum::serve(listener, Router::new().fallback(hear).with_state(ear)).await;
    });
    Ok((url, heard, task))
}

async fn hear(State(ear): State<Ear>, request: Request) -> Response {
    match pass_on(&ear, request).await {
        Ok(answer) => answer,
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}

async fn pass_on(ear: &Ear, request: Request) -> anyhow::Result<Response> {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 2 << 20).await?;
    let mut asked = exchange::Request {
        method: parts.method.to_string(),
        path: parts.uri.to_string(),
        headers: kept(&parts.headers, &REQUEST_HEADERS),
        has_key: parts.headers.contains_key(AUTHORIZATION),
        bytes: None,
        text: None,
    };
    asked.keep(&body)?;
    let mut headers = parts.headers.clone();
    for own in [HOST, CONTENT_LENGTH] {
        headers.remove(own);
    }
    let request = ear.client.request(parts.method, format!("{}{}", ear.cloud, parts.uri)).headers(headers);
    let answer = request.body(body.to_vec()).send().await?;
    let (status, headers) = (answer.status(), answer.headers().clone());
    let body = answer.bytes().await?;
    let json = serde_json::from_slice(&body).unwrap_or_default();
    let answered = Answer { status: status.as_u16(), headers: kept(&headers, &ANSWER_HEADERS), json };
    let exchange = Exchange { request: asked, answer: answered };
    ear.heard.lock().unwrap_or_else(PoisonError::into_inner).push(exchange);
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

fn kept(headers: &HeaderMap, names: &[&str]) -> BTreeMap<String, String> {
    let text = |name: &&str| Some(((*name).to_owned(), headers.get(*name)?.to_str().ok()?.to_owned()));
    names.iter().filter_map(text).collect()
}
