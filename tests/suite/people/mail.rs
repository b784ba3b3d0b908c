//! Mail that people get: invitations, passwords that were forgotten, signing up. A mailbox of our own takes it; what a real server
//! makes of it is for `cargo peers mail`.

use reqwest::Method;
use serde_json::{Value, json};
use storepulse_cloud::app::PeopleConfig;
use storepulse_cloud::outbox::MailConfig;
use storepulse_testbed::by_hand::{Answer, ByHand};
use storepulse_testbed::mailbox::Mailbox;
use storepulse_testbed::upkeep::as_admin;
use storepulse_testbed::wait;

use super::{CHOSEN, Signed, command, sign_in};
use crate::setting::{Setting, TENANT};

async fn setting() -> (Setting, Mailbox) {
    let mailbox = Mailbox::open().await.unwrap();
    let url = "https://pulse.example.com".to_owned();
    let mail = MailConfig {
        smtp: format!("smtp://{}", mailbox.address).parse().unwrap(),
        from: "StorePulse <pulse@example.com>".to_owned(),
        public_url: url.clone(),
    };
    let people = PeopleConfig {
        mail: Some(mail),
        public_url: Some(url),
        sign_up_plan: Some("basic".to_owned()),
        providers_may_be_private: false,
    };
    (Setting::reaching(people).await, mailbox)
}

async fn post(setting: &Setting, path: &str, body: Value) -> Answer {
    let nobody = ByHand::new(&setting.cloud.url(), None, None).unwrap();
    ByHand::answer(nobody.request(Method::POST, path).json(&body)).await.unwrap()
}

#[tokio::test]
async fn who_is_invited_gets_the_link_in_her_language_and_nobody_else_has_it() {
    let (setting, mailbox) = setting().await;
    command(&setting.db, "setting set --tenant la-villa general.language \"es\"").await.unwrap();
    let admin = Signed::new(&setting, "admin", "--role admin").await;
    let made = admin.post("/v1/invitations", json!({ "email": "eva@x.example", "role": "viewer" })).await;
    assert_eq!((made.status, &made.json["token"]), (201, &Value::Null), "{made:?}");
    let mail = mailbox.wait_for("eva@x.example", 0).await.unwrap();
    assert!(mail.text.contains("https://pulse.example.com/invitation#invite_la-villa_"), "{}", mail.text);
    assert!(mail.text.contains("invit"), "{}", mail.text);
    let noted = wait::until("that it was taken to be noted", std::time::Duration::from_secs(5), async || {
        let listed = admin.get("/v1/invitations").await.json;
        Ok(listed["invitations"][0]["mailed_at"].is_string().then_some(()))
    });
    noted.await.unwrap();
    let body = json!({ "token": mail.secret().unwrap(), "user_name": "eva", "password": CHOSEN });
    assert_eq!(post(&setting, "/v1/invitations/accept", body).await.status, 201);

    let in_portuguese = json!({ "email": "rui@x.example", "role": "viewer", "language": "pt" });
    admin.post("/v1/invitations", in_portuguese).await;
    assert!(mailbox.wait_for("rui@x.example", 0).await.unwrap().text.contains("Seu convite"));
    let own = json!({ "subject": "Hola de {tenant}", "text": "Entre aquí.\n\n{link}" });
    let put = admin.put("/v1/mail-templates/invitation/es", own).await;
    assert_eq!(put.status, 200, "{put:?}");
    let without = json!({ "subject": "x", "text": "no link" });
    assert_eq!(admin.put("/v1/mail-templates/invitation/es", without).await.code(), "bad_value");
    assert_eq!(
        admin.put("/v1/mail-templates/sign_up/es", json!({ "subject": "x", "text": "{link}" })).await.status,
        404
    );
    admin.post("/v1/invitations", json!({ "email": "ines@x.example", "role": "viewer" })).await;
    assert!(mailbox.wait_for("ines@x.example", 0).await.unwrap().text.contains("Subject: Hola de"));

    admin.post("/v1/invitations", json!({ "email": "nobody@x.example", "role": "viewer" })).await;
    wait::until("that it never will be to be noted", std::time::Duration::from_secs(15), async || {
        let listed = admin.get("/v1/invitations").await.json;
        let error = listed["invitations"][0]["mail_error"].as_str().map(str::to_owned);
        Ok(error.filter(|error| error.contains("550")))
    })
    .await
    .unwrap();
    let by_hand = json!({ "email": "tom@x.example", "role": "viewer", "mail": false });
    assert!(admin.post("/v1/invitations", by_hand).await.json["token"].is_string());
    let left = as_admin(&setting.db, "select count(*)::text from mails").await.unwrap();
    assert_eq!(left, ["0"], "nothing waits any more");
}

