//! What an operator does to tenants, stores and keys: the moves that there are, the limits that hold, who may not.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;
use storepulse_cloud::commands;
use storepulse_cloud::db::Db;
use storepulse_shared::key::StoreKey;
use storepulse_shared::rotation::NewKey;
use storepulse_testbed::by_hand::{Answer, ByHand};
use storepulse_testbed::cloud::Cloud;

use crate::setting::{Setting, operator};

async fn tell(who: &ByHand, method: Method, path: &str, body: serde_json::Value) -> Answer {
    ByHand::answer(who.request(method, path).json(&body)).await.unwrap()
}

async fn put_status(who: &ByHand, tenant: &str, status: &str) -> Answer {
    tell(who, Method::PUT, &format!("/v1/tenants/{tenant}/status"), json!({ "status": status })).await
}

async fn create(who: &ByHand, tenant: &str, more: serde_json::Value) -> Answer {
    let mut body = json!({ "tenant_id": tenant, "company": "Магазин №1 ñ 商店" });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    tell(who, Method::POST, "/v1/tenants", body).await
}

#[tokio::test]
async fn a_tenant_goes_the_way_of_its_states_and_every_other_move_is_409_with_the_legal_ones() {
    let setting = Setting::new().await;
    let ana = operator(&setting.db, &setting.cloud).await;
    let made = create(&ana, "nueva", json!({})).await;
    assert_eq!((made.status, &made.json["status"]), (201, &"pending".into()), "{made:?}");
    assert_eq!(create(&ana, "nueva", json!({})).await.code(), "tenant_exists");
    for (to, status, names) in [
        ("suspended", 409, "active"),
        ("inactive", 409, "active"),
        ("active", 200, ""),
        ("active", 200, ""),
        ("pending", 409, "suspended"),
        ("inactive", 409, "suspended"),
        ("suspended", 200, ""),
        ("active", 200, ""),
        ("suspended", 200, ""),
        ("inactive", 200, ""),
        ("active", 409, "nowhere"),
        ("suspended", 409, "nowhere"),
    ] {
        let answer = put_status(&ana, "nueva", to).await;
        assert_eq!(answer.status, status, "{to}: {answer:?}");
        if status == 409 {
            assert_eq!(answer.code(), "illegal_move");
            assert!(answer.detail().contains(names), "{answer:?}");
        } else {
            assert_eq!(answer.json["status"], to);
        }
    }
    let ended = ByHand::answer(ana.request(Method::DELETE, "/v1/tenants/nueva")).await.unwrap();
    assert_eq!((ended.status, &ended.json["status"]), (200, &"inactive".into()), "it stays to be seen");
    let more = tell(&ana, Method::POST, "/v1/tenants/nueva/stores", json!({ "store_id": "T01" })).await;
    assert_eq!((more.status, more.code()), (409, "tenant_inactive"));
}

