//! One thread owns the database and commits for everybody.
//!
//! Calls wait in a channel; the writer takes all that are there, runs each in a savepoint of one transaction, commits
//! once, and answers them all after the commit. A call that fails is undone alone. When the transaction itself fails,
//! all of its calls fail, nothing of them is stored, and what was held in memory is read again from the database.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use tokio::sync::{Notify, oneshot};

use super::advice::advice;
use super::core::Core;
use super::open::TRANSACTION_BYTES_MAX;
use super::{SpoolError, damage};
use crate::time::now_ms;

/// Calls that share one commit at most; more wait for the next.
const GROUP_MAX: usize = 512;

/// Runs in the transaction, if there is one.
type Job = Box<dyn FnOnce(Option<&mut Core>) -> Ran + Send>;
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

    /// Runs a change, and returns what it returned once it is durable.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Core) -> Result<T, SpoolError> + Send + 'static,
    ) -> Result<T, SpoolError> {
        let (job, answer) = job(change);
        self.jobs.send(job).map_err(|_| SpoolError::Closed)?;
        answer.await.map_err(|_| SpoolError::Closed)?.map_err(|error| error.at(&self.path))
    }
}

/// A change as a job, and where its answer will come.
fn job<T: Send + 'static>(
    change: impl FnOnce(&mut Core) -> Result<T, SpoolError> + Send + 'static,
) -> (Job, oneshot::Receiver<Result<T, SpoolError>>) {
    let (answer, waiting) = oneshot::channel();
    let job: Job = Box::new(move |core| {
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
    (job, waiting)
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
    while let Ok(first) = queue.recv() {
        commit_and_answer(&mut core, std::iter::once(first).chain(queue.try_iter()));
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
}

/// Runs jobs in one transaction, as many as share it. After a serious error (a full disk, say) SQLite ends the
/// transaction by itself, or a change cannot be undone alone: then no further job may run, and those before are undone.
fn commit_group(core: &mut Core, jobs: impl Iterator<Item = Job>) -> (Vec<Reply>, Option<String>) {
    let begun = begin(core);
    core.is_damaged |= begun.as_ref().is_err_and(damage::is_damage);
    let mut failure = begun.err().map(|error| told(&error));
    let mut replies = Vec::new();
    core.transaction_bytes = 0;
    for job in jobs.take(GROUP_MAX) {
        if failure.is_some() {
            replies.push(job(None).reply);
            break;
        }
        let ran = job(Some(core));
        replies.push(ran.reply);
        if core.db().is_autocommit() || core.stale {
            failure = Some(ran.refusal.unwrap_or_else(|| "the database ended the transaction".to_owned()));
        }
        if failure.is_some() || core.transaction_bytes > TRANSACTION_BYTES_MAX {
            break;
        }
    }
    if failure.is_none()
        && let Err(error) = core.execute("commit")
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
}
