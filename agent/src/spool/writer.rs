//! One thread owns the database and commits for everybody.
//!
//! Calls wait in a channel; the writer takes all that are there, runs each in a savepoint of one transaction, commits
//! once, and answers them all after the commit. Where the disk is to be spared (see `wear.rs`) it first waits a little for
//! more calls, as long as every one that is there can wait. A call that fails is undone alone. When the transaction itself
//! fails, all of its calls fail, nothing of them is stored, and what was held in memory is read again from the database.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, oneshot};

use super::advice::advice;
use super::core::Core;
use super::open::TRANSACTION_BYTES_MAX;
use super::{SpoolError, damage};
use crate::time::now_ms;

/// Calls that share one commit at most; more wait for the next.
const GROUP_MAX: usize = 512;

/// A call on its way to its commit.
struct Job {
    run: Run,
    called: Instant,
    /// How long it can wait for others at most.
    patience: Duration,
}

/// Runs in the transaction, if there is one.
type Run = Box<dyn FnOnce(Option<&mut Core>) -> Ran + Send>;
/// Called with the fate of the transaction.
type Reply = Box<dyn FnOnce(Option<&str>) + Send>;

/// A job that has run, or could not.
struct Ran {
    reply: Reply,
    /// Why SQLite refused it.
    refusal: Option<String>,
}

#[derive(Debug, Clone)]
pub(super) struct Writer {
    jobs: Sender<Job>,
    /// The database, for error messages.
    path: Arc<Path>,
}

impl Writer {
    /// `news` is told after every commit that gives the uplink something to do.
    pub(super) fn start(
        core: Core,
        path: Arc<Path>,
        news: Arc<Notify>,
        replaced: Arc<Notify>,
    ) -> std::io::Result<(Self, JoinHandle<()>)> {
        let (jobs, queue) = channel();
        let work = move || run(core, &queue, &news, &replaced);
        let thread = std::thread::Builder::new().name("spool".to_owned()).spawn(work)?;
        Ok((Self { jobs, path }, thread))
    }

    /// Runs a change at once, and returns what it returned once it is durable.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Core) -> Result<T, SpoolError> + Send + 'static,
    ) -> Result<T, SpoolError> {
        self.write_within(Duration::ZERO, change).await
    }

    /// The same for a change that can wait so long for others to share a commit with.
    pub(super) async fn write_within<T: Send + 'static>(
        &self,
        patience: Duration,
        change: impl FnOnce(&mut Core) -> Result<T, SpoolError> + Send + 'static,
    ) -> Result<T, SpoolError> {
        let (job, answer) = job(change);
        self.jobs.send(Job { patience, ..job }).map_err(|_| SpoolError::Closed)?;
        answer.await.map_err(|_| SpoolError::Closed)?.map_err(|error| error.at(&self.path))
    }
}

/// A change as a job, and where its answer will come.
fn job<T: Send + 'static>(
    change: impl FnOnce(&mut Core) -> Result<T, SpoolError> + Send + 'static,
) -> (Job, oneshot::Receiver<Result<T, SpoolError>>) {
    let (answer, waiting) = oneshot::channel();
    let run: Run = Box::new(move |core| {
        let result = core.map(|core| in_savepoint(core, change));
        let refusal = match &result {
            Some(Err(SpoolError::Sqlite(error))) => Some(advice(error)),
            _ => None,
        };
        let reply: Reply = Box::new(move |failure| {
            let result = match (result, failure) {
                (Some(result), None) => result,
                // Its own error says more than that of the transaction.
                (Some(Err(error)), Some(_)) => Err(error),
                (_, failure) => Err(SpoolError::Commit(failure.unwrap_or_default().to_owned())),
            };
            // Whoever asked may have gone; the change stands all the same.
            let _ = answer.send(result);
        });
        Ran { reply, refusal }
    });
    (Job { run, called: Instant::now(), patience: Duration::ZERO }, waiting)
}

fn in_savepoint<T>(
    core: &mut Core,
    change: impl FnOnce(&mut Core) -> Result<T, SpoolError>,
) -> Result<T, SpoolError> {
    let result = core.execute("savepoint job").map_err(Into::into).and_then(|()| change(core));
    core.is_damaged |= result.as_ref().is_err_and(damage::is_damage);
    if result.is_err() && !core.db().is_autocommit() {
        core.stale = true;
        core.execute("rollback to job")?;
        // What the change had done in memory is undone too.
        core.reload()?;
    }
    if !core.db().is_autocommit() {
        core.execute("release job")?;
    }
    result
}

