//! What others already speak, in: Prometheus remote write 1.0 (`POST /api/v1/write`) and OTLP/HTTP metrics
//! (`POST /v1/metrics`), with the store's own key and into its own store.
//!
//! **A series comes back as it was written.** Its metric is the name as written, and its labels are the whole label set
//! as written; only what is empty is left out. So whoever reads gives `__name__` = metric and the labels of the series
//! back, and adds nothing. That the device was made of a label changes nothing in the labels.
//!
//! | | Prometheus | OTLP |
//! |---|---|---|
//! | device | `instance` | the resource's `service.instance.id`, else `service.name`, else `host.name` |
//! | … made valid | what an id cannot have becomes `_` ([`device`]) | the same |
//! | … without one | `prometheus` | `otlp` |
//! | kind | `prometheus` | `otlp` |
//! | metric | `__name__` | the name, with `_bucket`, `_sum`, `_count` of a histogram ([`otlp`]) |
//! | labels | all others, `instance` and `job` among them | the point's attributes, the resource's `service.*` of the above, `service.namespace`, `host.name`, and `otel.scope.name` |
//!
//! Nothing is renamed: every name of the Prometheus data model up to version 2 is a name here, and so is every OTLP
//! metric name; what the [grammar](storepulse_shared::series) has no place for (label names with `-` or `/`, more than 512
//! bytes in all) refuses that series, with its reason, and the others are stored.
//!
//! **No value is no sample.** NaN, infinities, stale markers and OTLP points flagged so are not stored; they are counted
//! in `storepulse_cloud_samples_without_value`.
//!
//! **A retry changes nothing.** The same content is stored once, also after another compression, for as long as
//! idempotency keys are kept. The same series and millisecond twice, in whatever bodies, is one sample, the last received.
//!
//! `protobuf` reads the wire format, `body` unpacks, `remote_write` and `otlp` make samples, `gathered` holds them,
//! `store` hands them to `ingest`, which judges times and limits of series.

mod body;
mod device;
mod gathered;
pub(crate) mod otlp;
mod protobuf;
mod refusal;
pub(crate) mod remote_write;
mod store;

/// Collector kind of devices that Prometheus has written.
const PROMETHEUS_KIND: &str = "prometheus";
/// Collector kind of devices that came by OTLP.
const OTLP_KIND: &str = "otlp";
/// Most labels of a foreign series. Beyond: the series is refused. The 512 bytes of a name hold hardly more.
const LABELS_MAX: usize = 64;
