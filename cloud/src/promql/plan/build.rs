//! From the parser's tree to a plan; what is outside of the subset is refused here, by its name.

use std::time::Duration;

use promql_parser::label::{MatchOp, Matcher, Matchers};
use promql_parser::parser::{self as ast, Expr, LabelModifier, VectorMatchCardinality, token};

use super::modifiers::{milliseconds, when};
use super::{
    Aggregate, Aggregation, Arithmetic, Binary, Comparison, Grouping, Matching, Node, Operator, Plan,
    PlanError, Range, Selection, Selector, SeriesMatchers, SetOperator, Sides, Source, Steps,
};
use crate::promql::labels::{NAME, is_label};
use crate::promql::{LOOKBACK_MS, SUBQUERY_STEP_MS};

/// Makes the plan of a query that is evaluated at these times.
///
/// # Errors
/// What is wrong with the query, or outside of the subset, in one line.
pub(in crate::promql) fn build(expr: &Expr, query: Steps) -> Result<Plan, PlanError> {
    let mut builder = Builder { query, selectors: Vec::new() };
    let root = builder.node(expr, Span { from: query.start, to: query.end })?;
    Ok(Plan { root, selectors: builder.selectors })
}

/// First and last time at which a part is evaluated.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    from: i64,
    to: i64,
}

pub(super) struct Builder {
    query: Steps,
    selectors: Vec<Selector>,
}

impl Builder {
    pub(super) fn node(&mut self, expr: &Expr, span: Span) -> Result<Node, PlanError> {
        Ok(match expr {
            Expr::NumberLiteral(number) => Node::Number(number.val),
            Expr::StringLiteral(text) => Node::Text(text.val.clone()),
            Expr::Paren(inner) => self.node(&inner.expr, span)?,
            Expr::Unary(unary) => Node::Negated(Box::new(self.node(&unary.expr, span)?)),
            Expr::VectorSelector(selector) => Node::Instant(self.selection(selector, span)?),
            Expr::MatrixSelector(_) | Expr::Subquery(_) => Node::Range(Box::new(self.range(expr, span)?)),
            Expr::Binary(binary) => Node::Binary(Box::new(self.binary(binary, span)?)),
            Expr::Aggregate(aggregate) => Node::Aggregate(Box::new(self.aggregate(aggregate, span)?)),
            Expr::Call(call) => self.call(call, span)?,
            Expr::Extension(_) => return Err(outside("an extension").into()),
        })
    }

    pub(super) fn selection(
        &mut self,
        selector: &ast::VectorSelector,
        span: Span,
    ) -> Result<Selection, PlanError> {
        let when = when(selector.at.as_ref(), selector.offset.as_ref(), self.query)?;
        let from = when.at(span.from).saturating_sub(LOOKBACK_MS);
        let selector = self.selector(selector, Span { from, to: when.at(span.to) })?;
        Ok(Selection { selector, when })
    }

    fn selector(&mut self, selector: &ast::VectorSelector, span: Span) -> Result<usize, PlanError> {
        let series = series_matchers(selector.name.as_deref(), &selector.matchers)?;
        self.selectors.push(Selector { series, from: span.from, to: span.to });
        Ok(self.selectors.len() - 1)
    }

    /// The argument of a function that takes the samples of a range.
    pub(super) fn range(&mut self, expr: &Expr, span: Span) -> Result<Range, PlanError> {
        match expr {
            Expr::Paren(inner) => self.range(&inner.expr, span),
            Expr::MatrixSelector(matrix) => {
                let when = when(matrix.vs.at.as_ref(), matrix.vs.offset.as_ref(), self.query)?;
                let length = milliseconds(matrix.range)?;
                let from = when.at(span.from).saturating_sub(length);
                let source =
                    Source::Selector(self.selector(&matrix.vs, Span { from, to: when.at(span.to) })?);
                Ok(Range { source, when, length })
            }
            Expr::Subquery(subquery) => {
                let when = when(subquery.at.as_ref(), subquery.offset.as_ref(), self.query)?;
                let length = milliseconds(subquery.range)?;
                let step = subquery.step.unwrap_or(Duration::from_millis(SUBQUERY_STEP_MS.unsigned_abs()));
                let step = milliseconds(step)?;
                if step == 0 {
                    return Err("the step of a subquery is shorter than a millisecond".to_owned().into());
                }
                let span = Span { from: when.at(span.from).saturating_sub(length), to: when.at(span.to) };
                let query = self.node(&subquery.expr, span)?;
                Ok(Range { source: Source::Subquery { query, step }, when, length })
            }
            other => Err(format!("a range such as metric[5m] is expected, not {other}").into()),
        }
    }

