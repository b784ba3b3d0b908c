//! People, and operators who have entered a tenant: proved by an access token, the cookie of a page, a token of one of her programs,
//! or the token of an entry.
//!
//! Whatever the text of the credential says is only where to look. What counts is the row behind it, with the user's role, permissions
//! and stores as they are now; it is remembered for a moment, and forgotten when the database tells of a change.

use std::marker::PhantomData;
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use sha2::{Digest as _, Sha256};
use storepulse_shared::ids::{StoreId, TenantId};
use storepulse_shared::key::{EntryToken, PersonToken};
use uuid::Uuid;

use super::cache::Known;
use super::cookie::{self, Cookie};
use super::{address, bearer, check_guess, count_guess, person_sql as sql, tenant_suspended};
use crate::app::{App, now_ms};
use crate::audit::Actor;
use crate::people::permission::Needed;
use crate::people::{Permission, Role};
use crate::problem::ApiError;

/// Longest that looking a credential up takes.
const LOOK_MAX: Duration = Duration::from_secs(5);

/// Somebody inside a tenant, as she is now.
#[derive(Debug)]
pub(crate) struct Person {
    /// Where she is.
    pub(crate) tenant: TenantId,
    pub(crate) who: Who,
    pub(crate) via: Via,
    /// What she may do, with this credential.
    pub(crate) permissions: Vec<Permission>,
    /// The stores that she sees, in the order of their ids; `None` for all.
    pub(crate) stores: Option<Vec<StoreId>>,
    /// How long the tenant keeps samples.
    pub(crate) retention_days: i32,
    /// What she does before anything else.
    pub(super) first: Option<First>,
    pub(super) tenant_is_active: bool,
    /// When the credential is over, Unix seconds.
    pub(super) ends_s: i64,
}

/// Who she is.
#[derive(Debug)]
pub(crate) enum Who {
    /// One of the tenant's people.
    User { id: Uuid, role: Role },
    /// An operator who has entered.
    Operator { name: String, credential_id: String },
}

/// What she calls with.
#[derive(Debug)]
pub(crate) enum Via {
    /// A session: with an access token, or with the cookie of a page.
    Session(SessionOf),
    /// A token of one of her programs.
    Token,
    /// An entry of an operator.
    Entry(Uuid),
}

/// A session that is open.
#[derive(Debug, Clone)]
pub(crate) struct SessionOf {
    pub(crate) id: Uuid,
    /// She has shown a password of her own, here or in a tenant that she is joined to: she may go on to others.
    pub(crate) may_switch: bool,
    /// What a page has to repeat with whatever changes something; `None` where it is used with an access token.
    pub(crate) csrf_token: Option<String>,
}

/// What a user has to do before anything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum First {
    /// Somebody else knows the password.
    ChangePassword,
    /// The tenant wants a second factor.
    SetUpAuthenticator,
}

impl Person {
    /// As the audit names her.
    pub(crate) fn actor(&self) -> Actor {
        match &self.who {
            Who::User { id, .. } => Actor::Person { user: *id },
            Who::Operator { name, credential_id } => {
                Actor::Operator { name: name.clone(), credential_id: credential_id.clone() }
            }
        }
    }

