//! A query as it will be evaluated: names resolved to functions, modifiers to times, selectors numbered with the samples
//! that each needs.
//!
//! [`build()`] makes it from the parser's tree and refuses what is outside of the subset. It knows the times of the query,
//! so that `@ start()`, `offset` and subqueries are plain milliseconds from here on.

mod build;
mod calls;
mod modifiers;

use promql_parser::label::{MatchOp, Matcher};
use storepulse_shared::ids::StoreId;

pub(super) use self::build::{build, series_matchers};
use super::functions::{Element, OfRange};
use super::labels::{self, Labels, NAME, STORE};

/// The times at which a query is evaluated, Unix milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Steps {
    pub start: i64,
    /// Last time, included if a step meets it.
    pub end: i64,
    /// Above 0.
    pub step: i64,
}

impl Steps {
    /// One time only.
    pub(super) fn once(time: i64) -> Self {
        Self { start: time, end: time, step: 1 }
    }

    /// How many.
    pub(super) fn len(self) -> usize {
        if self.end < self.start {
            return 0;
        }
        usize::try_from((self.end - self.start) / self.step).map_or(usize::MAX, |steps| steps + 1)
    }

    /// The last one that is met.
    pub(super) fn last(self) -> i64 {
        self.start + (self.end - self.start).max(0) / self.step * self.step
    }

    /// Each.
    pub(super) fn iter(self) -> impl Iterator<Item = i64> {
        (0..self.len()).map(move |at| self.start + i64::try_from(at).unwrap_or(i64::MAX) * self.step)
    }
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub(super) enum PlanError {
    /// The query is wrong, or outside of the subset.
    #[error("{0}")]
    Query(String),
    /// It is one, and cannot be computed: Prometheus notices when it does so.
    #[error("{0}")]
    Execution(String),
}

impl From<String> for PlanError {
    fn from(why: String) -> Self {
        Self::Query(why)
    }
}

/// What a query needs, and what it does with it.
#[derive(Debug)]
pub(super) struct Plan {
    pub root: Node,
    pub selectors: Vec<Selector>,
}

/// Series, and the range of their samples.
#[derive(Debug)]
pub(super) struct Selector {
    pub series: SeriesMatchers,
    /// First time, included, Unix milliseconds.
    pub from: i64,
    /// Last time, included.
    pub to: i64,
}

/// Which series are meant.
#[derive(Debug, Clone)]
pub(super) struct SeriesMatchers(pub Vec<Matcher>);

impl SeriesMatchers {
    /// Whether a series is meant. Its metric counts in both spellings, whichever it is shown with: what is asked for may be
    /// either one, what is excluded must be neither.
    pub(super) fn hold(&self, metric: &str, labels: &Labels) -> bool {
        self.0.iter().all(|matcher| {
            if matcher.name != NAME {
                return matcher.is_match(labels.get(&labels::label_identifier(&matcher.name)));
            }
            let identifier = matcher.is_match(&labels::metric_identifier(metric));
            let exact = matcher.is_match(metric);
            match matcher.op {
                MatchOp::Equal | MatchOp::Re(_) => identifier || exact,
                MatchOp::NotEqual | MatchOp::NotRe(_) => identifier && exact,
            }
        })
    }

    /// Whether a series of this store can be meant, where every series says its store.
    pub(super) fn may_be_of(&self, store: &StoreId) -> bool {
        let of_store = self.0.iter().filter(|matcher| labels::label_identifier(&matcher.name) == STORE);
        of_store.into_iter().all(|matcher| matcher.is_match(store.as_str()))
    }

    /// The metric's identifier, if only one metric can be meant.
    pub(super) fn metric_identifier(&self) -> Option<String> {
        let named = self.0.iter().find(|m| m.name == NAME && m.op == MatchOp::Equal && !m.value.is_empty());
        named.map(|matcher| labels::metric_identifier(&matcher.value))
    }
}

/// To which time a selection refers while the query is evaluated at another.
#[derive(Debug, Clone, Copy)]
pub(super) struct When {
    /// `@`
    pub at: Option<i64>,
    /// `offset`, backwards.
    pub offset: i64,
}

impl When {
    /// The time meant at `now`.
    pub(super) fn at(self, now: i64) -> i64 {
        self.at.unwrap_or(now).saturating_sub(self.offset)
    }
}

/// A part of a query.
#[derive(Debug)]
pub(super) enum Node {
    Number(f64),
    Text(String),
    /// `metric{…}`
    Instant(Selection),
    /// `metric{…}[5m]`; as a whole query only, otherwise it is the argument of a function.
    Range(Box<Range>),
    Negated(Box<Node>),
    Binary(Box<Binary>),
    Aggregate(Box<Aggregate>),
    Call(Call),
}

/// A selector of the plan, and when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Selection {
    /// Its place in [`Plan::selectors`].
    pub selector: usize,
    pub when: When,
}

