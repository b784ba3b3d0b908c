//! The samples: counters with resets, gauges with gaps and jitter, histograms, in the two forms that are read.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Distance of the samples of most series.
const STEP_MS: i64 = 15_000;
/// Samples of most series: two hours and a half.
const COUNT: i64 = 600;
/// Rows of a flat body.
const ROWS: usize = 4_000;

struct Series {
    metric: String,
    device: String,
    labels: BTreeMap<String, String>,
    samples: Vec<(i64, f64)>,
}

/// What both are given.
pub(super) struct Samples {
    begin: i64,
    series: Vec<Series>,
}

/// The same numbers in every run.
struct Chance(u64);

impl Chance {
    /// From 0 to 1.
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as f64 / f64::from(1_u32 << 31)
    }
}

impl Samples {
    /// Up to a little before `now`, Unix milliseconds.
    pub(super) fn generated(now: i64) -> Self {
        let begin = (now - 4 * 3_600_000) / 600_000 * 600_000;
        let mut samples = Self { begin, series: Vec::new() };
        let mut chance = Chance(42);
        samples.counters(&mut chance);
        samples.gauges(&mut chance);
        samples.histograms(&mut chance);
        samples
    }

    /// What must not be seen beside them.
    pub(super) fn of_another_store() -> Self {
        let mut samples = Self { begin: storepulse_cloud::app::now_ms() - 4 * 3_600_000, series: Vec::new() };
        samples.add("temperature", "fridge-1", &[("secret", "of-t02")], |at| Some((at * STEP_MS, 77.0)));
        samples
    }

    /// `sample` gives the time after the beginning and the value of the n-th, or nothing.
    fn add(
        &mut self,
        metric: &str,
        device: &str,
        labels: &[(&str, &str)],
        mut sample: impl FnMut(i64) -> Option<(i64, f64)>,
    ) {
        let samples = (0..COUNT).filter_map(&mut sample).map(|(time, value)| (self.begin + time, value));
        self.series.push(Series {
            metric: metric.to_owned(),
            device: device.to_owned(),
            labels: labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            samples: samples.collect(),
        });
    }

    fn counters(&mut self, chance: &mut Chance) {
        for (device, code, pace) in [
            ("pos-1", "200", 3.0),
            ("pos-1", "500", 0.1),
            ("pos-2", "200", 7.0),
            ("pos-2", "500", 0.3),
            ("pos-3", "200", 1.0),
        ] {
            let mut count = 0.0;
            self.add("requests_total", device, &[("code", code), ("job", "api")], |at| {
                count += (chance.next() * pace * 2.0).round();
                if at == 200 || (at == 450 && code == "200") {
                    count = chance.next().round();
                }
                Some((at * STEP_MS, count))
            });
        }
        let mut slow = 1_000_000.0;
        self.add("bytes_total", "pos-1", &[], |at| {
            slow += chance.next() * 1e4;
            // Every 4 minutes, and not at all for a while.
            (at % 16 == 5 && !(200..320).contains(&at)).then_some((at * STEP_MS + 123, slow))
        });
    }

    fn gauges(&mut self, chance: &mut Chance) {
        for (device, room, base) in [
            ("fridge-1", "front", 4.0),
            ("fridge-2", "front", 5.5),
            ("fridge-3", "back", -18.0),
            ("fridge-4", "back", 0.0),
        ] {
            self.add("temperature", device, &[("room", room)], |at| {
                let wave = (at as f64 / 40.0).sin() * 3.0 + chance.next();
                let jitter = (chance.next() * 900.0) as i64;
                Some((at * STEP_MS + jitter, ((base + wave) * 100.0).round() / 100.0))
            });
            self.add("limit", device, &[("room", room), ("zone", "z1")], |at| {
                (at % 4 == 0).then_some((at * STEP_MS, base + 2.0))
            });
        }
        self.add("hw.temperature", "probe-1", &[("sensor.type", "ntc")], |at| {
            Some((at * STEP_MS, (at % 50) as f64 / 8.0))
        });
        self.add("gappy", "ups-1", &[], |at| {
            (!(100..135).contains(&at) && !(300..319).contains(&at))
                .then_some((at * STEP_MS, (at % 7) as f64))
        });
        self.add("short", "ups-1", &[], |at| (250..260).contains(&at).then_some((at * STEP_MS, at as f64)));
        self.add("constant", "ups-1", &[], |at| Some((at * STEP_MS, 2.5)));
        self.add("state", "ups-1", &[("version", "1.2")], |at| Some((at * STEP_MS, (at / 100 % 3) as f64)));
        self.add("state", "ups-2", &[("version", "1.3")], |at| Some((at * STEP_MS, (at / 70 % 3) as f64)));
        self.add("room_size", "plan", &[("room", "front"), ("floor", "0")], |at| Some((at * STEP_MS, 40.0)));
        self.add("room_size", "plan", &[("room", "back"), ("floor", "1")], |at| Some((at * STEP_MS, 12.5)));
        self.add("large", "ups-1", &[], |at| Some((at * STEP_MS, 1e18 + at as f64 * 1e15)));
        self.add("tiny", "ups-1", &[], |at| Some((at * STEP_MS, 1e-9 * (1.0 + at as f64))));
        self.add("seconds", "clock", &[], |at| Some((at * STEP_MS, 1_582_934_400.0 + at as f64 * 3_601.0)));
    }

