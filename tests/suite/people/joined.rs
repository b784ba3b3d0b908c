//! Users of several tenants who are one person: because she said so herself, and only as long as nobody else could be her.

use reqwest::Method;
use serde_json::{Value, json};
use storepulse_testbed::by_hand::{Answer, ByHand};
use storepulse_testbed::store;
use storepulse_testbed::upkeep::as_admin;

use super::{CHOSEN, Signed};
use crate::setting::{Setting, TENANT, folder};

const OTHER: &str = "el-sol";

/// Another tenant with a store of its own.
async fn setting() -> Setting {
    let setting = Setting::new().await;
    store::onboard(&setting.db, OTHER, &["S01"], &setting.cloud.url(), None, &folder().await).await.unwrap();
    setting
}

/// An invitation to the other tenant, accepted by whoever is signed in.
async fn join(who: &Signed, host: &Signed, user: &str, join: bool) -> Answer {
    let body = json!({ "email": format!("{user}@x.example"), "role": "user" });
    let invited = host.post("/v1/invitations", body).await;
    assert_eq!(invited.status, 201, "{invited:?}");
    let body = json!({ "token": invited.json["token"], "user_name": user, "password": CHOSEN, "join": join });
    who.post("/v1/invitations/accept", body).await
}

async fn switch(who: &Signed, tenant: &str) -> Answer {
    who.post("/v1/session/switch", json!({ "tenant": tenant })).await
}

async fn stores(who: &Signed) -> Vec<Value> {
    let answer = who.get("/v1/stores").await;
    let all = answer.json["stores"].as_array().unwrap_or_else(|| panic!("{answer:?}"));
    all.iter().map(|store| store["id"].clone()).collect()
}

#[tokio::test]
async fn nothing_joins_users_but_herself_and_each_session_is_of_one_tenant() {
    let setting = setting().await;
    let url = setting.cloud.url();
    let ana = Signed::new(&setting, "ana", "--role user --email ana@x.example").await;
    let host = Signed::of_tenant(&setting, OTHER, "host", "--role admin").await;
    // The same name, e-mail and password.
    Signed::of_tenant(&setting, OTHER, "ana", "--role admin --email ana@x.example").await;
    for tenant in [OTHER, "nobody", TENANT, "../x"] {
        let refused = switch(&ana, tenant).await;
        assert_eq!((refused.status, refused.code()), (403, "sign_in_required"), "{tenant}");
        assert_eq!(refused.json, switch(&ana, OTHER).await.json, "one body for all");
    }
    assert_eq!(join(&ana, &host, "anna", true).await.status, 201);
    let tenants = ana.get("/v1/me/tenants").await.json;
    let ids: Vec<&Value> = tenants["tenants"].as_array().unwrap().iter().map(|t| &t["tenant_id"]).collect();
    assert_eq!(ids, [OTHER, TENANT], "{tenants}");

    let there = switch(&ana, OTHER).await;
    assert_eq!(there.status, 200, "{there:?}");
    let there = Signed::of(&url, &there.json);
    assert_eq!(
        (stores(&there).await, stores(&ana).await),
        (vec![json!("S01")], vec![json!("T01"), json!("T02")])
    );
    assert_eq!(there.get("/v1/me").await.json["user_name"], "anna");
    for (who, other, store) in [(&ana, OTHER, "S01"), (&there, TENANT, "T01")] {
        assert_eq!(who.get(&format!("/v1/stores/{store}/status")).await.status, 404);
        let forged = who.hand.request(Method::GET, "/v1/stores").header("x-tenant-id", other);
        assert_eq!(ByHand::answer(forged).await.unwrap().code(), "tenant_mismatch");
    }
    let back = switch(&there, TENANT).await;
    assert_eq!(stores(&Signed::of(&url, &back.json)).await, ["T01", "T02"]);
    // Who is joined is not who has the same name.
    let same_name = super::sign_in(&url, OTHER, "ana", CHOSEN).await;
    assert_eq!(switch(&Signed::of(&url, &same_name.json), TENANT).await.code(), "sign_in_required");
    let again = join(&ana, &host, "anna2", true).await;
    assert_eq!((again.status, again.code()), (409, "already_joined"));
    let nobody = ByHand::new(&url, None, None).unwrap();
    let body = json!({ "token": "x", "user_name": "x", "password": CHOSEN, "join": true });
    let refused =
        ByHand::answer(nobody.request(Method::POST, "/v1/invitations/accept").json(&body)).await.unwrap();
    assert_eq!(refused.status, 401, "who joins is signed in");
}