fn run(mut core: Core, queue: &Receiver<Job>, news: &Notify, replaced: &Notify) {
    let mut waiting = VecDeque::new();
    while gather(&mut waiting, queue, || core.wear.window()) {
        commit_and_answer(
            &mut core,
            std::iter::from_fn(|| waiting.pop_front().or_else(|| queue.try_recv().ok())),
        );
        if core.is_damaged {
            match core.replace(now_ms()) {
                Ok(()) => replaced.notify_one(),
                Err(error) => {
                    tracing::error!(%error, "the damaged spool could not be replaced; trying again")
                }
            }
        }
        if std::mem::take(&mut core.news) {
            news.notify_one();
        }
    }
    core.close();
}

/// Waits for calls: for the first as long as it takes, then for more, as long as the window is open and each of them can
/// wait. `false` once there is none, and will be none.
fn gather(waiting: &mut VecDeque<Job>, queue: &Receiver<Job>, window: impl FnOnce() -> Duration) -> bool {
    if waiting.is_empty() {
        let Ok(first) = queue.recv() else { return false };
        waiting.push_back(first);
    }
    let window = window();
    if window.is_zero() {
        return true;
    }
    let until = |job: &Job| job.called + window.min(job.patience);
    let mut end = waiting.iter().map(until).min();
    while let Some(left) = end.map(|end| end.saturating_duration_since(Instant::now()))
        && waiting.len() < GROUP_MAX
        && !left.is_zero()
        && let Ok(job) = queue.recv_timeout(left)
    {
        end = end.min(Some(until(&job)));
        waiting.push_back(job);
    }
    true
}

fn commit_and_answer(core: &mut Core, jobs: impl Iterator<Item = Job>) {
    let (replies, failure) = commit_group(core, jobs);
    if let Some(error) = &failure {
        tracing::error!(error, "the spool could not commit");
        if let Err(error) = core.reload() {
            tracing::error!(%error, "the spool could not be read again");
            core.is_damaged |= damage::is_damage(&error);
        }
    }
    for reply in replies {
        reply(failure.as_deref());
    }
    core.count_writes();
}

/// Runs jobs in one transaction, as many as share it. After a serious error (a full disk, say) SQLite ends the
/// transaction by itself, or a change cannot be undone alone: then no further job may run, and those before are undone.
fn commit_group(core: &mut Core, jobs: impl Iterator<Item = Job>) -> (Vec<Reply>, Option<String>) {
    let begun = begin(core);
    core.is_damaged |= begun.as_ref().is_err_and(damage::is_damage);
    let mut failure = begun.err().map(|error| told(&error));
    let mut replies = Vec::new();
    core.transaction_bytes = 0;
    let changes = core.db().total_changes();
    for job in jobs.take(GROUP_MAX) {
        if failure.is_some() {
            replies.push((job.run)(None).reply);
            break;
        }
        let ran = (job.run)(Some(core));
        replies.push(ran.reply);
        if core.db().is_autocommit() || core.stale {
            failure = Some(ran.refusal.unwrap_or_else(|| "the database ended the transaction".to_owned()));
        }
        if failure.is_some() || core.transaction_bytes > TRANSACTION_BYTES_MAX {
            break;
        }
    }
    if failure.is_none()
        && let Err(error) = commit(core, changes)
    {
        failure = Some(advice(&error));
        core.is_damaged |= damage::is_damage(&error.into());
    }
    if failure.is_some()
        && !core.db().is_autocommit()
        && let Err(error) = core.execute("rollback")
    {
        tracing::error!(%error, "the spool could not roll back");
    }
    (replies, failure)
}

/// Commits, with the count of what the disk had to write if there is anything to commit anyway.
fn commit(core: &mut Core, changes_before: u64) -> Result<(), rusqlite::Error> {
    if core.db().total_changes() != changes_before {
        core.save_writes()?;
    }
    core.execute("commit")
}

/// Begins a transaction over what really stands in the database.
fn begin(core: &mut Core) -> Result<(), SpoolError> {
    core.execute("begin immediate")?;
    if core.stale { core.reload() } else { Ok(()) }
}

