//! A provider of OpenID Connect vouches for a tenant's people: `oidc-provider`, which its author has certified. It decides whether the
//! service asks it as it should; we look at who is signed in then, and at what does not sign anybody in.

use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use reqwest::{Method, Response};
use serde_json::{Value, json};
use storepulse_cloud::app::PeopleConfig;

use super::Shown;
use super::oidc_browser::sign_in_at_provider;
use super::people::{TENANT, admin, ask, expect};
use super::program::{self, Program};
use crate::by_hand::ByHand;
use crate::cloud::Cloud;
use crate::cluster::Cluster;
use crate::wait;

const START: Duration = Duration::from_secs(30);
const SECRET: &str = "what the provider has given us";
/// What the browser holds while it is at the provider, and from then on.
const VISIT: &str = "__Host-storepulse-visit=";
const SESSION: &str = "__Host-storepulse=";

/// How the provider tells claims, and with what it signs.
const WAYS: [(&str, &str); 4] =
    [("true", "RS256"), ("false", "ES256"), ("true", "EdDSA"), ("false", "PS256")];

/// A browser that was sent somewhere.
struct Sent {
    to: String,
    cookies: Vec<String>,
}

impl Sent {
    fn of(answer: &Response) -> anyhow::Result<Self> {
        ensure!(answer.status() == 303, "{} instead of a way elsewhere", answer.status());
        let text = |value: &reqwest::header::HeaderValue| Ok(value.to_str()?.to_owned());
        let to = text(answer.headers().get(LOCATION).context("a way to nowhere")?)?;
        let cookies = answer.headers().get_all(SET_COOKIE).iter().map(text).collect::<anyhow::Result<_>>()?;
        Ok(Self { to, cookies })
    }

    fn cookie(&self, name: &str) -> Option<String> {
        let set = self.cookies.iter().find(|set| set.starts_with(name))?;
        set.split(';').next().map(str::to_owned)
    }
}

/// What everybody here needs.
struct Stage {
    http: reqwest::Client,
    url: String,
    admin: ByHand,
    compared: usize,
    unequal: Vec<String>,
}

pub(super) async fn run(cluster: &Cluster, dir: &Path) -> anyhow::Result<Shown> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/peers/oidc");
    let told =
        "console.log('oidc-provider ' + JSON.parse(require('fs').readFileSync(process.argv[1])).version)";
    let package = folder.join("node_modules/oidc-provider/package.json").display().to_string();
    let version = program::version(Path::new("node"), &["-e", told, &package])?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}", listener.local_addr()?);
    let people = PeopleConfig {
        public_url: Some(url.clone()),
        providers_may_be_private: true,
        ..PeopleConfig::default()
    };
    let db = cluster.database().await?;
    let cloud = Cloud::start_reaching_at(listener, people, &db).await?;
    let admin = admin(&db, &cloud, dir).await?;
    let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build()?;
    let mut stage = Stage { http, url, admin, compared: 0, unequal: Vec::new() };
    for (place, (conform, alg)) in WAYS.into_iter().enumerate() {
        let port_file = dir.join(format!("port-{place}"));
        let args = [
            folder.join("provider.mjs").display().to_string(),
            "--port-file".to_owned(),
            port_file.display().to_string(),
            "--client-id".to_owned(),
            "storepulse".to_owned(),
            "--client-secret".to_owned(),
            SECRET.to_owned(),
            "--redirect-uri".to_owned(),
            format!("{}/v1/providers/{TENANT}/callback", stage.url),
            format!("--conform-id-token-claims={conform}"),
            format!("--alg={alg}"),
        ];
        let log = dir.join(format!("provider-{place}.log"));
        let mut provider = Program::start(Path::new("node"), &args, &[], &log)?;
        let port = wait::until("the provider to listen", START, async || {
            ensure!(!provider.has_ended()?, "it has ended\n{}", provider.said());
            Ok(std::fs::read_to_string(&port_file).ok().map(|port| port.trim().to_owned()))
        })
        .await?;
        let issuer = format!("http://127.0.0.1:{port}");
        stage.tries(&issuer, place).await.with_context(|| format!("{alg}: {}", provider.said()))?;
    }
    cloud.stop().await?;
    let more = "signed with RS256, PS256, ES256 and EdDSA, claims in the token and beside it";
    let Stage { compared, unequal, .. } = stage;
    Ok(Shown { version, series: None, compared, unequal, more: more.to_owned() })
}