    fn binary(&mut self, binary: &ast::BinaryExpr, span: Span) -> Result<Binary, PlanError> {
        let operator = operator(binary.op.id()).ok_or_else(|| outside(&format!("operator {}", binary.op)))?;
        let modifier = binary.modifier.as_ref();
        if modifier.is_some_and(|m| m.fill_values != ast::VectorMatchFillValues::default()) {
            return Err(outside("fill()").into());
        }
        let by = grouping(modifier.and_then(|m| m.matching.as_ref()), Grouping::Without(Vec::new()));
        let sides = match modifier.map(|m| &m.card) {
            Some(VectorMatchCardinality::ManyToOne(labels)) => Sides::ManyToOne(labels.labels.clone()),
            Some(VectorMatchCardinality::OneToMany(labels)) => Sides::OneToMany(labels.labels.clone()),
            _ => Sides::OneToOne,
        };
        Ok(Binary {
            operator,
            as_bool: modifier.is_some_and(|m| m.return_bool),
            left: self.node(&binary.lhs, span)?,
            right: self.node(&binary.rhs, span)?,
            matching: Matching { by, sides },
        })
    }

    fn aggregate(&mut self, aggregate: &ast::AggregateExpr, span: Span) -> Result<Aggregate, PlanError> {
        let parameter = aggregate.param.as_deref();
        let scalar = |builder: &mut Self| match parameter {
            Some(parameter) => builder.node(parameter, span),
            None => Err(PlanError::Query(format!("{} has no parameter", aggregate.op))),
        };
        let function = match aggregate.op.id() {
            token::T_SUM => Aggregation::Sum,
            token::T_MIN => Aggregation::Min,
            token::T_MAX => Aggregation::Max,
            token::T_AVG => Aggregation::Average,
            token::T_COUNT => Aggregation::Count,
            token::T_GROUP => Aggregation::Group,
            token::T_STDDEV => Aggregation::Deviation,
            token::T_STDVAR => Aggregation::Variance,
            token::T_TOPK => Aggregation::Best { k: scalar(self)?, lowest: false },
            token::T_BOTTOMK => Aggregation::Best { k: scalar(self)?, lowest: true },
            token::T_QUANTILE => Aggregation::Quantile(scalar(self)?),
            token::T_COUNT_VALUES => {
                let Node::Text(label) = scalar(self)? else {
                    return Err("count_values() takes the name of a label".to_owned().into());
                };
                if !is_label(&label) {
                    return Err(PlanError::Execution(format!("invalid label name {label:?}")));
                }
                Aggregation::CountValues(label)
            }
            _ => return Err(outside(&format!("aggregation {}()", aggregate.op)).into()),
        };
        let by = grouping(aggregate.modifier.as_ref(), Grouping::Only(Vec::new()));
        Ok(Aggregate { function, by, of: self.node(&aggregate.expr, span)? })
    }
}

/// Which series a selector means.
///
/// # Errors
/// It is outside of the subset, or would mean all.
pub(in crate::promql) fn series_matchers(
    name: Option<&str>,
    matchers: &Matchers,
) -> Result<SeriesMatchers, String> {
    if !matchers.or_matchers.is_empty() {
        return Err(outside("\"or\" between matchers"));
    }
    let mut all = matchers.matchers.clone();
    all.extend(name.map(|name| Matcher::new(MatchOp::Equal, NAME, name)));
    if all.iter().all(|matcher| matcher.is_match("")) {
        return Err("vector selector must contain at least one non-empty matcher".to_owned());
    }
    Ok(SeriesMatchers(all))
}

/// What to say of something that Prometheus may know and we do not.
pub(super) fn outside(what: &str) -> String {
    format!("{what} is outside of the subset of PromQL that is offered here")
}

fn grouping(modifier: Option<&LabelModifier>, without_one: Grouping) -> Grouping {
    match modifier {
        None => without_one,
        Some(LabelModifier::Include(labels)) => Grouping::Only(labels.labels.clone()),
        Some(LabelModifier::Exclude(labels)) => Grouping::Without(labels.labels.clone()),
    }
}

fn operator(id: token::TokenId) -> Option<Operator> {
    Some(match id {
        token::T_ADD => Operator::Arithmetic(Arithmetic::Add),
        token::T_SUB => Operator::Arithmetic(Arithmetic::Subtract),
        token::T_MUL => Operator::Arithmetic(Arithmetic::Multiply),
        token::T_DIV => Operator::Arithmetic(Arithmetic::Divide),
        token::T_MOD => Operator::Arithmetic(Arithmetic::Modulo),
        token::T_POW => Operator::Arithmetic(Arithmetic::Power),
        token::T_ATAN2 => Operator::Arithmetic(Arithmetic::Atan2),
        token::T_EQLC => Operator::Comparison(Comparison::Equal),
        token::T_NEQ => Operator::Comparison(Comparison::NotEqual),
        token::T_GTR => Operator::Comparison(Comparison::Above),
        token::T_LSS => Operator::Comparison(Comparison::Below),
        token::T_GTE => Operator::Comparison(Comparison::AtLeast),
        token::T_LTE => Operator::Comparison(Comparison::AtMost),
        token::T_LAND => Operator::Set(SetOperator::And),
        token::T_LOR => Operator::Set(SetOperator::Or),
        token::T_LUNLESS => Operator::Set(SetOperator::Unless),
        _ => return None,
    })
}
