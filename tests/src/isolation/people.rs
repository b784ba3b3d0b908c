//! People of the world: users of each role, as they are called in every tenant, signed in; and tokens that must open nothing.

use std::net::SocketAddr;

use anyhow::Context as _;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use storepulse_cloud::commands;
use storepulse_cloud::db::Db;

use super::content;
use super::session::Session;
use super::wire::{self, Request};
use super::world::{STRANGER, VICTIM};
use crate::cluster::TestDb;
use crate::wait;

/// What changes of a user counts everywhere within this time.
const EVERYWHERE: std::time::Duration = std::time::Duration::from_secs(5);
/// What everybody chooses.
const PASSWORD: &str = "three words of theirs";

/// What there is to be permitted: all of it to an admin.
pub(super) const OF_ADMIN: [&str; 5] =
    ["stores.read", "metrics.read", "events.read", "users.read", "users.manage"];
const OF_USER: [&str; 3] = ["stores.read", "metrics.read", "events.read"];
const OF_VIEWER: [&str; 2] = ["stores.read", "metrics.read"];
const OF_PROGRAM: [&str; 1] = ["metrics.read"];

/// What each role may do, written down once more.
pub(super) const ROLES: [(&str, &[&str]); 4] =
    [("operator", &OF_ADMIN), ("admin", &OF_ADMIN), ("user", &OF_USER), ("viewer", &OF_VIEWER)];

/// How a page names its cookie, and what it repeats.
const COOKIE: &str = "__Host-storepulse=";
const CSRF: &str = "x-csrf-token";

/// Somebody inside a tenant: a user, a program of hers, an operator who has entered.
#[derive(Debug, Clone)]
pub(super) struct Somebody {
    /// Of which tenant.
    pub tenant: String,
    /// Its role's permissions, as they are meant to be.
    pub permissions: &'static [&'static str],
    /// The stores that it sees; `None` for all.
    pub stores: Option<&'static str>,
    pub user_id: String,
    /// Empty for whoever has none: what concerns a user's own account is closed to her.
    pub session_id: String,
    /// The value of `Authorization`.
    pub bearer: String,
    refresh: String,
}

/// A user's page: what its browser sends.
#[derive(Debug, Clone)]
pub(super) struct Page {
    pub who: Somebody,
    pub cookie: String,
    pub csrf_token: String,
}

impl Page {
    /// As the page itself asks.
    pub(super) fn headers(&self) -> Vec<(&'static str, String)> {
        vec![("cookie", self.cookie.clone()), (CSRF, self.csrf_token.clone())]
    }
}

impl Somebody {
    /// Whether it sees a store of this name, where its tenant has one.
    pub(super) fn sees(&self, store: &str) -> bool {
        self.stores.is_none_or(|only| only == store)
    }

    /// Whether she is signed in herself.
    pub(super) fn has_session(&self) -> bool {
        !self.session_id.is_empty()
    }

    fn token(&self) -> &str {
        self.bearer.trim_start_matches("Bearer ")
    }
}

/// Who there is.
#[derive(Debug)]
pub(super) struct People {
    /// `la-villa`: the victim's own.
    pub victims_admin: Somebody,
    /// Sees `T02` only.
    pub victims_manager: Somebody,
    pub victims_viewer: Somebody,
    /// `el-prado`.
    pub strangers_admin: Somebody,
    /// Sees `T02` only.
    pub strangers_manager: Somebody,
    pub strangers_viewer: Somebody,
    /// Of the tenant that is suspended.
    pub suspended: Somebody,
    /// An invitation of the victim's.
    pub victims_invitation: String,
    /// A token of a program of the victim's.
    pub victims_token: String,
    /// A page of the victim's viewer.
    pub victims_page: Page,
    /// A program of the victim's manager of another store, for samples only.
    pub victims_program: Somebody,
    /// The same of the stranger's.
    pub strangers_program: Somebody,
    /// An operator who has entered the stranger's tenant.
    pub inside_stranger: Somebody,
    /// The values of `Authorization` that open nothing, by what is wrong with them.
    pub nobodys: Vec<(&'static str, String)>,
}

/// Where they are made: over the service's own routes, before any tenant is suspended.
struct Maker {
    door: Db,
    address: SocketAddr,
}

impl Maker {
    /// Does what these words say at the command line; what they print.
    async fn command(&self, line: &str) -> anyhow::Result<String> {
        let words: Vec<&str> = line.split(' ').collect();
        let mut out = Vec::new();
        commands::on(&self.door, &words, &mut out).await?;
        Ok(String::from_utf8(out)?.trim().to_owned())
    }

