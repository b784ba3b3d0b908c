//! What is refused, before anything is made.

use storepulse_cloud::onboarding::{OnboardError, Request, numbered_stores};

use super::{Place, files_below, unvalidated};
use crate::setting::folder;

const STORES: &str = "select count(*) from stores where tenant_id = $1";
const TENANTS: &str = "select count(*) from tenants where tenant_id = $1";

#[tokio::test]
async fn more_stores_than_the_plan_allows_are_refused_before_anything_is_made() {
    let place = Place::new().await;
    let out = folder().await;
    let refused = place.onboard(&place.request("large", 31), &unvalidated(&out)).await.unwrap_err();
    assert!(matches!(refused, OnboardError::StoreLimit { max: 30, wanted: 31, .. }), "{refused}");
    assert_eq!(
        refused.to_string(),
        "tenant large would have 31 stores; its plan basic allows 30: choose a larger plan, or fewer stores"
    );
    assert_eq!((place.count(TENANTS, "large").await, files_below(&out).len()), (0, 0));

    place.onboard(&place.request("large", 29), &unvalidated(&out)).await.unwrap();
    let others = Request {
        stores: ["A1", "A2"].iter().map(|s| s.parse().unwrap()).collect(),
        ..place.request("large", 1)
    };
    let refused = place.onboard(&others, &unvalidated(&out)).await.unwrap_err();
    assert!(matches!(refused, OnboardError::StoreLimit { max: 30, wanted: 31, .. }), "{refused}");
    assert_eq!(place.count(STORES, "large").await, 29);
    place.onboard(&place.request("large", 30), &unvalidated(&out)).await.unwrap();
    assert_eq!(place.count(STORES, "large").await, 30);
}

#[tokio::test]
async fn mistakes_make_nothing() {
    let place = Place::new().await;
    let good = place.request("careful", 1);
    let of = async |request: Request| {
        let out = folder().await;
        let error = place.onboard(&request, &unvalidated(&out)).await.unwrap_err().to_string();
        assert_eq!(place.count(TENANTS, "careful").await, 0, "{error}");
        error
    };
    let error = of(Request { plan: "gold".to_owned(), ..good.clone() }).await;
    assert!(error.contains("\"gold\"") && error.contains("basic") && error.contains("premium"), "{error}");
    let error = of(Request { company: "a\nb".to_owned(), ..good.clone() }).await;
    assert!(error.contains("company"), "{error}");
    let error = of(Request { cloud_url: "http://cloud.example".to_owned(), ..good.clone() }).await;
    assert!(error.contains("https://"), "{error}");

    let out = folder().await;
    place
        .onboard(&Request { stores: vec!["t01".parse().unwrap()], ..good.clone() }, &unvalidated(&out))
        .await
        .unwrap();
    let refused = place.onboard(&good, &unvalidated(&out)).await.unwrap_err();
    assert!(matches!(refused, OnboardError::SameIgnoringCase(_)), "{refused}");
}

#[tokio::test]
async fn a_folder_with_the_keys_of_others_is_left_alone() {
    let place = Place::new().await;
    let out = folder().await;
    place.onboard(&place.request("first", 1), &unvalidated(&out)).await.unwrap();
    let before = std::fs::read_to_string(out.join("T01/store.key")).unwrap();
    let refused = place.onboard(&place.request("second", 1), &unvalidated(&out)).await.unwrap_err();
    assert!(matches!(refused, OnboardError::KeyFile { .. }), "{refused}");
    assert_eq!(std::fs::read_to_string(out.join("T01/store.key")).unwrap(), before);
    assert!(!refused.to_string().contains(before.trim()), "{refused}");
    assert!(numbered_stores(1).is_ok());
}
