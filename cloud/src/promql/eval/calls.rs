//! Functions of vectors and scalars.

use super::{EvalError, Evaluator, Series, Value, ranges};
use crate::promql::functions::Element;
use crate::promql::functions::statistics::ascending;
use crate::promql::labels::Labels;
use crate::promql::plan::{Call, Node, Steps};

impl Evaluator<'_> {
    pub(super) fn call(self, call: &Call, steps: Steps) -> Result<Value, EvalError> {
        Ok(Value::Vector(match call {
            Call::Time => {
                self.budget.points(1, steps.len())?;
                return Ok(Value::Scalar(steps.iter().map(ranges::seconds).collect()));
            }
            Call::Scalar(of) => return Ok(Value::Scalar(only_values(&self.vector(of, steps)?, steps))),
            Call::Vector(of) => {
                let values = self.scalar(of, steps)?.into_iter().map(Some).collect();
                vec![Series { labels: Labels::default(), values }]
            }
            Call::TimeOfSample(selection) => self.time_of_sample(*selection, steps)?,
            Call::TimeOfStep(of) => {
                let times: Vec<f64> = steps.iter().map(ranges::seconds).collect();
                self.map_values(self.vector(of, steps)?, |_, step| Some(times[step]))?
            }
            Call::Element { function, of, parameters } => self.element(*function, of, parameters, steps)?,
            Call::OfRange { function, of, parameter } => {
                self.of_range(*function, of, parameter.as_deref(), steps)?
            }
            Call::Absent { of, labels } => self.absent(of, labels, steps)?,
            Call::AbsentOverTime { of, labels } => self.absent_over_time(of, labels, steps)?,
            Call::HistogramQuantile { quantile, of } => self.histogram_quantile(quantile, of, steps)?,
            Call::LabelReplace(replace) => self.label_replace(replace, steps)?,
            Call::LabelJoin { of, to, separator, from } => {
                self.label_join(self.vector(of, steps)?, to, separator, from)?
            }
            Call::Sort { of, descending } => sorted(self.vector(of, steps)?, *descending, steps),
        }))
    }

    fn element(
        self,
        function: Element,
        of: &Node,
        parameters: &[Node],
        steps: Steps,
    ) -> Result<Vec<Series>, EvalError> {
        let parameters = parameters.iter().map(|node| self.scalar(node, steps));
        let parameters: Vec<Vec<f64>> = parameters.collect::<Result<_, _>>()?;
        let at_step = |step: usize| parameters.iter().map(|values| values[step]).collect::<Vec<f64>>();
        let by_step: Vec<Vec<f64>> =
            if parameters.is_empty() { Vec::new() } else { (0..steps.len()).map(at_step).collect() };
        let compute = |value, step: usize| (function.compute)(value, by_step.get(step).map_or(&[], |p| p));
        self.map_values(self.vector(of, steps)?, compute)
    }
}

/// The value at steps where only one series has one, NaN at the others.
fn only_values(series: &[Series], steps: Steps) -> Vec<f64> {
    let only = |step: usize| {
        let mut values = series.iter().filter_map(|one| one.values[step]);
        match (values.next(), values.next()) {
            (Some(value), None) => value,
            _ => f64::NAN,
        }
    };
    (0..steps.len()).map(only).collect()
}

/// In the order of their values, if there is one time only; NaN comes last in both directions.
fn sorted(mut series: Vec<Series>, descending: bool, steps: Steps) -> Vec<Series> {
    if steps.len() == 1 {
        series.retain(|one| !one.is_empty());
        series.sort_by(|a, b| {
            let (a, b) = (a.values[0].unwrap_or(f64::NAN), b.values[0].unwrap_or(f64::NAN));
            let order = ascending(a, b);
            a.is_nan().cmp(&b.is_nan()).then(if descending { order.reverse() } else { order })
        });
    }
    series
}
