//! What an agent and a cloud once said to each other, kept as files: a request and its answer each, in the order in which they came.
//!
//! A body that was compressed is kept to the byte, in base64, and beside it as people read it. Of the heads only what the contract
//! names is kept, and no credential: whoever replays has its own.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use storepulse_shared::gzip;

/// Of a request; in lower case, as they are compared.
pub const REQUEST_HEADERS: [&str; 5] =
    ["content-type", "content-encoding", "storepulse-batch", "idempotency-key", "if-none-match"];
/// Of an answer.
pub const ANSWER_HEADERS: [&str; 3] = ["content-type", "retry-after", "etag"];
/// A body that was recorded is no longer than this.
const BODY_BYTES_MAX: usize = 1 << 20;

/// A request and its answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Exchange {
    /// What was asked.
    pub request: Request,
    /// What was answered.
    pub answer: Answer,
}

/// What was asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Request {
    /// The method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// See [`REQUEST_HEADERS`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Whether it came with the store's key.
    pub has_key: bool,
    /// The body as sent, if it was compressed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<String>,
    /// The body as it is read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// What was answered.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// See [`ANSWER_HEADERS`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The body, if it is JSON.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub json: Value,
}

impl Request {
    /// Keeps a body.
    ///
    /// # Errors
    /// It is no text.
    pub fn keep(&mut self, body: &[u8]) -> anyhow::Result<()> {
        if body.is_empty() {
            return Ok(());
        }
        let is_packed = self.headers.get("content-encoding").is_some_and(|encoding| encoding == "gzip");
        let plain = if is_packed { gzip::inflate(body, BODY_BYTES_MAX)? } else { body.to_vec() };
        self.bytes = is_packed.then(|| STANDARD.encode(body));
        self.text = Some(String::from_utf8(plain)?);
        Ok(())
    }

    /// The body, to the byte.
    ///
    /// # Errors
    /// The file was tampered with.
    pub fn body(&self) -> anyhow::Result<Vec<u8>> {
        let plain = self.text.clone().unwrap_or_default().into_bytes();
        let Some(bytes) = &self.bytes else { return Ok(plain) };
        let bytes = STANDARD.decode(bytes)?;
        anyhow::ensure!(gzip::inflate(&bytes, BODY_BYTES_MAX)? == plain, "bytes and text differ");
        Ok(bytes)
    }
}

/// All that are kept in a folder, in their order, with their names.
///
/// # Errors
/// A file is not understood.
pub fn load(dir: &Path) -> anyhow::Result<Vec<(String, Exchange)>> {
    let mut names: Vec<_> = std::fs::read_dir(dir)
        .with_context(|| dir.display().to_string())?
        .map(|entry| Ok(entry?.path()))
        .collect::<anyhow::Result<_>>()?;
    names.sort();
    let read = |path: &std::path::PathBuf| {
        let text = std::fs::read_to_string(path)?;
        let exchange = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        anyhow::Ok((name, exchange))
    };
    names.iter().map(read).collect()
}

/// What of an answer must be there as it was: the status, each field with its kind, and what does not depend on the moment.
///
/// # Errors
/// Says what is not.
pub fn is_as_before(before: &Answer, now: &Answer) -> Result<(), String> {
    if before.status != now.status {
        return Err(format!("status {} was {}: {}", now.status, before.status, now.json));
    }
    let kind = |answer: &Answer| answer.headers.get("content-type").cloned();
    if kind(before) != kind(now) {
        return Err(format!("content-type {:?} was {:?}", kind(now), kind(before)));
    }
    fields("", &nameless(&before.json), &nameless(&now.json))
}

/// Without what differs with the run: epochs that the cloud has made, and times.
fn nameless(json: &Value) -> Value {
    let of = |text: &str| {
        let is_epoch = |part: &str| part.len() == 36 && part.parse::<uuid::Uuid>().is_ok();
        let is_time = |text: &str| text.len() > 19 && text.ends_with('Z') && text.as_bytes()[10] == b'T';
        let parts: Vec<&str> =
            text.split('/').map(|part| if is_epoch(part) { "EPOCH" } else { part }).collect();
        if is_time(text) { "TIME".to_owned() } else { parts.join("/") }
    };
    match json {
        Value::String(text) => Value::String(of(text)),
        Value::Array(list) => list.iter().map(nameless).collect(),
        Value::Object(map) => map.iter().map(|(name, value)| (of(name), nameless(value))).collect(),
        other => other.clone(),
    }
}

/// Fields that differ with the moment: kind only.
const OF_THE_MOMENT: [&str; 4] = ["server_time", "pace", "detail", "version"];

fn fields(path: &str, before: &Value, now: &Value) -> Result<(), String> {
    match (before, now) {
        (Value::Object(before), Value::Object(now)) => before.iter().try_for_each(|(name, value)| {
            let path = format!("{path}/{name}");
            let there = now.get(name).ok_or_else(|| format!("{path} is not there any more"))?;
            if OF_THE_MOMENT.contains(&name.as_str()) {
                is_of_its_kind(&path, value, there)
            } else {
                fields(&path, value, there)
            }
        }),
        (before, now) if before == now => Ok(()),
        (before, now) => Err(format!("{path}: {now} was {before}")),
    }
}

fn is_of_its_kind(path: &str, before: &Value, now: &Value) -> Result<(), String> {
    match std::mem::discriminant(before) == std::mem::discriminant(now) {
        true => Ok(()),
        false => Err(format!("{path}: {now} is of another kind than {before}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer(status: u16, json: Value) -> Answer {
        Answer { status, headers: BTreeMap::new(), json }
    }

    #[test]
    fn more_may_be_said_and_nothing_less_or_else() {
        let before = answer(200, json!({"batch": "e/1", "server_time": 1, "rejected": []}));
        let now = |status, json| is_as_before(&before, &answer(status, json));
        let more = json!({"batch": "e/1", "server_time": 2, "rejected": [], "settings": 12});
        assert_eq!(now(200, more.clone()), Ok(()));
        assert!(now(201, more).is_err());
        let epochs = |epoch: u8| {
            answer(200, json!({"batch": format!("00000000-0000-4000-8000-00000000000{epoch}/1")}))
        };
        assert_eq!(is_as_before(&epochs(1), &epochs(2)), Ok(()));
        for worse in [
            json!({"batch": "e/1", "server_time": 2}),
            json!({"batch": "e/2", "server_time": 2, "rejected": []}),
            json!({"batch": "e/1", "server_time": "2", "rejected": []}),
        ] {
            assert!(now(200, worse.clone()).is_err(), "{worse}");
        }
    }

    #[test]
    fn a_body_is_kept_to_the_byte() {
        let headers = BTreeMap::from([("content-encoding".to_owned(), "gzip".to_owned())]);
        let (method, path) = ("POST".to_owned(), "/".to_owned());
        let mut request = Request { method, path, headers, has_key: true, bytes: None, text: None };
        let body = gzip::compress(b"{\"v\":1}");
        request.keep(&body).unwrap();
        assert_eq!((request.text.as_deref(), request.body().unwrap()), (Some("{\"v\":1}"), body));
        request.text = Some("{}".to_owned());
        assert!(request.body().is_err());
    }
}