    /// What she is here.
    pub(crate) fn role(&self) -> &'static str {
        match &self.who {
            Who::User { role, .. } => role.as_str(),
            Who::Operator { .. } => "operator",
        }
    }

    /// What she does before anything else, as programs compare it.
    pub(crate) fn first(&self) -> Option<&'static str> {
        Some(match self.first? {
            First::ChangePassword => "change_password",
            First::SetUpAuthenticator => "set_up_authenticator",
        })
    }

    /// Whether she sees this store, if there is such a one.
    pub(crate) fn sees(&self, store: &StoreId) -> bool {
        self.stores.as_ref().is_none_or(|stores| stores.contains(store))
    }

    /// Refuses whoever has something to do before anything else.
    pub(crate) fn check_ready(&self) -> Result<(), ApiError> {
        let (code, detail) = match self.first {
            None => return Ok(()),
            Some(First::ChangePassword) => {
                ("password_change_required", "change the password first: PUT /v1/me/password")
            }
            Some(First::SetUpAuthenticator) => {
                ("second_factor_required", "the tenant wants a second factor: POST /v1/me/authenticator")
            }
        };
        Err(ApiError::Forbidden { code, detail: detail.to_owned() })
    }

    /// Refuses whoever has a password that somebody else knows: who it is, is not proved by it.
    pub(crate) fn check_password_is_own(&self) -> Result<(), ApiError> {
        if self.first == Some(First::ChangePassword) { self.check_ready() } else { Ok(()) }
    }

    /// Refuses what she may not do.
    fn check(&self, needed: Option<Permission>) -> Result<(), ApiError> {
        let Some(needed) = needed else { return Ok(()) };
        self.check_ready()?;
        if self.permissions.contains(&needed) {
            return Ok(());
        }
        let whose = match self.via {
            Via::Token => "this token, or the role of its user,".to_owned(),
            Via::Session(_) | Via::Entry(_) => format!("the role {}", self.role()),
        };
        let lacks = needed.as_str();
        Err(ApiError::Forbidden {
            code: "permission_missing",
            detail: format!(
                "{whose} may not do this: it lacks {lacks}; whoever manages the tenant's users can change that"
            ),
        })
    }
}

/// A person who may do what the handler needs ([`crate::people::may`]).
#[derive(Debug)]
pub(crate) struct PersonAuth<N> {
    person: Arc<Person>,
    needed: PhantomData<N>,
}

impl<N> Deref for PersonAuth<N> {
    type Target = Person;

    fn deref(&self) -> &Person {
        &self.person
    }
}

impl<N: Needed> FromRequestParts<Arc<App>> for PersonAuth<N> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let verdict = authenticate(parts, app, N::PERMISSION).await;
        count(app, &verdict);
        verdict.map(|person| Self { person, needed: PhantomData })
    }
}

/// A user who is signed in herself: what concerns her own account is not for her programs, nor for operators.
#[derive(Debug)]
pub(crate) struct SessionAuth {
    person: Arc<Person>,
    pub(crate) user: Uuid,
    pub(crate) session: SessionOf,
}

impl Deref for SessionAuth {
    type Target = Person;

    fn deref(&self) -> &Person {
        &self.person
    }
}

impl FromRequestParts<Arc<App>> for SessionAuth {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let verdict =
            authenticate(parts, app, None).await.and_then(|person| match (&person.who, &person.via) {
                (Who::User { id, .. }, Via::Session(session)) => {
                    Ok(Self { user: *id, session: session.clone(), person })
                }
                _ => Err(ApiError::Forbidden {
                    code: "session_required",
                    detail: "only who is signed in herself may do this: POST /v1/session".to_owned(),
                }),
            });
        count(app, &verdict);
        verdict
    }
}

fn count<T>(app: &App, verdict: &Result<T, ApiError>) {
    if let Err(ApiError::Unauthorized | ApiError::Forbidden { .. }) = verdict {
        app.metrics.refused_credentials.inc();
    }
}

/// What this process remembers of a user is not believed any more: who has changed something sees it in her next request. The other
/// processes are told by the database.
pub(crate) fn doubt_user(app: &App, tenant: &TenantId, user: Uuid) {
    app.people
        .doubt(|person| person.tenant == *tenant && matches!(person.who, Who::User { id, .. } if id == user));
}

/// The same of whoever has entered a tenant.
pub(crate) fn doubt_entry(app: &App, entry: Uuid) {
    app.people.doubt(|person| matches!(person.via, Via::Entry(id) if id == entry));
}

