//! Clouds that get it wrong: a proxy in front of the real one that makes one mistake each, as real services have made
//! them. The routes must notice every one; otherwise they prove nothing.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http_body_util::BodyExt as _;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::keys::bearer;
use super::wire::{self, Answer, Request};
use super::world::{VICTIM, World};

/// A mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// `X-Tenant-ID` decides.
    BelievesTheTenantHeader,
    /// The host name decides.
    BelievesTheHost,
    /// What a proxy seems to say decides.
    BelievesTheForwardedHost,
    /// A parameter decides.
    BelievesTheQuery,
    /// The text of the key decides, whatever its secret.
    BelievesTheKeysText,
    /// A key opens all stores of its tenant.
    ForgetsTheStore,
    /// A revoked key still opens.
    ForgetsTheRevocation,
    /// A suspended tenant's key still opens.
    ForgetsTheSuspension,
    /// Answers are remembered by path, for whoever asks next.
    SharesItsMemory,
    /// What is not yours is answered otherwise than what does not exist.
    TellsWhatExists,
    /// A revoked key is answered otherwise than an unknown one.
    TellsWhyItRefuses,
    /// A name in other letters is the same name.
    ReadsNamesLoosely,
    /// Every answer says where it comes from.
    NamesSomebodyInAHeader,
    /// What one sends is stored for another.
    StoresForSomebodyElse,
    /// There is a route that nobody has looked at.
    HasAnotherRoute,
}

impl Flaw {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::BelievesTheTenantHeader,
        Self::BelievesTheHost,
        Self::BelievesTheForwardedHost,
        Self::BelievesTheQuery,
        Self::BelievesTheKeysText,
        Self::ForgetsTheStore,
        Self::ForgetsTheRevocation,
        Self::ForgetsTheSuspension,
        Self::SharesItsMemory,
        Self::TellsWhatExists,
        Self::TellsWhyItRefuses,
        Self::ReadsNamesLoosely,
        Self::NamesSomebodyInAHeader,
        Self::StoresForSomebodyElse,
        Self::HasAnotherRoute,
    ];
}

/// A running one.
#[derive(Debug)]
pub struct BadCloud {
    /// Where it listens.
    pub address: SocketAddr,
    /// Ends when this is dropped.
    _serving: JoinSet<std::io::Result<()>>,
}

/// What the proxy knows.
struct Mistake {
    flaw: Flaw,
    behind: SocketAddr,
    victim: String,
    stranger: String,
    sibling: String,
    revoked: String,
    suspended: String,
    word: String,
    memory: Mutex<HashMap<String, Answer>>,
}

impl BadCloud {
    /// Puts one in front of the world's cloud.
    ///
    /// # Errors
    /// No port is free.
    pub async fn start(world: &World, flaw: Flaw) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let mistake = Mistake {
            flaw,
            behind: world.address,
            victim: world.victim.bearer(),
            stranger: world.stranger.bearer(),
            sibling: world.sibling.bearer(),
            revoked: bearer(&world.odd_keys.revoked),
            suspended: world.suspended_tenant.bearer(),
            word: world.victim.word.clone(),
            memory: Mutex::default(),
        };
        let router = Router::new().fallback(pass).with_state(Arc::new(mistake));
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, router).await });
        Ok(Self { address, _serving: serving })
    }
}

async fn pass(State(mistake): State<Arc<Mistake>>, request: axum::extract::Request) -> Response {
    match mistake.pass(request).await {
        Ok(response) => response,
        Err(error) => {
            let mut response = Response::new(Body::from(format!("{error:#}")));
            *response.status_mut() = axum::http::StatusCode::BAD_GATEWAY;
            response
        }
    }
}

