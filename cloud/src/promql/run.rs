//! A query from its text to its answer, within its time and beside few others.
//!
//! Parsing and evaluating take a thread of their own, so that the threads that ingest wait for nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout_at;

use super::answer::{self, Json, QueryError};
use super::eval::{Budget, Evaluator, Value};
use super::load::load;
use super::parse::parse;
use super::plan::{self, Node, Plan, PlanError, Steps};
use crate::app::App;
use crate::scope::Scope;

/// Most queries at once; others wait for their turn within their time.
const QUERIES_AT_ONCE: usize = 4;
/// Longest time for a query, waiting included.
pub(super) const TIMEOUT: Duration = Duration::from_secs(30);

/// The turns that queries take.
#[derive(Debug)]
pub(crate) struct Queries(Arc<Semaphore>);

impl Default for Queries {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(QUERIES_AT_ONCE)))
    }
}

impl Queries {
    pub(super) async fn turn(&self, deadline: Instant) -> Result<OwnedSemaphorePermit, QueryError> {
        let turn = timeout_at(deadline.into(), Arc::clone(&self.0).acquire_owned()).await;
        let turn = turn.map_err(|_| QueryError::Timeout("query queue"))?;
        turn.map_err(|closed| QueryError::Internal(closed.into()))
    }
}

/// At which times a query is asked.
#[derive(Debug, Clone, Copy)]
pub(super) enum Asked {
    /// Unix milliseconds.
    At(i64),
    Over(Steps),
}

impl Asked {
    fn steps(self) -> Steps {
        match self {
            Self::At(time) => Steps::once(time),
            Self::Over(steps) => steps,
        }
    }
}

/// Answers a query over the series of the scope.
///
/// # Errors
/// See [`QueryError`].
pub(super) async fn run(
    app: &App,
    scope: &Scope,
    query: &str,
    asked: Asked,
    timeout: Option<Duration>,
) -> Result<Json, QueryError> {
    let deadline = Instant::now() + timeout.unwrap_or(TIMEOUT).min(TIMEOUT);
    let turn = app.queries.turn(deadline).await?;
    let text = query.to_owned();
    let plan = on_a_thread(move || planned(&text, asked)).await?;
    // Said here too: a timer tells it up to a millisecond late, and little is read in less.
    if Instant::now() >= deadline {
        return Err(QueryError::Timeout("reading samples"));
    }
    let loading = async {
        let mut tx = app.db.snapshot(&scope.tenant).await?;
        let data = load(&mut tx, scope, &plan.selectors).await?;
        tx.rollback().await?;
        Ok::<_, QueryError>(data)
    };
    let loaded = timeout_at(deadline.into(), loading).await;
    let data = loaded.map_err(|_| QueryError::Timeout("reading samples"))??;
    on_a_thread(move || {
        // The turn ends with the work, also when nobody waits for the answer any more.
        let _turn = turn;
        let budget = Budget::until(deadline);
        answered(&plan, Evaluator { data: &data, budget: &budget }, asked)
    })
    .await
}

async fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, QueryError> + Send + 'static,
) -> Result<T, QueryError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| QueryError::Internal(error.into()))?
}

fn planned(text: &str, asked: Asked) -> Result<Plan, QueryError> {
    let bad = |why| QueryError::parameter("query", why);
    let expr = parse(text).map_err(bad)?;
    let plan = plan::build(&expr, asked.steps()).map_err(|error| match error {
        PlanError::Query(why) => bad(why),
        PlanError::Execution(why) => QueryError::Execution(why),
    })?;
    let refused = match (&plan.root, asked) {
        (Node::Range(_), Asked::Over(_)) => "range vector",
        (Node::Text(_), Asked::Over(_)) => "string",
        _ => return Ok(plan),
    };
    Err(bad(format!(
        "invalid expression type \"{refused}\" for range query, must be Scalar or instant Vector"
    )))
}

fn answered(plan: &Plan, evaluator: Evaluator<'_>, asked: Asked) -> Result<Json, QueryError> {
    if let (Node::Range(range), Asked::At(now)) = (&plan.root, asked) {
        let mut series = evaluator.range_at(range, now)?;
        series.sort_by(|a, b| a.0.cmp(&b.0));
        return Ok(answer::matrix(series.iter().map(|(labels, samples)| (labels, samples.clone()))));
    }
    let value = evaluator.eval(&plan.root, asked.steps())?;
    Ok(match (value, asked) {
        (Value::Text(text), asked) => answer::text(asked.steps().start, &text),
        (Value::Scalar(values), Asked::At(time)) => {
            answer::scalar(time, values.first().copied().unwrap_or(f64::NAN))
        }
        (Value::Scalar(values), Asked::Over(steps)) => {
            let samples = steps.iter().zip(values).collect();
            answer::matrix([(&super::labels::Labels::default(), samples)].into_iter())
        }
        (Value::Vector(series), Asked::At(time)) => answer::vector(time, &series),
        (Value::Vector(mut series), Asked::Over(steps)) => {
            series.sort_by(|a, b| a.labels.cmp(&b.labels));
            answer::matrix_of_steps(&series, steps)
        }
    })
}