#[tokio::test]
async fn tenants_are_listed_in_pages_and_changed_field_by_field() {
    let setting = Setting::new().await;
    let ana = operator(&setting.db, &setting.cloud).await;
    for id in ["b-chain", "a-chain", "c-chain"] {
        assert_eq!(create(&ana, id, json!({ "plan": "premium" })).await.status, 201);
    }
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let page = ana.get(&format!("/v1/tenants?limit=2&after={after}")).await.unwrap();
        seen.extend(
            page.json["tenants"]
                .as_array()
                .unwrap()
                .iter()
                .map(|t| t["tenant_id"].as_str().unwrap().to_owned()),
        );
        match page.json["next"].as_str() {
            Some(next) => after = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(seen, ["a-chain", "b-chain", "c-chain", "la-villa"]);
    let pending = ana.get("/v1/tenants?status=pending").await.unwrap();
    assert_eq!(pending.json["tenants"].as_array().unwrap().len(), 3);

    let patch = async |body| tell(&ana, Method::PATCH, "/v1/tenants/a-chain", body).await;
    let denied = patch(json!({ "max_stores": 7, "custom_domain": "metrics.a-chain.do" })).await;
    assert_eq!((denied.status, denied.code()), (409, "feature_denied"), "{denied:?}");
    for tenant in ["a-chain", "b-chain"] {
        let path = format!("/v1/tenants/{tenant}/settings/features/custom_domain");
        tell(&ana, Method::PUT, &path, json!({ "value": true })).await;
    }
    let changed = patch(json!({ "max_stores": 7, "custom_domain": "metrics.a-chain.do" })).await;
    assert_eq!(
        (&changed.json["max_stores"], &changed.json["max_stores_source"]),
        (&7.into(), &"tenant".into())
    );
    let back = patch(json!({ "max_stores": null, "retention_days": 30 })).await;
    assert_eq!((&back.json["max_stores"], &back.json["max_stores_source"]), (&100.into(), &"plan".into()));
    assert_eq!(back.json["custom_domain"], "metrics.a-chain.do", "what is left out stays");
    let taken =
        tell(&ana, Method::PATCH, "/v1/tenants/b-chain", json!({ "custom_domain": "metrics.a-chain.do" }))
            .await;
    assert_eq!((taken.status, taken.code()), (409, "domain_taken"));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_fifty_stores_created_at_once_for_one_place_exactly_one_is_made() {
    let setting = Setting::new().await;
    let ana = operator(&setting.db, &setting.cloud).await;
    // Two stores are there: one place is left.
    tell(&ana, Method::PATCH, "/v1/tenants/la-villa", json!({ "max_stores": 3 })).await;
    let all = (0..50).map(|n| {
        let body = json!({ "store_id": format!("N{n:02}") });
        tell(&ana, Method::POST, "/v1/tenants/la-villa/stores", body)
    });
    let answers = join_all(all).await;
    let made = answers.iter().filter(|answer| answer.status == 201).count();
    let refused =
        answers.iter().filter(|answer| answer.status == 429 && answer.code() == "store_limit").count();
    assert_eq!((made, refused), (1, 49), "{answers:?}");
    assert_eq!(ana.get("/v1/tenants/la-villa").await.unwrap().json["stores"], 3);
}

#[tokio::test]
async fn a_key_is_shown_once_opens_and_is_revoked_for_good() {
    let setting = Setting::new().await;
    let ana = operator(&setting.db, &setting.cloud).await;
    let keys = "/v1/tenants/la-villa/stores/T01/keys";
    let issued = ByHand::answer(ana.request(Method::POST, keys)).await.unwrap();
    assert_eq!(issued.status, 201, "{issued:?}");
    let third = ByHand::answer(ana.request(Method::POST, keys)).await.unwrap();
    assert_eq!((third.status, third.code()), (409, "two_active_keys"));
    let bearer = format!("Bearer {}", issued.json["key"].as_str().unwrap());
    let agent = ByHand::new(&setting.cloud.url(), None, Some(bearer)).unwrap();
    assert_eq!(agent.get("/v1/stores").await.unwrap().status, 200);
    let listed = ana.get(keys).await.unwrap().json.to_string();
    assert!(!listed.contains(issued.json["key"].as_str().unwrap()), "{listed}");

    let id = issued.json["key_id"].as_str().unwrap();
    let revoke = || ByHand::answer(ana.request(Method::DELETE, &format!("{keys}/{id}?compromised=true")));
    assert_eq!(revoke().await.unwrap().status, 200);
    assert_eq!(revoke().await.unwrap().status, 404, "it is not active any more");
    let limit = std::time::Duration::from_secs(5);
    let refused = async || Ok((agent.get("/v1/stores").await?.status == 401).then_some(()));
    storepulse_testbed::wait::until("the key to be refused", limit, refused).await.unwrap();
    let listed = ana.get(keys).await.unwrap();
    assert!(listed.json["keys"].as_array().unwrap().iter().any(|k| k["revoked_as"] == "compromised"));
}

#[tokio::test]
async fn a_key_of_an_older_system_opens_where_the_tenant_says_so() {
    let setting = Setting::new().await;
    let ana = operator(&setting.db, &setting.cloud).await;
    let key = "store_la-villa_T01_from-an-older-system";
    let sha256 = NewKey::of(&key.parse::<StoreKey>().unwrap()).sha256;
    let import = async || {
        let path = "/v1/tenants/la-villa/stores/T01/imported-keys";
        tell(&ana, Method::POST, path, json!({ "sha256": sha256 })).await
    };
    let imported = import().await;
    assert_eq!((imported.status, &imported.json["opens"]), (201, &false.into()), "{imported:?}");
    assert_eq!(import().await.code(), "key_exists");
    let agent = ByHand::new(&setting.cloud.url(), None, Some(format!("Bearer {key}"))).unwrap();
    assert_eq!(agent.get("/v1/stores").await.unwrap().status, 401);
    tell(&ana, Method::PATCH, "/v1/tenants/la-villa", json!({ "accept_imported_keys": true })).await;
    assert_eq!(agent.get("/v1/stores").await.unwrap().status, 200);
}

#[tokio::test]
async fn what_cannot_be_taken_is_refused_with_what_is_allowed() {
    let setting = Setting::new().await;
    let ana = operator(&setting.db, &setting.cloud).await;
    for (field, value, allowed) in [
        ("tenant_id", json!("../../etc/passwd"), "a-z"),
        ("tenant_id", json!("x'; drop table tenants; --"), "a-z"),
        ("tenant_id", json!("la_villa"), "a-z"),
        ("tenant_id", json!("admin"), "reserved"),
        ("company", json!("a\r\nSet-Cookie: x=y"), "control characters"),
        ("company", json!("a\0b"), "control characters"),
        ("company", json!("<script>alert(1)</script>"), "without < and >"),
        ("company", json!("x".repeat(201)), "1 to 200"),
        ("company", json!(""), "1 to 200"),
        ("plan", json!("gold"), "basic"),
        ("max_stores", json!(-1), "0 to 100000"),
        ("retention_days", json!(0), "1 to 3660"),
        ("custom_domain", json!("https://x.y/../z"), "host name"),
        ("surprise", json!(1), "unknown field"),
    ] {
        let answer = create(&ana, "bad-chain", json!({ field: value })).await;
        assert!(matches!(answer.status, 400 | 422), "{field}={value}: {answer:?}");
        assert!(answer.detail().contains(allowed), "{field}={value}: {answer:?}");
    }
    let huge = create(&ana, "bad-chain", json!({ "company": "x".repeat(10 << 20) })).await;
    assert_eq!((huge.status, huge.code()), (413, "body_too_large"), "{huge:?}");
    assert!(huge.detail().contains("65536"), "{huge:?}");
    assert_eq!(ana.get("/v1/tenants/bad-chain").await.unwrap().status, 404, "nothing was made");
    for path in [
        "/v1/tenants/%2e%2e%2f",
        "/v1/tenants/NOBODY",
        "/v1/tenants/la-villa/stores/T%00",
        "/v1/tenants/x/stores/T01",
    ] {
        assert_eq!(ana.get(path).await.unwrap().status, 404, "{path}");
    }
    assert_eq!(ana.get("/v1/tenants?after=%00&limit=1").await.unwrap().status, 200);
    assert_eq!(ana.get("/v1/tenants?limit=0").await.unwrap().status, 400);
}

#[tokio::test]
async fn stores_have_names_of_their_own_and_ids_that_differ_in_more_than_case() {
    let setting = Setting::new().await;
    let ana = operator(&setting.db, &setting.cloud).await;
    let stores = "/v1/tenants/la-villa/stores";
    let made = tell(&ana, Method::POST, stores, json!({ "store_id": "Z-9", "name": "متجر الرياض" })).await;
    assert_eq!((made.status, &made.json["name"]), (201, &"متجر الرياض".into()));
    let other = tell(&ana, Method::POST, stores, json!({ "store_id": "z-9" })).await;
    assert_eq!((other.status, other.code()), (409, "store_exists"));
    let path = format!("{stores}/T01");
    let suspended = tell(&ana, Method::PATCH, &path, json!({ "status": "suspended" })).await;
    assert_eq!(suspended.json["status"], "suspended");
    let limit = std::time::Duration::from_secs(5);
    let refused =
        async || Ok((setting.by_hand().get("/v1/stores").await?.code() == "store_suspended").then_some(()));
    storepulse_testbed::wait::until("the store to be refused", limit, refused).await.unwrap();
    let overview = ana.get(stores).await.unwrap();
    assert_eq!(overview.json["stores"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn when_a_key_was_last_used_is_written_down_now_and_then_and_at_the_end() {
    let setting = Setting::new().await;
    assert_eq!(setting.by_hand().get("/v1/stores").await.unwrap().status, 200);
    setting.cloud.stop().await.unwrap();
    let cloud = Cloud::start(&setting.db, None).await.unwrap();
    let ana = operator(&setting.db, &cloud).await;
    let used = async |store: &str| {
        let keys = ana.get(&format!("/v1/tenants/la-villa/stores/{store}/keys")).await.unwrap();
        keys.json["keys"][0]["last_used_at"].clone()
    };
    assert!(used("T01").await.is_string());
    assert!(used("T02").await.is_null(), "it never opened");
}

#[tokio::test]
async fn the_command_line_does_the_same_under_the_same_rules_and_in_the_same_audit() {
    let setting = Setting::new().await;
    let door = Db::connect(&setting.db.config()).await.unwrap();
    let run = async |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        let mut out = Vec::new();
        let done = commands::on(&door, &words, &mut out).await;
        let said = String::from_utf8(out).unwrap();
        done.map(|()| said).map_err(|e| format!("{e:#}"))
    };
    let sha256 = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    for (line, says) in [
        ("tenant create --tenant nueva --company Ñandú --plan premium", r#""status":"pending""#),
        ("tenant status --tenant nueva active", r#""status":"active""#),
        ("tenant update --tenant nueva --max-stores 1", r#""max_stores":1"#),
        ("tenant show --tenant nueva", r#""max_stores_source":"tenant""#),
        ("tenant list --status active", "la-villa"),
        ("store create --tenant nueva --store T01 --name متجر", r#""name":"متجر""#),
        ("store update --tenant nueva --store T01 --status suspended", "suspended"),
        ("key issue --tenant nueva --store T01", "store_nueva_T01_"),
        (&format!("key import --tenant nueva --store T01 --sha256 {sha256}"), "imported 00112233"),
        ("key revoke --tenant nueva --store T01 --key-id 00112233", "revoked 00112233"),
        ("key list --tenant nueva --store T01", "not used"),
        ("setting set --tenant nueva general.currency DOP", r#""source":"tenant""#),
        ("setting set --tenant nueva --store T01 pos_system NCR", r#""source":"store""#),
        ("setting reset --tenant nueva general.currency", r#""source":"default""#),
        ("setting show --tenant nueva", "time_zone"),
        ("plan put gold --name Gold --max-stores 500 --feature exports", r#""exports":true"#),
        ("plan list", "enterprise"),
        ("audit verify", "tenant:nueva"),
        ("audit export --tenant nueva", "command-line:"),
    ] {
        let said = run(line).await.unwrap_or_else(|e| panic!("{line}: {e}"));
        assert!(said.contains(says), "{line}: {said}");
    }
    for (line, says) in [
        ("tenant status --tenant nueva pending", "only to suspended"),
        ("store create --tenant nueva --store T02", "may have 1"),
        ("store create --tenant nobody --store T02", "tenant nobody does not exist"),
        ("key revoke --tenant nueva --store T01 --key-id 00112233", "no active key"),
        ("setting set --tenant nueva general.currency pesos", "ISO 4217"),
        ("tenant create --tenant Nueva --company x", "not a tenant id"),
    ] {
        let refused = run(line).await.expect_err(line);
        assert!(refused.contains(says), "{line}: {refused}");
    }
    door.close().await;
}

#[tokio::test]
async fn a_key_that_is_turned_away_is_told_once_a_minute_in_its_tenants_audit() {
    let setting = Setting::new().await;
    for _ in 0..20 {
        let lying = setting.by_hand().request(Method::GET, "/v1/stores").header("X-Tenant-ID", "el-prado");
        assert_eq!(ByHand::answer(lying).await.unwrap().status, 403);
    }
    setting.cloud.stop().await.unwrap();
    let cloud = Cloud::start(&setting.db, None).await.unwrap();
    let ana = operator(&setting.db, &cloud).await;
    let audit = ana.get("/v1/tenants/la-villa/audit?limit=1000").await.unwrap();
    let entries = audit.json["entries"].as_array().unwrap();
    let refused: Vec<_> = entries.iter().filter(|entry| entry["action"] == "request.refused").collect();
    // The first writing may come between two of them.
    assert!((1..=2).contains(&refused.len()), "{audit:?}");
    let counted =
        |entry: &&serde_json::Value| entry["detail"]["refused"]["tenant_mismatch"].as_u64().unwrap();
    assert_eq!(refused.iter().map(counted).sum::<u64>(), 20);
}
