//! Whether the keys do what they are for: real requests with each of them to the cloud, as the agents will make them.
//!
//! Before the tenant is open, each key must be known and closed: 403 `tenant_suspended`, where an unknown one has 401. After
//! it, each opens its own store (200), and nothing else: another store is 404, and so is one that does not exist; a claim to be
//! of another tenant is 403. A key that opens what it must not is [`Trouble::Leak`].
//!
//! A process of the cloud may remember for some seconds that the tenant was closed, so that answer is waited out.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use reqwest::StatusCode;
use reqwest::header::{AUTHORIZATION, HeaderValue, RETRY_AFTER};
use storepulse_shared::ids::StoreId;
use storepulse_shared::key::StoreKey;
use tokio::time::Instant;

use crate::resolution::TENANT_HEADER;

/// Requests under way at once.
const AT_ONCE: usize = 16;
/// How long one request may take.
const REQUEST: Duration = Duration::from_secs(10);
/// How long "closed", "busy" and "too fast" are waited out.
const PATIENCE: Duration = Duration::from_secs(15);
/// Between two attempts, at first and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(25), Duration::from_millis(500));
/// A tenant that cannot be: none of ours ends so.
const NOBODY: &str = "nobody-";

/// Why the keys are not as they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Trouble {
    /// The cloud cannot be reached, or does not know a key.
    #[error("{0}")]
    Wrong(String),
    /// A key opens what it must not.
    #[error("{0}")]
    Leak(String),
}

/// Whoever asks the cloud.
#[derive(Debug)]
pub(super) struct Probe {
    http: reqwest::Client,
    base: String,
}

/// An answer, as far as it matters.
struct Answer {
    status: StatusCode,
    /// The `code` of a problem.
    code: String,
    /// The `id` of a store.
    id: String,
}

