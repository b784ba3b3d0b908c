//! The value of a plan at each of its steps. Pure: the samples are given, nothing is read or waited for.
//!
//! A part is evaluated for all steps at once, so that labels are computed once a series and not once a step. What
//! Prometheus decides at each step (who matches whom, what is the highest) is decided at each step here.

mod absent;
mod aggregate;
mod best;
mod binary;
mod budget;
mod calls;
mod histogram;
mod matching;
mod ranges;
mod relabel;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

pub(super) use self::budget::Budget;
use super::labels::Labels;
use super::plan::{Node, Steps};
use crate::samples::SeriesSamples;

/// A stored series that a selector has found.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub labels: Labels,
    /// Not empty; may hold more than the selector needs.
    pub samples: Arc<SeriesSamples>,
}

/// What each selector of the plan has found, sorted by labels.
pub(super) type Data = Vec<Vec<Stored>>;

/// A series with a value, or none, at each step.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Series {
    pub labels: Labels,
    pub values: Vec<Option<f64>>,
}

impl Series {
    fn is_empty(&self) -> bool {
        self.values.iter().all(Option::is_none)
    }
}

/// What a part of a query is at each step.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Scalar(Vec<f64>),
    Vector(Vec<Series>),
    Text(String),
}

/// Why a query has no value.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum EvalError {
    /// It cannot be computed from these series.
    #[error("{0}")]
    Execution(String),
    /// It takes too long.
    #[error("query timed out in expression evaluation")]
    Timeout,
}

impl EvalError {
    fn same_labels() -> Self {
        Self::Execution("vector cannot contain metrics with the same labelset".to_owned())
    }
}

/// Evaluates the parts of a plan.
#[derive(Debug, Clone, Copy)]
pub(super) struct Evaluator<'a> {
    pub data: &'a Data,
    pub budget: &'a Budget,
}

impl Evaluator<'_> {
    /// The value of a part at each step.
    pub(super) fn eval(self, node: &Node, steps: Steps) -> Result<Value, EvalError> {
        Ok(match node {
            Node::Number(number) => {
                self.budget.points(1, steps.len())?;
                Value::Scalar(vec![*number; steps.len()])
            }
            Node::Text(text) => Value::Text(text.clone()),
            Node::Instant(selection) => Value::Vector(self.instant(*selection, steps)?),
            Node::Range(_) => {
                let why = "a range of samples has no single value";
                return Err(EvalError::Execution(why.to_owned()));
            }
            Node::Negated(of) => match self.eval(of, steps)? {
                Value::Scalar(values) => Value::Scalar(values.into_iter().map(|value| -value).collect()),
                Value::Vector(series) => Value::Vector(self.map_values(series, |value, _| Some(-value))?),
                Value::Text(_) => return Err(not_a("number", "text")),
            },
            Node::Binary(binary) => self.binary(binary, steps)?,
            Node::Aggregate(aggregate) => Value::Vector(self.aggregate(aggregate, steps)?),
            Node::Call(call) => self.call(call, steps)?,
        })
    }

    fn vector(self, node: &Node, steps: Steps) -> Result<Vec<Series>, EvalError> {
        match self.eval(node, steps)? {
            Value::Vector(series) => Ok(series),
            Value::Scalar(_) | Value::Text(_) => Err(not_a("vector", "scalar or text")),
        }
    }

    fn scalar(self, node: &Node, steps: Steps) -> Result<Vec<f64>, EvalError> {
        match self.eval(node, steps)? {
            Value::Scalar(values) => Ok(values),
            Value::Vector(_) | Value::Text(_) => Err(not_a("scalar", "vector or text")),
        }
    }

    /// Each value by a function of it and its step; the results are no longer the metric.
    fn map_values(
        self,
        mut series: Vec<Series>,
        function: impl Fn(f64, usize) -> Option<f64>,
    ) -> Result<Vec<Series>, EvalError> {
        for one in &mut series {
            self.budget.work(one.values.len())?;
            one.labels = one.labels.without_name();
            for (step, value) in one.values.iter_mut().enumerate() {
                *value = value.and_then(|value| function(value, step));
            }
        }
        joined(series)
    }
}

fn not_a(expected: &str, found: &str) -> EvalError {
    EvalError::Execution(format!("a {expected} is expected, not a {found}"))
}

/// Series of the same labels become one, unless two have a value at the same step.
fn joined(series: Vec<Series>) -> Result<Vec<Series>, EvalError> {
    let mut places: HashMap<Labels, usize> = HashMap::with_capacity(series.len());
    let mut joined: Vec<Series> = Vec::with_capacity(series.len());
    for one in series {
        let place = *places.entry(one.labels.clone()).or_insert(joined.len());
        let Some(first) = joined.get_mut(place) else {
            joined.push(one);
            continue;
        };
        for (kept, value) in first.values.iter_mut().zip(one.values) {
            if kept.is_some() && value.is_some() {
                return Err(EvalError::same_labels());
            }
            *kept = kept.or(value);
        }
    }
    Ok(joined)
}
