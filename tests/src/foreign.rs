//! Requests of foreign protocols by hand: Prometheus remote write 1.0, and OTLP in both encodings.
//!
//! Written apart from what the cloud reads them with. Real writers are in [`peers`](crate::peers).

use reqwest::Method;

use crate::by_hand::{Answer, ByHand};

/// Where Prometheus writes to.
pub const WRITE_PATH: &str = "/api/v1/write";
/// Where OTLP exporters write to.
pub const OTLP_PATH: &str = "/v1/metrics";
/// The bits of a stale marker.
pub const STALE: f64 = f64::from_bits(0x7ff0_0000_0000_0002);

/// A protobuf field of bytes: a text, a message.
#[must_use]
pub fn bytes(number: u8, content: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2][..], &varint(content.len() as u64), content].concat()
}

/// A protobuf field of 64 fixed bits.
#[must_use]
pub fn fixed64(number: u8, bits: u64) -> Vec<u8> {
    [&[number << 3 | 1][..], &bits.to_le_bytes()].concat()
}

fn varint(value: u64) -> Vec<u8> {
    let groups = (64 - (value | 1).leading_zeros()).div_ceil(7);
    let byte = |at: u32| ((value >> (7 * at)) & 0x7f) as u8 | if at + 1 < groups { 0x80 } else { 0 };
    (0..groups).map(byte).collect()
}

/// A series of a `prometheus.WriteRequest`; requests are put together by writing one series behind the other.
#[must_use]
pub fn series(labels: &[(&str, &str)], samples: &[(i64, f64)]) -> Vec<u8> {
    let labels = labels
        .iter()
        .map(|(name, value)| bytes(1, &[bytes(1, name.as_bytes()), bytes(2, value.as_bytes())].concat()));
    let samples = samples.iter().map(|(time, value)| {
        let time = [vec![2 << 3], varint(time.cast_unsigned())].concat();
        bytes(2, &[fixed64(1, value.to_bits()), time].concat())
    });
    bytes(1, &labels.chain(samples).collect::<Vec<_>>().concat())
}

/// One block of snappy.
///
/// # Errors
/// It is too long for one.
pub fn snappy(plain: &[u8]) -> anyhow::Result<Vec<u8>> {
    Ok(snap::raw::Encoder::new().compress_vec(plain)?)
}

/// Posts a body to remote write, with the headers of Prometheus.
///
/// # Errors
/// No answer came back.
pub async fn write(sender: &ByHand, body: Vec<u8>) -> anyhow::Result<Answer> {
    let request = sender
        .request(Method::POST, WRITE_PATH)
        .header("Content-Type", "application/x-protobuf")
        .header("Content-Encoding", "snappy")
        .header("X-Prometheus-Remote-Write-Version", "0.1.0");
    ByHand::answer(request.body(body)).await
}

/// Posts a body of OTLP in JSON.
///
/// # Errors
/// No answer came back.
pub async fn export(sender: &ByHand, body: impl Into<reqwest::Body>) -> anyhow::Result<Answer> {
    let request = sender.request(Method::POST, OTLP_PATH).header("Content-Type", "application/json");
    ByHand::answer(request.body(body)).await
}

/// An OTLP request in JSON with these metrics of the service `till`.
#[must_use]
pub fn of_till(metrics: &str) -> String {
    let resource = r#"{"attributes":[{"key":"service.name","value":{"stringValue":"till"}}]}"#;
    format!(
        r#"{{"resourceMetrics":[{{"resource":{resource},"scopeMetrics":[{{"scope":{{}},"metrics":[{metrics}]}}]}}]}}"#
    )
}

/// A gauge in JSON with this value, which is a number or a text in quotes, at this time.
#[must_use]
pub fn gauge(name: &str, time_ms: i64, value: &str) -> String {
    let point = format!(r#"{{"timeUnixNano":"{time_ms}000000","asDouble":{value}}}"#);
    format!(r#"{{"name":"{name}","gauge":{{"dataPoints":[{point}]}}}}"#)
}
