//! Pages: signed in with a cookie that no script reads, and safe from other sites' forms.

use reqwest::{Method, Response};
use serde_json::{Value, json};
use storepulse_testbed::upkeep::as_admin;
use storepulse_testbed::wait;

use super::{CHOSEN, Signed, command};
use crate::setting::{Setting, TENANT};

/// A page of `ana`: its cookie, and what it repeats.
struct Page {
    http: reqwest::Client,
    url: String,
    cookie: String,
    csrf_token: String,
}

impl Page {
    async fn open(setting: &Setting, user: &str) -> Self {
        let (http, url) = (reqwest::Client::new(), setting.cloud.url());
        let body = json!({ "tenant": TENANT, "user": user, "password": CHOSEN, "page": true });
        let answer = http.post(format!("{url}/v1/session")).json(&body).send().await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["cache-control"]),
            (200, &"no-store".parse().unwrap())
        );
        let set = answer.headers()["set-cookie"].to_str().unwrap().to_owned();
        for attribute in ["Secure", "HttpOnly", "SameSite=Lax", "Path=/"] {
            assert!(set.split("; ").any(|part| part == attribute), "{attribute}: {set}");
        }
        assert!(set.starts_with("__Host-storepulse=session_la-villa_") && !set.contains("Domain"), "{set}");
        let told: Value = answer.json().await.unwrap();
        assert!(told.get("access_token").is_none() && told.get("refresh_token").is_none(), "{told}");
        let csrf_token = told["csrf_token"].as_str().unwrap().to_owned();
        Self { http, url, cookie: set.split(';').next().unwrap().to_owned(), csrf_token }
    }

    async fn ask(&self, method: Method, path: &str, csrf_token: Option<&str>) -> Response {
        let request = self.http.request(method, format!("{}{path}", self.url)).header("cookie", &self.cookie);
        let request = match csrf_token {
            Some(token) => request.header("x-csrf-token", token),
            None => request,
        };
        request.json(&json!({ "name": "x", "scopes": ["stores.read"] })).send().await.unwrap()
    }
}

