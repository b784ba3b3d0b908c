//! Calls of functions: what each argument must be.

use promql_parser::parser::{Call as AstCall, Expr};
use regex::RegexBuilder;

use super::build::{Builder, Span, outside, series_matchers};
use super::{Call, LabelReplace, Node, PlanError};
use crate::promql::functions::{self, Element, OfRange, Parameter, Shape};
use crate::promql::labels::{Labels, NAME, is_label};
use promql_parser::label::MatchOp;

/// Most bytes that a compiled regular expression may take.
const REGEX_BYTES_MAX: usize = 1 << 20;

impl Builder {
    pub(super) fn call(&mut self, call: &AstCall, span: Span) -> Result<Node, PlanError> {
        let name = call.func.name;
        let shape = functions::find(name).ok_or_else(|| outside(&format!("function {name}()")))?;
        let args: Vec<&Expr> = call.args.args.iter().map(|arg| unwrapped(arg)).collect();
        let first = || args.first().copied().ok_or_else(|| format!("{name}() has no argument"));
        let call = match shape {
            Shape::Pi => return Ok(Node::Number(std::f64::consts::PI)),
            Shape::Time => Call::Time,
            Shape::Scalar => Call::Scalar(self.boxed(first()?, span)?),
            Shape::Vector => Call::Vector(self.boxed(first()?, span)?),
            Shape::Timestamp => match first()? {
                Expr::VectorSelector(selector) => Call::TimeOfSample(self.selection(selector, span)?),
                other => Call::TimeOfStep(self.boxed(other, span)?),
            },
            Shape::Sort { descending } => Call::Sort { of: self.boxed(first()?, span)?, descending },
            Shape::Element(function) => self.element(function, first()?, &args[1..], span)?,
            Shape::Date(function) => match args.first() {
                Some(of) => self.element(function, of, &[], span)?,
                None => {
                    let now = Box::new(Node::Call(Call::Vector(Box::new(Node::Call(Call::Time)))));
                    Call::Element { function, of: now, parameters: Vec::new() }
                }
            },
            Shape::OfRange(function, parameter) => self.of_range(function, parameter, &args, span)?,
            Shape::Absent => {
                Call::Absent { of: self.boxed(first()?, span)?, labels: labels_asked_for(first()?) }
            }
            Shape::AbsentOverTime => Call::AbsentOverTime {
                of: Box::new(self.range(first()?, span)?),
                labels: labels_asked_for(first()?),
            },
            Shape::HistogramQuantile => match &*args {
                [quantile, of] => Call::HistogramQuantile {
                    quantile: self.boxed(quantile, span)?,
                    of: self.boxed(of, span)?,
                },
                _ => return Err("histogram_quantile() takes a quantile and a vector".to_owned().into()),
            },
            Shape::LabelReplace => self.label_replace(&args, span)?,
            Shape::LabelJoin => self.label_join(&args, span)?,
        };
        Ok(Node::Call(call))
    }

    fn boxed(&mut self, expr: &Expr, span: Span) -> Result<Box<Node>, PlanError> {
        self.node(expr, span).map(Box::new)
    }

    fn element(
        &mut self,
        function: Element,
        of: &Expr,
        parameters: &[&Expr],
        span: Span,
    ) -> Result<Call, PlanError> {
        let of = self.boxed(of, span)?;
        let parameters = parameters.iter().map(|parameter| self.node(parameter, span));
        Ok(Call::Element { function, of, parameters: parameters.collect::<Result<_, _>>()? })
    }

    fn of_range(
        &mut self,
        function: OfRange,
        parameter: Parameter,
        args: &[&Expr],
        span: Span,
    ) -> Result<Call, PlanError> {
        let (of, parameter) = match (parameter, args) {
            (Parameter::None, [of]) => (of, None),
            (Parameter::First, [parameter, of]) | (Parameter::Last, [of, parameter]) => {
                (of, Some(self.boxed(parameter, span)?))
            }
            _ => return Err(format!("{} arguments are not what the function takes", args.len()).into()),
        };
        Ok(Call::OfRange { function, of: Box::new(self.range(of, span)?), parameter })
    }

    fn label_replace(&mut self, args: &[&Expr], span: Span) -> Result<Call, PlanError> {
        let [of, to, with, from, pattern] = args else {
            return Err("label_replace() takes a vector and four texts".to_owned().into());
        };
        let to = label(text(to)?, "label_replace")?;
        let pattern = text(pattern)?;
        let anchored = RegexBuilder::new(&format!("^(?:{pattern})$")).size_limit(REGEX_BYTES_MAX).build();
        Ok(Call::LabelReplace(Box::new(LabelReplace {
            of: self.node(of, span)?,
            to,
            with: text(with)?,
            from: text(from)?,
            pattern: anchored.map_err(|_| {
                PlanError::Execution(format!("invalid regular expression in label_replace(): {pattern}"))
            })?,
        })))
    }

    fn label_join(&mut self, args: &[&Expr], span: Span) -> Result<Call, PlanError> {
        let [of, to, separator, from @ ..] = args else {
            return Err("label_join() takes a vector and at least two texts".to_owned().into());
        };
        Ok(Call::LabelJoin {
            of: self.boxed(of, span)?,
            to: label(text(to)?, "label_join")?,
            separator: text(separator)?,
            from: from.iter().map(|name| label(text(name)?, "label_join")).collect::<Result<_, _>>()?,
        })
    }
}

fn unwrapped(mut expr: &Expr) -> &Expr {
    while let Expr::Paren(inner) = expr {
        expr = &inner.expr;
    }
    expr
}

fn text(expr: &Expr) -> Result<String, String> {
    match unwrapped(expr) {
        Expr::StringLiteral(text) => Ok(text.val.clone()),
        other => Err(format!("a text in quotes is expected, not {other}")),
    }
}

fn label(name: String, function: &str) -> Result<String, PlanError> {
    if is_label(&name) {
        return Ok(name);
    }
    Err(PlanError::Execution(format!("invalid label name in {function}(): {name}")))
}

/// What is known of series that are not there: the labels that were asked for, each by one value.
fn labels_asked_for(expr: &Expr) -> Labels {
    let selector = match expr {
        Expr::VectorSelector(selector) => selector,
        Expr::MatrixSelector(matrix) => &matrix.vs,
        _ => return Labels::default(),
    };
    let Ok(matchers) = series_matchers(selector.name.as_deref(), &selector.matchers) else {
        return Labels::default();
    };
    let mut asked: Vec<(&str, &str)> = Vec::new();
    for matcher in matchers.0.iter().filter(|matcher| matcher.name != NAME) {
        let first = asked.iter_mut().find(|(name, _)| *name == matcher.name);
        let once = matcher.op == MatchOp::Equal && first.is_none();
        match first {
            // Asked for in two ways: no value is said.
            Some((_, value)) => *value = "",
            None => asked.push((&matcher.name, if once { &matcher.value } else { "" })),
        }
    }
    Labels::of(asked)
}
