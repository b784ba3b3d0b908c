//! What a peer plays on: a cloud with TLS as a process of its own, and the store T01.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use storepulse_cloud::app::now_ms;
use storepulse_shared::series;

use super::compare::{Labels, Values};
use crate::by_hand::ByHand;
use crate::cloud::CloudProcess;
use crate::cluster::{Cluster, TestDb};
use crate::store::{self, Store};

pub(super) struct Stage {
    /// A folder of the peer's own.
    pub(super) dir: PathBuf,
    pub(super) db: TestDb,
    pub(super) cloud: CloudProcess,
    pub(super) store: Store,
}

impl Stage {
    pub(super) async fn set(dir: PathBuf, cluster: &Cluster, testbed: &Path) -> anyhow::Result<Self> {
        let db = cluster.database().await?;
        let cloud = CloudProcess::start(testbed, &db, &dir).await?;
        let (ca, url, package) = (cloud.ca(), cloud.url(), dir.join("package"));
        let mut stores = store::onboard(&db, "la-villa", &["T01"], &url, Some(&ca), &package).await?;
        let store = stores.pop().context("no store was onboarded")?;
        Ok(Self { dir, db, cloud, store })
    }

    /// The store's agent, by hand.
    pub(super) fn agent(&self) -> anyhow::Result<ByHand> {
        ByHand::new(&self.cloud.url(), Some(&self.cloud.ca()), Some(self.store.bearer()))
    }

    /// All that the store has, by label set, read through our API.
    pub(super) async fn values(&self) -> anyhow::Result<Values> {
        let path = format!("/v1/stores/T01/metrics?from={}&to={}", now_ms() - 3_600_000, now_ms());
        let answer = self.agent()?.get(&path).await?;
        ensure!(answer.status == 200, "{path}: {answer:?}");
        let mut values = Values::new();
        for series in answer.json["series"].as_array().context("no series")? {
            let labels = labels_of(series["name"].as_str().context("no name")?)?;
            let samples: Vec<(i64, f64)> = serde_json::from_value(series["samples"].clone())?;
            ensure!(values.insert(labels, samples.into_iter().collect()).is_none(), "a series came twice");
        }
        Ok(values)
    }

    /// How many samples the receipts count: more than there are if a retry was counted twice.
    pub(super) async fn counted(&self) -> anyhow::Result<i64> {
        let status = self.agent()?.get("/v1/stores/T01/status").await?;
        let streams = status.json["streams"].as_array().context("no streams")?;
        Ok(streams.iter().filter_map(|stream| stream["samples"].as_i64()).sum())
    }
}

/// The label set of a series name, the metric under `__name__`.
fn labels_of(name: &str) -> anyhow::Result<Labels> {
    let parsed = series::parse(name)?;
    let labels = parsed.labels.into_iter().map(|(key, value)| (key.to_owned(), value.into_owned()));
    Ok(labels.chain([("__name__".to_owned(), parsed.metric.to_owned())]).collect())
}
