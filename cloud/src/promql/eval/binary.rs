//! Operators between scalars, and between a vector and a scalar; those between vectors are in `matching`.

use super::{EvalError, Evaluator, Series, Value, joined};
use crate::promql::plan::{Arithmetic, Binary, Comparison, Operator, Steps};

impl Evaluator<'_> {
    pub(super) fn binary(self, binary: &Binary, steps: Steps) -> Result<Value, EvalError> {
        let (left, right) = (self.eval(&binary.left, steps)?, self.eval(&binary.right, steps)?);
        let as_bool = binary.as_bool;
        Ok(match (left, right) {
            (Value::Vector(left), Value::Vector(right)) => {
                Value::Vector(self.matched(binary, &left, &right, steps)?)
            }
            (Value::Scalar(mut left), Value::Scalar(right)) => {
                self.budget.work(left.len())?;
                for (left, right) in left.iter_mut().zip(right) {
                    *left = of_scalars(binary.operator, *left, right);
                }
                Value::Scalar(left)
            }
            (Value::Vector(vector), Value::Scalar(scalar)) => {
                Value::Vector(
                    self.with_scalar(vector, binary.operator, as_bool, |value, step| (value, scalar[step]))?,
                )
            }
            (Value::Scalar(scalar), Value::Vector(vector)) => {
                Value::Vector(
                    self.with_scalar(vector, binary.operator, as_bool, |value, step| (scalar[step], value))?,
                )
            }
            (Value::Text(_), _) | (_, Value::Text(_)) => {
                return Err(EvalError::Execution("a text has no operators".to_owned()));
            }
        })
    }

    /// `sides` puts the vector's value and the scalar of the step in their order.
    fn with_scalar(
        self,
        mut vector: Vec<Series>,
        operator: Operator,
        as_bool: bool,
        sides: impl Fn(f64, usize) -> (f64, f64),
    ) -> Result<Vec<Series>, EvalError> {
        for one in &mut vector {
            self.budget.work(one.values.len())?;
            for (step, slot) in one.values.iter_mut().enumerate() {
                let Some(value) = *slot else { continue };
                let (left, right) = sides(value, step);
                *slot = match operator {
                    Operator::Arithmetic(operator) => Some(arithmetic(operator, left, right)),
                    Operator::Comparison(operator) if as_bool => {
                        Some(f64::from(u8::from(compares(operator, left, right))))
                    }
                    // What is chosen is the vector's value, on whichever side it stands.
                    Operator::Comparison(operator) => compares(operator, left, right).then_some(value),
                    Operator::Set(_) => None,
                };
            }
            if makes_another_metric(operator, as_bool) {
                one.labels = one.labels.without_name();
            }
        }
        joined(vector)
    }
}

/// Whether a result is no longer the metric that it was computed from. `atan2` leaves the name in Prometheus 2.42.
pub(super) fn makes_another_metric(operator: Operator, as_bool: bool) -> bool {
    as_bool || matches!(operator, Operator::Arithmetic(operator) if operator != Arithmetic::Atan2)
}

fn of_scalars(operator: Operator, left: f64, right: f64) -> f64 {
    match operator {
        Operator::Arithmetic(operator) => arithmetic(operator, left, right),
        Operator::Comparison(operator) => f64::from(u8::from(compares(operator, left, right))),
        // The parser refuses it.
        Operator::Set(_) => f64::NAN,
    }
}

pub(super) fn arithmetic(operator: Arithmetic, left: f64, right: f64) -> f64 {
    match operator {
        Arithmetic::Add => left + right,
        Arithmetic::Subtract => left - right,
        Arithmetic::Multiply => left * right,
        Arithmetic::Divide => left / right,
        Arithmetic::Modulo => left % right,
        Arithmetic::Power => left.powf(right),
        Arithmetic::Atan2 => left.atan2(right),
    }
}

#[expect(clippy::float_cmp, reason = "the operator asks whether two values are the same")]
pub(super) fn compares(operator: Comparison, left: f64, right: f64) -> bool {
    match operator {
        Comparison::Equal => left == right,
        Comparison::NotEqual => left != right,
        Comparison::Above => left > right,
        Comparison::Below => left < right,
        Comparison::AtLeast => left >= right,
        Comparison::AtMost => left <= right,
    }
}
