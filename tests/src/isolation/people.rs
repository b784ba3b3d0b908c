//! People of the world: users of each role, as they are called in every tenant, signed in; and tokens that must open nothing.

use std::net::SocketAddr;

use anyhow::Context as _;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use storepulse_cloud::commands;
use storepulse_cloud::db::Db;

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

/// What each role may do, written down once more.
pub(super) const ROLES: [(&str, &[&str]); 3] =
    [("admin", &OF_ADMIN), ("user", &OF_USER), ("viewer", &OF_VIEWER)];

/// Somebody who is signed in.
#[derive(Debug, Clone)]
pub(super) struct Somebody {
    /// Of which tenant.
    pub tenant: String,
    /// Its role's permissions, as they are meant to be.
    pub permissions: &'static [&'static str],
    /// The stores that it sees; `None` for all.
    pub stores: Option<&'static str>,
    pub user_id: String,
    pub session_id: String,
    /// The value of `Authorization`.
    pub bearer: String,
    refresh: String,
}

impl Somebody {
    /// Whether it sees a store of this name, where its tenant has one.
    pub(super) fn sees(&self, store: &str) -> bool {
        self.stores.is_none_or(|only| only == store)
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
    /// The values of `Authorization` that open nothing, by what is wrong with them.
    pub nobodys: Vec<(&'static str, String)>,
}

/// Makes them over the service's own routes, before any tenant is suspended.
pub(super) async fn make(db: &TestDb, address: SocketAddr) -> anyhow::Result<People> {
    let door = Db::connect(&db.config()).await?;
    let add = async |tenant: &str, user: &str, more: &str| {
        let line = format!("user add --tenant {tenant} --user {user} {more}");
        let words: Vec<&str> = line.split(' ').collect();
        let mut out = Vec::new();
        commands::on(&door, &words, &mut out).await?;
        anyhow::Ok(String::from_utf8(out)?.trim().to_owned())
    };
    let enter = async |tenant: &str,
                       role: &str,
                       store: Option<&'static str>,
                       permissions: &'static [&'static str]| {
        let user = store.map_or_else(|| role.to_owned(), |store| format!("{role}-{}", store.to_lowercase()));
        let seen = store.map(|store| format!(" --store {store}")).unwrap_or_default();
        // The name is a canary: whoever is shown it was shown another tenant's people.
        let first = add(tenant, &user, &format!("--role {role} --name canary-{tenant}-{user}{seen}")).await?;
        let opened = sign_in(address, tenant, &user, &first).await?;
        let somebody = Somebody::of(address, tenant, permissions, store, &opened).await?;
        change_password(address, &somebody, &first).await?;
        anyhow::Ok(somebody)
    };
    let people = People {
        victims_admin: enter(VICTIM, "admin", None, &OF_ADMIN).await?,
        victims_manager: enter(VICTIM, "user", Some("T02"), &OF_USER).await?,
        victims_viewer: enter(VICTIM, "viewer", None, &OF_VIEWER).await?,
        strangers_admin: enter(STRANGER, "admin", None, &OF_ADMIN).await?,
        strangers_manager: enter(STRANGER, "user", Some("T02"), &OF_USER).await?,
        strangers_viewer: enter(STRANGER, "viewer", None, &OF_VIEWER).await?,
        suspended: enter(super::world::SUSPENDED, "user", Some("T01"), &OF_USER).await?,
        victims_invitation: String::new(),
        nobodys: Vec::new(),
    };
    enter(super::world::PREFIX, "user", Some("T01"), &OF_USER).await?;
    let mut victims_invitation = String::new();
    for tenant in [super::world::PREFIX, super::world::SUSPENDED, STRANGER, VICTIM] {
        let first = add(tenant, "host", "--role admin").await?;
        let host = sign_in(address, tenant, "host", &first).await?;
        let host = Somebody::of(address, tenant, &OF_ADMIN, None, &host).await?;
        change_password(address, &host, &first).await?;
        victims_invitation = invite(address, &host).await?;
    }
    let ended = [
        ("a session that was ended by a token used twice", enter(VICTIM, "user", None, &OF_USER).await?),
        ("a deactivated user's", enter(VICTIM, "user", Some("T01"), &OF_USER).await?),
        ("a session that was signed out", enter(VICTIM, "user", Some("T03"), &OF_USER).await?),
    ];
    for _ in 0..2 {
        renew(address, &ended[0].1.refresh).await?;
    }
    let off = "user deactivate --tenant la-villa --user user-t01";
    commands::on(&door, &off.split(' ').collect::<Vec<_>>(), &mut Vec::new()).await?;
    let out = Request::new("DELETE", "/v1/session").with("authorization", &ended[2].1.bearer);
    anyhow::ensure!(wire::send(address, &out).await?.status == 204, "nobody can sign out");
    door.close().await;
    for (what, who) in &ended {
        let ask = Request::new("GET", "/v1/stores").with("authorization", &who.bearer);
        wait::until(what, EVERYWHERE, async || {
            Ok((wire::send(address, &ask).await?.status == 401).then_some(()))
        })
        .await?;
    }
    let mut nobodys: Vec<_> = ended.into_iter().map(|(what, who)| (what, who.bearer)).collect();
    nobodys.extend(forged(&people, &Keys::read(db).await?)?);
    Ok(People { nobodys, victims_invitation, ..people })
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