async fn code(answer: Response) -> (u16, String) {
    let status = answer.status().as_u16();
    let body: Value = answer.json().await.unwrap_or_default();
    (status, body["code"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn a_page_changes_something_only_if_it_repeats_what_it_alone_was_told() {
    let setting = Setting::new().await;
    Signed::new(&setting, "ana", "--role admin").await;
    Signed::new(&setting, "eva", "--role viewer").await;
    let (page, other) = (Page::open(&setting, "ana").await, Page::open(&setting, "eva").await);
    assert_eq!(page.ask(Method::GET, "/v1/stores", None).await.status(), 200);
    let me: Value = page.ask(Method::GET, "/v1/me", None).await.json().await.unwrap();
    assert_eq!((&me["csrf_token"], &me["user_name"]), (&json!(page.csrf_token), &json!("ana")), "{me}");
    let refused = (403, "csrf_token_missing".to_owned());
    for told in [None, Some(""), Some("x"), Some(other.csrf_token.as_str())] {
        assert_eq!(code(page.ask(Method::POST, "/v1/me/tokens", told).await).await, refused, "{told:?}");
        assert_eq!(code(page.ask(Method::DELETE, "/v1/session", told).await).await, refused, "{told:?}");
    }
    let made = page.ask(Method::POST, "/v1/me/tokens", Some(&page.csrf_token)).await;
    assert_eq!(made.status(), 201);
    // The cookie is good as a cookie, and beside a credential it is not looked at.
    let token = page.cookie.split_once('=').unwrap().1;
    let as_bearer = page.http.get(format!("{}/v1/stores", page.url)).bearer_auth(token);
    assert_eq!(as_bearer.send().await.unwrap().status(), 401);
    let beside = page.http.get(format!("{}/v1/stores", page.url)).header("cookie", &page.cookie);
    assert_eq!(beside.bearer_auth("rubbish").send().await.unwrap().status(), 401);

    let out = page.ask(Method::DELETE, "/v1/session", Some(&page.csrf_token)).await;
    assert!(out.headers()["set-cookie"].to_str().unwrap().ends_with("Max-Age=0"));
    assert_eq!(out.status(), 204);
    assert_eq!(page.ask(Method::GET, "/v1/stores", None).await.status(), 401);
    assert_eq!(other.ask(Method::GET, "/v1/stores", None).await.status(), 200, "others stay");
}

/// The form of another site would sign its visitor in as somebody else.
#[tokio::test]
async fn no_form_signs_a_page_in() {
    let setting = Setting::new().await;
    Signed::new(&setting, "ana", "--role admin").await;
    let body = json!({ "tenant": TENANT, "user": "ana", "password": CHOSEN, "page": true }).to_string();
    let url = format!("{}/v1/session", setting.cloud.url());
    for media_type in
        ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""]
    {
        let request = reqwest::Client::new().post(&url).header("content-type", media_type).body(body.clone());
        let answer = request.send().await.unwrap();
        assert!(!answer.headers().contains_key("set-cookie"), "{media_type}");
        assert_eq!(code(answer).await, (400, "bad_body".to_owned()), "{media_type}");
    }
}

/// The cookie of a page gives way to the other tenant's, so nobody could end the session that it was of.
#[tokio::test]
async fn a_page_that_goes_on_to_another_tenant_leaves_no_session_behind() {
    let setting = Setting::new().await;
    let url = setting.cloud.url();
    let out = crate::setting::folder().await;
    storepulse_testbed::store::onboard(&setting.db, "el-sol", &["S01"], &url, None, &out).await.unwrap();
    Signed::new(&setting, "ana", "--role user").await;
    let host = Signed::of_tenant(&setting, "el-sol", "host", "--role admin").await;
    let invited = host.post("/v1/invitations", json!({ "email": "ana@x.example", "role": "user" })).await;
    let page = Page::open(&setting, "ana").await;
    let send = async |path: &str, body: Value| {
        let request = page.http.post(format!("{url}{path}")).header("cookie", &page.cookie);
        request.header("x-csrf-token", &page.csrf_token).json(&body).send().await.unwrap()
    };
    let token = &invited.json["token"];
    let accepted = send(
        "/v1/invitations/accept",
        json!({ "token": token, "user_name": "anna", "password": CHOSEN, "join": true }),
    )
    .await;
    let accepted: Value = accepted.json().await.unwrap();
    assert_eq!((&accepted["user_name"], &accepted["joined"]), (&json!("anna"), &json!(true)), "{accepted}");
    let switched = send("/v1/session/switch", json!({ "tenant": "el-sol", "page": true })).await;
    assert_eq!(switched.status(), 200);
    let cookie = switched.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let there = page.http.get(format!("{url}/v1/me")).header("cookie", cookie).send().await.unwrap();
    let me = there.text().await.unwrap();
    assert!(me.contains("\"anna\"") && me.matches("\"role\"").count() == 1, "{me}");
    assert_eq!(page.ask(Method::GET, "/v1/me", None).await.status(), 401, "the one before has ended");
}

#[tokio::test]
async fn a_session_lasts_as_long_as_the_tenant_says_and_using_it_makes_it_last() {
    let setting = Setting::new().await;
    let minutes = "setting set --tenant la-villa auth.session_minutes 5";
    command(&setting.db, minutes).await.unwrap();
    Signed::new(&setting, "ana", "--role admin").await;
    let page = Page::open(&setting, "ana").await;
    let left = "select round(extract(epoch from expires_at - now()))::bigint::text from sessions
        where cookie_hash is not null";
    let seconds = || async { as_admin(&setting.db, left).await.unwrap()[0].parse::<i64>().unwrap() };
    assert!((290..=300).contains(&seconds().await));
    let earlier = "update sessions set refreshed_at = refreshed_at - interval '4 minutes',
        expires_at = expires_at - interval '4 minutes' where cookie_hash is not null returning device";
    as_admin(&setting.db, earlier).await.unwrap();
    assert!(seconds().await <= 60);
    // What was looked up before is believed for two seconds.
    wait::until("the session to last again", std::time::Duration::from_secs(10), async || {
        assert_eq!(page.ask(Method::GET, "/v1/stores", None).await.status(), 200);
        Ok((seconds().await > 290).then_some(()))
    })
    .await
    .unwrap();
    let over = "update sessions set expires_at = now() where cookie_hash is not null returning device";
    as_admin(&setting.db, over).await.unwrap();
    wait::until("the session to be over", std::time::Duration::from_secs(5), async || {
        Ok((page.ask(Method::GET, "/v1/stores", None).await.status() == 401).then_some(()))
    })
    .await
    .unwrap();
}
