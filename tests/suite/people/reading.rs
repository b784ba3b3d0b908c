//! What people read: the stores that they see, as their role lets them, and nothing beside.

use storepulse_shared::ids::Epoch;
use storepulse_testbed::by_hand::{ByHand, HandBatch, samples};

use super::Signed;
use crate::setting::{Setting, now_ms};

/// Each store has sent one sample.
async fn setting() -> Setting {
    let setting = Setting::new().await;
    for store in &setting.stores {
        let agent = ByHand::new(&setting.cloud.url(), None, Some(store.bearer())).unwrap();
        let batch =
            HandBatch::of(Epoch::random(), 1, &samples("hw.temperature", &[now_ms() - 1_000], &[1.5]));
        assert_eq!(agent.send(&batch).await.unwrap().status, 200);
    }
    setting
}

#[tokio::test]
async fn a_manager_of_one_store_reads_it_and_the_other_is_not_there() {
    let setting = setting().await;
    let manager = Signed::new(&setting, "manager", "--role user --store T02").await;
    for part in ["status", "metrics?from=0", "latest", "events", "losses", "delivery"] {
        let answer = manager.get(&format!("/v1/stores/T02/{part}")).await;
        assert_eq!(answer.status, 200, "{part}: {answer:?}");
        for other in ["T01", "T99", "t02", "%00"] {
            let answer = manager.get(&format!("/v1/stores/{other}/{part}")).await;
            assert_eq!((answer.status, answer.code()), (404, "not_found"), "{other}/{part}");
        }
    }
    let values = manager.get("/api/v1/label/store/values").await;
    assert_eq!(values.json["data"], serde_json::json!(["T02"]), "{values:?}");
    let all = Signed::new(&setting, "head", "--role user").await;
    let values = all.get("/api/v1/label/store/values").await;
    assert_eq!(values.json["data"], serde_json::json!(["T01", "T02"]), "{values:?}");
    assert_eq!(all.get("/v1/stores/T99/status").await.status, 404);
}

#[tokio::test]
async fn a_role_may_what_its_rows_say() {
    let setting = setting().await;
    let viewer = Signed::new(&setting, "viewer", "--role viewer").await;
    let user = Signed::new(&setting, "user", "--role user").await;
    let refused = viewer.get("/v1/stores/T01/events").await;
    assert_eq!((refused.status, refused.code()), (403, "permission_missing"));
    assert!(refused.detail().contains("events.read"), "{refused:?}");
    assert_eq!(user.get("/v1/stores/T01/events").await.status, 200);
    for path in ["/v1/users", "/v1/users/00000000-0000-0000-0000-000000000000"] {
        assert_eq!(user.get(path).await.code(), "permission_missing");
    }
    for (method, path) in [
        (reqwest::Method::POST, "/v1/metrics/batch"),
        (reqwest::Method::POST, "/v1/key/rotation"),
        (reqwest::Method::GET, "/v1/tenants"),
        (reqwest::Method::GET, "/v1/tenants/la-villa/stats"),
        (reqwest::Method::GET, "/v1/audit"),
    ] {
        let answer = ByHand::answer(user.hand.request(method, path).body("{}")).await.unwrap();
        assert_eq!((answer.status, answer.code()), (401, "unauthorized"), "{path} is not for people");
    }
    let agent = setting.by_hand().get("/v1/users").await.unwrap();
    assert_eq!(agent.status, 401, "nor is this for agents");
    let other = user.hand.request(reqwest::Method::GET, "/v1/stores").header("x-tenant-id", "el-prado");
    assert_eq!(ByHand::answer(other).await.unwrap().code(), "tenant_mismatch");
}
