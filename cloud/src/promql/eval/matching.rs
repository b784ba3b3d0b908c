//! Operators between two vectors: which series belong together, decided at each step from those that have a value then.
//!
//! The labels by which they belong together are numbered once; each step works with the numbers.

use std::collections::{HashMap, HashSet};

use super::aggregate::Groups;
use super::binary::{arithmetic, compares, makes_another_metric};
use super::{EvalError, Evaluator, Series, joined};
use crate::promql::labels::Labels;
use crate::promql::plan::{Binary, Grouping, Matching, Operator, SetOperator, Sides, Steps};

impl Evaluator<'_> {
    pub(super) fn matched(
        self,
        binary: &Binary,
        left: &[Series],
        right: &[Series],
        steps: Steps,
    ) -> Result<Vec<Series>, EvalError> {
        let groups = Groups::of(left.iter().chain(right).map(|one| &one.labels), &binary.matching.by);
        let (of_left, of_right) = groups.of.split_at(left.len());
        let (left, right) =
            (Side { series: left, groups: of_left }, Side { series: right, groups: of_right });
        if let Operator::Set(operator) = binary.operator {
            return self.set(operator, left, right, &groups, steps);
        }
        // The many are on the left from here on; `swapped` remembers where they came from.
        let swapped = matches!(binary.matching.sides, Sides::OneToMany(_));
        let (many, one) = if swapped { (right, left) } else { (left, right) };
        let mut pairs = Pairs {
            binary,
            many,
            one,
            swapped,
            results: Vec::new(),
            places: HashMap::new(),
            known: HashMap::new(),
        };
        let mut matches = vec![None; groups.labels.len()];
        for step in 0..steps.len() {
            self.budget.work(many.series.len() + one.series.len())?;
            matches.fill(None);
            pairs.find_ones(step, &mut matches, &groups)?;
            pairs.compute(self, step, steps, &matches)?;
        }
        Ok(pairs.results)
    }

    fn set(
        self,
        operator: SetOperator,
        left: Side<'_>,
        right: Side<'_>,
        groups: &Groups,
        steps: Steps,
    ) -> Result<Vec<Series>, EvalError> {
        let (kept, by) = match operator {
            SetOperator::And | SetOperator::Unless => (left, right),
            SetOperator::Or => (right, left),
        };
        self.budget.points(kept.series.len() + by.series.len(), steps.len())?;
        let mut all = if operator == SetOperator::Or { left.series.to_vec() } else { Vec::new() };
        let mut chosen = kept.series.to_vec();
        let mut there = vec![false; groups.labels.len()];
        for step in 0..steps.len() {
            self.budget.work(kept.series.len() + by.series.len())?;
            there.fill(false);
            for (one, group) in by.series.iter().zip(by.groups) {
                there[*group] |= one.values[step].is_some();
            }
            for (one, group) in chosen.iter_mut().zip(kept.groups) {
                if there[*group] != (operator == SetOperator::And) {
                    one.values[step] = None;
                }
            }
        }
        all.extend(chosen.into_iter().filter(|one| !one.is_empty()));
        joined(all)
    }
}

/// The series of a side, and the group of each.
#[derive(Clone, Copy)]
struct Side<'a> {
    series: &'a [Series],
    groups: &'a [usize],
}

struct Pairs<'a> {
    binary: &'a Binary,
    many: Side<'a>,
    one: Side<'a>,
    swapped: bool,
    results: Vec<Series>,
    /// Of a pair's labels in `results`.
    places: HashMap<Labels, usize>,
    /// The same of a pair.
    known: HashMap<(usize, usize), usize>,
}

impl Pairs<'_> {
    /// The one series of each group that has a value at the step.
    fn find_ones(
        &self,
        step: usize,
        matches: &mut [Option<usize>],
        groups: &Groups,
    ) -> Result<(), EvalError> {
        if self.many.series.iter().all(|series| series.values[step].is_none()) {
            return Ok(());
        }
        for (place, (series, group)) in self.one.series.iter().zip(self.one.groups).enumerate() {
            if series.values[step].is_none() {
                continue;
            }
            if let Some(first) = matches[*group].replace(place) {
                let side = if self.swapped { "left" } else { "right" };
                return Err(EvalError::Execution(format!(
                    "found duplicate series for the match group {} on the {side} hand-side of the operation: [{}, {}];\
                     many-to-many matching not allowed: matching labels must be unique on one side",
                    groups.labels[*group], series.labels, self.one.series[first].labels,
                )));
            }
        }
        Ok(())
    }

    fn compute(
        &mut self,
        evaluator: Evaluator<'_>,
        step: usize,
        steps: Steps,
        matches: &[Option<usize>],
    ) -> Result<(), EvalError> {
        let one_to_one = matches!(self.binary.matching.sides, Sides::OneToOne);
        let mut matched: HashSet<usize> = HashSet::new();
        for (place, (series, group)) in self.many.series.iter().zip(self.many.groups).enumerate() {
            let Some((value, other)) = series.values[step].zip(matches[*group]) else { continue };
            let Some(of_other) = self.one.series[other].values[step] else { continue };
            let (left, right) = if self.swapped { (of_other, value) } else { (value, of_other) };
            let Some(result) = value_of(self.binary, left, right) else { continue };
            if one_to_one && !matched.insert(*group) {
                let why = "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)";
                return Err(EvalError::Execution(why.to_owned()));
            }
            let place = self.place_of(place, other, evaluator, steps)?;
            if self.results[place].values[step].replace(result).is_some() {
                return Err(if one_to_one {
                    EvalError::same_labels()
                } else {
                    let why = "multiple matches for labels: grouping labels must ensure unique matches";
                    EvalError::Execution(why.to_owned())
                });
            }
        }
        Ok(())
    }

    /// Where the results of a pair are.
    fn place_of(
        &mut self,
        many: usize,
        one: usize,
        evaluator: Evaluator<'_>,
        steps: Steps,
    ) -> Result<usize, EvalError> {
        if let Some(place) = self.known.get(&(many, one)) {
            return Ok(*place);
        }
        let labels = labels_of(self.binary, &self.many.series[many].labels, &self.one.series[one].labels);
        let place = *self.places.entry(labels.clone()).or_insert(self.results.len());
        if place == self.results.len() {
            evaluator.budget.points(1, steps.len())?;
            self.results.push(Series { labels, values: vec![None; steps.len()] });
        }
        self.known.insert((many, one), place);
        Ok(place)
    }
}

/// `None` if a comparison does not choose it.
fn value_of(binary: &Binary, left: f64, right: f64) -> Option<f64> {
    match binary.operator {
        Operator::Arithmetic(operator) => Some(arithmetic(operator, left, right)),
        Operator::Comparison(operator) if binary.as_bool => {
            Some(f64::from(u8::from(compares(operator, left, right))))
        }
        Operator::Comparison(operator) => compares(operator, left, right).then_some(left),
        Operator::Set(_) => None,
    }
}

/// What a pair is called.
fn labels_of(binary: &Binary, many: &Labels, one: &Labels) -> Labels {
    let Matching { by, sides } = &binary.matching;
    let is_new = makes_another_metric(binary.operator, binary.as_bool);
    let mut labels = if is_new { many.without_name() } else { many.clone() };
    match (sides, by) {
        (Sides::OneToOne, Grouping::Only(names)) => labels = labels.keep(names),
        (Sides::OneToOne, Grouping::Without(names)) => labels = labels.without(names),
        (Sides::ManyToOne(taken) | Sides::OneToMany(taken), _) => {
            for name in taken {
                labels = labels.with(name, one.get(name));
            }
        }
    }
    labels
}