impl Mistake {
    async fn pass(&self, request: axum::extract::Request) -> anyhow::Result<Response> {
        let (parts, body) = request.into_parts();
        let target = parts.uri.path_and_query().context("a request without a target")?.as_str();
        let mut request = Request::new(parts.method.as_str(), target);
        for (name, value) in parts.headers.iter().filter(|(name, _)| *name != "content-length") {
            // Bytes that are no text were no key either.
            request = request.with(name.as_str(), value.to_str().unwrap_or("?"));
        }
        request.body = body.collect().await?.to_bytes().to_vec();
        let asked = request.clone();
        self.spoil(&mut request);
        let answer = match self.remembered(&asked) {
            Some(answer) => answer,
            None => self.spoil_answer(&asked, wire::send(self.behind, &request).await?),
        };
        let mut response = Response::builder().status(answer.status);
        for line in answer.head.iter().filter(|line| !line.starts_with("content-length")) {
            let (name, value) = line.split_once(": ").context("a line of a head without a colon")?;
            response = response.header(name, value);
        }
        Ok(response.body(Body::from(answer.body))?)
    }

    /// Asks for something else than the caller may.
    fn spoil(&self, request: &mut Request) {
        let says = |name: &str, text: &str| {
            request.headers.iter().any(|(n, value)| n == name && value.contains(text))
        };
        let caller = request.headers.iter().find(|(name, _)| name == "authorization").map(|(_, v)| v.clone());
        let caller = caller.unwrap_or_default();
        let becomes_victim = match self.flaw {
            Flaw::BelievesTheTenantHeader => caller == self.stranger && says("x-tenant-id", VICTIM),
            Flaw::BelievesTheHost => caller == self.stranger && says("host", VICTIM),
            Flaw::BelievesTheForwardedHost => caller == self.stranger && says("x-forwarded-host", VICTIM),
            Flaw::BelievesTheQuery => {
                caller == self.stranger && request.target.contains("tenant_id=la-villa")
            }
            Flaw::BelievesTheKeysText => caller.starts_with("Bearer store_la-villa_T01_"),
            Flaw::ForgetsTheStore => caller == self.sibling && request.target.contains("/T01/"),
            Flaw::ForgetsTheRevocation => caller == self.revoked,
            Flaw::StoresForSomebodyElse => caller == self.stranger && request.method == "POST",
            _ => false,
        };
        if becomes_victim {
            request.headers.retain(|(name, _)| name != "authorization" && name != "x-tenant-id");
            request.headers.push(("authorization".to_owned(), self.victim.clone()));
        }
        if self.flaw == Flaw::ForgetsTheSuspension && caller == self.suspended {
            request.headers.retain(|(name, _)| name != "authorization");
            request.headers.push(("authorization".to_owned(), self.stranger.clone()));
        }
        if self.flaw == Flaw::ReadsNamesLoosely {
            request.target = request.target.replace("/t01/", "/T01/");
        }
    }

    /// Tells more than it should.
    fn spoil_answer(&self, asked: &Request, mut answer: Answer) -> Answer {
        let detail = |answer: &mut Answer, text: &str| {
            let body = String::from_utf8_lossy(&answer.body).replacen(
                "\"detail\":\"",
                &format!("\"detail\":\"{text}"),
                1,
            );
            answer.body = body.into_bytes();
        };
        match self.flaw {
            Flaw::TellsWhatExists if answer.status == 404 && asked.target.contains("V77") => {
                detail(&mut answer, "another store: ");
            }
            Flaw::TellsWhyItRefuses if asked.headers.iter().any(|(_, value)| *value == self.revoked) => {
                detail(&mut answer, "revoked: ");
            }
            Flaw::NamesSomebodyInAHeader => answer.head.push(format!("etag: {}", self.word)),
            Flaw::HasAnotherRoute if asked.target == "/openapi.json" => {
                let body = String::from_utf8_lossy(&answer.body);
                answer.body =
                    body.replacen("\"paths\":{", "\"paths\":{\"/v1/more\":{\"get\":{}},", 1).into_bytes();
            }
            Flaw::SharesItsMemory if asked.method == "GET" && answer.status == 200 => {
                let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
                memory.insert(asked.target.clone(), answer.clone());
            }
            _ => {}
        }
        answer
    }

    fn remembered(&self, asked: &Request) -> Option<Answer> {
        if self.flaw != Flaw::SharesItsMemory || asked.method != "GET" || asked.target.starts_with("/metrics")
        {
            return None;
        }
        self.memory.lock().unwrap_or_else(PoisonError::into_inner).get(&asked.target).cloned()
    }
}