#[tokio::test]
async fn whoever_could_become_this_user_goes_nowhere_with_it() {
    let setting = setting().await;
    let url = setting.cloud.url();
    let admin = Signed::new(&setting, "admin", "--role admin").await;
    let host = Signed::of_tenant(&setting, OTHER, "host", "--role admin").await;
    let id_of = async |user: &str| {
        let users = admin.get("/v1/users").await.json;
        let all = users["users"].as_array().unwrap();
        all.iter().find(|u| u["user_name"] == user).unwrap()["user_id"].as_str().unwrap().to_owned()
    };
    for (no, user) in ["reset", "email", "own"].into_iter().enumerate() {
        let who = Signed::new(&setting, user, "--role user --email own@x.example").await;
        assert_eq!(join(&who, &host, &format!("there{no}"), true).await.status, 201);
        let id = id_of(user).await;
        match user {
            "reset" => {
                let reset = admin.post(&format!("/v1/users/{id}/password"), Value::Null).await;
                let first = reset.json["password"].as_str().unwrap().to_owned();
                let admins = super::sign_in(&url, TENANT, user, &first).await;
                let admins = Signed::of(&url, &admins.json);
                assert_eq!(switch(&admins, OTHER).await.code(), "password_change_required");
                let chosen = json!({ "old": first, "new": "what an admin chooses" });
                assert_eq!(admins.put("/v1/me/password", chosen).await.status, 204);
                assert_eq!(switch(&admins, OTHER).await.code(), "sign_in_required");
            }
            "email" => {
                let change = json!({ "email": "mallory@x.example" });
                let changed = admin.tell(Method::PATCH, &format!("/v1/users/{id}"), change).await;
                assert_eq!(changed.status, 200, "{changed:?}");
                assert_eq!(switch(&who, OTHER).await.code(), "sign_in_required");
            }
            _ => {
                let own = json!({ "old": CHOSEN, "new": "another one of her own" });
                assert_eq!(who.put("/v1/me/password", own).await.status, 204);
                assert_eq!(switch(&who, OTHER).await.status, 200, "what she does herself changes nothing");
            }
        }
        let free = "update users set email = null where tenant_id = 'la-villa' returning user_name";
        as_admin(&setting.db, free).await.unwrap();
    }
    let who = Signed::new(&setting, "last", "--role user").await;
    assert_eq!(join(&who, &host, "last", true).await.status, 201);
    let by_provider = "update sessions set opened_as = 'provider' where user_id in
        (select user_id from users where user_name = 'last') returning device";
    as_admin(&setting.db, by_provider).await.unwrap();
    let fresh = super::sign_in(&url, TENANT, "last", CHOSEN).await;
    as_admin(&setting.db, by_provider).await.unwrap();
    let fresh = Signed::of(&url, &fresh.json);
    assert_eq!(switch(&fresh, OTHER).await.code(), "password_session_required");
}

#[tokio::test]
async fn one_person_is_of_five_tenants_at_most() {
    let setting = setting().await;
    let ana = Signed::new(&setting, "ana", "--role user").await;
    let host = Signed::of_tenant(&setting, OTHER, "host", "--role admin").await;
    let more = "with t as (insert into tenants (tenant_id, company)
            select 'more-' || n, 'More' from generate_series(1, 4) n returning tenant_id),
        u as (insert into users (tenant_id, user_id, user_name, name, role, all_stores)
            select tenant_id, gen_random_uuid(), 'ana', 'ana', 'user', true from t returning tenant_id, user_id)
        insert into joined_users (tenant_id, user_id, person_id)
        select tenant_id, user_id, '00000000-0000-0000-0000-000000000001'::uuid from (
            select * from u union all select tenant_id, user_id from users where tenant_id = 'la-villa') x
        returning tenant_id";
    as_admin(&setting.db, more).await.unwrap();
    assert_eq!(ana.get("/v1/me/tenants").await.json["tenants"].as_array().unwrap().len(), 5);
    let refused = join(&ana, &host, "sixth", true).await;
    assert_eq!((refused.status, refused.code()), (409, "tenant_limit"));
    assert!(refused.detail().contains("without `join`"), "{refused:?}");
    assert_eq!(join(&ana, &host, "sixth2", false).await.status, 201, "the invitation itself is fine");
}
