//! Something that stands before the real cloud and is picky: what it does not like it refuses as the cloud would, with the
//! number closed there first. Everything else it hands through.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use storepulse_shared::answer::{PROBLEM_MEDIA_TYPE, Problem};
use storepulse_shared::batch::header::{self, BatchHeader};
use storepulse_shared::gzip;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// How it is at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mood {
    /// Hands everything through.
    Kind,
    /// Refuses every batch in whose text this stands.
    Dislikes(&'static str),
    /// Hands everything through, and answers as a proxy does whose upstream is gone.
    Mute,
}

pub(super) struct Picky {
    pub(super) url: String,
    mood: Arc<Mutex<Mood>>,
    _task: JoinSet<()>,
}

#[derive(Clone)]
struct Way {
    cloud: String,
    client: reqwest::Client,
    mood: Arc<Mutex<Mood>>,
}

impl Picky {
    pub(super) async fn start(cloud: &str, mood: Mood) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mood = Arc::new(Mutex::new(mood));
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let way = Way { cloud: cloud.to_owned(), client, mood: Arc::clone(&mood) };
        let router = Router::new().fallback(answer).with_state(way);
        let mut task = JoinSet::new();
        task.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, mood, _task: task }
    }

    pub(super) fn be(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }
}

async fn answer(State(way): State<Way>, request: Request) -> Response {
    let mood = *way.mood.lock().unwrap();
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 2 << 20).await.unwrap();
    let dislikes = match mood {
        Mood::Dislikes(word) if parts.method == Method::POST => {
            let text = gzip::inflate(&body, 16 << 20).unwrap_or_default();
            text.windows(word.len()).any(|found| found == word.as_bytes())
        }
        _ => false,
    };
    let method = if dislikes { Method::DELETE } else { parts.method.clone() };
    let mut headers = parts.headers.clone();
    for own in [HOST, CONTENT_LENGTH] {
        headers.remove(own);
    }
    let request = way.client.request(method, format!("{}{}", way.cloud, parts.uri)).headers(headers);
    let Ok(answer) = request.body(if dislikes { Vec::new() } else { body.to_vec() }).send().await else {
        return StatusCode::BAD_GATEWAY.into_response();
    };
    if dislikes && answer.status() == StatusCode::GONE {
        let batch: BatchHeader = parts.headers[header::NAME].to_str().unwrap().parse().unwrap();
        let mut problem = Problem::of(422, "not_liked", "there is something in it that is not liked");
        problem.batch = Some(batch.batch);
        let text = serde_json::to_string(&problem).unwrap();
        return (StatusCode::UNPROCESSABLE_ENTITY, [(CONTENT_TYPE, PROBLEM_MEDIA_TYPE)], text)
            .into_response();
    }
    if mood == Mood::Mute && parts.method == Method::POST {
        return StatusCode::BAD_GATEWAY.into_response();
    }
    let (status, headers) = (answer.status(), answer.headers().clone());
    let mut response = Response::new(Body::from(answer.bytes().await.unwrap()));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}
