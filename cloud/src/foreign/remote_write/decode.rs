//! From a `prometheus.WriteRequest` to samples by series.
//!
//! ```text
//! WriteRequest { repeated TimeSeries timeseries = 1; repeated MetricMetadata metadata = 3 }
//! TimeSeries   { repeated Label labels = 1; repeated Sample samples = 2; exemplars = 3; repeated Histogram histograms = 4 }
//! Label        { string name = 1; string value = 2 }        Sample { double value = 1; int64 timestamp = 2 }
//! ```
//!
//! Source: the Prometheus remote write specification 1.0. Metadata and exemplars are passed over. A label without a value
//! is no label, as in Prometheus.

use storepulse_shared::series;

use crate::foreign::body::BodyError;
use crate::foreign::device::device_id;
use crate::foreign::gathered::{Gathered, Sample};
use crate::foreign::protobuf::{Broken, Field, Message};
use crate::foreign::refusal::Reason;
use crate::foreign::{LABELS_MAX, PROMETHEUS_KIND};

/// The label that is the metric.
const METRIC_LABEL: &str = "__name__";
/// The label that is the device.
const DEVICE_LABEL: &str = "instance";

/// Gathers what the request brings.
///
/// # Errors
/// It is broken, or has too many samples.
pub(super) fn decode(body: &[u8], gathered: &mut Gathered) -> Result<(), BodyError> {
    for field in Message::of_body(body).all(1) {
        add_series(field?.message()?, gathered)?;
    }
    Ok(())
}

fn add_series(message: Message<'_>, gathered: &mut Gathered) -> Result<(), BodyError> {
    let mut labels = Labels::default();
    let mut samples = Vec::new();
    let mut histograms = Vec::new();
    for field in message.fields() {
        let field = field?;
        match field.number {
            1 => labels.add(field.message()?)?,
            2 => {
                gathered.count(1)?;
                samples.push(sample(field.message()?)?);
            }
            4 => {
                gathered.count(1)?;
                histograms.push((histogram_time(field.message()?)?, 0.0));
            }
            _ => {}
        }
    }
    let metric = || labels.metric.unwrap_or_default().to_owned();
    gathered.refuse(Reason::NativeHistogram, &histograms, metric);
    if samples.is_empty() {
        return Ok(());
    }
    match labels.series() {
        Ok(series) => gathered.add(&device_id(labels.device, PROMETHEUS_KIND), series, &samples),
        Err(why) => gathered.refuse(Reason::BadSeries, &samples, || why),
    }
    Ok(())
}

fn sample(message: Message<'_>) -> Result<Sample, Broken> {
    let (mut time, mut value) = (0, 0.0);
    for field in message.fields() {
        let field = field?;
        match field.number {
            1 => value = field.double()?,
            2 => time = int64(&field)?,
            _ => {}
        }
    }
    Ok((time, value))
}

fn histogram_time(message: Message<'_>) -> Result<i64, Broken> {
    let mut time = 0;
    for field in message.all(15) {
        time = int64(&field?)?;
    }
    Ok(time)
}

fn int64(field: &Field<'_>) -> Result<i64, Broken> {
    Ok(field.varint()?.cast_signed())
}

/// The labels of one series.
#[derive(Default)]
struct Labels<'a> {
    metric: Option<&'a str>,
    device: Option<&'a str>,
    /// All but the metric.
    rest: Vec<(&'a str, &'a str)>,
    /// Why they cannot be taken.
    wrong: Option<String>,
}

impl<'a> Labels<'a> {
    fn add(&mut self, label: Message<'a>) -> Result<(), Broken> {
        let (mut name, mut value) = (Some(""), Some(""));
        for field in label.fields() {
            let field = field?;
            match field.number {
                1 => name = field.message()?.text(),
                2 => value = field.message()?.text(),
                _ => {}
            }
        }
        let (Some(name), Some(value)) = (name, value) else {
            self.wrong = Some("a label that is not UTF-8".to_owned());
            return Ok(());
        };
        match name {
            _ if value.is_empty() => {}
            METRIC_LABEL => self.metric = Some(value),
            _ if self.rest.len() == LABELS_MAX => self.wrong = Some(format!("more than {LABELS_MAX} labels")),
            _ => {
                if name == DEVICE_LABEL {
                    self.device = Some(value);
                }
                self.rest.push((name, value));
            }
        }
        Ok(())
    }

