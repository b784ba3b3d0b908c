//! `http_json`: reads values from the JSON that a device answers to a GET.
//!
//! It asks `GET <url>`, nothing else, and follows nowhere. [`mod@pointer`] says what is read of the document; `json` limits it;
//! `own_time` says what the time is worth that a document may tell.

mod pointer;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use storepulse_shared::batch::Lane;

use self::pointer::{Found, Target, TimeUnit};
use super::defaults;
use super::fault::{Fault, FaultKind};
use super::own_time::{self, OwnTime};
use super::parse::Subject;
use super::poll::{self, Probe, Reading, Schedule};
use super::secret::Secret;
use super::sink::{Sink, Tick};
use super::web::{self, Question, Web};
use super::{About, Collector, Context};

/// Largest answer.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// Beyond `timeout`, which the question keeps itself: a last resort.
const GRACE: Duration = Duration::from_millis(500);
/// Headers that belong to the connection.
const OURS: [&str; 6] = ["accept", "connection", "content-length", "host", "te", "transfer-encoding"];

/// `http_json:` in the configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    url: String,
    values: Vec<Target>,
    #[serde(default, deserialize_with = "time")]
    time: Option<String>,
    #[serde(default = "time_unit")]
    time_unit: TimeUnit,
    #[serde(default)]
    headers: BTreeMap<String, Secret>,
    #[serde(default)]
    token: Option<Secret>,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    password: Option<Secret>,
    #[serde(default)]
    ca_file: Option<PathBuf>,
    #[serde(default = "defaults::seconds::<30>", deserialize_with = "crate::config::duration")]
    interval: Duration,
    #[serde(default = "defaults::seconds::<5>", deserialize_with = "crate::config::duration")]
    timeout: Duration,
    #[serde(default = "defaults::half_a_second", deserialize_with = "crate::config::duration")]
    jitter: Duration,
    #[serde(default = "defaults::normal_lane")]
    lane: Lane,
}

const fn time_unit() -> TimeUnit {
    TimeUnit::S
}

fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    pointer::pointer(deserializer).map(Some).map_err(D::Error::custom)
}

impl Collector for Settings {
    const ABOUT: About = About {
        summary: "A device that answers `GET` with JSON; pointers say where its values stand. Nothing else is asked.",
        example: include_str!("example.yaml"),
        metrics: &[],
        events: &[],
        limits: &[
            "An answer of more than 1 MiB, 32 levels or 50,000 values is not read: `too_large`. Redirects are not followed: `exception`, as any status but 200. 401 and 403 are `denied`.",
            "`null`, and a pointer that leads nowhere, are no value: left out and counted as `parse`, as what is neither a number nor a listed word. If nothing is left, the reading has failed.",
            "A time that `time` points to is kept from 24 hours ago to 60 seconds ahead. Values of before are a failed reading, `parse`, as if the time is missing; one from before 2000, or further ahead, is a wrong clock: the values have the time at which they were read.",
        ],
        untested: &[],
    };

    const SUBJECTS: &'static [Subject] = &[Subject {
        name: "http_json/pointer",
        vectors: DOCUMENTS,
        outcomes: &["all", "some", "parse", "short_frame", "too_large"],
        outcome: of_document,
    }];

    fn lane(&self) -> Lane {
        self.lane
    }

    fn target(&self) -> Option<String> {
        Some(web::host_of(&self.url))
    }

    fn check(&self) -> Result<(), String> {
        web::check_url(&self.url)?;
        web::check_credential(self.token.is_some(), self.username.is_some(), self.password.is_some())?;
        if self.values.is_empty() {
            return Err("values: which are read?".to_owned());
        }
        let mut metrics: Vec<&str> = self.values.iter().map(|target| target.metric.as_str()).collect();
        metrics.sort_unstable();
        if let Some(twice) = metrics.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(format!("values: two of them are {:?}", twice[0]));
        }
        for name in self.headers.keys() {
            let known = name.parse::<HeaderName>().map_err(|_| format!("headers: {name:?} is no header"))?;
            if OURS.contains(&known.as_str()) {
                return Err(format!("headers: {name} belongs to the connection"));
            }
        }
        Ok(())
    }

    fn paths(&mut self) -> Vec<&mut PathBuf> {
        let secrets = self.headers.values_mut().chain(&mut self.token).chain(&mut self.password);
        web::paths(&mut self.ca_file, secrets)
    }

    async fn run(&self, ctx: &Context) {
        let schedule =
            Schedule { interval: self.interval, timeout: self.timeout + GRACE, jitter: self.jitter };
        let mut reader = Reader { settings: self, sink: &ctx.sink, web: Web::default(), dated: Vec::new() };
        poll::run(schedule, ctx, &mut reader).await;
    }
}

