//! Settings and plans: who says what a setting is, what is refused when it is written, and that nobody has a feature whom
//! nobody gave it.

use reqwest::Method;
use serde_json::{Value, json};
use storepulse_testbed::by_hand::{Answer, ByHand};

use crate::setting::{Setting, operator};

const TENANT: &str = "/v1/tenants/la-villa";

async fn put(who: &ByHand, path: &str, value: Value) -> Answer {
    ByHand::answer(who.request(Method::PUT, path).json(&json!({ "value": value }))).await.unwrap()
}

async fn reset(who: &ByHand, path: &str) -> Answer {
    ByHand::answer(who.request(Method::DELETE, path)).await.unwrap()
}

#[tokio::test]
async fn every_effective_value_says_whether_default_plan_tenant_or_store_made_it() {
    let setting = Setting::new().await;
    let ana = operator(&setting.db, &setting.cloud).await;
    let zone = async |path: &str| ana.get(path).await.unwrap().json["settings"].clone();
    let (of_tenant, of_store) = (format!("{TENANT}/settings"), format!("{TENANT}/stores/T01/settings"));
    let (tenants, stores) = (format!("{of_tenant}/general/time_zone"), format!("{of_store}/time_zone"));
    let is = |value: &str, source: &str| json!({ "value": value, "source": source });

    assert_eq!(zone(&of_tenant).await["general"]["time_zone"], is("UTC", "default"));
    assert_eq!(zone(&of_store).await["time_zone"], is("UTC", "default"));
    let set = put(&ana, &tenants, json!("America/Santo_Domingo")).await;
    assert_eq!(set.json, is("America/Santo_Domingo", "tenant"), "{set:?}");
    assert_eq!(zone(&of_store).await["time_zone"], is("America/Santo_Domingo", "tenant"));
    let set = put(&ana, &stores, json!("America/New_York")).await;
    assert_eq!(set.json, is("America/New_York", "store"), "{set:?}");
    assert_eq!(zone(&format!("{TENANT}/stores/T02/settings")).await["time_zone"]["source"], "tenant");
    assert_eq!(reset(&ana, &stores).await.json, is("America/Santo_Domingo", "tenant"));
    assert_eq!(reset(&ana, &tenants).await.json, is("UTC", "default"));

    let set = put(&ana, &format!("{of_store}/pos_system"), json!("NCR Voyix")).await;
    assert_eq!(set.json, is("NCR Voyix", "store"));
    let thresholds = json!({ "hw.temperature": { "min": -25, "max": 4.5 } });
    let set = put(&ana, &format!("{of_store}/thresholds"), thresholds.clone()).await;
    assert_eq!(set.json["value"], thresholds);
}

#[tokio::test]
async fn a_feature_is_denied_until_plan_or_tenant_allow_it_and_the_tenant_has_the_last_word() {
    let setting = Setting::new().await;
    let ana = operator(&setting.db, &setting.cloud).await;
    let allowed = async |feature: &str| {
        let asked = ana.get(&format!("{TENANT}/features/{feature}")).await.unwrap();
        assert_eq!(asked.status, 200, "{asked:?}");
        asked.json["allowed"] == true
    };
    let source = async || {
        let all = ana.get(&format!("{TENANT}/settings")).await.unwrap();
        all.json["settings"]["features"]["exports"]["source"].clone()
    };
    assert!(!allowed("exports").await && source().await == "default");
    assert!(!allowed("nobody-knows-this").await, "what is not known is denied");
    let plan = json!({ "name": "Basic", "max_stores": 30, "features": { "exports": true } });
    let put_plan = async |plan: &Value| {
        ByHand::answer(ana.request(Method::PUT, "/v1/plans/enterprise").json(plan)).await.unwrap()
    };
    assert_eq!(put_plan(&plan).await.status, 200);
    assert!(allowed("exports").await && source().await == "plan");
    let own = format!("{TENANT}/settings/features/exports");
    assert_eq!(put(&ana, &own, json!(false)).await.status, 200);
    assert!(!allowed("exports").await && source().await == "tenant");
    assert_eq!(reset(&ana, &own).await.json["source"], "plan");
    for (bad, says) in [
        (json!({ "name": "Basic", "features": { "time_travel": true } }), "exports"),
        (json!({ "name": "<b>", "features": {} }), "without < and >"),
        (json!({ "name": "Basic", "max_stores": 0 }), "1 to 100000"),
        (json!({ "name": "Basic", "limits": { "x": "many" } }), "limits.x"),
        (
            json!({ "name": "Basic", "limits": { "store": { "samples": ["4/soon"] } } }),
            "limits.store.samples",
        ),
    ] {
        let refused = put_plan(&bad).await;
        assert_eq!((refused.status, refused.detail().contains(says)), (422, true), "{refused:?}");
    }
    let limited =
        json!({ "name": "Basic", "limits": { "store": { "samples": ["4/1h"] }, "daily": { "bytes": 9 } } });
    assert_eq!(put_plan(&limited).await.status, 200);
    let plans = ana.get("/v1/plans").await.unwrap();
    assert_eq!(plans.json["plans"].as_array().unwrap().len(), 3, "{plans:?}");
}