impl Probe {
    /// Trusts this authority only if one is given, the system's otherwise.
    pub(super) fn new(cloud_url: &str, ca: Option<&str>) -> Result<Self, Trouble> {
        crate::tls::install_provider();
        let wrong = |error: reqwest::Error| Trouble::Wrong(told(&error));
        let mut builder = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("storepulse-onboarding/", env!("CARGO_PKG_VERSION")))
            .timeout(REQUEST);
        if let Some(pem) = ca {
            let authorities = reqwest::Certificate::from_pem_bundle(pem.as_bytes()).map_err(wrong)?;
            builder = builder.tls_certs_only(authorities);
        }
        let http = builder.build().map_err(wrong)?;
        Ok(Self { http, base: cloud_url.trim_end_matches('/').to_owned() })
    }

    /// Whether the cloud knows every key of a tenant that is not open yet; returns how many requests that took.
    pub(super) async fn are_known(&self, keys: &[StoreKey]) -> Result<usize, Trouble> {
        let known = stream::iter(keys).map(async |key| {
            let answer = self.ask(key, key.store(), None, |answer| answer.is("store_suspended")).await?;
            // Open already: somebody else has finished meanwhile.
            let is_known = answer.is("tenant_suspended") || answer.status == StatusCode::OK;
            if is_known { Ok(()) } else { Err(answer.is_wrong(key, "a key that is known")) }
        });
        known.buffer_unordered(AT_ONCE).try_collect::<Vec<()>>().await.map(|all| all.len())
    }

    /// Whether every key opens its own store and nothing else; returns how many requests that took.
    pub(super) async fn open_only_their_own(
        &self,
        keys: &[StoreKey],
        suspended: &HashSet<String>,
    ) -> Result<usize, Trouble> {
        let nowhere: StoreId = match "there-is-no-such-store".parse() {
            Ok(store) => store,
            Err(_) => return Ok(0),
        };
        let others = keys.iter().skip(1).chain(keys.first()).map(StoreKey::store);
        let probed = stream::iter(keys.iter().zip(others)).map(async |(key, other)| {
            let is_closed = suspended.contains(key.store().as_str());
            let other = if other == key.store() { &nowhere } else { other };
            self.opens_its_own(key, is_closed).await?;
            self.opens_no_other(key, other, is_closed).await?;
            Ok(3)
        });
        probed.buffer_unordered(AT_ONCE).try_fold(0, async |sum, requests| Ok(sum + requests)).await
    }

    async fn opens_its_own(&self, key: &StoreKey, is_closed: bool) -> Result<(), Trouble> {
        let answer = self.ask(key, key.store(), None, |answer| answer.is("tenant_suspended")).await?;
        let is_right = if is_closed {
            answer.is("store_suspended")
        } else {
            answer.status == StatusCode::OK && answer.id == key.store().as_str()
        };
        if is_right { Ok(()) } else { Err(answer.is_wrong(key, "its own store")) }
    }

    async fn opens_no_other(&self, key: &StoreKey, other: &StoreId, is_closed: bool) -> Result<(), Trouble> {
        let not_yet = |answer: &Answer| answer.is("tenant_suspended");
        let of_sibling = self.ask(key, other, None, not_yet).await?;
        let claimed = format!("{NOBODY}{}", key.tenant());
        let of_stranger = self.ask(key, key.store(), Some(&claimed), not_yet).await?;
        for (answer, refused, what) in [
            (of_sibling, StatusCode::NOT_FOUND, format!("store {other}")),
            (of_stranger, StatusCode::FORBIDDEN, "another tenant".to_owned()),
        ] {
            if answer.status.is_success() {
                let (store, label) = (key.store(), key.label());
                return Err(Trouble::Leak(format!("key {label} of store {store} opens {what}")));
            }
            if answer.status != refused && !(is_closed && answer.is("store_suspended")) {
                return Err(answer.is_wrong(key, &what));
            }
        }
        Ok(())
    }

    /// Asks until the answer is not one that passes by itself.
    async fn ask(
        &self,
        key: &StoreKey,
        store: &StoreId,
        claimed: Option<&str>,
        passes: impl Fn(&Answer) -> bool,
    ) -> Result<Answer, Trouble> {
        let deadline = Instant::now() + PATIENCE;
        let mut pause = PAUSES.0;
        loop {
            let (answer, wait) = self.ask_once(key, store, claimed).await?;
            let comes_back =
                matches!(answer.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
            let wait = if comes_back { wait.unwrap_or(pause) } else { pause };
            if !(comes_back || passes(&answer)) || Instant::now() + wait > deadline {
                return Ok(answer);
            }
            tokio::time::sleep(wait).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    async fn ask_once(
        &self,
        key: &StoreKey,
        store: &StoreId,
        claimed: Option<&str>,
    ) -> Result<(Answer, Option<Duration>), Trouble> {
        let wrong = |error: reqwest::Error| {
            Trouble::Wrong(format!("{} does not answer: {}", self.base, told(&error)))
        };
        let mut request = self.http.get(format!("{}/v1/stores/{store}/status", self.base));
        let mut bearer = HeaderValue::try_from(format!("Bearer {}", key.expose()))
            .map_err(|_| Trouble::Wrong(format!("key {} cannot be sent", key.label())))?;
        bearer.set_sensitive(true);
        request = request.header(AUTHORIZATION, bearer);
        if let Some(tenant) = claimed {
            request = request.header(TENANT_HEADER, tenant);
        }
        let response = request.send().await.map_err(wrong)?;
        let status = response.status();
        let wait = response.headers().get(RETRY_AFTER).and_then(|after| after.to_str().ok()?.parse().ok());
        let body: serde_json::Value =
            serde_json::from_slice(&response.bytes().await.map_err(wrong)?).unwrap_or_default();
        let text = |field: &str| body[field].as_str().unwrap_or_default().to_owned();
        Ok((Answer { status, code: text("code"), id: text("id") }, wait.map(Duration::from_secs)))
    }
}

impl Answer {
    fn is(&self, code: &str) -> bool {
        self.code == code
    }

    fn is_wrong(&self, key: &StoreKey, asked: &str) -> Trouble {
        let (status, code, store) = (self.status.as_u16(), &self.code, key.store());
        let hint = if self.status == StatusCode::UNAUTHORIZED {
            "; is this cloud on another database?"
        } else if code.is_empty() {
            "; is this StorePulse at all?"
        } else {
            ""
        };
        Trouble::Wrong(format!("store {store}, asked for {asked}: the answer is {status} {code:.60}{hint}"))
    }
}

/// With its causes, but for the address, which is told anyway.
fn told(error: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = error.to_string();
        cause = error.source();
    }
    if text.is_empty() { error.to_string() } else { text }
}
