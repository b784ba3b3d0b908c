//! OTLP/HTTP metrics in: `POST /v1/metrics`, as protobuf or JSON.
//!
//! `protobuf` and `json` walk through a request and hand over its data points, `points` makes samples of them, `answer`
//! speaks to the exporter in the encoding it has chosen.

mod answer;
pub(crate) mod http;
mod json;
mod points;
mod protobuf;
