//! Prometheus scrapes an [exporter](super::exporter), makes series by rules, and remote-writes all of it to us. In the
//! middle the cloud is killed and started again, so that requests are tried again, some of which had been stored.
//!
//! The judge is Prometheus itself: its own store, through its own query API, is compared with what the cloud has, both as our
//! read API and as our query API of the same kind tell it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde::Deserialize;

use super::Shown;
use super::compare::{Labels, Values, count, differences, with_value};
use super::exporter::Exporter;
use super::program::{self, Program};
use super::stage::Stage;
use crate::cloud::http_client;
use crate::store::free_address;
use crate::wait;

/// Scrapes before the cloud is killed, and once more after it is back.
const SCRAPES: u64 = 8;
const LIMIT: Duration = Duration::from_secs(90);

pub(super) async fn run(stage: &mut Stage) -> anyhow::Result<Shown> {
    let binary = Path::new("prometheus");
    let version = program::version(binary, &["--version"])?;
    let exporter = Exporter::start().await?;
    let port = free_address()?.port();
    let configuration = configure(stage, exporter.port)?;
    let args = [
        format!("--config.file={}", configuration.display()),
        format!("--storage.tsdb.path={}", stage.dir.join("tsdb").display()),
        format!("--web.listen-address=127.0.0.1:{port}"),
        "--log.level=warn".to_owned(),
    ];
    let mut prometheus = Program::start(binary, &args, &[], &stage.dir.join("prometheus.log"))?;
    scraped(&exporter, &mut prometheus, SCRAPES).await?;
    stage.cloud.kill()?;
    scraped(&exporter, &mut prometheus, SCRAPES + 3).await?;
    stage.cloud.restart().await?;
    scraped(&exporter, &mut prometheus, 2 * SCRAPES).await?;
    // Without its exporter Prometheus writes the last stale markers, and then only `up` and the rules.
    drop(exporter);
    let theirs =
        Query { url: format!("http://127.0.0.1:{port}"), http: http_client(None)?, bearer: String::new() };
    let until = wait::until("all of Prometheus' samples to arrive", LIMIT, async || {
        let newest = newest(&with_value(theirs.values().await?));
        let ours = stage.values().await?;
        // One interval later, all that was scraped until then has been sent.
        Ok(newest.filter(|_| self::newest(&ours) >= newest))
    })
    .await?;
    let ours = stage.values().await?;
    let (url, http) = (stage.cloud.url(), http_client(Some(&stage.cloud.ca()))?);
    let by_query = Query { url, http, bearer: stage.store.bearer() }.values().await?;
    let theirs = theirs.values().await?;
    let counted = stage.counted().await?;
    drop(prometheus);
    let (ours, without_value) = (up_to(ours, until), count(&theirs));
    let theirs = up_to(with_value(theirs), until);
    let without_value = without_value.saturating_sub(count(&theirs));
    let mut unequal = differences(&theirs, &ours);
    unequal.extend(differences(&theirs, &up_to(by_query, until)));
    Ok(Shown {
        version,
        series: Some(theirs.len()),
        compared: 2 * count(&theirs),
        unequal,
        more: format!(
            "read in two ways; the cloud was killed once; {without_value} later or without a value; {counted} counted"
        ),
    })
}

async fn scraped(exporter: &Exporter, prometheus: &mut Program, scrapes: u64) -> anyhow::Result<()> {
    wait::until("Prometheus to scrape", LIMIT, async || {
        ensure!(!prometheus.has_ended()?, "Prometheus has ended\n{}", prometheus.said());
        Ok((exporter.scrapes() >= scrapes).then_some(()))
    })
    .await
}

/// Writes the configuration: what a shop's own Prometheus would have, with a shorter interval.
fn configure(stage: &Stage, exporter: u16) -> anyhow::Result<PathBuf> {
    let rules = stage.dir.join("rules.yaml");
    std::fs::write(
        &rules,
        "groups:\n- name: till\n  rules:\n  - record: till:receipts:rate10s\n    expr: sum by (till) (rate(pos_receipts_total[10s]))\n",
    )?;
    let text = format!(
        "global: {{ scrape_interval: 1s, evaluation_interval: 1s, external_labels: {{ region: north }} }}\n\
         rule_files: ['{}']\n\
         scrape_configs:\n- job_name: till\n  static_configs:\n  - targets: ['127.0.0.1:{exporter}']\n\
         remote_write:\n- url: {}/api/v1/write\n  authorization: {{ credentials_file: '{}' }}\n\
         \x20 tls_config: {{ ca_file: '{}' }}\n  queue_config: {{ batch_send_deadline: 1s }}\n",
        rules.display(),
        stage.cloud.url(),
        stage.store.dir.join("store.key").display(),
        stage.cloud.ca().display(),
    );
    let path = stage.dir.join("prometheus.yaml");
    std::fs::write(&path, text)?;
    Ok(path)
}

fn newest(values: &Values) -> Option<i64> {
    values.values().filter_map(|samples| samples.keys().next_back().copied()).max()
}

fn up_to(values: Values, until: i64) -> Values {
    let kept = values.into_iter().map(|(labels, mut samples)| {
        samples.retain(|time, _| *time <= until);
        (labels, samples)
    });
    kept.filter(|(_, samples)| !samples.is_empty()).collect()
}

/// Prometheus' own query API, or ours.
struct Query {
    url: String,
    http: reqwest::Client,
    /// Of ours; Prometheus does not look at it.
    bearer: String,
}

#[derive(Deserialize)]
struct Answer {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    result: Vec<Series>,
}

#[derive(Deserialize)]
struct Series {
    metric: Labels,
    /// Unix seconds with three decimals, and the shortest text that is the value.
    values: Vec<(f64, String)>,
}

impl Query {
    /// Every sample of the last ten minutes, as it is stored. External labels are added on the way to us only.
    async fn values(&self) -> anyhow::Result<Values> {
        // All that has a name in the last ten minutes, percent-encoded.
        let query = "%7B__name__%21%3D%22%22%7D%5B10m%5D";
        let request = self.http.get(format!("{}/api/v1/query?query={query}", self.url));
        let request = request.header("Authorization", &self.bearer);
        let answer: Answer = request.send().await?.error_for_status()?.json().await?;
        let mut values = Values::new();
        for Series { mut metric, values: samples } in answer.data.result {
            metric.insert("region".to_owned(), "north".to_owned());
            let of = values.entry(metric).or_default();
            for (seconds, text) in samples {
                #[expect(clippy::cast_possible_truncation, reason = "milliseconds of this century")]
                let time = (seconds * 1000.0).round() as i64;
                let value: f64 = text.parse().with_context(|| format!("the value {text:?}"))?;
                // Prometheus leaves a value of zero out of its messages, and with it the sign of -0.
                of.insert(time, value + 0.0);
            }
        }
        Ok(values)
    }
}
