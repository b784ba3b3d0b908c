//! Users: made and changed by an admin of their own tenant, at the command line, and by nobody else.

use reqwest::Method;
use serde_json::json;
use storepulse_testbed::store;

use super::{CHOSEN, Signed, add, command, sign_in};
use crate::setting::{Setting, TENANT, folder};

#[tokio::test]
async fn an_admin_makes_users_who_sign_in_and_change_their_password() {
    let setting = Setting::new().await;
    let url = setting.cloud.url();
    let admin = Signed::new(&setting, "admin", "--role admin").await;
    let new = json!({ "user_name": "Bea", "name": "Beatriz Ñ", "role": "viewer", "stores": ["T02"] });
    let made = admin.post("/v1/users", new).await;
    assert_eq!((made.status, &made.json["stores"]), (201, &json!(["T02"])), "{made:?}");
    let first = made.json["password"].as_str().unwrap();
    let bea = Signed::of(&url, &sign_in(&url, TENANT, "bea", first).await.json);
    assert_eq!(bea.put("/v1/me/password", json!({ "old": first, "new": CHOSEN })).await.status, 204);
    let stores = bea.get("/v1/stores").await;
    assert_eq!(stores.json["stores"].as_array().unwrap().len(), 1, "{stores:?}");
    let listed = admin.get("/v1/users").await;
    let names: Vec<_> =
        listed.json["users"].as_array().unwrap().iter().map(|u| u["user_name"].clone()).collect();
    assert_eq!(names, ["admin", "bea"]);
    let rest = admin.get("/v1/users?after=admin&limit=1").await;
    assert_eq!(rest.json["users"][0]["user_name"], "bea");
    let id = made.json["user_id"].as_str().unwrap();
    let path = format!("/v1/users/{id}");
    let changed = admin
        .tell(Method::PATCH, &path, json!({ "role": "user", "stores": null, "email": "b@x.example" }))
        .await;
    assert_eq!(
        (&changed.json["role"], &changed.json["stores"]),
        (&"user".into(), &json!(null)),
        "{changed:?}"
    );
    assert_eq!(admin.get(&path).await.json["email"], "b@x.example");
    let reset = admin.post(&format!("{path}/password"), json!({})).await;
    assert_eq!((reset.status, &reset.json["must_change_password"]), (200, &true.into()), "{reset:?}");
    assert_eq!(sign_in(&url, TENANT, "bea", CHOSEN).await.status, 401);
    let again = sign_in(&url, TENANT, "bea", reset.json["password"].as_str().unwrap()).await;
    assert_eq!(again.status, 200);
    let off = admin.tell(Method::PATCH, &path, json!({ "active": false })).await;
    assert_eq!(off.json["active"], false, "{off:?}");
    assert_eq!(
        sign_in(&url, TENANT, "bea", reset.json["password"].as_str().unwrap()).await.code(),
        "sign_in_failed"
    );
    let audit = command(&setting.db, "audit export --tenant la-villa --file -").await;
    if let Ok(audit) = audit {
        assert!(
            !audit.contains("Beatriz") && !audit.contains("b@x.example"),
            "ids instead of names: {audit}"
        );
    }
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_the_way_out_and_nothing_is_made() {
    let setting = Setting::new().await;
    let admin = Signed::new(&setting, "admin", "--role admin --email a@x.example").await;
    for (body, status, code, says) in [
        (json!({ "user_name": "аdmin", "role": "user" }), 422, "bad_value", "a-z"),
        (json!({ "user_name": "a".repeat(65), "role": "user" }), 422, "bad_value", "1 to 64"),
        (json!({ "user_name": "x", "name": "pаypаl", "role": "user" }), 422, "bad_value", "several scripts"),
        (json!({ "user_name": "x", "name": "y".repeat(201), "role": "user" }), 422, "bad_value", "1 to 200"),
        (
            json!({ "user_name": "x", "email": "a@b.c\r\nBcc: d@e.f", "role": "user" }),
            422,
            "bad_value",
            "name@host.example",
        ),
        (json!({ "user_name": "x", "role": "operator" }), 400, "bad_body", "admin"),
        (json!({ "user_name": "x", "role": "user", "stores": ["T99"] }), 422, "bad_value", "no store T99"),
        (json!({ "user_name": "x", "role": "user", "password": "mine" }), 400, "bad_body", "unknown field"),
        (json!({ "user_name": "Admin", "role": "user" }), 409, "user_exists", "choose another"),
        (
            json!({ "user_name": "x", "role": "user", "email": "A@X.example" }),
            409,
            "email_exists",
            "a@x.example",
        ),
    ] {
        let answer = admin.post("/v1/users", body).await;
        assert_eq!((answer.status, answer.code()), (status, code), "{answer:?}");
        assert!(answer.detail().contains(says), "{answer:?}");
    }
    let all = admin.get("/v1/users").await;
    assert_eq!(all.json["users"].as_array().unwrap().len(), 1);
    let me = all.json["users"][0]["user_id"].as_str().unwrap();
    for change in [json!({ "role": "viewer" }), json!({ "active": false })] {
        let answer = admin.tell(Method::PATCH, &format!("/v1/users/{me}"), change).await;
        assert_eq!((answer.status, answer.code()), (409, "last_admin"), "{answer:?}");
    }
    for path in ["/v1/users/nobody", "/v1/users/00000000-0000-0000-0000-000000000000"] {
        assert_eq!(admin.get(path).await.status, 404);
    }
    for (line, says) in [
        ("user add --tenant nobody --user ana --role admin", "tenant nobody does not exist"),
        ("user add --tenant la-villa --user Ä --role admin", "cannot be one"),
        ("user deactivate --tenant la-villa --user ana", "has no user ana"),
        ("user deactivate --tenant la-villa --user admin", "last admin"),
    ] {
        let said = command(&setting.db, line).await.unwrap_err();
        assert!(said.contains(says), "{line}: {said}");
    }
}

#[tokio::test]
async fn admin_in_two_tenants_is_two_users_and_neither_password_opens_the_other() {
    let setting = Setting::new().await;
    let url = setting.cloud.url();
    store::onboard(&setting.db, "el-prado", &["T01"], &url, None, &folder().await).await.unwrap();
    let villa = add(&setting.db, "la-villa", "admin", "--role admin --email one@x.example").await;
    let prado = add(&setting.db, "el-prado", "admin", "--role admin --email one@x.example").await;
    for user in ["admin", "one@x.example"] {
        assert_eq!(sign_in(&url, "la-villa", user, &villa).await.status, 200);
        assert_eq!(sign_in(&url, "el-prado", user, &prado).await.status, 200);
        for (tenant, password) in [("la-villa", &prado), ("el-prado", &villa), ("nobody", &villa)] {
            let answer = sign_in(&url, tenant, user, password).await;
            assert_eq!((answer.status, answer.code()), (401, "sign_in_failed"), "{tenant}");
        }
    }
    let villas = Signed::of(&url, &sign_in(&url, "la-villa", "admin", &villa).await.json);
    let of_prado = add(&setting.db, "el-prado", "bob", "--role user").await;
    villas.put("/v1/me/password", json!({ "old": villa, "new": CHOSEN })).await;
    let listed = villas.get("/v1/users").await;
    assert_eq!(listed.json["users"].as_array().unwrap().len(), 1, "{listed:?}");
    let prados = Signed::of(&url, &sign_in(&url, "el-prado", "bob", &of_prado).await.json);
    let bob = prados.get("/v1/me").await.json["user_id"].as_str().unwrap().to_owned();
    for answer in [
        villas.get(&format!("/v1/users/{bob}")).await,
        villas.tell(Method::PATCH, &format!("/v1/users/{bob}"), json!({ "active": false })).await,
        villas.post(&format!("/v1/users/{bob}/password"), json!({})).await,
    ] {
        assert_eq!((answer.status, answer.code()), (404, "not_found"), "{answer:?}");
    }
    assert_eq!(prados.get("/v1/me").await.status, 200);
}
