//! The same over HTTP: the package is the answer, and can be asked for again.

use std::path::{Path, PathBuf};
use std::process::Command;

use storepulse_testbed::by_hand::{ByHand, HandBatch, samples};

use super::{Place, key_in};
use crate::setting::{folder, now_ms};

struct Operator {
    place: Place,
    http: ByHand,
}

impl Operator {
    async fn new() -> Self {
        let place = Place::new().await;
        let key = storepulse_cloud::commands::operator::issue(&place.door, "ops").await.unwrap();
        let bearer = Some(format!("Bearer {}", key.expose()));
        let http = ByHand::new(&place.cloud.url(), place.cloud.ca.as_deref(), bearer).unwrap();
        Self { place, http }
    }

    async fn post(&self, tenant: &str, body: &serde_json::Value) -> reqwest::Response {
        let path = format!("/v1/tenants/{tenant}/onboarding");
        self.http.request(reqwest::Method::POST, &path).json(body).send().await.unwrap()
    }

    /// Asks for a package and unpacks it.
    async fn package(&self, tenant: &str, body: &serde_json::Value) -> PathBuf {
        let answer = self.post(tenant, body).await;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["cache-control"], "no-store");
        assert_eq!(answer.headers()["content-type"], "application/x-tar");
        let dir = folder().await;
        std::fs::write(dir.join("package.tar"), answer.bytes().await.unwrap()).unwrap();
        let unpacked = Command::new("tar").args(["-xpf", "package.tar"]).current_dir(&dir).status().unwrap();
        assert!(unpacked.success());
        dir.join(format!("deployment_package_{tenant}"))
    }

    async fn opens(&self, dir: &Path) -> bool {
        let bearer = Some(format!("Bearer {}", key_in(dir).expose()));
        let agent = ByHand::new(&self.place.cloud.url(), self.place.cloud.ca.as_deref(), bearer).unwrap();
        agent.get("/v1/stores").await.unwrap().status == 200
    }
}

#[tokio::test]
async fn the_package_can_be_asked_for_again_until_its_keys_are_in_use() {
    let operator = Operator::new().await;
    let body = serde_json::json!({
        "company": "Retail Corp", "stores": 3, "email": "a@b.example", "whatsapp": ["1234567890"],
        "cloud_url": operator.place.cloud.url(),
    });
    let first = operator.package("remote", &body).await;
    let mode = |path: PathBuf| {
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(path).unwrap().permissions()) & 0o777
    };
    for (file, wanted) in
        [("store.key", 0o600), ("push.token", 0o600), ("agent.yaml", 0o644), ("deploy.sh", 0o755)]
    {
        assert_eq!(mode(first.join("T01").join(file)), wanted, "{file}");
    }
    assert!(operator.opens(&first.join("T01")).await);
    // Lost on the way: asked for again. No key is left over.
    let second = operator.package("remote", &body).await;
    assert_eq!(operator.place.active_keys("remote").await, 3);
    assert!(operator.opens(&second.join("T03")).await);

    let used = key_in(&second.join("T02"));
    let agent = ByHand::new(
        &operator.place.cloud.url(),
        operator.place.cloud.ca.as_deref(),
        Some(format!("Bearer {}", used.expose())),
    )
    .unwrap();
    let batch = HandBatch::of(storepulse_shared::ids::Epoch::random(), 1, &samples("m", &[now_ms()], &[1.0]));
    assert_eq!(agent.send(&batch).await.unwrap().status, 200);
    let third = operator.package("remote", &body).await;
    assert!(!third.join("T02").exists(), "what is in use is left alone");
    assert_eq!(agent.get("/v1/stores").await.unwrap().status, 200);
    let results = std::fs::read_to_string(third.join("onboarding_results.json")).unwrap();
    assert!(results.contains("\"in_use\""), "{results}");
    assert_eq!(operator.place.active_keys("remote").await, 3);
}

#[tokio::test]
async fn what_cannot_be_onboarded_is_refused_in_words() {
    let operator = Operator::new().await;
    let url = operator.place.cloud.url();
    let refused = async |tenant: &str, body: serde_json::Value| {
        let answer = operator.post(tenant, &body).await;
        let status = answer.status().as_u16();
        (status, answer.json::<serde_json::Value>().await.unwrap()["code"].as_str().unwrap().to_owned())
    };
    let body = |stores: usize| serde_json::json!({ "company": "C", "stores": stores, "cloud_url": url });
    assert_eq!(refused("large", body(31)).await, (429, "store_limit".into()));
    assert_eq!(refused("large", body(501)).await, (422, "bad_value".into()));
    assert_eq!(refused("large", body(0)).await, (422, "bad_value".into()));
    let unknown = serde_json::json!({ "company": "C", "stores": 1, "cloud_url": url, "plan": "gold" });
    assert_eq!(refused("large", unknown).await, (422, "bad_value".into()));
    let nobody = serde_json::json!({ "stores": 1, "cloud_url": url });
    assert_eq!(refused("nobody", nobody).await, (404, "not_found".into()));
    assert_eq!(operator.place.count("select count(*) from tenants where tenant_id <> $1", "").await, 0);
    let stranger = ByHand::new(&url, operator.place.cloud.ca.as_deref(), None).unwrap();
    let path = "/v1/tenants/large/onboarding";
    let answer = stranger.request(reqwest::Method::POST, path).body("{}").send().await.unwrap();
    assert_eq!(answer.status(), 401);
}