    /// The one spelling of the series, or why it has none.
    fn series(&self) -> Result<String, String> {
        let Some(metric) = self.metric else { return Err(format!("a series without {METRIC_LABEL}")) };
        if let Some(wrong) = &self.wrong {
            return Err(format!("{metric:.80}: {wrong}"));
        }
        series::compose(metric, &self.rest).map_err(|error| format!("{metric:.80}: {error:.300}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foreign::protobuf::by_hand::{bytes, double, varint};

    fn label(name: &str, value: &str) -> Vec<u8> {
        bytes(1, &[bytes(1, name.as_bytes()), bytes(2, value.as_bytes())].concat())
    }

    fn at(time: i64, value: f64) -> Vec<u8> {
        bytes(2, &[double(1, value), varint(2, time.cast_unsigned())].concat())
    }

    fn series(labels: &[(&str, &str)], more: &[Vec<u8>]) -> Vec<u8> {
        let labels: Vec<Vec<u8>> = labels.iter().map(|(name, value)| label(name, value)).collect();
        bytes(1, &[labels.concat(), more.concat()].concat())
    }

    fn gathered(body: &[u8]) -> Gathered {
        let mut gathered = Gathered::default();
        decode(body, &mut gathered).unwrap();
        gathered
    }

    #[test]
    fn a_series_keeps_all_its_labels_and_lies_with_its_instance() {
        let labels = [("job", "pos"), ("__name__", "up"), ("instance", "pos-01:9100"), ("empty", "")];
        let batches =
            gathered(&series(&labels, &[at(5, 1.0), at(6, 0.0)])).take_batches("prometheus").unwrap();
        let frame = &batches[0].frames[0];
        assert_eq!((&*frame.device, &*frame.kind), ("pos-01:9100", "prometheus"));
        assert_eq!(frame.times, [5, 6]);
        assert_eq!(frame.columns[0].series, r#"up{instance="pos-01:9100",job="pos"}"#);
        assert_eq!(frame.columns[0].values, [1.0, 0.0]);
    }

    #[test]
    fn a_bad_series_is_refused_alone() {
        let good = series(&[("__name__", "up")], &[at(1, 1.0)]);
        for (labels, says) in [
            (vec![("job", "x")], "a series without __name__"),
            (vec![("__name__", "9 lives")], "9 lives: \"9 lives\" is not a metric name"),
            (vec![("__name__", "a"), ("b c", "d")], "list of labels"),
            (vec![("__name__", "a"), ("b", "1"), ("b", "2")], "list of labels"),
            (vec![("__name__", "a"), ("b", "\0")], "list of labels"),
            (vec![("__name__", "a"), ("b", &*"x".repeat(600))], "a series name of"),
            (
                vec![("__name__", "a"); 1].into_iter().chain(vec![("b", "c"); 65]).collect(),
                "more than 64 labels",
            ),
        ] {
            let mut gathered =
                gathered(&[series(&labels, &[at(1, 1.0), at(2, f64::NAN)]), good.clone()].concat());
            let rejections = gathered.rejections();
            assert_eq!((&*rejections[0].told.reason, rejections[0].told.samples), ("bad_series", 1));
            let example = gathered.example("bad_series").unwrap();
            assert!(example.contains(says), "{example}");
            assert_eq!(gathered.take_batches("prometheus").unwrap()[0].samples(), 1);
        }
    }

    #[test]
    fn a_label_that_is_no_text_spoils_its_series_only() {
        let odd = bytes(1, &[bytes(1, &bytes(1, &[0xff])), label("__name__", "a"), at(1, 1.0)].concat());
        assert_eq!(gathered(&odd).rejections()[0].told.reason, "bad_series");
    }

    #[test]
    fn native_histograms_are_refused_and_metadata_is_passed_over() {
        let native = bytes(4, &varint(15, 77));
        let body = [series(&[("__name__", "h")], &[native]), bytes(3, b"\x08\x01")].concat();
        let rejections = gathered(&body).rejections();
        assert_eq!((&*rejections[0].told.reason, rejections[0].span), ("native_histogram", (77, 77)));
    }

    #[test]
    fn too_many_samples_stop_the_reading() {
        let body = series(&[("__name__", "a")], &vec![at(1, 1.0); 20_001]);
        let error = decode(&body, &mut Gathered::default()).unwrap_err();
        assert!(matches!(error, BodyError::TooManySamples(_)), "{error}");
    }

    #[test]
    fn a_body_cut_off_anywhere_is_broken() {
        let body = series(&[("__name__", "a"), ("b", "c")], &[at(1, 1.0)]);
        for cut in 1..body.len() {
            assert!(decode(&body[..cut], &mut Gathered::default()).is_err(), "cut at {cut}");
        }
        assert!(decode(&[], &mut Gathered::default()).is_ok());
    }
}
