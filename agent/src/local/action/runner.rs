//! Does jobs: each is a task of its own that is joined here, and all end when the agent stops.

use std::collections::HashMap;
use std::pin::Pin;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;

use super::jobs::Outcomes;

/// A job that takes so many times longer than expected, and this long more, is given up.
const LATE_TIMES: u32 = 3;
const LATE_MORE: Duration = Duration::from_secs(60);
/// How often what ended long ago is looked for.
const TIDY: Duration = Duration::from_secs(60);

/// A job to do.
pub(super) struct Work {
    pub id: u64,
    pub expected: Duration,
    pub future: Pin<Box<dyn Future<Output = Result<Value, String>> + Send>>,
}

/// Who does them.
pub(crate) struct Runner {
    outcomes: Outcomes,
    to_do: mpsc::Receiver<Work>,
    at_work: JoinSet<Result<Value, String>>,
    jobs: HashMap<Id, u64>,
    pub(super) late_more: Duration,
}

impl Runner {
    pub(super) fn new(outcomes: Outcomes, to_do: mpsc::Receiver<Work>) -> Self {
        Self { outcomes, to_do, at_work: JoinSet::new(), jobs: HashMap::new(), late_more: LATE_MORE }
    }

    /// Does jobs until `stop`; then those at work are given up.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut tidy = tokio::time::interval(TIDY);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                Some(work) = self.to_do.recv() => self.start(work),
                Some(ended) = self.at_work.join_next_with_id() => self.end(ended),
                _ = tidy.tick() => self.outcomes.forget(Instant::now()),
            }
        }
        self.to_do.close();
        // Nothing that a job had in its hands is still in use when this returns.
        self.at_work.shutdown().await;
        self.outcomes.end_all("the agent stops");
    }

    fn start(&mut self, work: Work) {
        let limit = work.expected.saturating_mul(LATE_TIMES).saturating_add(self.late_more);
        let task = self.at_work.spawn(async move {
            let late = |_| Err(format!("given up after {}", humantime::format_duration(limit)));
            tokio::time::timeout(limit, work.future).await.unwrap_or_else(late)
        });
        self.jobs.insert(task.id(), work.id);
    }

    fn end(&mut self, ended: Result<(Id, Result<Value, String>), tokio::task::JoinError>) {
        let (task, outcome) = match ended {
            Ok((task, outcome)) => (task, outcome),
            Err(error) => {
                tracing::error!(%error, "a job failed");
                (error.id(), Err("it failed in the agent itself; the log says where".to_owned()))
            }
        };
        if let Some(job) = self.jobs.remove(&task) {
            self.outcomes.end(job, outcome);
        }
    }
}