#[tokio::test]
async fn what_needs_a_feature_is_refused_without_it_and_taken_away_at_any_time() {
    let setting = Setting::new().await;
    let ana = operator(&setting.db, &setting.cloud).await;
    let name = format!("{TENANT}/settings/general/branding_name");
    let denied = put(&ana, &name, json!("La Villa")).await;
    assert_eq!((denied.status, denied.code()), (409, "feature_denied"), "{denied:?}");
    assert!(denied.detail().contains("features.branding"), "{denied:?}");
    let feature = format!("{TENANT}/settings/features/branding");
    assert_eq!(put(&ana, &feature, json!(true)).await.status, 200);
    assert_eq!(put(&ana, &name, json!("La Villa")).await.json["value"], "La Villa");
    assert_eq!(reset(&ana, &feature).await.status, 200);
    assert_eq!(put(&ana, &name, json!("La Villa 2")).await.status, 409);
    assert_eq!(reset(&ana, &name).await.json["source"], "default");
}

#[tokio::test]
async fn a_value_is_checked_when_it_is_written_and_a_refusal_says_what_is_allowed() {
    let setting = Setting::new().await;
    let ana = operator(&setting.db, &setting.cloud).await;
    for (name, value, allowed) in [
        ("general/time_zone", json!("Mars/Olympus"), "IANA"),
        ("general/currency", json!("XXX"), "ISO 4217"),
        ("general/language", json!("Spanish"), "BCP 47"),
        ("general/branding_name", json!("<script>alert(1)</script>"), "without control characters, < and >"),
        ("general/branding_name", json!("x\u{0}y"), "without control characters"),
        ("general/branding_colour", json!("red;}body{display:none"), "six hex digits"),
        ("general/branding_logo", json!("https://la-villa.do/../../etc/passwd"), "https://"),
        ("general/branding_logo", json!("javascript:alert(1)"), "https://"),
        ("general/contacts", json!([{ "name": "Ana\r\nBcc: x@y.z", "email": "a@b.do" }]), "at most 20"),
        ("auth/password_chars_min", json!(1), "8 to 128"),
        ("billing/cycle", json!("'; drop table plans; --"), "monthly or yearly"),
        ("features/exports", json!("yes"), "true or false"),
        ("features/time_travel", json!(true), "features.exports"),
        ("nonsense/x", json!(1), "general.time_zone"),
        ("general/time_zone%00", json!("UTC"), "general.time_zone"),
        ("integrations/webhook_url", json!("https://127.0.0.1/x"), "host name"),
    ] {
        let refused = put(&ana, &format!("{TENANT}/settings/{name}"), value.clone()).await;
        assert_eq!((refused.status, refused.code()), (422, "bad_value"), "{name} {value}: {refused:?}");
        assert!(refused.detail().contains(allowed), "{name}: {refused:?}");
    }
    let long = json!("x".repeat(10 << 20));
    assert_eq!(put(&ana, &format!("{TENANT}/settings/general/branding_name"), long).await.status, 413);
    for path in [
        "/v1/tenants/nobody/settings/general/currency",
        "/v1/tenants/la-villa/stores/X99/settings/pos_system",
    ] {
        assert_eq!(put(&ana, path, json!("DOP")).await.status, 404, "{path}");
    }
    let audit = ana.get(&format!("{TENANT}/audit?limit=1000")).await.unwrap().json.to_string();
    assert!(!audit.contains("setting.changed"), "what was refused is in no audit: {audit}");
}

#[tokio::test]
async fn the_operator_sees_what_a_tenant_has_sent_and_holds() {
    let setting = Setting::new().await;
    let ana = operator(&setting.db, &setting.cloud).await;
    let stats = async || ana.get(&format!("{TENANT}/stats")).await.unwrap();
    let before = stats().await;
    assert_eq!((before.status, &before.json["samples"], &before.json["stores"]), (200, &0.into(), &2.into()));
    assert_eq!(before.json["last_received"], Value::Null, "nothing was ever received");
    let body =
        r#"{"metrics":[{"device_id":"POS01","metric":"retail.pos.up","value":1,"timestamp":1763700000000}]}"#;
    assert_eq!(setting.by_hand().push(body, None).await.unwrap().status, 200);
    let after = stats().await.json;
    assert_eq!(
        (&after["samples"], &after["batches"], &after["series"]),
        (&1.into(), &1.into(), &1.into()),
        "{after}"
    );
    assert!(after["bytes"].as_i64() >= i64::try_from(body.len()).ok(), "{after}");
    assert!(after["storage_bytes"].as_i64() > Some(0) && after["last_received"].is_string(), "{after}");
    assert_eq!(ana.get("/v1/tenants/nobody/stats").await.unwrap().status, 404);
}