/// The samples of a range of time.
#[derive(Debug)]
pub(super) struct Range {
    pub source: Source,
    pub when: When,
    /// Milliseconds, above 0.
    pub length: i64,
}

/// Whose samples.
#[derive(Debug)]
pub(super) enum Source {
    /// A selector of the plan, by its place.
    Selector(usize),
    /// The results of a query every so many milliseconds.
    Subquery { query: Node, step: i64 },
}

/// A function with its arguments.
#[derive(Debug)]
pub(super) enum Call {
    /// `time()`
    Time,
    /// `scalar(v)`
    Scalar(Box<Node>),
    /// `vector(s)`
    Vector(Box<Node>),
    /// `timestamp(selector)`: when the sample was taken.
    TimeOfSample(Selection),
    /// `timestamp(v)` of anything else.
    TimeOfStep(Box<Node>),
    /// Value by value.
    Element {
        function: Element,
        of: Box<Node>,
        parameters: Vec<Node>,
    },
    /// From the samples of a range.
    OfRange {
        function: OfRange,
        of: Box<Range>,
        parameter: Option<Box<Node>>,
    },
    Absent {
        of: Box<Node>,
        labels: Labels,
    },
    AbsentOverTime {
        of: Box<Range>,
        labels: Labels,
    },
    HistogramQuantile {
        quantile: Box<Node>,
        of: Box<Node>,
    },
    LabelReplace(Box<LabelReplace>),
    LabelJoin {
        of: Box<Node>,
        to: String,
        separator: String,
        from: Vec<String>,
    },
    Sort {
        of: Box<Node>,
        descending: bool,
    },
}

/// `label_replace(of, to, with, from, pattern)`
#[derive(Debug)]
pub(super) struct LabelReplace {
    pub of: Node,
    pub to: String,
    pub with: String,
    pub from: String,
    pub pattern: regex::Regex,
}

/// Two sides and an operator.
#[derive(Debug)]
pub(super) struct Binary {
    pub operator: Operator,
    /// Comparisons: 0 and 1 instead of a choice.
    pub as_bool: bool,
    pub left: Node,
    pub right: Node,
    pub matching: Matching,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Arithmetic(Arithmetic),
    Comparison(Comparison),
    Set(SetOperator),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    Power,
    Atan2,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Above,
    Below,
    AtLeast,
    AtMost,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SetOperator {
    And,
    Or,
    Unless,
}

/// Which series of two vectors belong together.
#[derive(Debug, Clone)]
pub(super) struct Matching {
    /// `on(…)` or `ignoring(…)`.
    pub by: Grouping,
    pub sides: Sides,
}

/// How many of a side may belong to one of the other. The labels are those that the many take from the one.
#[derive(Debug, Clone)]
pub(super) enum Sides {
    OneToOne,
    /// `group_left`
    ManyToOne(Vec<String>),
    /// `group_right`
    OneToMany(Vec<String>),
}

/// Labels that make a group.
#[derive(Debug, Clone)]
pub(super) enum Grouping {
    /// `by`, `on`
    Only(Vec<String>),
    /// `without`, `ignoring`; never by the metric
    Without(Vec<String>),
}

impl Grouping {
    /// What the series of one group share.
    pub(super) fn of(&self, labels: &Labels) -> Labels {
        match self {
            Self::Only(names) => labels.keep(names),
            Self::Without(names) => labels.without(names).without_name(),
        }
    }
}

/// `sum by (…) (of)` and the like.
#[derive(Debug)]
pub(super) struct Aggregate {
    pub function: Aggregation,
    pub by: Grouping,
    pub of: Node,
}

#[derive(Debug)]
pub(super) enum Aggregation {
    Sum,
    Min,
    Max,
    Average,
    Count,
    Group,
    Deviation,
    Variance,
    /// The k highest, or lowest.
    Best {
        k: Node,
        lowest: bool,
    },
    Quantile(Node),
    /// How many have each value, which becomes this label.
    CountValues(String),
}
