//! What takes longer than a moment: begun by a POST, watched on its own page, with progress and the time it needs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

/// Jobs that are remembered; the oldest that has ended goes first.
const JOBS_MAX: usize = 20;
/// Jobs at work at one time.
const RUNNING_MAX: usize = 4;

/// All jobs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Jobs(Arc<Mutex<Shelf>>);

#[derive(Debug, Default)]
struct Shelf {
    last: u64,
    jobs: BTreeMap<u64, Job>,
}

/// One job, as it stands.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub id: u64,
    /// What is done, as a word: `test`, `probe`, `bundle`, `watch`.
    pub what: &'static str,
    /// To what: a device, a port.
    pub subject: String,
    pub begun: Instant,
    /// How long it takes at most, or as a rule.
    pub expected: Duration,
    pub state: JobState,
}

/// How far it is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum JobState {
    /// At work: steps done, of how many, and what is done now.
    Running { done: usize, of: usize, now: String },
    /// Ended well, with its outcome as JSON.
    Done(serde_json::Value),
    /// Ended without an outcome.
    Failed(String),
}

/// A running job's way to tell how far it is.
#[derive(Debug, Clone)]
pub(crate) struct Progress {
    jobs: Jobs,
    id: u64,
}

impl Progress {
    /// So many steps are done, and this is next.
    pub(crate) fn tell(&self, done: usize, of: usize, now: impl Into<String>) {
        self.jobs.change(self.id, JobState::Running { done, of, now: now.into() });
    }
}

impl Jobs {
    /// Begins a job; `None` if too many are at work.
    pub(crate) fn begin<F, W>(
        &self,
        what: &'static str,
        subject: impl Into<String>,
        expected: Duration,
        stop: &CancellationToken,
        work: W,
    ) -> Option<u64>
    where
        W: FnOnce(Progress) -> F,
        F: Future<Output = Result<serde_json::Value, String>> + Send + 'static,
    {
        let mut shelf = self.lock();
        let running = |job: &&Job| matches!(job.state, JobState::Running { .. });
        if shelf.jobs.values().filter(running).count() >= RUNNING_MAX {
            return None;
        }
        while shelf.jobs.len() >= JOBS_MAX {
            let ended = shelf.jobs.values().find(|job| !running(job)).map(|job| job.id)?;
            shelf.jobs.remove(&ended);
        }
        shelf.last += 1;
        let id = shelf.last;
        let state = JobState::Running { done: 0, of: 1, now: String::new() };
        let job = Job { id, what, subject: subject.into(), begun: Instant::now(), expected, state };
        shelf.jobs.insert(id, job);
        drop(shelf);
        let (jobs, stop) = (self.clone(), stop.clone());
        let work = work(Progress { jobs: self.clone(), id });
        // Its outcome is looked for under its number; nobody waits for the task itself.
        drop(tokio::task::spawn(async move {
            let outcome = tokio::select! {
                () = stop.cancelled() => Err("the agent stops".to_owned()),
                outcome = work => outcome,
            };
            jobs.change(id, outcome.map_or_else(JobState::Failed, JobState::Done));
        }));
        Some(id)
    }

    /// A job, if it is remembered.
    pub(crate) fn get(&self, id: u64) -> Option<Job> {
        self.lock().jobs.get(&id).cloned()
    }

    fn change(&self, id: u64, state: JobState) {
        if let Some(job) = self.lock().jobs.get_mut(&id) {
            job.state = state;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Shelf> {
        // What a panic could leave half done is what is shown of a job.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
