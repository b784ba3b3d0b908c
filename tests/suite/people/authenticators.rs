//! The second factor: asked for once it is set up, each code good once, and no way to keep its owner out.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::Method;
use serde_json::{Value, json};
use storepulse_testbed::by_hand::{Answer, ByHand};
use storepulse_testbed::wait;
use totp_rs::{Algorithm, Secret, TOTP};

use super::{CHOSEN, Signed, command};
use crate::setting::{Setting, TENANT};

/// What the user's telephone shows.
struct Telephone(TOTP);

impl Telephone {
    fn new(told: &Value) -> Self {
        let secret = told["secret"].as_str().unwrap();
        assert!(told["uri"].as_str().unwrap().starts_with("otpauth://totp/StorePulse:"), "{told}");
        let secret = Secret::Encoded(secret.to_owned()).to_bytes().unwrap();
        Self(TOTP::new(Algorithm::SHA1, 6, 0, 30, secret).unwrap())
    }

    /// The code of so many steps from now.
    fn code(&self, steps: i64) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        self.0.generate(now.checked_add_signed(30 * steps).unwrap())
    }
}

async fn sign_in(setting: &Setting, code: Option<&str>) -> Answer {
    let nobody = ByHand::new(&setting.cloud.url(), None, None).unwrap();
    let body = json!({ "tenant": TENANT, "user": "ana", "password": CHOSEN, "code": code });
    ByHand::answer(nobody.request(Method::POST, "/v1/session").json(&body)).await.unwrap()
}

/// Sets one up with the code of the step before this one: those of now and of the next are left. Recovery codes are what it gets.
async fn set_up(ana: &Signed) -> (Telephone, Vec<String>) {
    let told = ana.post("/v1/me/authenticator", json!({ "password": CHOSEN })).await;
    assert_eq!(told.status, 201, "{told:?}");
    let telephone = Telephone::new(&told.json);
    let confirmed =
        ana.post("/v1/me/authenticator/confirmation", json!({ "code": telephone.code(-1) })).await;
    assert_eq!(confirmed.status, 200, "{confirmed:?}");
    let codes = confirmed.json["recovery_codes"].as_array().unwrap().iter();
    (telephone, codes.map(|code| code.as_str().unwrap().to_owned()).collect())
}

#[tokio::test]
async fn once_it_is_shown_to_work_its_codes_are_asked_for_and_each_is_good_once() {
    let setting = Setting::new().await;
    let ana = Signed::new(&setting, "ana", "--role user").await;
    let wrong = ana.post("/v1/me/authenticator", json!({ "password": "not the right one" })).await;
    assert_eq!((wrong.status, wrong.code()), (401, "sign_in_failed"));
    let early = ana.post("/v1/me/authenticator/confirmation", json!({ "code": "000000" })).await;
    assert_eq!(early.code(), "authenticator_missing");
    let told = ana.post("/v1/me/authenticator", json!({ "password": CHOSEN })).await;
    assert_eq!(sign_in(&setting, None).await.status, 200, "nobody is asked for what does not work yet");
    let wrong = ana.post("/v1/me/authenticator/confirmation", json!({ "code": "12345x" })).await;
    assert_eq!((wrong.status, wrong.code()), (422, "bad_value"));
    drop(told);

    let (telephone, recovery) = set_up(&ana).await;
    assert_eq!(recovery.len(), 10);
    let me = ana.get("/v1/me").await;
    assert_eq!(me.json["has_authenticator"], true, "{me:?}");
    let again = ana.post("/v1/me/authenticator", json!({ "password": CHOSEN })).await;
    assert_eq!(again.code(), "authenticator_exists");
    let missing = sign_in(&setting, None).await;
    assert_eq!((missing.status, missing.code()), (401, "code_required"));
    let old = sign_in(&setting, Some(&telephone.code(-1))).await;
    assert_eq!((old.status, old.code()), (401, "code_wrong"), "it was taken when it was set up");
    let code = telephone.code(0);
    assert_eq!(sign_in(&setting, Some(&code)).await.status, 200);
    assert_eq!(sign_in(&setting, Some(&code)).await.code(), "code_wrong", "once");
    let lost = recovery[3].to_uppercase().replace('-', " ");
    assert_eq!(sign_in(&setting, Some(&lost)).await.status, 200, "however it is typed");
    assert_eq!(sign_in(&setting, Some(&recovery[3])).await.code(), "code_wrong", "once");

    let removal = |code: &str| json!({ "password": CHOSEN, "code": code });
    let refused = ana.post("/v1/me/authenticator/removal", removal("000000")).await;
    assert_eq!(refused.code(), "code_wrong");
    let removed = ana.post("/v1/me/authenticator/removal", removal(&recovery[4])).await;
    assert_eq!(removed.status, 204, "{removed:?}");
    assert_eq!(sign_in(&setting, None).await.status, 200);
}