    fn histograms(&mut self, chance: &mut Chance) {
        let bounds = ["0.1", "0.5", "1", "2.5", "+Inf"];
        for device in ["pos-1", "pos-2"] {
            let waits: Vec<f64> = (0..COUNT).map(|_| chance.next() * 3.0).collect();
            for bound in bounds {
                let limit: f64 = bound.parse().unwrap_or(f64::INFINITY);
                let mut count = 0.0;
                self.add("wait_bucket", device, &[("le", bound)], |at| {
                    count += f64::from(u8::from(waits[usize::try_from(at).ok()?] <= limit));
                    Some((at * STEP_MS, count))
                });
            }
            let mut sum = 0.0;
            self.add("wait_sum", device, &[], |at| {
                sum += waits[usize::try_from(at).ok()?];
                Some((at * STEP_MS, (sum * 1_000.0).round() / 1_000.0))
            });
            self.add("wait_count", device, &[], |at| Some((at * STEP_MS, (at + 1) as f64)));
        }
    }

    /// `<T+600>` in a query is 600 seconds after the beginning.
    pub(super) fn with_times(&self, query: &str) -> String {
        let mut parts = query.split("<T+");
        let mut text = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (seconds, rest) = part.split_once('>').unwrap_or(("0", part));
            let seconds: i64 = seconds.parse().unwrap_or_default();
            // Writing into a text does not fail.
            let _ = write!(text, "{}{rest}", self.begin / 1_000 + seconds);
        }
        text
    }

    /// In the middle of the samples, on one of them, and after the end of all.
    pub(super) fn times_asked(&self) -> [i64; 4] {
        [3_607_431, 4_500_000, 7_200_001, 9_250_000].map(|after| self.begin + after)
    }

    /// From before the first to behind the last sample.
    pub(super) fn range_asked(&self) -> (i64, i64) {
        (self.begin - 137_000, self.begin + 9_400_500)
    }

    /// Bodies of the flat form.
    pub(super) fn flat_bodies(&self) -> Vec<String> {
        let rows = self.series.iter().flat_map(|series| {
            series.samples.iter().map(move |(time, value)| {
                serde_json::json!({
                    "device_id": series.device, "metric": series.metric, "labels": series.labels,
                    "timestamp": time, "value": value,
                })
                .to_string()
            })
        });
        let rows: Vec<String> = rows.collect();
        rows.chunks(ROWS).map(|rows| format!(r#"{{"metrics":[{}]}}"#, rows.join(","))).collect()
    }

    /// The text format that Prometheus makes blocks of, with the labels that the cloud shows.
    pub(super) fn open_metrics(&self) -> String {
        let mut text = String::new();
        for series in &self.series {
            let identifier = |name: &str| name.replace('.', "_");
            let own = series.labels.iter().map(|(name, value)| (identifier(name), value.as_str()));
            let ours = [("device", series.device.as_str()), ("kind", "push"), ("store", "T01")];
            let ours = ours.map(|(name, value)| (name.to_owned(), value));
            let labels: Vec<String> =
                own.chain(ours).map(|(name, value)| format!("{name}={value:?}")).collect();
            for (time, value) in &series.samples {
                // Writing into a text does not fail.
                let _ = writeln!(
                    text,
                    "{}{{{}}} {value:?} {}.{:03}",
                    identifier(&series.metric),
                    labels.join(","),
                    time / 1_000,
                    time % 1_000
                );
            }
        }
        text.push_str("# EOF\n");
        text
    }
}