async fn authenticate(parts: &Parts, app: &App, needed: Option<Permission>) -> Result<Arc<Person>, ApiError> {
    let person = match (bearer(parts), cookie::of(parts)) {
        (Some(text), _) => find(app, address(parts), Credential::of_bearer(text)?, text).await?,
        (None, Some(cookie)) => {
            let person = find(app, address(parts), Credential::Cookie(&cookie), cookie.expose()).await?;
            cookie::check_origin(parts, &cookie)?;
            person
        }
        (None, None) => return Err(ApiError::Unauthorized),
    };
    // What a suspended tenant has sent is held, and operators look after it.
    if !person.tenant_is_active && !matches!(person.who, Who::Operator { .. }) {
        return Err(tenant_suspended());
    }
    if let Some(source) = app.resolution.contradiction(parts, &person.tenant) {
        let detail =
            format!("{} names another tenant than the credential; leave it out or correct it", source.name());
        return Err(ApiError::Forbidden { code: "tenant_mismatch", detail });
    }
    person.check(needed)?;
    Ok(person)
}

/// What somebody calls with, by its form.
enum Credential<'a> {
    AccessToken,
    Cookie(&'a Cookie),
    Token(PersonToken),
    Entry(EntryToken),
}

impl Credential<'_> {
    /// A page's cookie is none: it counts only where a browser has sent it.
    fn of_bearer(text: &str) -> Result<Self, ApiError> {
        let parsed = match text.split_once('_').map(|(kind, _)| kind) {
            Some("person") => text.parse().map(Self::Token),
            Some("entry") => text.parse().map(Self::Entry),
            Some("session") => return Err(ApiError::Unauthorized),
            _ => Ok(Self::AccessToken),
        };
        parsed.map_err(|_| ApiError::Unauthorized)
    }
}

/// Whose it is.
async fn find(
    app: &App,
    from: Option<IpAddr>,
    credential: Credential<'_>,
    text: &str,
) -> Result<Arc<Person>, ApiError> {
    let hash: [u8; 32] = Sha256::digest(text.as_bytes()).into();
    let known = app.people.get(&hash);
    if let Known::Opens(person) = known {
        return if person.ends_s > now_ms() / 1_000 { Ok(person) } else { Err(ApiError::Unauthorized) };
    }
    let claims = match &credential {
        Credential::AccessToken => Some(app.signing.verify(text).ok_or(ApiError::Unauthorized)?),
        _ => None,
    };
    // What is signed is nobody's guess.
    if claims.is_none() && matches!(known, Known::Nothing) {
        check_guess(app, from)?;
    }
    let tenant = match (&credential, &claims) {
        (Credential::Cookie(cookie), _) => cookie.tenant(),
        (Credential::Token(token), _) => token.tenant(),
        (Credential::Entry(token), _) => token.tenant(),
        (Credential::AccessToken, Some(claims)) => &claims.tid,
        (Credential::AccessToken, None) => return Err(ApiError::Unauthorized),
    };
    let as_of = app.people.as_of();
    let mut tx = app.db.read(tenant, LOOK_MAX).await?;
    let found = match &credential {
        Credential::AccessToken => match &claims {
            Some(claims) => sql::find_session(&mut tx, claims.sid, claims.sub).await?,
            None => None,
        },
        Credential::Cookie(_) => sql::find_cookie(&mut tx, &hash).await?,
        Credential::Token(_) => sql::find_token(&mut tx, &hash).await?,
        Credential::Entry(_) => sql::find_entry(&mut tx, &hash).await?,
    };
    tx.rollback().await?;
    let Some(row) = found else {
        app.people.remove(&hash);
        if claims.is_none() {
            count_guess(app, from);
        }
        return Err(ApiError::Unauthorized);
    };
    if row.is_to_be_touched {
        let mut tx = app.db.tenant(tenant).await?;
        match &credential {
            Credential::Cookie(_) => sql::touch_page(&mut tx, &hash).await?,
            _ => sql::touch_token(&mut tx, &hash).await?,
        }
        tx.commit().await?;
    }
    let csrf_token = match &credential {
        Credential::Cookie(cookie) => Some(cookie.csrf_token()),
        _ => None,
    };
    let token_ends = claims.as_ref().map(|claims| claims.exp);
    let person = row.into_person(tenant, csrf_token, token_ends)?;
    Ok(app.people.put(hash, person, as_of))
}