struct Reader<'a> {
    settings: &'a Settings,
    sink: &'a Sink,
    web: Web,
    dated: Vec<Tick>,
}

impl Reader<'_> {
    fn headers(&self) -> Result<HeaderMap, Fault> {
        let mut headers = HeaderMap::new();
        for (name, secret) in &self.settings.headers {
            let refused = || {
                Fault::new(
                    FaultKind::Denied,
                    format!("what is configured for {name} cannot stand in a header"),
                )
            };
            let mut value = HeaderValue::from_str(&secret.read()?).map_err(|_| refused())?;
            value.set_sensitive(true);
            headers.insert(name.parse::<HeaderName>().map_err(|_| refused())?, value);
        }
        Ok(headers)
    }

    fn count_left_out(&self, found: &Found) {
        for (count, why) in [
            (found.missing, "nothing stands where their pointers lead to"),
            (found.unread, "what stands there is neither a number nor a word of states"),
        ] {
            if count > 0 {
                self.sink.error(FaultKind::Parse, format!("{count} values left out: {why}"));
            }
        }
    }
}

impl Probe for Reader<'_> {
    async fn read(&mut self) -> Result<Reading, Fault> {
        let settings = self.settings;
        let question = Question {
            url: &settings.url,
            accept: "application/json",
            ca_file: settings.ca_file.as_deref(),
            timeout: settings.timeout,
            answer_bytes_max: ANSWER_BYTES_MAX,
            credential: web::credential(
                settings.token.as_ref(),
                settings.username.as_deref(),
                settings.password.as_ref(),
            )?,
            headers: self.headers()?,
        };
        let answer = self.web.get(&question).await?;
        let time = settings.time.as_deref().map(|pointer| (pointer, settings.time_unit));
        let found = pointer::read(&answer.body, &settings.values, time)?;
        self.count_left_out(&found);
        let now_ms = self.sink.now_ms();
        match found.own_ms.map_or(OwnTime::Read, |own_ms| own_time::judge(own_ms, now_ms)) {
            OwnTime::Read => Ok(Reading { values: found.values, ..Reading::default() }),
            OwnTime::Kept(time_ms) => {
                self.dated = vec![Tick { time_ms, values: found.values }];
                Ok(Reading::default())
            }
            OwnTime::Old => Err(Fault::new(FaultKind::Parse, "the values are of more than a day ago")),
        }
    }

    fn dated(&mut self) -> Vec<Tick> {
        std::mem::take(&mut self.dated)
    }
}

const DOCUMENTS: &[&[u8]] = &[
    br#"{"temperature":22.75,"humidity":55.43,"battery":86,"at":1763700000,"state":"ok"}"#,
    br#"{"temperature":"4.5","state":"out","at":"1763700000.5"}"#,
    br#"{"temperature":null,"state":"jam","at":1763700000}"#,
    br#"{"temperature":1,"at":null}"#,
    b"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
    b"<html>",
];

fn of_document(bytes: &[u8]) -> &'static str {
    let target = |pointer: &str, metric: &str| Target {
        pointer: pointer.to_owned(),
        metric: metric.to_owned(),
        scale: 1.0,
        offset: 0.0,
        states: BTreeMap::new(),
    };
    let mut state = target("/state", "s");
    state.states = BTreeMap::from([("ok".to_owned(), 0.0), ("out".to_owned(), 2.0)]);
    match pointer::read(bytes, &[target("/temperature", "t"), state], Some(("/at", TimeUnit::S))) {
        Ok(found) if found.missing + found.unread == 0 => "all",
        Ok(_) => "some",
        Err(fault) => fault.kind.name(),
    }
}

#[cfg(test)]
mod tests;