    /// A user who has chosen her password, and is signed in. Her name is a canary: whoever is shown it was shown another tenant's
    /// people.
    async fn user(
        &self,
        tenant: &str,
        role: &str,
        store: Option<&'static str>,
        permissions: &'static [&'static str],
    ) -> anyhow::Result<Somebody> {
        let user = store.map_or_else(|| role.to_owned(), |store| format!("{role}-{}", store.to_lowercase()));
        let seen = store.map(|store| format!(" --store {store}")).unwrap_or_default();
        let more = format!("--role {role} --name canary-{tenant}-{user}{seen}");
        self.named(tenant, &user, &more, store, permissions).await
    }

    async fn named(
        &self,
        tenant: &str,
        user: &str,
        more: &str,
        store: Option<&'static str>,
        permissions: &'static [&'static str],
    ) -> anyhow::Result<Somebody> {
        let first = self.command(&format!("user add --tenant {tenant} --user {user} {more}")).await?;
        let opened = sign_in(self.address, tenant, user, &first).await?;
        let somebody = Somebody::of(self.address, tenant, permissions, store, &opened).await?;
        change_password(self.address, &somebody, &first).await?;
        Ok(somebody)
    }

    /// What was good, and is not any more.
    async fn over(&self, admin: &Somebody, operator: &str) -> anyhow::Result<Vec<(&'static str, String)>> {
        let address = self.address;
        let ended = [
            (
                "a session that was ended by a token used twice",
                self.user(VICTIM, "user", None, &OF_USER).await?,
            ),
            ("a deactivated user's", self.user(VICTIM, "user", Some("T01"), &OF_USER).await?),
            ("a session that was signed out", self.user(VICTIM, "user", Some("T03"), &OF_USER).await?),
        ];
        let (_, deactivated) = program(address, &ended[1].1).await?;
        for _ in 0..2 {
            renew(address, &ended[0].1.refresh).await?;
        }
        self.command("user deactivate --tenant la-villa --user user-t01").await?;
        let out = Request::new("DELETE", "/v1/session").with("authorization", &ended[2].1.bearer);
        anyhow::ensure!(wire::send(address, &out).await?.status == 204, "nobody can sign out");
        let mut over: Vec<_> = ended.into_iter().map(|(what, who)| (what, who.bearer)).collect();
        over.push(("a program's of a deactivated user", format!("Bearer {deactivated}")));
        over.extend(taken_back(address, admin, operator).await?);
        for (what, bearer) in &over {
            let ask = Request::new("GET", "/v1/stores").with("authorization", bearer);
            wait::until(what, EVERYWHERE, async || {
                Ok((wire::send(address, &ask).await?.status == 401).then_some(()))
            })
            .await?;
        }
        Ok(over)
    }
}

