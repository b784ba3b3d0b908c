//! A tenant and its admin for the peers that people meet: over HTTP, as she would do it herself.

use std::path::Path;

use anyhow::{Context as _, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use storepulse_cloud::commands;
use storepulse_cloud::db::Db;

use crate::by_hand::{Answer, ByHand};
use crate::cloud::Cloud;
use crate::cluster::TestDb;
use crate::store;

/// The tenant.
pub(super) const TENANT: &str = "la-villa";
/// What everybody chooses.
pub(super) const PASSWORD: &str = "three words of theirs";

/// Onboards the tenant; its admin, who has chosen her password.
pub(super) async fn admin(db: &TestDb, cloud: &Cloud, dir: &Path) -> anyhow::Result<ByHand> {
    store::onboard(db, TENANT, &["T01"], &cloud.url(), None, &dir.join("package")).await?;
    let door = Db::connect(&db.config()).await?;
    let mut out = Vec::new();
    let add = ["user", "add", "--tenant", TENANT, "--user", "admin", "--role", "admin"];
    commands::on(&door, &add, &mut out).await?;
    door.close().await;
    let first = String::from_utf8(out)?.trim().to_owned();
    let admin = sign_in(cloud, "admin", &first).await?;
    let chosen = json!({ "old": first, "new": PASSWORD });
    expect(204, ask(&admin, Method::PUT, "/v1/me/password", &chosen).await?)?;
    Ok(admin)
}

/// Somebody who is signed in.
pub(super) async fn sign_in(cloud: &Cloud, user: &str, password: &str) -> anyhow::Result<ByHand> {
    let body = json!({ "tenant": TENANT, "user": user, "password": password });
    let opened = expect(200, ask(&nobody(cloud)?, Method::POST, "/v1/session", &body).await?)?;
    let token = opened["access_token"].as_str().context("no access token")?;
    ByHand::new(&cloud.url(), None, Some(format!("Bearer {token}")))
}

pub(super) fn nobody(cloud: &Cloud) -> anyhow::Result<ByHand> {
    ByHand::new(&cloud.url(), None, None)
}

pub(super) async fn ask(who: &ByHand, method: Method, path: &str, body: &Value) -> anyhow::Result<Answer> {
    ByHand::answer(who.request(method, path).json(body)).await
}

/// What an answer of this status holds.
pub(super) fn expect(status: u16, answer: Answer) -> anyhow::Result<Value> {
    ensure!(answer.status == status, "{answer:?}");
    Ok(answer.json)
}
