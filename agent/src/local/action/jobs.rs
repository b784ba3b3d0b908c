//! What takes longer than a moment: begun by a POST, watched on its own page, with progress and the time it needs.
//!
//! A few at a time, each with an end of its own; what has ended is remembered for an hour. A job that is begun while the
//! same one is at work is that one: who taps twice has it done once. A file that a job made is kept for ten minutes, one at
//! all. The work is done by [`Runner`], which `app` runs beside everything else and ends with it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::runner::{Runner, Work};

/// Jobs that are remembered; the oldest that has ended goes first.
const JOBS_MAX: usize = 20;
/// Jobs at work at one time.
const RUNNING_MAX: usize = 4;
/// How long one that has ended is remembered.
const MEMORY: Duration = Duration::from_secs(3_600);
/// How long the file of a job is kept: it may be as large as the rest of the agent.
const FILE_MEMORY: Duration = Duration::from_secs(600);

/// All jobs. Clones are one shelf.
#[derive(Debug, Clone)]
pub(crate) struct Jobs {
    shelf: Arc<Mutex<Shelf>>,
    works: mpsc::Sender<Work>,
}

#[derive(Debug, Default)]
struct Shelf {
    last: u64,
    jobs: BTreeMap<u64, Job>,
    file: Option<(u64, Instant, Arc<File>)>,
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
    /// When it ended.
    pub ended: Option<Instant>,
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

/// What a job made, to be taken away.
pub(crate) struct File {
    pub name: String,
    /// Its media type.
    pub media_type: &'static str,
    pub content: Vec<u8>,
}

impl std::fmt::Debug for File {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "File({:?}, {} bytes)", self.name, self.content.len())
    }
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
        if let Some(job) = self.jobs.lock().jobs.get_mut(&self.id).filter(|job| job.ended.is_none()) {
            job.state = JobState::Running { done, of, now: now.into() };
        }
    }

    /// This was made. The file of an earlier job goes.
    pub(crate) fn attach(&self, file: File) {
        self.jobs.lock().file = Some((self.id, Instant::now(), Arc::new(file)));
    }
}

impl Jobs {
    /// No jobs yet, and who will do them.
    pub(crate) fn new() -> (Self, Runner) {
        let (works, to_do) = mpsc::channel(RUNNING_MAX);
        let jobs = Self { shelf: Arc::default(), works };
        (jobs.clone(), Runner::new(jobs.shelf_only(), to_do))
    }

    /// Begins a job, or finds the same one at work; `None` if too many are, or the agent stops.
    pub(crate) fn begin<F, W>(
        &self,
        what: &'static str,
        subject: impl Into<String>,
        expected: Duration,
        work: W,
    ) -> Option<u64>
    where
        W: FnOnce(Progress) -> F,
        F: Future<Output = Result<serde_json::Value, String>> + Send + 'static,
    {
        let subject = subject.into();
        let mut shelf = self.lock();
        let mut running = shelf.jobs.values().filter(|job| job.ended.is_none());
        if let Some(same) = running.clone().find(|job| job.what == what && job.subject == subject) {
            return Some(same.id);
        }
        if running.by_ref().count() >= RUNNING_MAX {
            return None;
        }
        while shelf.jobs.len() >= JOBS_MAX {
            let oldest = shelf.jobs.values().find(|job| job.ended.is_some()).map(|job| job.id)?;
            shelf.jobs.remove(&oldest);
        }
        let id = shelf.last + 1;
        let future = Box::pin(work(Progress { jobs: self.clone(), id }));
        self.works.try_send(Work { id, expected, future }).ok()?;
        let state = JobState::Running { done: 0, of: 1, now: String::new() };
        let job = Job { id, what, subject, begun: Instant::now(), expected, state, ended: None };
        shelf.jobs.insert(id, job);
        shelf.last = id;
        Some(id)
    }

    /// A job, if it is remembered.
    pub(crate) fn get(&self, id: u64) -> Option<Job> {
        self.lock().jobs.get(&id).cloned()
    }

    /// What a job made, if that is still kept.
    pub(crate) fn file(&self, id: u64) -> Option<Arc<File>> {
        let shelf = self.lock();
        let (_, _, file) = shelf.file.as_ref().filter(|(of, ..)| *of == id)?;
        Some(Arc::clone(file))
    }

    /// The side of who does the work: it must not keep the way by which work comes open.
    fn shelf_only(&self) -> Outcomes {
        Outcomes(Arc::clone(&self.shelf))
    }

    fn lock(&self) -> MutexGuard<'_, Shelf> {
        lock(&self.shelf)
    }
}

/// Where it is written down what became of jobs.
#[derive(Debug)]
pub(super) struct Outcomes(Arc<Mutex<Shelf>>);

impl Outcomes {
    /// One ended.
    pub(super) fn end(&self, id: u64, outcome: Result<serde_json::Value, String>) {
        if let Some(job) = lock(&self.0).jobs.get_mut(&id) {
            job.state = outcome.map_or_else(JobState::Failed, JobState::Done);
            job.ended = Some(Instant::now());
        }
    }

    /// All that are at work end so.
    pub(super) fn end_all(&self, why: &str) {
        let now = Instant::now();
        for job in lock(&self.0).jobs.values_mut().filter(|job| job.ended.is_none()) {
            job.state = JobState::Failed(why.to_owned());
            job.ended = Some(now);
        }
    }

    /// Forgets what ended long ago.
    pub(super) fn forget(&self, now: Instant) {
        let mut shelf = lock(&self.0);
        let is_old = |then: Instant, memory| now.saturating_duration_since(then) >= memory;
        shelf.jobs.retain(|_, job| !job.ended.is_some_and(|ended| is_old(ended, MEMORY)));
        if shelf.file.as_ref().is_some_and(|(_, made, _)| is_old(*made, FILE_MEMORY)) {
            shelf.file = None;
        }
    }
}

fn lock(shelf: &Mutex<Shelf>) -> MutexGuard<'_, Shelf> {
    // What a panic could leave half done is what is shown of a job.
    shelf.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
