//! Prometheus remote write 1.0 in: `POST /api/v1/write`.

mod decode;
pub(crate) mod http;