/// Makes them.
pub(super) async fn make(db: &TestDb, address: SocketAddr, operator: &str) -> anyhow::Result<People> {
    let maker = Maker { door: Db::connect(&db.config()).await?, address };
    let victims_admin = maker.user(VICTIM, "admin", None, &OF_ADMIN).await?;
    let victims_viewer = maker.user(VICTIM, "viewer", None, &OF_VIEWER).await?;
    let victims_manager = maker.user(VICTIM, "user", Some("T02"), &OF_USER).await?;
    let strangers_admin = maker.user(STRANGER, "admin", None, &OF_ADMIN).await?;
    let strangers_manager = maker.user(STRANGER, "user", Some("T02"), &OF_USER).await?;
    maker.user(super::world::PREFIX, "user", Some("T01"), &OF_USER).await?;
    let mut victims_invitation = String::new();
    for tenant in [super::world::PREFIX, super::world::SUSPENDED, STRANGER, VICTIM] {
        let host = maker.named(tenant, "host", "--role admin", None, &OF_ADMIN).await?;
        victims_invitation = invite(address, &host).await?;
    }
    let (_, inside) = enter_as_operator(address, operator, STRANGER).await?;
    let inside_stranger = Somebody {
        bearer: format!("Bearer {inside}"),
        permissions: &OF_ADMIN,
        stores: None,
        session_id: String::new(),
        ..strangers_admin.clone()
    };
    let mut people = People {
        victims_invitation,
        victims_token: program(address, &victims_admin).await?.0,
        victims_page: page(address, &victims_viewer, "viewer").await?,
        victims_program: program_of(address, &victims_manager).await?,
        strangers_viewer: maker.user(STRANGER, "viewer", None, &OF_VIEWER).await?,
        strangers_program: program_of(address, &strangers_manager).await?,
        suspended: maker.user(super::world::SUSPENDED, "user", Some("T01"), &OF_USER).await?,
        nobodys: maker.over(&victims_admin, operator).await?,
        inside_stranger,
        victims_admin,
        victims_manager,
        victims_viewer,
        strangers_admin,
        strangers_manager,
    };
    maker.door.close().await;
    content::complete_people(db).await?;
    let cookie = people.victims_page.cookie.trim_start_matches(COOKIE).to_owned();
    people.nobodys.push(("a page's cookie as a token", format!("Bearer {cookie}")));
    people.nobodys.extend(forged(&people, &Keys::read(db).await?)?);
    Ok(people)
}

/// A token of a program, for samples only: its id, and itself.
async fn program(address: SocketAddr, who: &Somebody) -> anyhow::Result<(String, String)> {
    let asked = json!({ "name": format!("canary-{}", who.tenant), "scopes": OF_PROGRAM });
    let request = post("/v1/me/tokens", &asked).with("authorization", &who.bearer);
    made(address, &request, "token_id").await
}

/// A program that asks for samples.
async fn program_of(address: SocketAddr, who: &Somebody) -> anyhow::Result<Somebody> {
    let (_, token) = program(address, who).await?;
    let bearer = format!("Bearer {token}");
    Ok(Somebody { bearer, permissions: &OF_PROGRAM, session_id: String::new(), ..who.clone() })
}

/// An operator's entry: its id, and its token.
async fn enter_as_operator(
    address: SocketAddr,
    operator: &str,
    tenant: &str,
) -> anyhow::Result<(String, String)> {
    let asked = json!({ "reason": format!("canary-{tenant}") });
    let request = post(&format!("/v1/tenants/{tenant}/entries"), &asked).with("authorization", operator);
    made(address, &request, "entry_id").await
}

async fn made(address: SocketAddr, request: &Request, id: &str) -> anyhow::Result<(String, String)> {
    let answer = wire::send(address, request).await?;
    anyhow::ensure!(answer.status == 201, "{} makes nothing: {}", request.target, answer.text());
    let answer = answer.json()?;
    let text = |name: &str| answer[name].as_str().map(str::to_owned).context("not a text");
    Ok((text(id)?, text("token")?))
}

/// A page of a user who has chosen her password.
async fn page(address: SocketAddr, who: &Somebody, user: &str) -> anyhow::Result<Page> {
    let asked = json!({ "tenant": who.tenant, "user": user, "password": PASSWORD, "page": true });
    let answer = wire::send(address, &post("/v1/session", &asked)).await?;
    let set = answer.head.iter().find_map(|line| line.strip_prefix("set-cookie: "));
    let cookie = set.and_then(|set| set.split(';').next()).context("no cookie")?.to_owned();
    let csrf_token = answer.json()?["csrf_token"].as_str().context("no token of the page")?.to_owned();
    Ok(Page { who: who.clone(), cookie, csrf_token })
}

