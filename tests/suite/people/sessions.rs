//! Sessions: opened, renewed once with each token, ended; and everywhere at once.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use storepulse_testbed::by_hand::ByHand;
use storepulse_testbed::cloud::CloudProcess;
use storepulse_testbed::{store, wait};

use super::{CHOSEN, Signed, add, command, refresh, sign_in};
use crate::setting::{Setting, TENANT, database, folder, testbed};

/// The promise.
const EVERYWHERE: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_new_user_changes_the_password_first_and_then_sees_what_the_role_may() {
    let setting = Setting::new().await;
    let url = setting.cloud.url();
    let first = add(&setting.db, TENANT, "ana", "--role viewer --email Ana@retail.example").await;
    // By name or by email, in capitals too.
    let opened = sign_in(&url, TENANT, "ANA@retail.example", &first).await;
    assert_eq!((opened.status, &opened.json["must_change_password"]), (200, &true.into()), "{opened:?}");
    let ana = Signed::of(&url, &opened.json);
    let closed = ana.get("/v1/stores").await;
    assert_eq!((closed.status, closed.code()), (403, "password_change_required"));
    assert!(closed.detail().contains("PUT /v1/me/password"), "{closed:?}");
    for (old, new, status, code) in [
        (first.as_str(), "short", 422, "bad_value"),
        (&first, &first, 422, "bad_value"),
        ("not the old one", CHOSEN, 401, "sign_in_failed"),
        (&first, CHOSEN, 204, ""),
    ] {
        let answer = ana.put("/v1/me/password", json!({ "old": old, "new": new })).await;
        assert_eq!((answer.status, answer.code()), (status, code), "{answer:?}");
    }
    assert_eq!(ana.get("/v1/stores").await.status, 200);
    assert_eq!(sign_in(&url, TENANT, "ana", &first).await.status, 401, "the first password is over");
    let me = ana.get("/v1/me").await;
    assert_eq!((&me.json["user_name"], &me.json["role"]), (&"ana".into(), &"viewer".into()), "{me:?}");
    assert_eq!(me.json["permissions"], json!(["stores.read", "metrics.read"]));
    assert!(!me.json.to_string().contains("argon2"), "{me:?}");
}

