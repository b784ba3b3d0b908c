//! The guided steps: a fresh reading, what it says, and the record of it.

use std::future::Future;
use std::pin::Pin;

use serde_json::Value;
use storepulse_shared::batch::Event;
use storepulse_shared::ids::DeviceId;

use super::drawer::{self, Level, Polarity};
use super::outcome::{DrawerStep, Recorded, ScaleStep};
use super::weight::{Division, Mass, Weighing, Zero};
use crate::spool::Spool;
use crate::time::BoxClock;

/// The kind of the event that records what a step found.
const COMMISSIONED: &str = "device.commissioned";

/// A fresh reading of a device: its [`Tested`](crate::trial::Tested) as JSON, or why it was not read.
pub(super) type Reading = Pin<Box<dyn Future<Output = Result<Value, String>> + Send>>;

/// Where events go.
#[derive(Clone)]
pub(super) struct Record {
    pub spool: Spool,
    pub clock: BoxClock,
}

impl Record {
    /// Records what was found of a device; says why, if that was not possible.
    async fn event(&self, device: &DeviceId, text: String) -> Recorded {
        let now_ms = self.clock.now_ms();
        let event = Event {
            device: device.to_string().into(),
            t: now_ms,
            kind: COMMISSIONED.into(),
            text: text.into(),
        };
        let recorded = self.spool.record(vec![event], now_ms).await;
        recorded.err().map(|error| {
            tracing::error!(%device, %error, "what a commissioning step found could not be recorded");
            error.to_string()
        })
    }
}

/// What a reading saw.
async fn seen(reading: Reading) -> Result<Value, String> {
    let mut tested = reading.await?;
    if tested["good"] == true {
        return Ok(tested["seen"].take());
    }
    let why = tested["error"]["text"].as_str();
    Err(why.unwrap_or("no answer").to_owned())
}

/// The first step with a drawer: `closed` is `None`; the second: what it was.
pub(super) async fn drawer(
    device: &DeviceId,
    closed: Option<Level>,
    reading: Reading,
    record: &Record,
) -> DrawerStep {
    let seen = match seen(reading).await {
        Ok(seen) => seen,
        Err(why) => return DrawerStep::Unread { why, closed: closed.map(|level| level.to_string()) },
    };
    let Some(level) = Level::seen(seen[drawer::PIN].as_f64()) else { return DrawerStep::NoLevel };
    let Some(closed) = closed else { return DrawerStep::Closed(level.to_string()) };
    let text = Polarity::of(closed, level).record();
    let record = record.event(device, text).await;
    DrawerStep::Compared { closed: closed.to_string(), open: level.to_string(), record }
}

/// The first step with a scale: `laid` is `None`; the second: what was laid on.
pub(super) async fn scale(
    device: &DeviceId,
    division: Division,
    laid: Option<Mass>,
    reading: Reading,
    record: &Record,
) -> ScaleStep {
    let laid_kg = laid.map(Mass::kg);
    let seen = match seen(reading).await {
        Ok(seen) => seen,
        Err(why) => return ScaleStep::Unread { why, laid_kg },
    };
    let Some(read) = Mass::seen(&seen) else { return ScaleStep::NoWeight { laid_kg } };
    match laid {
        None => {
            let text = Zero { read, division }.record();
            ScaleStep::Empty { read_kg: read.kg(), record: record.event(device, text).await }
        }
        Some(laid) => {
            let text = Weighing { laid, read, division }.record();
            let record = record.event(device, text).await;
            ScaleStep::Weighed { laid_kg: laid.kg(), read_kg: read.kg(), record }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::spool::Limits;
    use crate::time::SystemClock;

    struct Bench {
        record: Record,
        dir: tempfile::TempDir,
    }

    impl Bench {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let clock = BoxClock::new(Arc::new(SystemClock::load()), 0);
            let limits = Limits { bytes_max: 64 << 20, batch_samples_max: 5_000 };
            let (spool, _writer) = Spool::open_dated(dir.path(), limits, clock.clone()).unwrap();
            Self { record: Record { spool, clock }, dir }
        }

        /// The texts of the events that are kept.
        fn recorded(&self) -> Vec<String> {
            let spool = rusqlite::Connection::open(self.dir.path().join("spool.db")).unwrap();
            let mut ask = spool.prepare("select text from open_events order by batch_id, n").unwrap();
            ask.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
        }
    }

    fn reads(seen: &Value) -> Reading {
        let tested = json!({ "good": true, "seen": seen });
        Box::pin(async move { Ok(tested) })
    }

    fn fails(text: &str) -> Reading {
        let tested = json!({ "good": false, "seen": { "drawer_pin": 1.0 }, "error": { "text": text } });
        Box::pin(async move { Ok(tested) })
    }

    fn device() -> DeviceId {
        "thing-1".parse().unwrap()
    }

    #[tokio::test]
    async fn both_levels_are_compared_and_recorded_once() {
        let bench = Bench::new();
        let step = async |closed, reading| drawer(&device(), closed, reading, &bench.record).await;
        let low = json!({ "drawer_pin": 0.0 });
        assert_eq!(step(None, reads(&low)).await, DrawerStep::Closed("low".to_owned()));
        assert!(bench.recorded().is_empty(), "a first level is no outcome");
        let (closed, open) = ("low".to_owned(), "high".to_owned());
        let compared = step(Some(Level::Low), reads(&json!({ "drawer_pin": 1.0 }))).await;
        assert_eq!(compared, DrawerStep::Compared { closed, open, record: None });
        assert_eq!(bench.recorded(), ["the drawer was closed and opened: its pin is high when it is open"]);
    }

    #[tokio::test]
    async fn only_a_fresh_and_good_reading_counts() {
        let bench = Bench::new();
        let closed = drawer(&device(), Some(Level::High), fails("no answer within 1s"), &bench.record).await;
        let why = "no answer within 1s".to_owned();
        assert_eq!(closed, DrawerStep::Unread { why, closed: Some("high".to_owned()) });
        let none = drawer(&device(), None, reads(&json!({})), &bench.record).await;
        assert_eq!(none, DrawerStep::NoLevel);
        let refused: Reading = Box::pin(async { Err("tested too often".to_owned()) });
        let unread = scale(&device(), Division::USUAL, None, refused, &bench.record).await;
        assert_eq!(unread, ScaleStep::Unread { why: "tested too often".to_owned(), laid_kg: None });
        assert!(bench.recorded().is_empty());
    }

    #[tokio::test]
    async fn zero_and_weight_are_recorded_with_their_figures() {
        let bench = Bench::new();
        let step = async |laid: Option<&str>, seen| {
            let laid = laid.map(|text| text.parse().unwrap());
            scale(&device(), Division::USUAL, laid, reads(&seen), &bench.record).await
        };
        let empty = step(None, json!({ "weight_kg": 0.005 })).await;
        assert_eq!(empty, ScaleStep::Empty { read_kg: 0.005, record: None });
        let weighed = step(Some("2"), json!({ "weight_kg": 2.005 })).await;
        assert_eq!(weighed, ScaleStep::Weighed { laid_kg: 2.0, read_kg: 2.005, record: None });
        assert_eq!(
            step(Some("2"), json!({ "stable": 0.0 })).await,
            ScaleStep::NoWeight { laid_kg: Some(2.0) }
        );
        let recorded = bench.recorded();
        assert_eq!(recorded.len(), 2, "{recorded:?}");
        assert!(
            recorded[0].contains("reads 0.005 kg")
                && recorded[1].contains("2.000 kg laid on, reads 2.005 kg")
        );
    }
}
