//! Invitations: one token makes one user, whoever comes first.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use storepulse_testbed::by_hand::{Answer, ByHand};
use storepulse_testbed::upkeep::as_admin;

use super::{CHOSEN, Signed, sign_in};
use crate::setting::{Setting, TENANT};

async fn accept(url: &str, token: &Value, user: &str) -> Answer {
    let nobody = ByHand::new(url, None, None).unwrap();
    let body = json!({ "token": token, "user_name": user, "password": CHOSEN });
    ByHand::answer(nobody.request(Method::POST, "/v1/invitations/accept").json(&body)).await.unwrap()
}

#[tokio::test]
async fn who_accepts_chooses_her_name_and_password_and_gets_the_role_and_stores_that_were_meant() {
    let setting = Setting::new().await;
    let url = setting.cloud.url();
    let admin = Signed::new(&setting, "admin", "--role admin").await;
    let body = json!({ "email": "Eva@x.example", "role": "viewer", "stores": ["T02"] });
    let made = admin.post("/v1/invitations", body).await;
    assert_eq!((made.status, &made.json["state"]), (201, &"open".into()), "{made:?}");
    let token = &made.json["token"];
    assert_eq!(accept(&url, token, "admin").await.code(), "user_exists", "and it stays open");
    let weak = json!({ "token": token, "user_name": "eva", "password": "eva@x.example" });
    let nobody = ByHand::new(&url, None, None).unwrap();
    let weak =
        ByHand::answer(nobody.request(Method::POST, "/v1/invitations/accept").json(&weak)).await.unwrap();
    assert_eq!((weak.status, weak.code()), (422, "bad_value"));
    let eva = accept(&url, token, "eva").await;
    assert_eq!(
        (eva.status, &eva.json["role"], &eva.json["stores"]),
        (201, &"viewer".into(), &json!(["T02"])),
        "{eva:?}"
    );
    let eva = Signed::of(&url, &sign_in(&url, TENANT, "eva@x.example", CHOSEN).await.json);
    assert_eq!(eva.get("/v1/stores").await.json["stores"].as_array().unwrap().len(), 1);
    assert_eq!(accept(&url, token, "eve").await.code(), "invitation_unknown");
    let listed = admin.get("/v1/invitations").await;
    assert_eq!(listed.json["invitations"][0]["state"], "accepted");
    assert!(!listed.json.to_string().contains("invite_"), "{listed:?}");
    let again = admin.post("/v1/invitations", json!({ "email": "eva@x.example", "role": "user" })).await;
    assert_eq!(again.code(), "email_exists");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_twenty_who_accept_one_invitation_at_once_one_becomes_a_user() {
    let setting = Setting::new().await;
    let url = setting.cloud.url();
    let admin = Signed::new(&setting, "admin", "--role admin").await;
    let made = admin.post("/v1/invitations", json!({ "email": "eva@x.example", "role": "user" })).await;
    let names: Vec<String> = (0..20).map(|no| format!("eva{no}")).collect();
    let answers = join_all(names.iter().map(|name| accept(&url, &made.json["token"], name))).await;
    let won = answers.iter().filter(|answer| answer.status == 201).count();
    let refused = answers.iter().filter(|answer| answer.code() == "invitation_unknown").count();
    assert_eq!((won, refused), (1, 19), "{answers:?}");
    assert_eq!(admin.get("/v1/users").await.json["users"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn what_is_revoked_or_over_or_of_another_tenant_makes_nobody_a_user() {
    let setting = Setting::new().await;
    let url = setting.cloud.url();
    let admin = Signed::new(&setting, "admin", "--role admin").await;
    let invite = async |email: &str| {
        admin.post("/v1/invitations", json!({ "email": email, "role": "admin" })).await.json
    };
    let revoked = invite("a@x.example").await;
    let path = format!("/v1/invitations/{}", revoked["invitation_id"].as_str().unwrap());
    assert_eq!(admin.delete(&path).await.status, 204);
    assert_eq!(admin.delete(&path).await.status, 404);
    let over = invite("b@x.example").await;
    let late = "update invitations set expires_at = now() where email = 'b@x.example' returning email";
    as_admin(&setting.db, late).await.unwrap();
    let good = invite("c@x.example").await;
    let elsewhere = json!(good["token"].as_str().unwrap().replace("la-villa", "el-prado"));
    for token in [&revoked["token"], &over["token"], &elsewhere, &json!("invite_la-villa_x"), &json!("")] {
        let answer = accept(&url, token, "eve").await;
        assert_eq!((answer.status, answer.code()), (404, "invitation_unknown"), "{token}");
    }
    for body in [
        json!({ "email": "a@x.example\r\nBcc: b@x.example", "role": "user" }),
        json!({ "email": "a@x.example", "role": "user", "stores": ["T99"] }),
    ] {
        assert_eq!(admin.post("/v1/invitations", body).await.code(), "bad_value");
    }
    assert_eq!(accept(&url, &good["token"], "eva").await.status, 201);
}
