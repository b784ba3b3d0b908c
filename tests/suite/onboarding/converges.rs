//! Killed anywhere and run again, it comes to the same end.

use std::time::Duration;

use futures_util::future::join_all;
use storepulse_cloud::embedded::Embedded;
use storepulse_cloud::onboarding::{How, KeyResult, OnboardError, Step};
use storepulse_testbed::by_hand::{ByHand, HandBatch, samples};
use storepulse_testbed::children::Role;
use storepulse_testbed::wait;

use super::{Place, into, key_in, unvalidated};
use crate::setting::{folder, now_ms, testbed};

#[tokio::test]
async fn killed_at_each_step_and_run_again_it_converges() {
    let place = Place::new().await;
    let runs = Step::ALL.iter().enumerate().map(async |(no, step)| {
        let (request, out) = (place.request(&format!("chain-{no}"), 3), folder().await);
        let how = How { stop_after: Some(*step), ..into(&out) };
        let stopped = place.onboard(&request, &how).await.unwrap_err();
        assert!(matches!(stopped, OnboardError::Stopped(at) if at == *step), "{stopped}");
        let in_files = request.stores.iter().filter(|s| out.join(s.as_str()).join("store.key").exists());
        let (in_files, open) = (in_files.count(), place.active_keys(request.tenant.as_str()).await);
        assert!(i64::try_from(in_files).unwrap() >= open, "{step:?}: a key opens that stands in no file");
        let results = place.onboard(&request, &into(&out)).await.unwrap();
        assert_eq!(results.stores.len(), 3);
        place.assert_whole(&request, &out).await;
        let again = place.onboard(&request, &into(&out)).await.unwrap();
        assert!(again.stores.iter().all(|store| store.key == KeyResult::Kept), "{step:?}");
    });
    join_all(runs).await;
}

#[tokio::test]
async fn a_process_that_is_killed_leaves_nothing_that_the_next_cannot_finish() {
    let place = Place::new().await;
    let (request, out, log_dir) = (place.request("killed", 40), folder().await, folder().await);
    let request = storepulse_cloud::onboarding::Request { plan: "premium".to_owned(), ..request };
    let (app, control) = (Embedded::url(&place.db.app), Embedded::url(&place.db.control));
    let ca = place.cloud.ca.as_ref().unwrap().display().to_string();
    let (url, out_text) = (place.cloud.url(), out.display().to_string());
    let args = [
        "onboard-role",
        "--app-url",
        &app,
        "--control-url",
        &control,
        "--tenant",
        "killed",
        "--stores",
        "40",
        "--cloud-url",
        &url,
        "--ca",
        &ca,
        "--out",
        &out_text,
        "--worthless-data",
    ];
    // At once after each line that it says: in the middle of the step that follows.
    for step in 0..Step::ALL.len() - 1 {
        let log = log_dir.join(format!("{step}.log"));
        let mut child = Role::start(testbed(), &args, &log).unwrap();
        let says = format!("[{}/", step + 1);
        wait::until("the child to get that far, or to its end", Duration::from_secs(60), async || {
            let is_there = std::fs::read_to_string(&log).unwrap_or_default().contains(&says);
            Ok((is_there || child.ended()?.is_some()).then_some(()))
        })
        .await
        .unwrap();
        child.kill().unwrap();
        assert!(place.active_keys("killed").await <= 40);
    }
    place.onboard(&request, &into(&out)).await.unwrap();
    place.assert_whole(&request, &out).await;
}

