//! Schemathesis makes requests from `/openapi.json`, good ones and bad ones, and is the judge of the answers: no 5xx, no status,
//! media type, header or body that the document does not tell of.
//!
//! Each [`Caller`] asks for itself: nobody, the key of a store, an operator. `tests/peers/schemathesis.toml` says which names
//! are there to be asked for. The seed is fixed, so that what is found is found again. What it says stands whole in the folder
//! of the run, and on the terminal if it has found something.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use storepulse_cloud::app::now_ms;
use storepulse_cloud::commands::{self, operator};
use storepulse_cloud::db::Db;

use super::program::{self, Program};
use super::stage::Stage;
use super::{Length, Shown};
use crate::by_hand::ByHand;
use crate::{store, wait};

/// What has to hold of every answer.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_headers_conformance,response_schema_conformance";
/// Any number: the same one finds the same again.
const SEED: &str = "20261121";
/// Characters of a line that are told.
const LINE_CHARS_MAX: usize = 400;
/// A tenant that may be suspended and erased.
const TO_BE_ENDED: &str = "el-sol";

impl Length {
    /// Requests that are made up for a route, beside those that cover the bounds of its schema.
    const fn examples(self) -> u32 {
        match self {
            Self::Short => 8,
            Self::Long => 150,
        }
    }

    /// How long one caller may take.
    const fn limit(self) -> Duration {
        Duration::from_secs(match self {
            Self::Short => 240,
            Self::Long => 3_600,
        })
    }
}

/// Who asks.
struct Caller {
    name: &'static str,
    bearer: Option<String>,
    /// What is answered 200 as long as the credential is good for something.
    opens: &'static str,
}

pub(super) async fn run(stage: &Stage, length: Length) -> anyhow::Result<Shown> {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/peers/venv/bin/schemathesis");
    let version = program::version(&program, &["--version"])?;
    prepare(stage).await?;
    let door = Db::connect(&stage.db.config()).await?;
    let operator = operator::issue(&door, "ana").await?;
    let admin = admin(stage, &door).await?;
    door.close().await;
    let callers = [
        // First, while her token is good.
        Caller { name: "admin", bearer: Some(admin), opens: "/v1/users" },
        Caller { name: "nobody", bearer: None, opens: "/health" },
        Caller { name: "store", bearer: Some(stage.store.bearer()), opens: "/v1/stores/T01/status" },
        Caller {
            name: "operator",
            bearer: Some(format!("Bearer {}", operator.expose())),
            opens: "/v1/tenants/la-villa/stats",
        },
    ];
    let (mut cases, mut unequal, mut told) = (0, Vec::new(), Vec::new());
    for caller in &callers {
        // An access token is good for ten minutes.
        let length = if caller.name == "admin" { Length::Short } else { length };
        let (report, said) = match caller.ask(stage, &program, length).await {
            Ok(asked) => asked,
            // What was found before is told none the less.
            Err(error) => {
                unequal.push(format!("as {}: {error:#}", caller.name));
                continue;
            }
        };
        let (asked, of) = (report.test_cases.generated, report.operations.selected);
        told.push(format!(
            "{} {asked} times, {} of {of} routes gave something",
            caller.name,
            report.giving()
        ));
        cases += asked;
        if !report.is_clean() {
            unequal.push(format!("as {}\n{}", caller.name, readable(&said)));
        }
        // What is asked with a credential that opens nothing shows little.
        let client = ByHand::new(&stage.cloud.url(), Some(&stage.cloud.ca()), caller.bearer.clone())?;
        let answer = client.get(caller.opens).await?;
        if answer.status != 200 {
            unequal.push(format!(
                "{} asks nothing any more: {} is answered {answer:?}",
                caller.name, caller.opens
            ));
        }
    }
    Ok(Shown {
        version,
        series: None,
        compared: cases,
        unequal,
        more: format!("asked by {}", told.join("; ")),
    })
}

/// The value of `Authorization` of an admin of `la-villa`. Nobody renews her session.
async fn admin(stage: &Stage, door: &Db) -> anyhow::Result<String> {
    let mut said = Vec::new();
    let words = ["user", "add", "--tenant", "la-villa", "--user", "admin", "--role", "admin"];
    commands::on(door, &words, &mut said).await?;
    let first = String::from_utf8(said)?.trim().to_owned();
    let hand = |bearer: Option<String>| ByHand::new(&stage.cloud.url(), Some(&stage.cloud.ca()), bearer);
    let asked = json!({ "tenant": "la-villa", "user": "admin", "password": first });
    let opened = ByHand::answer(hand(None)?.request(Method::POST, "/v1/session").json(&asked)).await?;
    let token = opened.json["access_token"].as_str().with_context(|| format!("{opened:?}"))?;
    let bearer = format!("Bearer {token}");
    let chosen = json!({ "old": first, "new": "three words of hers" });
    let changed = hand(Some(bearer.clone()))?.request(Method::PUT, "/v1/me/password").json(&chosen);
    let changed = ByHand::answer(changed).await?;
    ensure!(changed.status == 204, "{changed:?}");
    Ok(bearer)
}

