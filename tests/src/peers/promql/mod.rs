//! Our PromQL against Prometheus itself, on the same samples: every expression of `queries` at several times and over a
//! range, the lists of series and labels, and `promtool query` as a client of both.
//!
//! Needs `prometheus` and `promtool` (Debian package `prometheus`), whose answers are the measure. The samples are posted to
//! the cloud and written into a block of Prometheus' own storage; then both are asked the same.

mod client;
mod compare;
mod data;
mod queries;
mod reference;

use std::path::Path;

use anyhow::Context as _;
use serde_json::Value;

use self::client::Client;
use self::data::Samples;
use self::reference::Prometheus;
use super::{Shown, program};
use crate::by_hand::ByHand;
use crate::cloud::Cloud;
use crate::cluster::Cluster;
use crate::store;

/// Differences that are told one by one.
const TOLD: usize = 40;

/// One question, asked of both.
#[derive(Debug)]
struct Question {
    path: &'static str,
    parameters: Vec<(&'static str, String)>,
    /// The order of the series is part of the answer.
    in_order: bool,
}

pub(super) async fn run(cluster: &Cluster, dir: &Path) -> anyhow::Result<Shown> {
    let db = cluster.database().await?;
    let cloud = Cloud::start(&db, None).await?;
    let stores =
        store::onboard(&db, "la-villa", &["T01", "T02"], &cloud.url(), None, &dir.join("both")).await?;
    let samples = Samples::generated(storepulse_cloud::app::now_ms());
    for (store, bodies) in
        [(&stores[0], samples.flat_bodies()), (&stores[1], Samples::of_another_store().flat_bodies())]
    {
        let agent = ByHand::new(&cloud.url(), None, Some(store.bearer()))?;
        for body in bodies {
            let answer = agent.push(&body, None).await?;
            anyhow::ensure!(
                answer.status == 200 && answer.json["rejected"] == serde_json::json!([]),
                "{answer:?}"
            );
        }
    }
    let prometheus = Prometheus::start(&dir.join("prometheus"), &samples.open_metrics()).await?;
    let theirs = Client::new(&prometheus.url(), None)?;
    let ours = Client::new(&cloud.url(), Some(stores[0].bearer()))?;

    let (mut differences, mut with_content) = (Vec::new(), 0);
    let questions = questions(&samples);
    for question in &questions {
        let (theirs, ours) = (theirs.ask(question).await?, ours.ask(question).await?);
        with_content += usize::from(theirs.has_content());
        if let Some(difference) = compare::difference(&theirs, &ours, question.in_order) {
            differences.push(format!("{} {:?}\n    {difference}", question.path, question.parameters));
        }
    }
    let by_promtool =
        client::by_promtool(&prometheus.url(), &cloud.url(), &stores[0].bearer(), &samples).await?;
    let more = format!(
        "{} expressions, {with_content} of the answers with series; {} runs of promtool",
        queries::ALL.len(),
        by_promtool.runs
    );
    differences.extend(by_promtool.differences);
    prometheus.stop().await?;
    cloud.stop().await?;
    let version = program::version(Path::new("prometheus"), &["--version"])?;
    let compared = questions.len() + by_promtool.runs;
    Ok(Shown {
        version,
        series: Some(with_content),
        compared,
        unequal: differences.into_iter().take(TOLD).collect(),
        more,
    })
}

fn questions(samples: &Samples) -> Vec<Question> {
    let mut all = Vec::new();
    let text = |ms: i64| format!("{}.{:03}", ms / 1_000, ms % 1_000);
    for query in queries::ALL {
        let query = samples.with_times(query);
        for time in samples.times_asked() {
            let in_order = ["sort", "topk", "bottomk"].iter().any(|name| query.starts_with(name));
            let parameters = vec![("query", query.clone()), ("time", text(time))];
            all.push(Question { path: "/api/v1/query", parameters, in_order });
        }
        let (start, end) = samples.range_asked();
        for step in ["60", "7m13s"] {
            let parameters = vec![
                ("query", query.clone()),
                ("start", text(start)),
                ("end", text(end)),
                ("step", step.to_owned()),
            ];
            all.push(Question { path: "/api/v1/query_range", parameters, in_order: true });
        }
    }
    let (start, end) = samples.range_asked();
    for selector in queries::SELECTORS {
        for path in [
            "/api/v1/series",
            "/api/v1/labels",
            "/api/v1/label/device/values",
            "/api/v1/label/__name__/values",
        ] {
            let parameters =
                vec![("match[]", (*selector).to_owned()), ("start", text(start)), ("end", text(end))];
            all.push(Question { path, parameters, in_order: true });
        }
    }
    for path in [
        "/api/v1/labels",
        "/api/v1/label/__name__/values",
        "/api/v1/label/code/values",
        "/api/v1/label/none/values",
    ] {
        all.push(Question { path, parameters: Vec::new(), in_order: true });
    }
    all
}

/// What came back.
#[derive(Debug)]
struct Reply {
    status: u16,
    json: Value,
}

impl Reply {
    fn of(status: u16, body: &[u8]) -> anyhow::Result<Self> {
        let json = serde_json::from_slice(body)
            .with_context(|| format!("{status}: {}", String::from_utf8_lossy(body)))?;
        Ok(Self { status, json })
    }

    /// Whether it is no error, and not an empty list.
    fn has_content(&self) -> bool {
        let data = &self.json["data"];
        let list = if data.is_array() { data } else { &data["result"] };
        list.as_array().is_some_and(|list| !list.is_empty())
    }
}
