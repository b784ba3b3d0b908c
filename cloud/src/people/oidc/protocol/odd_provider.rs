//! A provider for tests, which is good unless it is told to say something else: the odd ones are not to be had elsewhere.
//!
//! What well-behaved ones do is tried with a foreign program (`tests/peers/oidc`).

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::Registration;

/// The client that it knows.
pub(super) const CLIENT: &str = "storepulse";
/// And its secret.
pub(super) const SECRET: &str = "kept-by-both";

/// A key that signs with ES256.
pub(super) struct Key {
    pub(super) id: &'static str,
    private: EncodingKey,
    jwk: Value,
}

impl Key {
    pub(super) fn make(id: &'static str) -> Self {
        let pair = rcgen::KeyPair::generate().unwrap();
        // Uncompressed: 4, x, y.
        let (x, y) = pair.public_key_raw()[1..].split_at(32);
        let [x, y] = [x, y].map(|part| URL_SAFE_NO_PAD.encode(part));
        let jwk =
            json!({ "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": id, "x": x, "y": y });
        Self { id, private: EncodingKey::from_ec_der(&pair.serialize_der()), jwk }
    }

    pub(super) fn sign(&self, claims: &Value) -> String {
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(self.id.to_owned());
        self.sign_as(&header, claims)
    }

    pub(super) fn sign_as(&self, header: &Header, claims: &Value) -> String {
        jsonwebtoken::encode(header, claims, &self.private).unwrap()
    }
}

#[derive(Default)]
struct Script {
    /// What is answered at a path: each once, the last one always.
    answers: HashMap<String, Vec<(u16, String)>>,
    /// What was asked there.
    asked: HashMap<String, Vec<String>>,
}

/// The provider. It ends with this.
pub(super) struct OddProvider {
    pub(super) issuer: String,
    script: Arc<Mutex<Script>>,
    _server: JoinSet<()>,
}

impl OddProvider {
    pub(super) async fn start(key: &Key) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let script = Arc::new(Mutex::new(Script::default()));
        let says = Arc::clone(&script);
        let router = Router::new().fallback(move |request: Request| {
            let says = Arc::clone(&says);
            async move { answer(&says, request).await }
        });
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, router).await.unwrap() });
        let provider = Self { issuer, script, _server: server };
        provider.says("/.well-known/openid-configuration", &provider.description());
        provider.says("/keys", &json!({ "keys": [key.jwk] }));
        provider
    }

    pub(super) fn description(&self) -> Value {
        let at = |path: &str| format!("{}{path}", self.issuer);
        json!({
            "issuer": self.issuer,
            "authorization_endpoint": at("/authorize"),
            "token_endpoint": at("/token"),
            "jwks_uri": at("/keys"),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
        })
    }

    pub(super) fn describes_itself_with(&self, field: &str, value: Value) {
        let mut description = self.description();
        description[field] = value;
        self.says("/.well-known/openid-configuration", &description);
    }

    /// What a good token of this sign-in says.
    pub(super) fn claims(&self, nonce: &str) -> Value {
        let now_s = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
        json!({
            "iss": self.issuer, "aud": CLIENT, "sub": "u-17", "nonce": nonce, "iat": now_s, "exp": now_s + 300,
            "email": "ana.ruiz@retail.example", "email_verified": true,
        })
    }

    pub(super) fn gives(&self, id_token: &str) {
        self.says("/token", &json!({ "access_token": "a-t", "token_type": "Bearer", "id_token": id_token }));
    }

    pub(super) fn says(&self, path: &str, json: &Value) {
        self.answers(path, &[(200, json.to_string())]);
    }

    pub(super) fn names_keys(&self, in_turn: &[&[&Key]]) {
        let keys = |keys: &&[&Key]| {
            let keys: Vec<&Value> = keys.iter().map(|key| &key.jwk).collect();
            (200, json!({ "keys": keys }).to_string())
        };
        self.answers("/keys", &in_turn.iter().map(keys).collect::<Vec<_>>());
    }

    pub(super) fn answers(&self, path: &str, in_turn: &[(u16, String)]) {
        let last_first = in_turn.iter().rev().cloned().collect();
        self.script.lock().unwrap().answers.insert(path.to_owned(), last_first);
    }

    /// The bodies of what it was asked there.
    pub(super) fn asked(&self, path: &str) -> Vec<String> {
        self.script.lock().unwrap().asked.get(path).cloned().unwrap_or_default()
    }

    pub(super) fn registration(&self) -> Registration {
        Registration {
            issuer: self.issuer.clone(),
            client_id: CLIENT.to_owned(),
            client_secret: Some(SECRET.to_owned()),
        }
    }
}

async fn answer(script: &Mutex<Script>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let body = axum::body::to_bytes(request.into_body(), 65_536).await.unwrap();
    let mut script = script.lock().unwrap();
    script.asked.entry(path.clone()).or_default().push(String::from_utf8(body.to_vec()).unwrap());
    let Some(answers) = script.answers.get_mut(&path) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let (status, body) = if answers.len() > 1 { answers.pop().unwrap() } else { answers[0].clone() };
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::LOCATION, "/elsewhere")];
    (StatusCode::from_u16(status).unwrap(), headers, body).into_response()
}