/// Every line, the long ones cut: the program may tell of its own sources.
fn readable(said: &str) -> String {
    said.lines().map(|line| line.chars().take(LINE_CHARS_MAX).chain(['\n']).collect::<String>()).collect()
}

/// Something to read, and a tenant to end.
async fn prepare(stage: &Stage) -> anyhow::Result<()> {
    let now = now_ms();
    let rows: Vec<Value> = (0..60)
        .map(|minute| {
            let labels = json!({ "shelf": "1" });
            json!({ "device_id": "fridge-1", "metric": "hw.temperature", "value": 4, "timestamp": now - minute * 60_000, "labels": labels })
        })
        .collect();
    let answer = stage.agent()?.push(&json!({ "metrics": rows }).to_string(), None).await?;
    ensure!(answer.status == 200, "{answer:?}");
    let (url, ca, out) = (stage.cloud.url(), stage.cloud.ca(), stage.dir.join(TO_BE_ENDED));
    store::onboard(&stage.db, TO_BE_ENDED, &["T01"], &url, Some(&ca), &out).await?;
    Ok(())
}

/// The program's report of a run.
#[derive(Debug, Deserialize)]
struct Report {
    /// It came to its end.
    complete: bool,
    exit_code: i32,
    operations: Operations,
    test_cases: Cases,
    errors: Vec<Value>,
    /// By route and phase.
    valid_rates: BTreeMap<String, BTreeMap<String, Rates>>,
}

/// Routes, a method each.
#[derive(Debug, Deserialize)]
struct Operations {
    selected: usize,
    tested: usize,
}

#[derive(Debug, Deserialize)]
struct Cases {
    generated: usize,
    with_failures: usize,
}

/// Of good requests.
#[derive(Debug, Deserialize)]
struct Rates {
    accepted: usize,
}

impl Report {
    /// Every route was asked, and nothing was found.
    fn is_clean(&self) -> bool {
        let is_whole =
            self.complete && self.errors.is_empty() && self.operations.tested == self.operations.selected;
        is_whole && self.exit_code == 0 && self.test_cases.with_failures == 0
    }

    /// Routes that answered 2xx at least once.
    fn giving(&self) -> usize {
        let gave = |phases: &&BTreeMap<String, Rates>| phases.values().any(|rates| rates.accepted > 0);
        self.valid_rates.values().filter(gave).count()
    }
}

impl Caller {
    /// Lets the program ask; its report, and all that it has said.
    async fn ask(&self, stage: &Stage, program: &Path, length: Length) -> anyhow::Result<(Report, String)> {
        let file = |ending: &str| stage.dir.join(format!("{}.{ending}", self.name));
        let (log, report) = (file("log"), file("json"));
        let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/schemathesis.toml");
        let mut args = vec!["--config-file".to_owned(), config.display().to_string(), "run".to_owned()];
        args.push(format!("{}/openapi.json", stage.cloud.url()));
        for (name, value) in [
            ("--tls-verify", stage.cloud.ca().display().to_string()),
            ("--checks", CHECKS.to_owned()),
            ("--phases", "examples,coverage,fuzzing".to_owned()),
            ("--max-examples", length.examples().to_string()),
            ("--seed", SEED.to_owned()),
            ("--generation-database", "none".to_owned()),
            // Several threads get in each other's way within it, and make another order each time.
            ("--workers", "1".to_owned()),
            // Who refuses a long body before it is read may close the connection while it is still sent. What ends every
            // time without an answer is an error.
            ("--request-retries", "2".to_owned()),
            ("--suppress-health-check", "all".to_owned()),
            ("--warnings", "off".to_owned()),
            ("--report-json-path", report.display().to_string()),
        ] {
            args.extend([name.to_owned(), value]);
        }
        if let Some(bearer) = &self.bearer {
            args.extend(["--header".to_owned(), format!("Authorization: {bearer}")]);
        }
        let hooks = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/schemathesis_hooks.py");
        let environment = [("SCHEMATHESIS_HOOKS", hooks.display().to_string())];
        let mut running = Program::start(program, &args, &environment, &log)?;
        let ended = wait::until("Schemathesis to end", length.limit(), async || running.ended()).await;
        let ended = ended.with_context(|| running.said())?;
        let said = std::fs::read_to_string(&log)?;
        let report = std::fs::read_to_string(&report).unwrap_or_default();
        let report = serde_json::from_str(&report);
        Ok((report.with_context(|| format!("no report; {ended}\n{}", readable(&said)))?, said))
    }
}
