//! Why samples of a foreign body are refused while the others are stored, in words for programs and for people.

use storepulse_shared::limits::{DEVICE_SERIES_MAX, STORE_SERIES_MAX};

use crate::ingest::SERIES_LIMIT;

/// A reason that is found before the batch is laid out. Times and limits of series are judged there, as for everybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reason {
    /// Metric or labels are outside our grammar, or too long.
    BadSeries,
    /// A Prometheus native histogram.
    NativeHistogram,
    /// An OTLP stream that tells differences.
    NotCumulative,
    /// An OTLP exponential histogram.
    ExponentialHistogram,
    /// An OTLP attribute that is a list, a map or bytes.
    BadAttribute,
    /// An OTLP data point that contradicts itself, or has no time.
    BadPoint,
}

impl Reason {
    /// The word that programs compare.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::BadSeries => "bad_series",
            Self::NativeHistogram => "native_histogram",
            Self::NotCumulative => "not_cumulative",
            Self::ExponentialHistogram => "exponential_histogram",
            Self::BadAttribute => "bad_attribute",
            Self::BadPoint => "bad_point",
        }
    }
}

/// What the sender can do about it; empty if the example says it all.
pub(super) fn advice(word: &str) -> String {
    match word {
        SERIES_LIMIT => format!(
            "a device has at most {DEVICE_SERIES_MAX} series and a store {STORE_SERIES_MAX}; send fewer of them"
        ),
        "native_histogram" => "send classic buckets (scrape_classic_histograms)".to_owned(),
        "not_cumulative" => "set the temporality preference of the exporter to cumulative".to_owned(),
        "exponential_histogram" => "use the explicit bucket aggregation".to_owned(),
        _ => String::new(),
    }
}
