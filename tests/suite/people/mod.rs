//! People: signing in, what their roles let them see, and what does not open.

mod attackers;
mod authenticators;
mod entries;
mod invitations;
mod joined;
mod mail;
mod pages;
mod providers;
mod reading;
mod sessions;
mod tokens;
mod users;

use reqwest::Method;
use serde_json::{Value, json};
use storepulse_cloud::commands;
use storepulse_cloud::db::Db;
use storepulse_testbed::by_hand::{Answer, ByHand};
use storepulse_testbed::cluster::TestDb;

use crate::setting::{Setting, TENANT};

/// A password that people choose.
const CHOSEN: &str = "three words of mine";

/// Does what these words say at the command line; what they print.
async fn command(db: &TestDb, line: &str) -> Result<String, String> {
    let door = Db::connect(&db.config()).await.unwrap();
    let words: Vec<&str> = line.split(' ').collect();
    let mut out = Vec::new();
    let done = commands::on(&door, &words, &mut out).await;
    door.close().await;
    done.map(|()| String::from_utf8(out).unwrap().trim().to_owned()).map_err(|e| format!("{e:#}"))
}

/// Makes a user; its first password.
async fn add(db: &TestDb, tenant: &str, user: &str, more: &str) -> String {
    command(db, &format!("user add --tenant {tenant} --user {user} {more}")).await.unwrap()
}

async fn sign_in(url: &str, tenant: &str, user: &str, password: &str) -> Answer {
    let nobody = ByHand::new(url, None, None).unwrap();
    let body = json!({ "tenant": tenant, "user": user, "password": password, "device": "a test" });
    ByHand::answer(nobody.request(Method::POST, "/v1/session").json(&body)).await.unwrap()
}

async fn refresh(url: &str, token: &str) -> Answer {
    let nobody = ByHand::new(url, None, None).unwrap();
    let body = json!({ "refresh_token": token });
    ByHand::answer(nobody.request(Method::POST, "/v1/session/refresh").json(&body)).await.unwrap()
}

/// Somebody who is signed in.
struct Signed {
    hand: ByHand,
    refresh: String,
}

impl Signed {
    fn of(url: &str, tokens: &Value) -> Self {
        let text =
            |name: &str| tokens[name].as_str().unwrap_or_else(|| panic!("{name}: {tokens}")).to_owned();
        let bearer = format!("Bearer {}", text("access_token"));
        Self { hand: ByHand::new(url, None, Some(bearer)).unwrap(), refresh: text("refresh_token") }
    }

    /// A user of `la-villa` who has chosen her password.
    async fn new(setting: &Setting, user: &str, more: &str) -> Self {
        Self::of_tenant(setting, TENANT, user, more).await
    }

    /// A user of another tenant who has chosen her password.
    async fn of_tenant(setting: &Setting, tenant: &str, user: &str, more: &str) -> Self {
        let url = setting.cloud.url();
        let first = add(&setting.db, tenant, user, more).await;
        let signed = Self::of(&url, &sign_in(&url, tenant, user, &first).await.json);
        let changed = signed.put("/v1/me/password", json!({ "old": first, "new": CHOSEN })).await;
        assert_eq!(changed.status, 204, "{changed:?}");
        signed
    }

    async fn tell(&self, method: Method, path: &str, body: Value) -> Answer {
        ByHand::answer(self.hand.request(method, path).json(&body)).await.unwrap()
    }

    async fn put(&self, path: &str, body: Value) -> Answer {
        self.tell(Method::PUT, path, body).await
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        self.tell(Method::POST, path, body).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.hand.get(path).await.unwrap()
    }

    async fn delete(&self, path: &str) -> Answer {
        ByHand::answer(self.hand.request(Method::DELETE, path)).await.unwrap()
    }
}
