//! The OpenTelemetry SDK for Python exports over OTLP/HTTP (protobuf, gzip). The judge is the SDK itself: each export is
//! written down in its own JSON, from which the series that should be here are made by the rules of `cloud/README.md`.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use super::Shown;
use super::compare::{Labels, Values, count, differences, with_value};
use super::program::{self, Program};
use super::stage::Stage;
use crate::wait;

const ROUNDS: u32 = 12;
const LIMIT: Duration = Duration::from_secs(90);

pub(super) async fn run(stage: &Stage) -> anyhow::Result<Shown> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = folder.join("../target/peers/venv/bin/python");
    let ask = "import opentelemetry.sdk.version as v; print('opentelemetry-sdk', v.__version__)";
    let version = program::version(&python, &["-c", ask])?;
    let log = stage.dir.join("exports.jsonl");
    let header = format!("authorization={}", stage.store.bearer().replace(' ', "%20"));
    let environment = [
        ("STOREPULSE_ROUNDS", ROUNDS.to_string()),
        ("STOREPULSE_LOG", log.display().to_string()),
        ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", format!("{}/v1/metrics", stage.cloud.url())),
        ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", header),
        ("OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE", stage.cloud.ca().display().to_string()),
        ("OTEL_EXPORTER_OTLP_METRICS_COMPRESSION", "gzip".to_owned()),
    ];
    let script = folder.join("peers/otel.py");
    let mut program = Program::start(&python, &[script], &environment, &stage.dir.join("otel.log"))?;
    let ended =
        wait::until("the SDK to export", LIMIT, async || Ok(program.has_ended()?.then_some(()))).await;
    ended.with_context(|| program.said())?;
    let exports = std::fs::read_to_string(&log)?;
    let mut theirs = Values::new();
    for line in exports.lines() {
        let export: Value = serde_json::from_str(line)?;
        ensure!(export["accepted"] == true, "an export was refused\n{}", program.said());
        add_export(&export["sent"], &mut theirs)?;
    }
    let all = count(&theirs);
    let theirs = with_value(theirs);
    let ours = stage.values().await?;
    let mut unequal = differences(&theirs, &ours);
    let counted = stage.counted().await?;
    if usize::try_from(counted)? != count(&ours) {
        unequal.push(format!("{counted} samples are counted, {} are there", count(&ours)));
    }
    Ok(Shown {
        version,
        series: Some(theirs.len()),
        compared: count(&theirs),
        unequal,
        more: format!(
            "{} exports, {} without a value, {counted} counted",
            exports.lines().count(),
            all - count(&theirs)
        ),
    })
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// Adds the samples that should be here for an export, as the SDK describes it.
fn add_export(export: &Value, values: &mut Values) -> anyhow::Result<()> {
    for resource in list(&export["resource_metrics"]) {
        let mut from = Labels::new();
        for name in ["host.name", "service.instance.id", "service.name", "service.namespace"] {
            if let Some(value) = resource["resource"]["attributes"][name].as_str() {
                from.insert(name.to_owned(), value.to_owned());
            }
        }
        for scope in list(&resource["scope_metrics"]) {
            let name = scope["scope"]["name"].as_str().context("a scope without a name")?;
            from.insert("otel.scope.name".to_owned(), name.to_owned());
            for metric in list(&scope["metrics"]) {
                let name = metric["name"].as_str().context("a metric without a name")?;
                for point in list(&metric["data"]["data_points"]) {
                    add_point(name, &from, point, values)?;
                }
            }
        }
    }
    Ok(())
}

fn add_point(name: &str, from: &Labels, point: &Value, values: &mut Values) -> anyhow::Result<()> {
    let mut labels = from.clone();
    for (key, value) in point["attributes"].as_object().into_iter().flatten() {
        let text = match value {
            Value::String(text) if text.is_empty() => continue,
            Value::String(text) => text.clone(),
            // An attribute that is a list cannot be a label; its point is refused.
            Value::Array(_) => return Ok(()),
            other => other.to_string(),
        };
        labels.insert(key.clone(), text);
    }
    let time = point["time_unix_nano"].as_i64().context("a point without a time")? / 1_000_000;
    let mut add = |name: String, more: Option<(&str, String)>, value: f64| {
        let mut labels = labels.clone();
        labels.insert("__name__".to_owned(), name);
        labels.extend(more.map(|(key, value)| (key.to_owned(), value)));
        values.entry(labels).or_default().insert(time, value);
    };
    let double = |field: &Value| field.as_f64().unwrap_or(f64::INFINITY);
    if point.get("value").is_some() {
        add(name.to_owned(), None, double(&point["value"]));
    } else if point.get("explicit_bounds").is_some() {
        let bounds = list(&point["explicit_bounds"]).map(|bound| double(bound).to_string());
        let mut so_far = 0.0;
        for (bound, bucket) in bounds.chain(["+Inf".to_owned()]).zip(list(&point["bucket_counts"])) {
            so_far += double(bucket);
            add(format!("{name}_bucket"), Some(("le", bound)), so_far);
        }
        add(format!("{name}_sum"), None, double(&point["sum"]));
        add(format!("{name}_count"), None, double(&point["count"]));
    }
    // What is left is an exponential histogram, which is refused.
    Ok(())
}
