//! A tenant's own provider: what can be one, and that nobody gets in past it. Signing in with one is for `cargo peers oidc`.

use serde_json::json;
use storepulse_cloud::app::PeopleConfig;
use storepulse_testbed::upkeep::as_admin;

use super::Signed;
use crate::setting::{Setting, TENANT};

async fn setting() -> Setting {
    let public_url = Some("https://pulse.example.com".to_owned());
    Setting::reaching(PeopleConfig { public_url, ..PeopleConfig::default() }).await
}

#[tokio::test]
async fn a_provider_is_an_address_of_the_world_outside() {
    let setting = setting().await;
    let admin = Signed::new(&setting, "admin", "--role admin").await;
    assert_eq!(admin.get("/v1/identity-provider").await.status, 404);
    for issuer in [
        "",
        "login.example.com",
        "http://login.example.com",
        "https://127.0.0.1",
        "https://10.0.0.1",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]",
        "https://[::ffff:127.0.0.1]",
        "https://user:password@login.example.com",
        "https://login.example.com?x=y",
        "https://login.example.com#x",
        "file:///etc/passwd",
    ] {
        let refused = admin.put("/v1/identity-provider", json!({ "issuer": issuer, "client_id": "x" })).await;
        assert_eq!((refused.status, refused.code()), (422, "bad_value"), "{issuer}: {refused:?}");
    }
    let good = json!({ "issuer": "https://login.example.com", "client_id": "pulse", "client_secret": "s3cret-of-theirs", "new_users_are": "viewer" });
    let mut admins = good.clone();
    admins["new_users_are"] = json!("admin");
    assert_eq!(admin.put("/v1/identity-provider", admins).await.code(), "bad_value");
    let put = admin.put("/v1/identity-provider", good).await;
    assert_eq!(put.status, 200, "{put:?}");
    let shown = admin.get("/v1/identity-provider").await;
    assert!(!shown.json.to_string().contains("s3cret"), "{shown:?}");
    assert_eq!(shown.json["redirect_uri"], "https://pulse.example.com/v1/providers/la-villa/callback");
    let audit = "select string_agg(detail::text, ' ') from audit_entries where action = 'provider.changed'";
    let audit = as_admin(&setting.db, audit).await.unwrap();
    assert!(audit[0].contains("login.example.com") && !audit[0].contains("s3cret"), "{audit:?}");
    assert_eq!(admin.delete("/v1/identity-provider").await.status, 204);
}

#[tokio::test]
async fn who_comes_back_without_having_left_is_told_so_and_is_not_signed_in() {
    let setting = setting().await;
    let admin = Signed::new(&setting, "admin", "--role admin").await;
    let provider = json!({ "issuer": "https://login.example.com", "client_id": "pulse" });
    assert_eq!(admin.put("/v1/identity-provider", provider).await.status, 200);
    let visit = "insert into provider_visits (tenant_id, state_hash, nonce, verifier, return_to)
        values ('la-villa', sha256('stolen'), 'n', 'v', '/') returning nonce";
    as_admin(&setting.db, visit).await.unwrap();
    let browser = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let go = async |path: &str, cookie: &str| {
        let url = format!("{}/v1/providers/{path}", setting.cloud.url());
        let answer = browser.get(url).header("cookie", cookie).send().await.unwrap();
        let to = answer.headers().get("location").map(|to| to.to_str().unwrap().to_owned());
        let set = answer
            .headers()
            .get_all("set-cookie")
            .iter()
            .any(|set| set.to_str().unwrap().starts_with("__Host-storepulse=session"));
        assert!(!set, "{path}");
        (answer.status().as_u16(), to.unwrap_or_default())
    };
    let told = |tenant: &str, problem: &str| (303, format!("/sign-in?tenant={tenant}&problem={problem}"));
    let held = "__Host-storepulse-visit=";
    for (path, cookie, expected) in [
        ("la-villa/callback", String::new(), told(TENANT, "visit_unknown")),
        ("la-villa/callback?code=x", String::new(), told(TENANT, "visit_unknown")),
        // Another one's link: this browser has not been sent there.
        ("la-villa/callback?code=x&state=stolen", String::new(), told(TENANT, "visit_unknown")),
        ("la-villa/callback?code=x&state=stolen", format!("{held}mine"), told(TENANT, "visit_unknown")),
        ("la-villa/callback?code=x&state=never", format!("{held}never"), told(TENANT, "visit_unknown")),
        ("nobody/callback?code=x&state=stolen", format!("{held}stolen"), told("nobody", "visit_unknown")),
        ("nobody/sign-in", String::new(), told("nobody", "no_provider")),
        // Nobody answers there, and this machine asks nobody in private.
        ("la-villa/sign-in", String::new(), told(TENANT, "provider_unreachable")),
        // It is used up by whoever comes first, whatever comes of it.
        (
            "la-villa/callback?state=stolen&error=access_denied",
            format!("{held}stolen"),
            told(TENANT, "provider_refused"),
        ),
        ("la-villa/callback?code=x&state=stolen", format!("{held}stolen"), told(TENANT, "visit_unknown")),
        (
            "la-villa/sign-in?return_to=/a%3Fb",
            String::new(),
            (303, "/sign-in?tenant=la-villa&problem=provider_unreachable&return_to=%2Fa%3Fb".to_owned()),
        ),
        ("la-villa/sign-in?return_to=https://elsewhere.example", String::new(), (400, String::new())),
        ("la-villa/sign-in?return_to=//elsewhere.example", String::new(), (400, String::new())),
        ("..%2Fla-villa/sign-in", String::new(), (404, String::new())),
    ] {
        assert_eq!(go(path, &cookie).await, expected, "{path} {cookie}");
    }
}
