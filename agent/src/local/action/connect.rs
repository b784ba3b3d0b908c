//! What the actions have done by others: tests by [`crate::trial`], bundles by [`crate::bundle`].

use std::path::PathBuf;
use std::sync::Arc;

use super::{File, MakeBundle, Progress, TestDevice};
use crate::bundle::{self, BundleSource, Support};
use crate::trial::Trial;

/// Tests by this.
pub(crate) fn test_by(trial: Trial) -> TestDevice {
    Arc::new(move |device, progress| {
        let trial = trial.clone();
        Box::pin(async move {
            let tested = trial.test(&device, &mut telling(&progress)).await?;
            serde_json::to_value(tested).map_err(|error| error.to_string())
        })
    })
}

/// Makes bundles of this agent, which runs with this configuration.
pub(crate) fn bundle_by(config_path: PathBuf, support: Support) -> MakeBundle {
    Arc::new(move |progress| {
        let (config_path, support) = (config_path.clone(), Some(support.clone()));
        Box::pin(async move {
            let source = BundleSource { config_path, support, doctor: None };
            let made =
                bundle::make(source, &mut telling(&progress)).await.map_err(|error| error.to_string())?;
            let (name, content) = (made.file_name, made.html.into_bytes());
            let outcome = serde_json::json!({ "file": name, "bytes": content.len() });
            progress.attach(File { name, media_type: "text/html; charset=utf-8", content });
            Ok(outcome)
        })
    })
}

fn telling(progress: &Progress) -> impl FnMut(usize, usize, &str) + Send + '_ {
    |done, of, now| progress.tell(done, of, now)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::local::action::JobState;
    use crate::local::scene::{LONG, Scene};
    use crate::log_tail::LogTail;

    async fn ended(scene: &Scene, id: u64) -> JobState {
        let ended = async {
            loop {
                match scene.jobs.get(id).unwrap().state {
                    JobState::Running { .. } => tokio::time::sleep(Duration::from_millis(5)).await,
                    state => return state,
                }
            }
        };
        tokio::time::timeout(LONG, ended).await.unwrap()
    }

    #[tokio::test]
    async fn a_test_is_the_trials_own_and_why_there_is_none_is_told() {
        let scene = Scene::start("").await;
        let test = test_by(scene.trial.clone());
        for (device, why) in [("none", "there is no device none"), ("box", "box")] {
            let device = device.parse().unwrap();
            let id = scene.jobs.begin("test", "", LONG, |progress| test(device, progress)).unwrap();
            let state = ended(&scene, id).await;
            assert!(matches!(&state, JobState::Failed(told) if told.contains(why)), "{state:?}");
        }
    }

    #[tokio::test]
    async fn a_bundle_is_made_and_kept_to_be_taken() {
        let scene = Scene::start("").await;
        let support = Support { status: Arc::clone(&scene.status), log: LogTail::default() };
        let make = bundle_by(scene.dir.path().join("agent.yaml"), support);
        let id = scene.jobs.begin("bundle", "", LONG, |progress| make(progress)).unwrap();
        let state = ended(&scene, id).await;
        let file = scene.jobs.file(id).unwrap();
        assert!(matches!(&state, JobState::Done(told) if told["file"] == *file.name), "{state:?}");
        let html = String::from_utf8(file.content.clone()).unwrap();
        assert!(html.starts_with("<!DOCTYPE html>") && html.len() > 1_000, "{html:.200}");
    }
}