/// A program's token that was taken back, and an entry that has ended.
async fn taken_back(
    address: SocketAddr,
    admin: &Somebody,
    operator: &str,
) -> anyhow::Result<[(&'static str, String); 2]> {
    let (id, token) = program(address, admin).await?;
    let away = Request::new("DELETE", &format!("/v1/me/tokens/{id}")).with("authorization", &admin.bearer);
    anyhow::ensure!(wire::send(address, &away).await?.status == 204, "no token can be taken back");
    let (id, entry) = enter_as_operator(address, operator, VICTIM).await?;
    let away = Request::new("DELETE", &format!("/v1/tenants/{VICTIM}/entries/{id}"));
    let away = away.with("authorization", operator);
    anyhow::ensure!(wire::send(address, &away).await?.status == 204, "no operator can leave");
    Ok([
        ("a program's token that was taken back", format!("Bearer {token}")),
        ("an entry of an operator who has left", format!("Bearer {entry}")),
    ])
}

impl Somebody {
    async fn of(
        address: SocketAddr,
        tenant: &str,
        permissions: &'static [&'static str],
        stores: Option<&'static str>,
        opened: &Value,
    ) -> anyhow::Result<Self> {
        let text = |value: &Value| value.as_str().map(str::to_owned).context("not a text");
        let bearer = format!("Bearer {}", text(&opened["access_token"])?);
        let refresh = text(&opened["refresh_token"])?;
        let me = Request::new("GET", "/v1/me").with("authorization", &bearer);
        let me = wire::send(address, &me).await?.json()?;
        let (user_id, session_id) = (text(&me["user_id"])?, text(&me["session_id"])?);
        Ok(Self { tenant: tenant.to_owned(), permissions, stores, user_id, session_id, bearer, refresh })
    }
}

fn post(target: &str, body: &Value) -> Request {
    let mut request = Request::new("POST", target).with("content-type", "application/json");
    request.body = body.to_string().into_bytes();
    request
}

async fn sign_in(address: SocketAddr, tenant: &str, user: &str, password: &str) -> anyhow::Result<Value> {
    let asked = json!({ "tenant": tenant, "user": user, "password": password });
    let answer = wire::send(address, &post("/v1/session", &asked)).await?;
    anyhow::ensure!(answer.status == 200, "{user} of {tenant} cannot sign in: {}", answer.text());
    answer.json()
}

/// The id of an invitation.
async fn invite(address: SocketAddr, who: &Somebody) -> anyhow::Result<String> {
    let asked = json!({ "email": format!("canary-{}@x.example", who.tenant), "role": "viewer" });
    let request = post("/v1/invitations", &asked).with("authorization", &who.bearer);
    let answer = wire::send(address, &request).await?;
    anyhow::ensure!(answer.status == 201, "nobody can be invited: {}", answer.text());
    answer.json()?["invitation_id"].as_str().map(str::to_owned).context("an invitation without an id")
}

async fn renew(address: SocketAddr, refresh: &str) -> anyhow::Result<()> {
    wire::send(address, &post("/v1/session/refresh", &json!({ "refresh_token": refresh }))).await?;
    Ok(())
}

async fn change_password(address: SocketAddr, who: &Somebody, first: &str) -> anyhow::Result<()> {
    let mut request = Request::new("PUT", "/v1/me/password").with("authorization", &who.bearer);
    request.body = json!({ "old": first, "new": PASSWORD }).to_string().into_bytes();
    let answer = wire::send(address, &request).await?;
    anyhow::ensure!(answer.status == 204, "a password cannot be changed: {}", answer.text());
    Ok(())
}

/// What only the service has: the keys that it signs with.
struct Keys {
    key_id: String,
    private: Vec<u8>,
    public: Vec<u8>,
}

impl Keys {
    async fn read(db: &TestDb) -> anyhow::Result<Self> {
        let mut admin = Session::open(&db.admin).await?;
        let newest = "select key_id || ' ' || encode(private_key, 'hex') || ' ' || encode(public_key, 'hex')
            from signing_keys order by created_at desc limit 1";
        let newest = admin.run(newest).await?.column().pop().context("no key to sign with")?;
        admin.close().await?;
        let [key_id, private, public] = <[&str; 3]>::try_from(newest.split(' ').collect::<Vec<_>>())
            .ok()
            .context("not a pair of keys")?;
        Ok(Self { key_id: key_id.to_owned(), private: bytes(private)?, public: bytes(public)? })
    }
}