#[tokio::test]
async fn into_another_folder_only_keys_that_were_never_used_are_replaced() {
    let place = Place::new().await;
    let (request, first, second) = (place.request("moved", 2), folder().await, folder().await);
    place.onboard(&request, &unvalidated(&first)).await.unwrap();
    let used = key_in(&first.join("T01"));
    let bearer = Some(format!("Bearer {}", used.expose()));
    let agent = ByHand::new(&place.cloud.url(), place.cloud.ca.as_deref(), bearer).unwrap();
    let batch = HandBatch::of(storepulse_shared::ids::Epoch::random(), 1, &samples("m", &[now_ms()], &[1.0]));
    assert_eq!(agent.send(&batch).await.unwrap().status, 200);

    place.onboard(&request, &unvalidated(&second)).await.unwrap();
    assert_eq!(place.active_keys("moved").await, 3, "T01 has two, one of them in use; T02 one");
    assert_eq!(agent.get("/v1/stores/T01/status").await.unwrap().status, 200, "what is in use goes on");
    assert_ne!(key_in(&second.join("T02")), key_in(&first.join("T02")));
    let revoked = "select count(*) from audit_entries where tenant_id = $1 and action = 'key.revoked'";
    assert_eq!(place.count(revoked, "moved").await, 1);

    // And once more: the one of T01 that was never used goes, the one in use stays.
    let third = folder().await;
    place.onboard(&request, &unvalidated(&third)).await.unwrap();
    assert_eq!((place.active_keys("moved").await, place.count(revoked, "moved").await), (3, 3));
    assert_eq!(agent.get("/v1/stores/T01/status").await.unwrap().status, 200);

    // The store sends again: now both of its keys may be in use, and nobody's is taken away.
    let batch = HandBatch::of(storepulse_shared::ids::Epoch::random(), 1, &samples("m", &[now_ms()], &[1.0]));
    assert_eq!(agent.send(&batch).await.unwrap().status, 200);
    let refused = place.onboard(&request, &unvalidated(&folder().await)).await.unwrap_err();
    assert!(matches!(&refused, OnboardError::TwoInUse(store) if store.as_str() == "T01"), "{refused}");
    assert_eq!(place.active_keys("moved").await, 3);
}

#[tokio::test]
async fn what_exists_stays_as_it_is() {
    let place = Place::new().await;
    let (mut request, out) = (place.request("steady", 2), folder().await);
    place.onboard(&request, &unvalidated(&out)).await.unwrap();
    let changed = std::fs::read_to_string(out.join("T01/agent.yaml")).unwrap() + "# mine\n";
    std::fs::write(out.join("T01/agent.yaml"), &changed).unwrap();
    request.company = "Another name".to_owned();
    request.plan = "premium".to_owned();
    request.contacts.admin = Some("Another person".to_owned());
    request.stores = storepulse_cloud::onboarding::numbered_stores(4).unwrap();
    let results = place.onboard(&request, &unvalidated(&out)).await.unwrap();
    assert_eq!((results.company.as_str(), results.plan.as_str()), ("Retail Corp", "basic"));
    assert_eq!(std::fs::read_to_string(out.join("T01/agent.yaml")).unwrap(), changed);
    let keys: Vec<KeyResult> = results.stores.iter().map(|store| store.key).collect();
    assert_eq!(keys, [KeyResult::Kept, KeyResult::Kept, KeyResult::Issued, KeyResult::Issued]);
    let contacts = "select count(*) from tenant_settings where tenant_id = $1 and type = 'general'
        and name = 'contacts' and value = '{\"email\": \"billing@retail.example\", \"admin\": \"Juan Pérez\", \"whatsapp\": [\"1234567890\"]}'";
    assert_eq!(place.count(contacts, "steady").await, 1);
    place.assert_whole(&request, &out).await;
}

#[tokio::test]
async fn two_at_once_into_one_folder_are_one_too_many() {
    let place = Place::new().await;
    let (request, out) = (place.request("twice", 5), folder().await);
    let (a, b) = (into(&out), into(&out));
    let (first, second) = tokio::join!(place.onboard(&request, &a), place.onboard(&request, &b));
    let refused = [&first, &second].into_iter().filter_map(|r| r.as_ref().err()).collect::<Vec<_>>();
    assert!(matches!(refused.as_slice(), [OnboardError::FolderInUse(_)]), "{refused:?}");
    place.assert_whole(&request, &out).await;
}