fn told(error: &SpoolError) -> String {
    match error {
        SpoolError::Sqlite(error) => advice(error),
        error => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use storepulse_shared::batch::{Column, Frame, Lane};

    use super::super::core::Limits;
    use super::super::open::in_memory;
    use super::super::status;
    use super::*;

    const NOW: i64 = 1_763_700_000_000;

    fn core() -> Core {
        let limits = Limits { bytes_max: 64 << 20, batch_samples_max: 1_000 };
        Core::load(in_memory(), limits, None, NOW).unwrap()
    }

    fn tick(time: i64) -> Frame<'static> {
        let columns = vec![Column { series: "m".into(), values: vec![1.0] }];
        Frame { device: "d".into(), kind: "host".into(), times: vec![time], columns }
    }

    fn open_rows(core: &Core) -> u64 {
        status::read(core.db()).unwrap().lanes.iter().map(|lane| lane.open_rows).sum()
    }

    #[test]
    fn a_failed_change_is_undone_alone() {
        let mut core = core();
        let (good, good_answer) = job(|core| core.append_frames(Lane::Normal, &[tick(NOW)], NOW));
        let (bad, bad_answer) = job(|core| {
            core.append_frames(Lane::Bulk, &[tick(NOW)], NOW)?;
            Err::<(), _>(SpoolError::Damaged("on purpose".to_owned()))
        });
        let (later, later_answer) = job(|core| core.append_frames(Lane::Bulk, &[tick(NOW + 1)], NOW));
        commit_and_answer(&mut core, vec![good, bad, later].into_iter());
        assert!(good_answer.blocking_recv().unwrap().is_ok());
        assert!(matches!(bad_answer.blocking_recv().unwrap(), Err(SpoolError::Damaged(_))));
        assert!(later_answer.blocking_recv().unwrap().is_ok());
        assert_eq!(open_rows(&core), 2);
    }

    #[test]
    fn when_the_transaction_ends_by_itself_nobody_is_told_that_their_change_stands() {
        let mut core = core();
        let (before, before_answer) = job(|core| core.append_frames(Lane::Normal, &[tick(NOW)], NOW));
        // As SQLite does by itself after a serious error.
        let (serious, serious_answer) = job(|core| Ok(core.execute("rollback")?));
        let (after, after_answer) = job(|core| core.append_frames(Lane::Normal, &[tick(NOW + 1)], NOW));
        let mut jobs = vec![before, serious, after].into_iter();
        commit_and_answer(&mut core, &mut jobs);
        assert_eq!(jobs.len(), 1, "what comes after the end of the transaction waits for another");
        for answer in [before_answer, serious_answer] {
            assert!(matches!(answer.blocking_recv().unwrap(), Err(SpoolError::Commit(_))));
        }
        assert_eq!(open_rows(&core), 0);
        commit_and_answer(&mut core, jobs);
        assert!(after_answer.blocking_recv().unwrap().is_ok());
        assert_eq!(open_rows(&core), 1);
        let (again, again_answer) = job(|core| core.append_frames(Lane::Normal, &[tick(NOW)], NOW));
        commit_and_answer(&mut core, std::iter::once(again));
        assert!(again_answer.blocking_recv().unwrap().is_ok());
        assert_eq!(open_rows(&core), 2);
    }

    const HOUR: Duration = Duration::from_secs(3_600);

    fn call(patience: Duration) -> Job {
        Job { patience, ..job(|_| Ok(())).0 }
    }

    /// How many calls share a commit of what is in the channel when the first is taken.
    fn gathered(calls: Vec<Job>, window: Duration) -> (usize, Receiver<Job>) {
        let (jobs, queue) = channel();
        let mut waiting = VecDeque::new();
        calls.into_iter().for_each(|call| jobs.send(call).unwrap());
        assert!(gather(&mut waiting, &queue, || window));
        (waiting.len(), queue)
    }

    #[test]
    fn a_call_that_cannot_wait_ends_the_wait_of_all() {
        // With a wait of an hour this test would not end.
        assert_eq!(gathered(vec![call(Duration::ZERO)], HOUR).0, 1);
        assert_eq!(gathered(vec![call(HOUR), call(HOUR), call(Duration::ZERO)], HOUR).0, 3);
        assert_eq!(gathered(vec![call(HOUR)], Duration::ZERO).0, 1);
    }

    #[test]
    fn a_wait_ends_when_the_group_is_full_or_nobody_is_left_who_could_come() {
        let calls = (0..=GROUP_MAX).map(|_| call(HOUR)).collect();
        let (count, queue) = gathered(calls, HOUR);
        assert_eq!((count, queue.try_iter().count()), (GROUP_MAX, 1));
        let mut waiting = VecDeque::from([call(HOUR)]);
        assert!(gather(&mut waiting, &queue, || HOUR) && waiting.len() == 1, "the senders are gone");
        assert!(!gather(&mut VecDeque::new(), &queue, || HOUR));
    }
}
