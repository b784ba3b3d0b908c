//! What agent and cloud of the version before said to each other (`tests/previous/exchanges`), said once more: to the present cloud,
//! and to the present agent.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse as _, Response};
use reqwest::Method;
use serde_json::json;
use storepulse_shared::batch::header::{self, BatchHeader};
use storepulse_testbed::by_hand::ByHand;
use storepulse_testbed::compat::exchange::{self, ANSWER_HEADERS, Answer, Exchange, is_as_before};
use storepulse_testbed::compat::folder;
use storepulse_testbed::store::{Agent, AgentSetup};
use storepulse_testbed::upkeep::as_admin;
use storepulse_testbed::wait;
use tokio::task::JoinSet;

use crate::setting::{Setting, now_ms, testbed};

const LIMIT: Duration = Duration::from_secs(30);

fn recorded() -> Vec<(String, Exchange)> {
    exchange::load(&folder().unwrap().join("exchanges")).unwrap()
}

async fn say(hand: &ByHand, asked: &exchange::Request) -> Answer {
    let method: Method = asked.method.parse().unwrap();
    let mut request = hand.request(method, &asked.path);
    for (name, value) in &asked.headers {
        request = request.header(name, value);
    }
    let answer = request.body(asked.body().unwrap()).send().await.unwrap();
    let text =
        |name: &&str| Some(((*name).to_owned(), answer.headers().get(*name)?.to_str().ok()?.to_owned()));
    let (status, headers) = (answer.status().as_u16(), ANSWER_HEADERS.iter().filter_map(text).collect());
    let json = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or_default();
    Answer { status, headers, json }
}

#[tokio::test]
async fn what_agents_of_the_version_before_send_is_answered_as_it_was() {
    let setting = Setting::new().await;
    // Recorded samples grow old; ten years are the longest retention there is.
    as_admin(&setting.db, "update tenants set retention_days = 3660").await.unwrap();
    let hand =
        |store: usize| ByHand::new(&setting.cloud.url(), None, Some(setting.stores[store].bearer())).unwrap();
    let nobody = ByHand::new(&setting.cloud.url(), None, None).unwrap();
    let wrong_key = format!("Bearer store_la-villa_T02_{}", "0".repeat(46));
    let stranger = ByHand::new(&setting.cloud.url(), None, Some(wrong_key)).unwrap();
    let (mut wrong, all) = (Vec::new(), recorded());
    assert!(all.len() > 12, "{}", all.len());
    for (name, Exchange { request, answer }) in &all {
        let is_of_the_agent = name.ends_with("-agent");
        let sender = match (request.has_key, answer.status) {
            (false, _) => &nobody,
            (true, 401) => &stranger,
            (true, _) if is_of_the_agent => &hand(0),
            (true, _) => &hand(1),
        };
        if request.path == "/v1/store/settings" {
            // What that version did not know may be there by now.
            continue;
        }
        let now = say(sender, request).await;
        let is_numbered = request.headers.contains_key("storepulse-batch");
        if is_numbered && now.json["batch"] != answer.json["batch"] {
            wrong.push(format!("{name}: {} is not {}", now.json["batch"], answer.json["batch"]));
        }
        if let Err(why) = is_as_before(answer, &now) {
            wrong.push(format!("{name}: {} {}: {why}", request.method, request.path));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// A cloud that says nothing but what that of the version before said.
#[derive(Clone)]
struct Before {
    exchanges: Arc<Vec<Exchange>>,
    acked: Arc<Mutex<BTreeMap<String, u64>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Before {
    fn find(&self, method: &str, path: &str, status: u16) -> Option<Answer> {
        let path = path.split('?').next().unwrap();
        let is_it = |one: &&Exchange| {
            one.request.method == method && one.request.path == path && one.answer.status == status
        };
        self.exchanges.iter().find(is_it).map(|one| one.answer.clone())
    }
}

async fn answer(State(before): State<Before>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let (method, path) = (parts.method.as_str(), parts.uri.path().to_owned());
    before.asked.lock().unwrap().push(format!("{method} {path}"));
    to_bytes(body, 2 << 20).await.unwrap();
    let mut answer = match (method, path.as_str()) {
        ("POST", "/v1/metrics/batch") => {
            let header: BatchHeader = parts.headers[header::NAME].to_str().unwrap().parse().unwrap();
            let mut ack = before.find(method, &path, 200).expect("an ack was recorded");
            let through = {
                let mut acked = before.acked.lock().unwrap();
                let through = acked.entry(header.batch.epoch.to_string()).or_default();
                *through = header.batch.seq.max(*through);
                *through
            };
            ack.json["batch"] = json!(header.batch.to_string());
            ack.json["processed"] = json!(header.samples);
            ack.json["duplicate"] = json!(false);
            ack.json["through"] = json!({ header.batch.epoch.to_string(): through });
            ack
        }
        ("GET", "/health") => {
            before.find(method, &path, 200).expect("the agent's question for the time was recorded")
        }
        // A route that it did not know.
        _ => before.find("GET", "/v1/store/settings", 404).expect("an unknown route was recorded"),
    };
    for name in ["server_time", "time"] {
        if answer.json.get(name).is_some() {
            answer.json[name] = json!(now_ms());
        }
    }
    let status = StatusCode::from_u16(answer.status).unwrap();
    let mut response = (status, answer.json.to_string()).into_response();
    for (name, value) in answer.headers {
        response.headers_mut().insert(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
    }
    response
}

#[tokio::test]
async fn an_agent_works_with_a_cloud_that_answers_as_the_version_before_did() {
    let setting = Setting::new().await;
    let exchanges = Arc::new(recorded().into_iter().map(|(_, one)| one).collect());
    let before = Before { exchanges, acked: Arc::default(), asked: Arc::default() };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (mut task, router) = (JoinSet::new(), Router::new().fallback(answer).with_state(before.clone()));
    task.spawn(async move { axum::serve(listener, router).await.unwrap() });

    let devices = "  gateway:\n    host: { interval: 200ms }\n".to_owned();
    let setup = AgentSetup { cloud_url: Some(url), devices, ..AgentSetup::default() };
    let mut agent = Agent::start(testbed(), &setting.stores[0], &setup).await.unwrap();
    let acked = || before.acked.lock().unwrap().values().sum::<u64>();
    let sent =
        wait::until("three batches to be acknowledged", LIMIT, async || Ok((acked() >= 3).then_some(())));
    sent.await.unwrap_or_else(|error| panic!("{error:#}\n{}", agent.said()));
    agent.until_drained_once(LIMIT).await.unwrap();
    let status = agent.read_status().await.unwrap();
    assert_eq!(status["uplink"]["state"], "connected", "{status:#}");
    agent.stop().await.unwrap();
    // What it asked and that cloud did not know is no trouble, and is not asked again and again.
    let asked = before.asked.lock().unwrap().clone();
    let unknown: Vec<_> =
        asked.iter().filter(|path| !path.ends_with("/batch") && !path.ends_with("/health")).collect();
    assert!(unknown.len() <= 4, "{unknown:?}");
    let said = agent.said();
    assert!(!said.contains("ERROR"), "{said}");
}