#[tokio::test]
async fn a_refresh_token_is_good_once_and_ends_the_session_if_it_comes_again() {
    let setting = Setting::new().await;
    let url = setting.cloud.url();
    let ana = Signed::new(&setting, "ana", "--role user").await;
    let second = refresh(&url, &ana.refresh).await;
    assert_eq!(second.status, 200, "{second:?}");
    let renewed = Signed::of(&url, &second.json);
    assert_eq!(renewed.get("/v1/stores").await.status, 200);
    // Whoever has the first one has stolen it, or was stolen from: nobody can tell.
    assert_eq!(refresh(&url, &ana.refresh).await.code(), "unauthorized");
    for who in [&ana, &renewed] {
        wait::until("the session to be over", EVERYWHERE, async || {
            Ok((who.get("/v1/stores").await.status == 401).then_some(()))
        })
        .await
        .unwrap();
    }
    assert_eq!(refresh(&url, &renewed.refresh).await.status, 401);
    let proved = command(&setting.db, "audit verify --tenant la-villa").await;
    assert!(proved.is_ok(), "{proved:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_twenty_renewals_with_one_token_at_once_one_is_made_and_the_session_ends() {
    let setting = Setting::new().await;
    let url = setting.cloud.url();
    let ana = Signed::new(&setting, "ana", "--role user").await;
    let answers = join_all((0..20).map(|_| refresh(&url, &ana.refresh))).await;
    let renewed: Vec<_> = answers.iter().filter(|answer| answer.status == 200).collect();
    assert_eq!(renewed.len(), 1);
    assert!(answers.iter().all(|answer| matches!(answer.status, 200 | 401)), "{answers:?}");
    let token = renewed[0].json["refresh_token"].as_str().unwrap();
    assert_eq!(refresh(&url, token).await.status, 401, "one of the twenty was not hers");
}

#[tokio::test]
async fn sessions_are_listed_and_ended_by_whoever_has_them_and_by_nobody_else() {
    let setting = Setting::new().await;
    let url = setting.cloud.url();
    let ana = Signed::new(&setting, "ana", "--role user").await;
    let bob = Signed::new(&setting, "bob", "--role admin").await;
    let phone = Signed::of(&url, &sign_in(&url, TENANT, "ana", CHOSEN).await.json);
    let listed = ana.get("/v1/me/sessions").await;
    let sessions = listed.json["sessions"].as_array().unwrap();
    let current =
        |is: bool| sessions.iter().find(|s| s["current"] == is).unwrap()["session_id"].as_str().unwrap();
    assert_eq!(sessions.len(), 2, "{listed:?}");
    assert_eq!(bob.delete(&format!("/v1/me/sessions/{}", current(false))).await.status, 404);
    assert_eq!(ana.delete(&format!("/v1/me/sessions/{}", current(false))).await.status, 204);
    assert_eq!(ana.delete("/v1/me/sessions/no-uuid").await.status, 404);
    assert_eq!(ana.delete("/v1/session").await.status, 204);
    for who in [&ana, &phone] {
        wait::until("both sessions to be over", EVERYWHERE, async || {
            Ok((who.get("/v1/me").await.status == 401).then_some(()))
        })
        .await
        .unwrap();
        assert_eq!(refresh(&url, &who.refresh).await.status, 401);
    }
}

#[tokio::test]
async fn the_user_that_signs_in_most_has_fifty_sessions_and_the_oldest_make_room() {
    let setting = Setting::new().await;
    let url = setting.cloud.url();
    let ana = Signed::new(&setting, "ana", "--role user").await;
    let mut last = None;
    for _ in 0..50 {
        last = Some(Signed::of(&url, &sign_in(&url, TENANT, "ana", CHOSEN).await.json));
    }
    let last = last.unwrap();
    let open = last.get("/v1/me/sessions").await.json["sessions"].as_array().unwrap().len();
    assert_eq!(open, 50);
    assert_eq!(refresh(&url, &ana.refresh).await.status, 401);
}

#[tokio::test]
async fn what_changes_of_a_user_counts_in_both_processes_within_five_seconds() {
    let db = database().await;
    let start = async || CloudProcess::start(testbed(), &db, &folder().await).await.unwrap();
    let clouds = [start().await, start().await];
    store::onboard(&db, TENANT, &["T01", "T02"], &clouds[0].url(), None, &folder().await).await.unwrap();
    let first = add(&db, TENANT, "ana", "--role admin").await;
    add(&db, TENANT, "bob", "--role admin").await;
    let url = clouds[0].url();
    let nobody = ByHand::new(&url, Some(&clouds[0].ca()), None).unwrap();
    let body = json!({ "tenant": TENANT, "user": "ana", "password": first });
    let opened =
        ByHand::answer(nobody.request(reqwest::Method::POST, "/v1/session").json(&body)).await.unwrap();
    let bearer = format!("Bearer {}", opened.json["access_token"].as_str().unwrap());
    // The two sign with the same keys.
    let both = clouds
        .each_ref()
        .map(|cloud| ByHand::new(&cloud.url(), Some(&cloud.ca()), Some(bearer.clone())).unwrap());
    let chosen = both[1].request(reqwest::Method::PUT, "/v1/me/password");
    let chosen = ByHand::answer(chosen.json(&json!({ "old": first, "new": CHOSEN }))).await.unwrap();
    assert_eq!(chosen.status, 204, "{chosen:?}");
    let until = async |path: &str, what: &dyn Fn(&storepulse_testbed::by_hand::Answer) -> bool| {
        for hand in &both {
            wait::until("both processes to know", EVERYWHERE, async || {
                Ok(what(&hand.get(path).await?).then_some(()))
            })
            .await
            .unwrap();
        }
    };
    until("/v1/users", &|answer| answer.status == 200).await;
    command(&db, "user update --tenant la-villa --user ana --role viewer").await.unwrap();
    until("/v1/users", &|answer| answer.code() == "permission_missing").await;
    command(&db, "user update --tenant la-villa --user ana --store T02").await.unwrap();
    until("/v1/stores/T01/status", &|answer| answer.status == 404).await;
    until("/v1/stores/T02/status", &|answer| answer.status == 200).await;
    command(&db, "user update --tenant la-villa --user ana --all-stores").await.unwrap();
    until("/v1/stores/T01/status", &|answer| answer.status == 200).await;
    command(&db, "user deactivate --tenant la-villa --user ana").await.unwrap();
    until("/v1/stores", &|answer| answer.status == 401).await;
    command(&db, "user activate --tenant la-villa --user ana").await.unwrap();
    until("/v1/stores", &|answer| answer.status == 401).await;
}