/// Tokens that were not issued: most with what only the service has.
fn forged(people: &People, keys: &Keys) -> anyhow::Result<Vec<(&'static str, String)>> {
    let (victim, key_id) = (&people.victims_admin, keys.key_id.as_str());
    let own = EncodingKey::from_ed_der(&keys.private);
    let another = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519)?;
    let another = EncodingKey::from_ed_der(&another.serialize_der());
    let head = |algorithm: Algorithm, kid: Option<&str>| {
        let mut header = Header::new(algorithm);
        header.kid = kid.map(str::to_owned);
        header
    };
    let eddsa = head(Algorithm::EdDSA, Some(key_id));
    let claims = claims(victim.token())?;
    let with = |changes: &[(&str, Value)]| {
        let mut changed = claims.clone();
        for (name, value) in changes {
            changed[*name] = value.clone();
        }
        changed
    };
    let sign = |header: &Header, claims: &Value, key: &EncodingKey| jsonwebtoken::encode(header, claims, key);
    let parts: Vec<&str> = victim.token().split('.').collect();
    let none = base64url(json!({ "alg": "none", "typ": "JWT", "kid": key_id }).to_string().as_bytes());
    let stranger = &people.strangers_admin;
    let now = storepulse_cloud::app::now_ms() / 1_000;
    let tokens = [
        ("a token that is over", sign(&eddsa, &with(&[("exp", json!(now - 1))]), &own)?),
        ("a token without an end", sign(&eddsa, &with(&[("exp", Value::Null)]), &own)?),
        ("a token whose end is a text", sign(&eddsa, &with(&[("exp", json!("9999999999"))]), &own)?),
        ("a token of another issuer", sign(&eddsa, &with(&[("iss", json!("elsewhere"))]), &own)?),
        ("a token for another audience", sign(&eddsa, &with(&[("aud", json!("elsewhere"))]), &own)?),
        ("a token with the algorithm none", format!("{none}.{}.", parts[1])),
        ("a token with the algorithm none and a signature", format!("{none}.{}.{}", parts[1], parts[2])),
        ("a token without its signature", format!("{}.{}.", parts[0], parts[1])),
        ("a token of another's key", sign(&eddsa, &claims, &another)?),
        ("a token of an unknown key", sign(&head(Algorithm::EdDSA, Some("nokey000")), &claims, &own)?),
        ("a token of no key", sign(&head(Algorithm::EdDSA, None), &claims, &own)?),
        (
            "a token of a key's name that is SQL",
            sign(&head(Algorithm::EdDSA, Some("' or 1=1 --")), &claims, &own)?,
        ),
        (
            "a token with the public key as a secret",
            sign(&head(Algorithm::HS256, Some(key_id)), &claims, &EncodingKey::from_secret(&keys.public))?,
        ),
        (
            "another tenant's session under the victim's name",
            sign(
                &eddsa,
                &with(&[("sid", json!(stranger.session_id)), ("sub", json!(stranger.user_id))]),
                &own,
            )?,
        ),
        (
            "the victim's session under another tenant's name",
            sign(&eddsa, &with(&[("tid", json!(STRANGER))]), &own)?,
        ),
        (
            "somebody else's session",
            sign(&eddsa, &with(&[("sub", json!(people.victims_viewer.user_id))]), &own)?,
        ),
        (
            "a session that was never opened",
            sign(&eddsa, &with(&[("sid", json!(uuid::Uuid::new_v4()))]), &own)?,
        ),
        ("a refresh token", victim.refresh.clone()),
    ];
    Ok(tokens.into_iter().map(|(name, token)| (name, format!("Bearer {token}"))).collect())
}

/// What a token says.
fn claims(token: &str) -> anyhow::Result<Value> {
    let claims = jsonwebtoken::dangerous::insecure_decode::<Value>(token)?;
    Ok(claims.claims)
}

fn base64url(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

fn bytes(hex: &str) -> anyhow::Result<Vec<u8>> {
    let digits = |at: usize| Ok(u8::from_str_radix(&hex[at..at + 2], 16)?);
    (0..hex.len()).step_by(2).map(digits).collect()
}
