//! The service's own numbers, in the Prometheus text format. No label ever names a tenant or a store.

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::database::DatabaseGauges;
use super::requests::RequestTimes;
use crate::admission::Look;

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
    /// Samples of foreign protocols that said nothing: NaN, infinite, stale.
    pub(crate) samples_without_value: Counter,
    /// Batches (and flat bodies) that were stored before.
    pub(crate) duplicates: Counter,
    /// Numbers that came with another body: a clone, perhaps.
    pub(crate) conflicts: Counter,
    /// Requests without a credential that opens.
    pub(crate) refused_credentials: Counter,
    /// Requests refused for a limit, or for the state of a tenant or store, by reason.
    pub(crate) refusals: RefusalCounts,
    /// Mails to people.
    pub(crate) mails: MailCounts,
    /// Whether the database tells of changes: 1 or 0.
    pub(crate) listening: Gauge,
    /// Samples that upkeep has compacted.
    pub(crate) compacted_samples: Counter,
    /// Steps of upkeep that failed.
    pub(crate) upkeep_failures: Counter,
    /// When this process last did upkeep to its end, Unix seconds; 0 if another process does it.
    pub(crate) upkeep_finished: Gauge,
    /// When the certificate in use ends, Unix seconds; 0 without TLS.
    pub(crate) certificate_expires: Gauge,
    /// Bytes in the partition that must stay empty.
    pub(crate) default_partition_bytes: Gauge,
    /// How long requests take.
    pub(crate) requests: RequestTimes,
    /// What the database says of itself.
    pub(super) database: DatabaseGauges,
    admission: AdmissionGauges,
}

/// Refusals by reason, which are few.
#[derive(Debug, Clone, Default)]
pub(crate) struct RefusalCounts(Family<RefusalLabel, Counter>);

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusalLabel {
    reason: &'static str,
}

impl RefusalCounts {
    /// One more.
    pub(crate) fn count(&self, reason: &'static str) {
        self.0.get_or_create(&RefusalLabel { reason }).inc();
    }
}

/// What became of mails to people.
#[derive(Debug)]
pub(crate) struct MailCounts {
    /// A server has them.
    sent: Counter,
    /// None ever will.
    given_up: Counter,
}

impl MailCounts {
    /// One more, of which nothing more becomes.
    pub(crate) fn count(&self, is_sent: bool) {
        if is_sent {
            self.sent.inc()
        } else {
            self.given_up.inc()
        };
    }

    fn register(registry: &mut Registry) -> Self {
        let (sent, given_up) = (Counter::default(), Counter::default());
        registry.register("mails_sent", "Mails to people that a server has taken", sent.clone());
        registry.register("mails_given_up", "Mails to people that no server takes", given_up.clone());
        Self { sent, given_up }
    }
}

/// What is let in at this moment.
#[derive(Debug)]
struct AdmissionGauges {
    connections: Gauge,
    connections_turned_away: Gauge,
    body_bytes_held: Gauge,
    ingest_in_work: Gauge,
    ingest_waiting: Gauge,
    ingest_refused: Gauge,
    backlog_bytes_per_s: Gauge,
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
        let samples_without_value =
            counter("samples_without_value", "Samples of foreign protocols that are NaN, infinite or stale");
        let duplicates = counter("duplicates", "Batches that had been stored before");
        let conflicts = counter("conflicts", "Batch numbers that came with another body");
        let refused_credentials = counter("refused_credentials", "Requests whose credential opened nothing");
        let compacted_samples =
            counter("compacted_samples", "Samples that upkeep has moved out of the inbox");
        let upkeep_failures = counter("upkeep_failures", "Steps of upkeep that failed, and are tried again");
        let mut gauge = |name: &str, help: &str| {
            let gauge = Gauge::default();
            registry.register(name, help, gauge.clone());
            gauge
        };
        let upkeep_finished = gauge(
            "upkeep_finished_timestamp_seconds",
            "When this process last did upkeep to its end; 0 where another process does it",
        );
        let default_partition_bytes = gauge(
            "default_partition_bytes",
            "Bytes in the DEFAULT partition of the inbox, which must stay empty",
        );
        let certificate_expires = gauge(
            "certificate_expires_timestamp_seconds",
            "When the certificate that is shown ends; 0 without TLS",
        );
        let listening = gauge(
            "listening",
            "1 while the database tells this process of changes; otherwise a revocation takes two seconds",
        );
        let refusals = RefusalCounts::default();
        registry.register(
            "refusals",
            "Requests refused for a limit, or for the state of a tenant or store",
            refusals.0.clone(),
        );
        let requests = RequestTimes::register(&mut registry);
        let mails = MailCounts::register(&mut registry);
        let database = DatabaseGauges::register(&mut registry);
        let admission = AdmissionGauges::register(&mut registry);
        Self {
            registry,
            batches,
            samples,
            body_bytes,
            samples_without_value,
            duplicates,
            conflicts,
            refused_credentials,
            refusals,
            mails,
            listening,
            compacted_samples,
            upkeep_failures,
            upkeep_finished,
            certificate_expires,
            default_partition_bytes,
            requests,
            database,
            admission,
        }
    }
}

impl AdmissionGauges {
    fn register(registry: &mut Registry) -> Self {
        let mut gauge = |name: &str, help: &str| {
            let gauge = Gauge::default();
            registry.register(name, help, gauge.clone());
            gauge
        };
        Self {
            connections: gauge("connections", "Open connections of clients"),
            connections_turned_away: gauge(
                "connections_turned_away",
                "Connections closed at the door since the start",
            ),
            body_bytes_held: gauge("body_bytes_held", "Bytes of bodies in memory"),
            ingest_in_work: gauge("ingest_in_work", "Requests of ingest that use the database"),
            ingest_waiting: gauge("ingest_waiting", "Requests of ingest that wait for a place"),
            ingest_refused: gauge("ingest_refused", "Requests of ingest answered 503 since the start"),
            backlog_bytes_per_s: gauge(
                "backlog_bytes_per_s",
                "What all agents together may send of their backlogs",
            ),
        }
    }

    fn set(&self, look: &Look) {
        let size = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        self.connections.set(size(look.connections));
        self.connections_turned_away.set(number(look.turned_away));
        self.body_bytes_held.set(size(look.body_bytes));
        self.ingest_in_work.set(size(look.in_work));
        self.ingest_waiting.set(size(look.waiting));
        self.ingest_refused.set(number(look.refused));
        self.backlog_bytes_per_s.set(number(look.backlog_bytes_per_s));
    }
}

impl Metrics {
    /// The text exposition, with what is let in now.
    #[must_use]
    pub(crate) fn text(&self, look: &Look) -> String {
        self.admission.set(look);
        let mut out = String::new();
        if text::encode(&mut out, &self.registry).is_err() {
            tracing::error!("the metrics could not be written as text");
        }
        out
    }
}
