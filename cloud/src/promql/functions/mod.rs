//! The functions of the subset, by their names; what is not in [`find`] is outside of it.
//!
//! They are computed as Prometheus 2.42 computes them, in the same order of additions, so that results are equal and not
//! merely close.

mod dates;
pub(super) mod histogram;
mod numbers;
mod over_time;
mod rates;
pub(super) mod statistics;

/// The samples of a range that ends at some time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window<'a> {
    /// Time in Unix milliseconds and value, ascending, never empty.
    pub samples: &'a [(i64, f64)],
    /// Begin of the range, Unix milliseconds.
    pub start: i64,
    /// End of the range.
    pub end: i64,
    /// When the query is evaluated: the end of the range unless it has an offset.
    pub now: i64,
}

/// One value from the samples of a range and a parameter (NaN if the function has none).
#[derive(Debug, Clone, Copy)]
pub(super) struct OfRange {
    pub compute: fn(&Window<'_>, f64) -> Option<f64>,
    pub keeps_name: bool,
}

/// One value from a value and parameters.
#[derive(Debug, Clone, Copy)]
pub(super) struct Element {
    pub compute: fn(f64, &[f64]) -> Option<f64>,
}

/// Where a function of a range has its parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Parameter {
    None,
    First,
    Last,
}

/// What a name stands for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shape {
    /// Of a vector, value by value, with scalars behind it.
    Element(Element),
    /// The same of times in seconds; without an argument, of the time of the query.
    Date(Element),
    OfRange(OfRange, Parameter),
    Absent,
    AbsentOverTime,
    HistogramQuantile,
    LabelJoin,
    LabelReplace,
    Pi,
    Scalar,
    Sort {
        descending: bool,
    },
    Time,
    Timestamp,
    Vector,
}

/// The function of this name, if it is in the subset.
pub(super) fn find(name: &str) -> Option<Shape> {
    let named = match name {
        "absent" => Shape::Absent,
        "absent_over_time" => Shape::AbsentOverTime,
        "histogram_quantile" => Shape::HistogramQuantile,
        "label_join" => Shape::LabelJoin,
        "label_replace" => Shape::LabelReplace,
        "pi" => Shape::Pi,
        "scalar" => Shape::Scalar,
        "sort" => Shape::Sort { descending: false },
        "sort_desc" => Shape::Sort { descending: true },
        "time" => Shape::Time,
        "timestamp" => Shape::Timestamp,
        "vector" => Shape::Vector,
        _ => return numbers::find(name).or_else(|| dates::find(name)).or_else(|| of_range(name)),
    };
    Some(named)
}

fn of_range(name: &str) -> Option<Shape> {
    let (compute, parameter) = rates::find(name).or_else(|| over_time::find(name))?;
    let keeps_name = name == "last_over_time";
    Some(Shape::OfRange(OfRange { compute, keeps_name }, parameter))
}