impl Stage {
    async fn tries(&mut self, issuer: &str, place: usize) -> anyhow::Result<()> {
        let put = async |admin: &ByHand, secret: &str, new: Value| {
            let body = json!({ "issuer": issuer, "client_id": "storepulse", "client_secret": secret, "new_users_are": new });
            expect(200, ask(admin, Method::PUT, "/v1/identity-provider", &body).await?)
        };
        put(&self.admin, SECRET, Value::Null).await?;
        // Whom the tenant knows: by the e-mail that the provider has verified, and from then on by what it calls her.
        let known = format!("ana{place}");
        let user = json!({ "user_name": format!("{known}-here"), "email": format!("{known}@retail.example"), "role": "user" });
        expect(201, ask(&self.admin, Method::POST, "/v1/users", &user).await?)?;
        for again in ["first", "second"] {
            let (me, to) = self.sign_in(&known).await?;
            let is_her = me["user_name"] == user["user_name"] && me["role"] == "user";
            self.holds(is_her && to == "/dashboards?a=b", &format!("{again} {known}: {me} {to}"));
        }
        self.stays_out(&format!("stranger{place}"), "not_a_user").await?;
        put(&self.admin, SECRET, json!("viewer")).await?;
        let (me, _) = self.sign_in(&format!("stranger{place}")).await?;
        let is_new = me["role"] == "viewer" && me["email"] == format!("stranger{place}@retail.example");
        self.holds(is_new, &format!("a new user: {me}"));
        // What is not verified is nobody's: she becomes a user without it.
        let (me, _) = self.sign_in(&format!("unverified{place}")).await?;
        self.holds(me["email"].is_null(), &format!("without her e-mail: {me}"));
        let id = me["user_id"].as_str().context("no id")?.to_owned();
        let off = json!({ "active": false });
        expect(200, ask(&self.admin, Method::PATCH, &format!("/v1/users/{id}"), &off).await?)?;
        self.stays_out(&format!("unverified{place}"), "not_a_user").await?;
        self.what_comes_back_twice_or_elsewhere(&known).await?;
        put(&self.admin, "another secret", Value::Null).await?;
        self.stays_out(&known, "provider_refused").await
    }

    fn holds(&mut self, holds: bool, what: &str) {
        self.compared += 1;
        if !holds {
            self.unequal.push(what.to_owned());
        }
    }

    /// To the provider and back: what the service is asked with, and what the browser holds.
    async fn visit(&self, login: &str) -> anyhow::Result<(String, String)> {
        let begin = format!("{}/v1/providers/{TENANT}/sign-in?return_to=/dashboards%3Fa=b", self.url);
        let sent = Sent::of(&self.http.get(begin).send().await?)?;
        let visit = sent.cookie(VISIT).with_context(|| format!("no cookie: {}", sent.to))?;
        Ok((sign_in_at_provider(&self.http, &sent.to, login).await?, visit))
    }

    async fn come_back(&self, url: &str, cookie: &str) -> anyhow::Result<Sent> {
        Sent::of(&self.http.get(url).header(COOKIE, cookie).send().await?)
    }

    /// Who is signed in then, and where she was sent.
    async fn sign_in(&self, login: &str) -> anyhow::Result<(Value, String)> {
        let (back, visit) = self.visit(login).await?;
        let sent = self.come_back(&back, &visit).await?;
        let cookie = sent.cookie(SESSION).with_context(|| format!("not signed in: {}", sent.to))?;
        let me = self.http.get(format!("{}/v1/me", self.url)).header(COOKIE, cookie).send().await?;
        ensure!(me.status() == 200, "{}", me.status());
        Ok((me.json().await?, sent.to))
    }

    async fn stays_out(&mut self, login: &str, problem: &str) -> anyhow::Result<()> {
        let (back, visit) = self.visit(login).await?;
        let sent = self.come_back(&back, &visit).await?;
        let is_told = sent.to == format!("/sign-in?tenant={TENANT}&problem={problem}");
        self.holds(is_told && sent.cookie(SESSION).is_none(), &format!("{login} stays out: {}", sent.to));
        Ok(())
    }

    /// A code opens once, and only in the browser that was sent for it.
    async fn what_comes_back_twice_or_elsewhere(&mut self, login: &str) -> anyhow::Result<()> {
        let (first, first_visit) = self.visit(login).await?;
        let (second, second_visit) = self.visit(login).await?;
        let crossed = self.come_back(&first, &second_visit).await?;
        self.holds(crossed.cookie(SESSION).is_none(), "somebody else's way back signs nobody in");
        let nobodys = self.come_back(&first, "").await?;
        self.holds(nobodys.cookie(SESSION).is_none(), "nor does it without a cookie");
        let own = self.come_back(&first, &first_visit).await?;
        self.holds(own.cookie(SESSION).is_some(), &format!("one's own way back: {}", own.to));
        let again = self.come_back(&first, &first_visit).await?;
        self.holds(again.cookie(SESSION).is_none() && again.to.ends_with("visit_unknown"), "but once");
        let other_tenant = second.replace(TENANT, "el-sol");
        let elsewhere = self.come_back(&other_tenant, &second_visit).await?;
        self.holds(elsewhere.cookie(SESSION).is_none(), "nor at another tenant");
        Ok(())
    }
}
