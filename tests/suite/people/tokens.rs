//! Tokens of people's programs: they may what both their scopes and their owner's role allow, and nothing of her own account.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use storepulse_testbed::by_hand::ByHand;
use storepulse_testbed::upkeep::as_admin;
use storepulse_testbed::wait;

use super::{Signed, command};
use crate::setting::Setting;

const EVERYWHERE: Duration = Duration::from_secs(5);

/// A program with these scopes, and its token's id.
async fn program(setting: &Setting, owner: &Signed, scopes: &[&str]) -> (ByHand, String) {
    let made = owner.post("/v1/me/tokens", json!({ "name": "grafana", "scopes": scopes })).await;
    assert_eq!(made.status, 201, "{made:?}");
    let token = made.json["token"].as_str().unwrap();
    assert!(token.starts_with("person_la-villa_"), "{token}");
    let hand = ByHand::new(&setting.cloud.url(), None, Some(format!("Bearer {token}"))).unwrap();
    (hand, made.json["token_id"].as_str().unwrap().to_owned())
}

async fn until_refused(what: &str, program: &ByHand, status: u16) {
    wait::until(what, EVERYWHERE, async || {
        Ok((program.get("/v1/stores").await?.status == status).then_some(()))
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_program_may_what_its_scopes_and_its_owners_role_allow_and_not_touch_her_account() {
    let setting = Setting::new().await;
    let ana = Signed::new(&setting, "ana", "--role user --store T02").await;
    let (grafana, id) = program(&setting, &ana, &["stores.read", "metrics.read"]).await;
    let stores = grafana.get("/v1/stores").await.unwrap();
    assert_eq!(stores.json["stores"].as_array().unwrap().len(), 1, "the store that she sees: {stores:?}");
    assert_eq!(grafana.get("/api/v1/labels").await.unwrap().status, 200);
    let events = grafana.get("/v1/stores/T02/events").await.unwrap();
    assert_eq!((events.status, events.code()), (403, "permission_missing"), "she may, it may not");
    assert!(events.detail().contains("this token") && events.detail().contains("events.read"), "{events:?}");
    let me = grafana.get("/v1/me").await.unwrap();
    assert_eq!((&me.json["user_name"], &me.json["session_id"]), (&json!("ana"), &Value::Null), "{me:?}");
    for (method, path) in [
        (Method::GET, "/v1/me/sessions"),
        (Method::GET, "/v1/me/tokens"),
        (Method::POST, "/v1/me/tokens"),
        (Method::PUT, "/v1/me/password"),
        (Method::POST, "/v1/me/authenticator"),
        (Method::POST, "/v1/session/switch"),
        (Method::DELETE, "/v1/session"),
    ] {
        let refused = ByHand::answer(grafana.request(method, path).body("{}")).await.unwrap();
        assert_eq!((refused.status, refused.code()), (403, "session_required"), "{path}");
    }
    let listed = ana.get("/v1/me/tokens").await;
    let listed = &listed.json["tokens"][0];
    assert_eq!((&listed["name"], &listed["token_id"]), (&json!("grafana"), &json!(id)), "{listed}");
    assert!(listed["last_used_at"].is_string() && listed.get("token").is_none(), "{listed}");

    // Another role counts for what is there already.
    command(&setting.db, "user update --tenant la-villa --user ana --role viewer --all-stores")
        .await
        .unwrap();
    wait::until("the other stores to be seen", EVERYWHERE, async || {
        let stores = grafana.get("/v1/stores").await?;
        Ok((stores.json["stores"].as_array().is_some_and(|all| all.len() == 2)).then_some(()))
    })
    .await
    .unwrap();
    assert_eq!(ana.delete(&format!("/v1/me/tokens/{id}")).await.status, 204);
    assert_eq!(grafana.get("/v1/stores").await.unwrap().status, 401);
    assert_eq!(ana.delete(&format!("/v1/me/tokens/{id}")).await.status, 404);
}

#[tokio::test]
async fn a_token_goes_with_its_owner_and_with_its_time() {
    let setting = Setting::new().await;
    let admin = Signed::new(&setting, "admin", "--role admin").await;
    let ana = Signed::new(&setting, "ana", "--role user").await;
    let eva = Signed::new(&setting, "eva", "--role user").await;
    let (of_ana, _) = program(&setting, &ana, &["stores.read"]).await;
    let (of_eva, _) = program(&setting, &eva, &["stores.read"]).await;
    let (over, id) = program(&setting, &eva, &["stores.read"]).await;
    for program in [&of_ana, &of_eva, &over] {
        assert_eq!(program.get("/v1/stores").await.unwrap().status, 200);
    }
    let late = format!("update api_tokens set expires_at = now() where token_id = '{id}' returning name");
    as_admin(&setting.db, &late).await.unwrap();
    until_refused("a token to be over", &over, 401).await;
    command(&setting.db, "user deactivate --tenant la-villa --user ana").await.unwrap();
    until_refused("a deactivated user's program to be out", &of_ana, 401).await;
    command(&setting.db, "user activate --tenant la-villa --user ana").await.unwrap();
    wait::until("it to be in again", EVERYWHERE, async || {
        Ok((of_ana.get("/v1/stores").await?.status == 200).then_some(()))
    })
    .await
    .unwrap();
    let users = admin.get("/v1/users").await.json;
    let id_of = |name: &str| {
        let all = users["users"].as_array().unwrap();
        all.iter().find(|user| user["user_name"] == name).unwrap()["user_id"].as_str().unwrap().to_owned()
    };
    let reset = admin.post(&format!("/v1/users/{}/password", id_of("eva")), Value::Null).await;
    assert_eq!(reset.status, 200, "{reset:?}");
    until_refused("the program of whose password was reset to be out", &of_eva, 401).await;
}

#[tokio::test]
async fn nobody_gives_a_program_what_she_has_not() {
    let setting = Setting::new().await;
    let viewer = Signed::new(&setting, "eva", "--role viewer").await;
    for (body, said) in [
        (
            json!({ "name": "x", "scopes": ["users.manage"] }),
            "\"users.manage\" is none of yours; allowed are stores.read, metrics.read",
        ),
        (json!({ "name": "x", "scopes": ["*"] }), "none of yours"),
        (json!({ "name": "x", "scopes": [] }), "there are none"),
        (json!({ "name": "x\n", "scopes": ["stores.read"] }), "name: it holds"),
        (json!({ "name": "x", "scopes": ["stores.read"], "days": 0 }), "1 to 3650"),
    ] {
        let refused = viewer.post("/v1/me/tokens", body.clone()).await;
        assert_eq!((refused.status, refused.code()), (422, "bad_value"), "{body}");
        assert!(refused.detail().contains(said), "{refused:?}");
    }
    for no in 0..50 {
        let body = json!({ "name": format!("n{no}"), "scopes": ["stores.read"], "days": 1 });
        assert_eq!(viewer.post("/v1/me/tokens", body).await.status, 201);
    }
    let refused = viewer.post("/v1/me/tokens", json!({ "name": "x", "scopes": ["stores.read"] })).await;
    assert_eq!((refused.status, refused.code()), (409, "token_limit"));
}
