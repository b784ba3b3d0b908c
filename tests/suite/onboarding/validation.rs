//! The keys are tried, and what is wrong is said, mended, and tried again.

use std::net::TcpListener;

use axum::extract::Path;
use axum::{Json, Router, routing};
use storepulse_cloud::onboarding::{OnboardError, Request, Validation};

use super::{Place, into};
use crate::setting::{database, folder};

const STATUS_IS: [&str; 3] = [
    "select count(*) from tenants where tenant_id = $1 and status = 'pending'",
    "select count(*) from tenants where tenant_id = $1 and status = 'active'",
    "select count(*) from tenants where tenant_id = $1 and status = 'suspended'",
];

#[tokio::test]
async fn every_key_is_tried_before_and_after_the_tenant_is_open() {
    let place = Place::new().await;
    let out = folder().await;
    let mut said = Vec::new();
    let request = place.request("tried", 5);
    let results =
        storepulse_cloud::onboarding::run(&place.door, &request, &into(&out), &mut said).await.unwrap();
    // 5 while it is closed; then its own, another store, another tenant.
    assert!(matches!(results.validation, Validation::Passed { keys: 5, requests: 20 }), "{results:?}");
    let said = String::from_utf8(said).unwrap();
    let steps: Vec<&str> = said.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
    let names = [
        "tenant:",
        "stores:",
        "secrets:",
        "keys:",
        "package:",
        "known:",
        "active:",
        "validated:",
        "results:",
    ];
    assert_eq!(steps, names, "{said}");
    let written: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(out.join("onboarding_results.json")).unwrap()).unwrap();
    assert_eq!(written["validation"]["outcome"], "passed");
    assert_eq!(written["stores"][4]["store_id"], "T05");
    place.assert_whole(&request, &out).await;
}

#[tokio::test]
async fn a_cloud_that_is_away_leaves_the_tenant_pending_and_the_next_run_opens_it() {
    let place = Place::new().await;
    let out = folder().await;
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let away = Request { cloud_url: format!("https://{free}"), ..place.request("away", 2) };
    let error = place.onboard(&away, &into(&out)).await.unwrap_err();
    assert!(matches!(&error, OnboardError::Invalid(why) if why.contains("does not answer")), "{error}");
    assert_eq!(place.count(STATUS_IS[0], "away").await, 1, "pending");
    let results = std::fs::read_to_string(out.join("onboarding_results.json")).unwrap();
    assert!(results.contains("\"failed\""), "{results}");

    // Another cloud, which does not know these keys.
    let other = storepulse_testbed::cloud::Cloud::start(&database().await, None).await.unwrap();
    let wrong = Request { cloud_url: other.url(), ca: None, ..place.request("away", 2) };
    let error = place.onboard(&wrong, &into(&out)).await.unwrap_err().to_string();
    assert!(error.contains("401") && error.contains("another database"), "{error}");
    assert_eq!(place.count(STATUS_IS[0], "away").await, 1, "pending");

    // A certificate of somebody else.
    let strange = Request { ca: None, ..place.request("away", 2) };
    let error = place.onboard(&strange, &into(&out)).await.unwrap_err().to_string();
    assert!(error.contains("does not answer") && error.contains("certificate"), "{error}");

    let request = place.request("away", 2);
    place.onboard(&request, &into(&out)).await.unwrap();
    place.assert_whole(&request, &out).await;
}

#[tokio::test]
async fn a_cloud_that_opens_too_much_has_its_tenant_suspended() {
    let place = Place::new().await;
    // It shows any store to anybody.
    let show = async |Path(store): Path<String>| Json(serde_json::json!({ "id": store }));
    let router = Router::new().route("/v1/stores/{store}/status", routing::get(show));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let served = tokio::spawn(async move { axum::serve(listener, router).await });
    let request = Request { cloud_url: format!("http://{address}"), ca: None, ..place.request("leaky", 2) };
    let out = folder().await;
    let error = place.onboard(&request, &into(&out)).await.unwrap_err();
    served.abort();
    assert!(matches!(&error, OnboardError::Leak(what, _) if what.contains("opens")), "{error}");
    assert_eq!(place.count(STATUS_IS[2], "leaky").await, 1, "suspended");
    let error = place.onboard(&place.request("leaky", 2), &into(&out)).await.unwrap_err();
    assert!(matches!(error, OnboardError::NotOpen { .. }), "{error}");
    assert_eq!(place.count(STATUS_IS[1], "leaky").await, 0);
}

#[tokio::test]
async fn a_suspended_store_does_not_hold_up_the_others() {
    let place = Place::new().await;
    let out = folder().await;
    place.onboard(&place.request("partly", 3), &into(&out)).await.unwrap();
    let mut admin = <sqlx::PgConnection as sqlx::Connection>::connect_with(&place.db.admin).await.unwrap();
    let suspend = "update stores set status = 'suspended' where tenant_id = 'partly' and store_id = 'T02'";
    sqlx::query(suspend).execute(&mut admin).await.unwrap();
    // The cloud has believed for two seconds that it is open.
    let again = storepulse_testbed::wait::until(
        "the store to be closed",
        std::time::Duration::from_secs(20),
        async || Ok(Some(place.onboard(&place.request("partly", 3), &into(&out)).await?)),
    );
    let again = again.await.unwrap();
    let status: Vec<&str> = again.stores.iter().map(|store| store.status).collect();
    assert_eq!(status, ["active", "suspended", "active"]);
}
