//! Operators act on a tenant only by entering it, and it stands in the tenant's own audit.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use storepulse_testbed::by_hand::{Answer, ByHand};
use storepulse_testbed::{store, wait};

use super::{Signed, command};
use crate::setting::{Setting, TENANT, folder, inside, operator};

async fn enter(operator: &ByHand, tenant: &str, body: Value) -> Answer {
    let request = operator.request(Method::POST, &format!("/v1/tenants/{tenant}/entries"));
    ByHand::answer(request.json(&body)).await.unwrap()
}

#[tokio::test]
async fn inside_an_operator_may_what_its_role_may_there_and_nowhere_else_and_the_tenant_can_read_why() {
    let setting = Setting::new().await;
    let url = setting.cloud.url();
    store::onboard(&setting.db, "el-sol", &["S01"], &url, None, &folder().await).await.unwrap();
    let ana = operator(&setting.db, &setting.cloud).await;
    for path in ["/v1/stores", "/v1/users", "/v1/overview", "/v1/me"] {
        assert_eq!(ana.get(path).await.unwrap().status, 401, "{path}: her key opens no tenant");
    }
    let entered = enter(&ana, TENANT, json!({ "reason": "ticket 4711", "minutes": 5 })).await;
    assert_eq!(entered.status, 201, "{entered:?}");
    let token = entered.json["token"].as_str().unwrap();
    assert!(token.starts_with("entry_la-villa_"));
    let hand = ByHand::new(&url, None, Some(format!("Bearer {token}"))).unwrap();
    let stores = hand.get("/v1/stores").await.unwrap().json;
    let stores: Vec<&Value> = stores["stores"].as_array().unwrap().iter().map(|store| &store["id"]).collect();
    assert_eq!(stores, ["T01", "T02"]);
    let me = hand.get("/v1/me").await.unwrap().json;
    assert_eq!((&me["role"], &me["tenant"]), (&json!("operator"), &json!(TENANT)), "{me}");
    let made = hand.request(Method::POST, "/v1/users").json(&json!({ "user_name": "eva", "role": "admin" }));
    assert_eq!(ByHand::answer(made).await.unwrap().status, 201);
    let elsewhere = hand.request(Method::GET, "/v1/stores").header("x-tenant-id", "el-sol");
    assert_eq!(ByHand::answer(elsewhere).await.unwrap().code(), "tenant_mismatch");
    for path in ["/v1/tenants", "/v1/tenants/la-villa", "/v1/audit"] {
        assert_eq!(hand.get(path).await.unwrap().status, 401, "{path}: inside she is no operator of all");
    }
    assert_eq!(hand.get("/v1/me/sessions").await.unwrap().code(), "session_required");

    let audit = ana.get("/v1/tenants/la-villa/audit?limit=1000").await.unwrap().json;
    let of = |action: &str| {
        let all = audit["entries"].as_array().unwrap().iter();
        all.filter(|entry| entry["action"] == action).cloned().collect::<Vec<_>>()
    };
    let entries = of("operator.entered");
    assert_eq!(entries.len(), 1, "{audit}");
    assert_eq!(entries[0]["detail"]["reason"], "ticket 4711");
    assert!(entries[0]["actor"].as_str().unwrap().starts_with("operator:ana/"), "{entries:?}");
    let by_her = of("user.created").iter().any(|entry| entry["actor"] == entries[0]["actor"]);
    assert!(by_her, "what she did inside is hers: {audit}");

    let id = entered.json["entry_id"].as_str().unwrap();
    let leave = || ana.request(Method::DELETE, &format!("/v1/tenants/la-villa/entries/{id}"));
    assert_eq!(ByHand::answer(leave()).await.unwrap().status, 204);
    assert_eq!(hand.get("/v1/stores").await.unwrap().status, 401);
    assert_eq!(ByHand::answer(leave()).await.unwrap().status, 404);
}

#[tokio::test]
async fn an_entry_needs_a_reason_and_ends_with_the_operators_key() {
    let setting = Setting::new().await;
    let ana = operator(&setting.db, &setting.cloud).await;
    for (body, said) in [
        (json!({ "reason": "" }), "reason: it is empty"),
        (json!({ "reason": "x\ny" }), "reason: it holds"),
        (json!({ "reason": "x", "minutes": 0 }), "1 to 720"),
        (json!({ "reason": "x", "minutes": 721 }), "1 to 720"),
    ] {
        let refused = enter(&ana, TENANT, body).await;
        assert_eq!((refused.status, refused.code()), (422, "bad_value"), "{refused:?}");
        assert!(refused.detail().contains(said), "{refused:?}");
    }
    assert_eq!(enter(&ana, "nobody", json!({ "reason": "x" })).await.status, 404);
    let admin = Signed::new(&setting, "admin", "--role admin").await;
    assert_eq!(enter(&admin.hand, TENANT, json!({ "reason": "x" })).await.status, 401);
    let hand = inside(&setting.cloud, &ana, TENANT).await;
    assert_eq!(hand.get("/v1/stores").await.unwrap().status, 200);
    let listed = command(&setting.db, "operator list").await.unwrap();
    let key = listed.split_whitespace().next().unwrap();
    command(&setting.db, &format!("operator revoke {key}")).await.unwrap();
    wait::until("the entry to end", Duration::from_secs(5), async || {
        Ok((hand.get("/v1/stores").await?.status == 401).then_some(()))
    })
    .await
    .unwrap();
}
