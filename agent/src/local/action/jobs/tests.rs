//! Jobs begin, tell, end, fail, are bounded, and end with the agent.

use serde_json::json;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::*;

const LONG: Duration = Duration::from_secs(5);

struct Scene {
    jobs: Jobs,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

fn scene() -> Scene {
    let ((jobs, runner), stop, mut tasks) = (Jobs::new(), CancellationToken::new(), JoinSet::new());
    tasks.spawn(runner.run(stop.clone()));
    Scene { jobs, stop, tasks }
}

impl Scene {
    async fn ended(&self, id: u64) -> JobState {
        let ended = async {
            loop {
                match self.jobs.get(id).unwrap().state {
                    JobState::Running { .. } => tokio::time::sleep(Duration::from_millis(2)).await,
                    state => return state,
                }
            }
        };
        tokio::time::timeout(LONG, ended).await.unwrap()
    }

    /// One that ends when it is told.
    fn waiting(&self, subject: &str) -> (Option<u64>, oneshot::Sender<()>) {
        let (tell, told) = oneshot::channel::<()>();
        let id = self.jobs.begin("test", subject, LONG, |_| async move {
            let _ = told.await;
            Ok(json!("told"))
        });
        (id, tell)
    }
}

#[tokio::test]
async fn a_job_tells_how_far_it_is_and_how_it_ended() {
    let scene = scene();
    let (tell, told) = oneshot::channel::<()>();
    let (reached, is_there) = oneshot::channel::<()>();
    let work = |progress: Progress| async move {
        progress.tell(1, 3, "reading");
        let _ = reached.send(());
        let _ = told.await;
        Ok(json!({ "good": true }))
    };
    let id = scene.jobs.begin("test", "scale-1", LONG, work).unwrap();
    is_there.await.unwrap();
    let job = scene.jobs.get(id).unwrap();
    assert_eq!(job.state, JobState::Running { done: 1, of: 3, now: "reading".to_owned() });
    assert_eq!((job.what, job.subject.as_str(), job.expected, job.ended), ("test", "scale-1", LONG, None));
    tell.send(()).unwrap();
    assert_eq!(scene.ended(id).await, JobState::Done(json!({ "good": true })));
    let failed =
        scene.jobs.begin("test", "scale-1", LONG, |_| async { Err("no answer".to_owned()) }).unwrap();
    assert_eq!(scene.ended(failed).await, JobState::Failed("no answer".to_owned()));
    assert_ne!(failed, id);
    assert!(scene.jobs.get(99).is_none());
}

#[tokio::test]
async fn a_few_are_at_work_and_the_same_one_once() {
    let scene = scene();
    let held: Vec<_> = (0..RUNNING_MAX).map(|no| scene.waiting(&format!("scale-{no}"))).collect();
    assert!(held.iter().all(|(id, _)| id.is_some()));
    assert_eq!(scene.waiting("scale-0").0, held[0].0, "it is at work already");
    assert_eq!(scene.waiting("scale-9").0, None, "that would be one too many");
    for (id, tell) in held {
        tell.send(()).unwrap();
        scene.ended(id.unwrap()).await;
    }
    assert!(scene.waiting("scale-9").0.is_some());
}

#[tokio::test]
async fn so_many_are_remembered_and_for_so_long() {
    let scene = scene();
    let mut last = 0;
    for no in 0..3 * JOBS_MAX {
        last = scene.jobs.begin("test", no.to_string(), LONG, |_| async { Ok(json!(1)) }).unwrap();
        scene.ended(last).await;
    }
    assert_eq!(scene.jobs.lock().jobs.len(), JOBS_MAX);
    assert!(scene.jobs.get(1).is_none() && scene.jobs.get(last).is_some());
    scene.jobs.shelf_only().forget(Instant::now() + MEMORY);
    assert!(scene.jobs.get(last).is_none());
}

#[tokio::test]
async fn the_last_file_is_kept_for_a_while() {
    let scene = scene();
    let make = |progress: Progress| async move {
        let file = File { name: "a.html".to_owned(), media_type: "text/html", content: vec![1, 2] };
        progress.attach(file);
        Ok(json!(null))
    };
    let first = scene.jobs.begin("bundle", "", LONG, make).unwrap();
    scene.ended(first).await;
    assert_eq!(scene.jobs.file(first).unwrap().content, [1, 2]);
    let second = scene.jobs.begin("bundle", "", LONG, make).unwrap();
    scene.ended(second).await;
    assert!(scene.jobs.file(first).is_none() && scene.jobs.file(second).is_some());
    scene.jobs.shelf_only().forget(Instant::now() + FILE_MEMORY);
    assert!(scene.jobs.file(second).is_none());
}

#[tokio::test]
async fn a_job_that_panics_has_failed_and_others_go_on() {
    let scene = scene();
    let id = scene.jobs.begin("test", "a", LONG, |_| async { panic!("as a parser might") }).unwrap();
    assert!(matches!(scene.ended(id).await, JobState::Failed(why) if why.contains("log")));
    let id = scene.jobs.begin("test", "b", LONG, |_| async { Ok(json!(1)) }).unwrap();
    assert_eq!(scene.ended(id).await, JobState::Done(json!(1)));
}

#[tokio::test]
async fn a_job_that_never_ends_is_given_up() {
    let ((jobs, mut runner), stop, mut tasks) = (Jobs::new(), CancellationToken::new(), JoinSet::new());
    runner.late_more = Duration::from_millis(40);
    tasks.spawn(runner.run(stop.clone()));
    let scene = Scene { jobs, stop, tasks };
    let id = scene.jobs.begin("test", "a", Duration::from_millis(20), |_| std::future::pending()).unwrap();
    assert_eq!(scene.ended(id).await, JobState::Failed("given up after 100ms".to_owned()));
}

#[tokio::test]
async fn all_jobs_end_with_the_agent_and_none_begins_after_it() {
    let mut scene = scene();
    let held = Arc::new(());
    let in_job = Arc::clone(&held);
    let work = |_| async move {
        let _in_job = in_job;
        std::future::pending().await
    };
    let id = scene.jobs.begin("test", "a", LONG, work).unwrap();
    scene.stop.cancel();
    tokio::time::timeout(LONG, scene.tasks.join_next()).await.unwrap().unwrap().unwrap();
    assert_eq!(scene.ended(id).await, JobState::Failed("the agent stops".to_owned()));
    assert_eq!(Arc::strong_count(&held), 1, "nothing of it is left");
    assert_eq!(scene.waiting("b").0, None);
}
