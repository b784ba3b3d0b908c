//! The service's own numbers, in the Prometheus text format. No label ever names a tenant or a store.

use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::database::DatabaseGauges;
use super::requests::RequestTimes;

/// What is counted.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    /// Batches stored.
    pub(crate) batches: Counter,
    /// Samples stored.
    pub(crate) samples: Counter,
    /// Bytes of stored bodies, as sent.
    pub(crate) body_bytes: Counter,
    /// Batches (and flat bodies) that were stored before.
    pub(crate) duplicates: Counter,
    /// Numbers that came with another body: a clone, perhaps.
    pub(crate) conflicts: Counter,
    /// Requests without a credential that opens.
    pub(crate) refused_credentials: Counter,
    /// Samples that upkeep has compacted.
    pub(crate) compacted_samples: Counter,
    /// Steps of upkeep that failed.
    pub(crate) upkeep_failures: Counter,
    /// When this process last did upkeep to its end, Unix seconds; 0 if another process does it.
    pub(crate) upkeep_finished: Gauge,
    /// Bytes in the partition that must stay empty.
    pub(crate) default_partition_bytes: Gauge,
    /// How long requests take.
    pub(crate) requests: RequestTimes,
    /// What the database says of itself.
    pub(super) database: DatabaseGauges,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("storepulse_cloud");
        let mut counter = |name: &str, help: &str| {
            let counter = Counter::default();
            registry.register(name, help, counter.clone());
            counter
        };
        let batches = counter("batches", "Batches stored");
        let samples = counter("samples", "Samples stored");
        let body_bytes = counter("body_bytes", "Bytes of stored bodies as sent");
        let duplicates = counter("duplicates", "Batches that had been stored before");
        let conflicts = counter("conflicts", "Batch numbers that came with another body");
        let refused_credentials = counter("refused_credentials", "Requests whose credential opened nothing");
        let compacted_samples =
            counter("compacted_samples", "Samples that upkeep has moved out of the inbox");
        let upkeep_failures = counter("upkeep_failures", "Steps of upkeep that failed, and are tried again");
        let upkeep_finished = Gauge::default();
        registry.register(
            "upkeep_finished_timestamp_seconds",
            "When this process last did upkeep to its end; 0 where another process does it",
            upkeep_finished.clone(),
        );
        let default_partition_bytes = Gauge::default();
        registry.register(
            "default_partition_bytes",
            "Bytes in the DEFAULT partition of the inbox, which must stay empty",
            default_partition_bytes.clone(),
        );
        let requests = RequestTimes::register(&mut registry);
        let database = DatabaseGauges::register(&mut registry);
        Self {
            registry,
            batches,
            samples,
            body_bytes,
            duplicates,
            conflicts,
            refused_credentials,
            compacted_samples,
            upkeep_failures,
            upkeep_finished,
            default_partition_bytes,
            requests,
            database,
        }
    }
}

impl Metrics {
    /// The text exposition.
    #[must_use]
    pub(crate) fn text(&self) -> String {
        let mut out = String::new();
        if text::encode(&mut out, &self.registry).is_err() {
            tracing::error!("the metrics could not be written as text");
        }
        out
    }
}
