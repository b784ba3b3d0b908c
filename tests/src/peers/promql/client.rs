//! Who asks: this process, and `promtool query`, which cannot show a bearer and gets it from a forwarder on the way.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::IntoResponse;
use tokio::task::JoinSet;

use super::data::Samples;
use super::{Question, Reply};
use crate::cloud::http_client;

/// Asks one server.
#[derive(Debug, Clone)]
pub(super) struct Client {
    http: reqwest::Client,
    url: String,
    bearer: Option<String>,
}

impl Client {
    pub(super) fn new(url: &str, bearer: Option<String>) -> anyhow::Result<Self> {
        Ok(Self { http: http_client(None)?, url: url.to_owned(), bearer })
    }

    pub(super) async fn ask(&self, question: &Question) -> anyhow::Result<Reply> {
        let url =
            reqwest::Url::parse_with_params(&format!("{}{}", self.url, question.path), &question.parameters)?;
        let mut request = self.http.get(url);
        if let Some(bearer) = &self.bearer {
            request = request.header("Authorization", bearer);
        }
        let answer = request.send().await?;
        let status = answer.status().as_u16();
        Reply::of(status, &answer.bytes().await?)
    }
}

/// What `promtool` printed from one server and not from the other.
#[derive(Debug, Default)]
pub(super) struct ByPromtool {
    pub runs: usize,
    pub differences: Vec<String>,
}

/// Runs `promtool query` against both: it must print the same.
pub(super) async fn by_promtool(
    theirs: &str,
    ours: &str,
    bearer: &str,
    samples: &Samples,
) -> anyhow::Result<ByPromtool> {
    let (forwarder, mut tasks) = forward(ours, bearer).await?;
    let forwarder = format!("http://{forwarder}");
    let (start, end) = samples.range_asked();
    let seconds = |ms: i64| format!("{}", ms / 1_000);
    let (start, end) = (seconds(start), seconds(end));
    let time = format!("--time={}", seconds(samples.times_asked()[1]));
    let (from, to) = (format!("--start={start}"), format!("--end={end}"));
    let mut result = ByPromtool::default();
    for (command, behind) in [
        (vec!["instant", &*time], vec!["sort(sum by (device) (requests_total))"]),
        (vec!["instant", &*time, "--format=json"], vec!["temperature"]),
        (vec!["instant", &*time], vec!["no such query"]),
        (vec!["range", &*from, &*to, "--step=5m"], vec!["max by (room) (limit)"]),
        (vec!["series", &*from, &*to, "--match=requests_total", "--match={room=\"front\"}"], vec![]),
        (vec!["labels", &*from, &*to], vec!["device"]),
        (vec!["labels", &*from, &*to], vec!["__name__"]),
    ] {
        let mut printed = Vec::new();
        for url in [theirs, &*forwarder] {
            let args: Vec<&str> = [&["query"][..], &command, &[url], &behind].concat();
            let mut promtool = tokio::process::Command::new("promtool");
            let output = promtool.args(&args).kill_on_drop(true).output().await.context("promtool")?;
            let text = [output.stdout, output.stderr].concat();
            printed.push((output.status.success(), String::from_utf8_lossy(&text).into_owned()));
        }
        result.runs += 1;
        // Of an error, the words are each parser's own.
        if printed[0] != printed[1] && (printed[0].0 || printed[1].0) {
            let (theirs, ours) = (&printed[0].1, &printed[1].1);
            result
                .differences
                .push(format!("promtool {command:?}\n    theirs {theirs:.600}\n    ours   {ours:.600}"));
        }
        if printed[0].1.is_empty() {
            result.differences.push(format!("promtool {command:?} printed nothing"));
        }
    }
    tasks.shutdown().await;
    Ok(result)
}

struct Forwarder {
    http: reqwest::Client,
    to: String,
    bearer: String,
}

/// Sends everything on with the bearer.
async fn forward(to: &str, bearer: &str) -> anyhow::Result<(SocketAddr, JoinSet<()>)> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let forwarder = Forwarder { http: http_client(None)?, to: to.to_owned(), bearer: bearer.to_owned() };
    let router = Router::new().fallback(forwarded).with_state(Arc::new(forwarder));
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        // It ends when it is aborted.
        let _ = axum::serve(listener, router).await;
    });
    Ok((address, tasks))
}

async fn forwarded(State(forwarder): State<Arc<Forwarder>>, request: Request) -> impl IntoResponse {
    forwarder
        .forward(request)
        .await
        .unwrap_or_else(|error| (StatusCode::BAD_GATEWAY, Bytes::from(format!("{error:#}"))))
}

impl Forwarder {
    async fn forward(&self, request: Request) -> anyhow::Result<(StatusCode, Bytes)> {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let method = if parts.method == Method::POST { reqwest::Method::POST } else { reqwest::Method::GET };
        let mut onward =
            self.http.request(method, format!("{}{path}", self.to)).header("Authorization", &self.bearer);
        if let Some(form) = parts.headers.get(header::CONTENT_TYPE) {
            onward = onward.header("Content-Type", form.as_bytes());
        }
        let answer = onward.body(axum::body::to_bytes(body, 1 << 20).await?).send().await?;
        Ok((StatusCode::from_u16(answer.status().as_u16())?, answer.bytes().await?))
    }
}