#[tokio::test]
async fn a_forgotten_password_is_set_with_a_link_that_is_good_once_and_ends_what_was_open() {
    let (setting, mailbox) = setting().await;
    let url = setting.cloud.url();
    let ana = Signed::new(&setting, "ana", "--role user --email ana@x.example").await;
    Signed::new(&setting, "mute", "--role user").await;
    mailbox.wait_for("ana@x.example", 0).await.unwrap();
    let token = ana.post("/v1/me/tokens", json!({ "name": "x", "scopes": ["stores.read"] })).await;
    assert_eq!(token.status, 201);
    // One answer for all, whether there is such a user or not.
    for (tenant, user) in [
        (TENANT, "ana"),
        (TENANT, "mute"),
        (TENANT, "no-one"),
        ("nobody", "ana"),
        ("..", "'"),
        (TENANT, "ANA@x.example"),
    ] {
        let asked = post(&setting, "/v1/password-resets", json!({ "tenant": tenant, "user": user })).await;
        assert_eq!((asked.status, &asked.json), (202, &Value::Null), "{tenant} {user}");
    }
    let [first, second] = [
        mailbox.wait_for("ana@x.example", 1).await.unwrap(),
        mailbox.wait_for("ana@x.example", 2).await.unwrap(),
    ];
    let redeem = async |mail: &storepulse_testbed::mailbox::Taken, password: &str| {
        let body = json!({ "token": mail.secret().unwrap(), "password": password });
        post(&setting, "/v1/password-resets/redemption", body).await
    };
    assert_eq!(redeem(&first, "short").await.code(), "bad_value", "and the link stays good");
    assert_eq!(redeem(&first, "a password of hers again").await.status, 204);
    for mail in [&first, &second] {
        assert_eq!(
            redeem(mail, "what a thief would like").await.code(),
            "reset_unknown",
            "once, and the others too"
        );
    }
    assert_eq!(sign_in(&url, TENANT, "ana", CHOSEN).await.status, 401);
    assert_eq!(sign_in(&url, TENANT, "ana", "a password of hers again").await.status, 200);
    assert_eq!(ana.get("/v1/stores").await.status, 401, "she is signed out everywhere");
    let open = "select count(*)::text from api_tokens where revoked_at is null";
    assert_eq!(as_admin(&setting.db, open).await.unwrap(), ["0"]);
    mailbox.wait_for("ana@x.example", 3).await.unwrap();

    // What was sent to her before leads nowhere once somebody else has taken her account in hand.
    let admin = Signed::new(&setting, "admin", "--role admin").await;
    let users = admin.get("/v1/users").await.json;
    let all = users["users"].as_array().unwrap();
    let id =
        all.iter().find(|user| user["user_name"] == "ana").unwrap()["user_id"].as_str().unwrap().to_owned();
    post(&setting, "/v1/password-resets", json!({ "tenant": TENANT, "user": "ana" })).await;
    let third = mailbox.wait_for("ana@x.example", 4).await.unwrap();
    let moved =
        admin.tell(Method::PATCH, &format!("/v1/users/{id}"), json!({ "email": "ana2@x.example" })).await;
    assert_eq!(moved.status, 200, "{moved:?}");
    assert_eq!(redeem(&third, "what a thief would like").await.code(), "reset_unknown");

    // Three links within an hour, however often somebody asks.
    for _ in 0..5 {
        post(&setting, "/v1/password-resets", json!({ "tenant": TENANT, "user": "ana" })).await;
    }
    let resets = "select count(*)::text from password_resets";
    assert_eq!(as_admin(&setting.db, resets).await.unwrap(), ["3"]);
}

#[tokio::test]
async fn who_proves_her_e_mail_becomes_a_tenant_with_an_admin() {
    let (setting, mailbox) = setting().await;
    let url = setting.cloud.url();
    let wants = json!({ "tenant_id": TENANT, "company": "La Otra Villa", "email": "eva@x.example", "language": "es" });
    let asked = post(&setting, "/v1/sign-ups", wants).await;
    assert_eq!((asked.status, &asked.json), (202, &Value::Null), "whether the id is free is not told");
    let mail = mailbox.wait_for("eva@x.example", 0).await.unwrap();
    let confirm = async |id: Option<&str>, user: &str| {
        let body = json!({ "token": mail.secret().unwrap(), "tenant_id": id, "user_name": user, "password": CHOSEN });
        post(&setting, "/v1/sign-ups/confirmation", body).await
    };
    assert_eq!(confirm(None, "eva").await.code(), "tenant_exists");
    assert_eq!(confirm(Some("otra-villa"), "Eva!").await.code(), "bad_value");
    let (one, two) = tokio::join!(confirm(Some("otra-villa"), "eva"), confirm(Some("otra-villa"), "eve"));
    let mut statuses = [one.status, two.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 404], "{one:?} {two:?}");
    let user = if one.status == 201 { "eva" } else { "eve" };
    let eva = sign_in(&url, "otra-villa", user, CHOSEN).await;
    let eva = Signed::of(&url, &eva.json);
    let me = eva.get("/v1/me").await.json;
    assert_eq!(
        (&me["role"], &me["tenant"], &me["email"]),
        (&json!("admin"), &json!("otra-villa"), &json!("eva@x.example"))
    );
    assert_eq!(eva.get("/v1/stores").await.json["stores"], json!([]));
    assert_eq!(confirm(None, "mallory").await.code(), "sign_up_unknown", "once");
    for bad in [
        json!({ "tenant_id": "ok", "company": "x\r\nBcc: y@x.example", "email": "a@x.example" }),
        json!({ "tenant_id": "ok", "company": "x", "email": "a@x.example\r\nBcc: y@x.example" }),
    ] {
        assert_eq!(post(&setting, "/v1/sign-ups", bad).await.code(), "bad_value");
    }
}

#[tokio::test]
async fn a_service_that_sends_no_mail_says_so() {
    let setting = Setting::new().await;
    let admin = Signed::new(&setting, "admin", "--role admin").await;
    let asked = post(&setting, "/v1/password-resets", json!({ "tenant": TENANT, "user": "admin" })).await;
    assert_eq!((asked.status, asked.code()), (409, "mail_off"));
    let body = json!({ "email": "eva@x.example", "role": "viewer", "mail": true });
    assert_eq!(admin.post("/v1/invitations", body).await.code(), "mail_off");
    let wants = json!({ "tenant_id": "x", "company": "x", "email": "eva@x.example" });
    assert_eq!(post(&setting, "/v1/sign-ups", wants).await.status, 404, "nor does anybody sign up");
}