/// Whoever has seen the first password binds no factor that only she has.
#[tokio::test]
async fn who_has_yet_to_choose_a_password_sets_nothing_up() {
    let setting = Setting::new().await;
    let url = setting.cloud.url();
    let first = super::add(&setting.db, TENANT, "ana", "--role user").await;
    let ana = Signed::of(&url, &super::sign_in(&url, TENANT, "ana", &first).await.json);
    let refused = ana.post("/v1/me/authenticator", json!({ "password": first })).await;
    assert_eq!((refused.status, refused.code()), (403, "password_change_required"));
}

#[tokio::test]
async fn who_guesses_codes_is_stopped_and_the_owner_is_not() {
    let setting = Setting::new().await;
    let ana = Signed::new(&setting, "ana", "--role user").await;
    let (telephone, recovery) = set_up(&ana).await;
    for no in 0..10 {
        assert_eq!(sign_in(&setting, Some("000000")).await.code(), "code_wrong", "{no}");
    }
    assert_eq!(sign_in(&setting, Some("000000")).await.code(), "codes_closed");
    assert_eq!(
        sign_in(&setting, Some(&telephone.code(0))).await.code(),
        "codes_closed",
        "even the right one"
    );
    assert_eq!(sign_in(&setting, Some(&recovery[0])).await.status, 200, "she has what nobody guesses");
}

#[tokio::test]
async fn a_tenant_that_wants_a_second_factor_lets_nobody_read_without_and_an_admin_helps_who_lost_it() {
    let setting = Setting::new().await;
    let admin = Signed::new(&setting, "admin", "--role admin").await;
    let ana = Signed::new(&setting, "ana", "--role user").await;
    let (_, _) = set_up(&ana).await;
    let users = admin.get("/v1/users").await.json;
    let all = users["users"].as_array().unwrap();
    let id =
        all.iter().find(|user| user["user_name"] == "ana").unwrap()["user_id"].as_str().unwrap().to_owned();
    command(&setting.db, "setting set --tenant la-villa auth.require_second_factor true").await.unwrap();
    let until = async |who: &Signed, code: &str| {
        wait::until(code, Duration::from_secs(5), async || {
            let answer = who.get("/v1/stores").await;
            Ok((answer.code() == code || code.is_empty() && answer.status == 200).then_some(()))
        })
        .await
        .unwrap();
    };
    until(&admin, "second_factor_required").await;
    until(&ana, "").await;
    set_up(&admin).await;
    until(&admin, "").await;
    assert_eq!(admin.delete(&format!("/v1/users/{id}/authenticator")).await.status, 204);
    until(&ana, "second_factor_required").await;
    assert_eq!(admin.delete(&format!("/v1/users/{id}/authenticator")).await.status, 404);
    let own = all.iter().find(|user| user["user_name"] == "admin").unwrap()["user_id"].as_str().unwrap();
    let refused = admin.delete(&format!("/v1/users/{own}/authenticator")).await;
    assert_eq!((refused.status, refused.code()), (409, "own_account"), "her own asks for her password");
    let refused = admin.post(&format!("/v1/users/{own}/password"), Value::Null).await;
    assert_eq!((refused.status, refused.code()), (409, "own_account"));
    assert_eq!(sign_in(&setting, None).await.status, 200, "she signs in, and sets up another one");
}
