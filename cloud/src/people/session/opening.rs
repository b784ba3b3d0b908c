//! Opening a session: of a program, which gets tokens, or of a page, which gets a cookie.

use serde::Serialize;
use serde_json::json;
use storepulse_shared::ids::TenantId;
use storepulse_shared::key::{RefreshToken, SessionToken};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{OPEN_MAX, Tokens, sql, subject, tokens};
use crate::app::App;
use crate::audit::{self, Actor, Deed};
use crate::auth::cookie::Cookie;
use crate::db::TenantTx;
use crate::people::rules::Rules;
use crate::problem::ApiError;

/// How somebody has shown who she is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OpenedAs {
    /// With the user's own password.
    Password,
    /// By being signed in to a tenant that she is joined to.
    Joined,
    /// By the tenant's provider.
    Provider,
}

impl OpenedAs {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Joined => "joined",
            Self::Provider => "provider",
        }
    }
}

/// What a session is to be like.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Opening<'a> {
    pub(crate) opened_as: OpenedAs,
    /// What signs in, as it calls itself.
    pub(crate) device: &'a str,
    /// It is a page's.
    pub(crate) for_page: bool,
}

/// A session that is open once its transaction is committed.
#[derive(Debug)]
pub(crate) struct Opened {
    session: Uuid,
    secret: Secret,
}

#[derive(Debug)]
enum Secret {
    Refresh(RefreshToken),
    Cookie(Cookie),
}

/// What whoever has signed in is told.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum SignedIn {
    Program(Tokens),
    Page(PageSession),
}

/// A page is signed in: with a cookie that no script can read.
#[derive(Serialize, ToSchema)]
pub(crate) struct PageSession {
    /// To be repeated in `X-CSRF-Token` with whatever changes something.
    pub csrf_token: String,
    /// Nothing but `PUT /v1/me/password` is open until the password is changed.
    pub must_change_password: bool,
    #[serde(skip)]
    pub(super) cookie: Option<Cookie>,
}

/// Opens one for this user, whom nobody else changes meanwhile.
pub(crate) async fn open(tx: &mut TenantTx, user: Uuid, how: Opening<'_>) -> Result<Opened, sqlx::Error> {
    let rules = Rules::of(tx).await?;
    let tenant: TenantId = tx.tenant().parse().map_err(|e| sqlx::Error::Decode(Box::new(e)))?;
    sql::forget_old(tx, user).await?;
    sql::end_oldest(tx, user, OPEN_MAX - 1).await?;
    let session = Uuid::new_v4();
    let cookie = how.for_page.then(|| SessionToken::issue(&tenant));
    let hash = cookie.as_ref().map(SessionToken::hash);
    let new = sql::NewSession {
        session,
        user,
        device: how.device,
        lasts: rules.session,
        opened_as: how.opened_as.as_str(),
    };
    sql::insert(tx, &new, hash.as_ref()).await?;
    let secret = match cookie {
        Some(cookie) => Secret::Cookie(Cookie::new(cookie)),
        None => {
            let refresh = RefreshToken::issue(&tenant);
            sql::insert_refresh(tx, session, &refresh.hash()).await?;
            Secret::Refresh(refresh)
        }
    };
    let detail = json!({ "as": how.opened_as.as_str() });
    let deed = Deed { action: "session.opened", subject: &subject(session), detail };
    audit::record_in(tx, &Actor::Person { user }, deed).await?;
    Ok(Opened { session, secret })
}

impl Opened {
    /// What is told of it.
    pub(crate) fn tell(
        self,
        app: &App,
        tenant: &TenantId,
        user: &sql::SignInRow,
    ) -> Result<SignedIn, ApiError> {
        match self.secret {
            Secret::Cookie(cookie) => Ok(SignedIn::Page(PageSession {
                csrf_token: cookie.csrf_token(),
                must_change_password: user.must_change_password,
                cookie: Some(cookie),
            })),
            Secret::Refresh(refresh) => {
                let whose = (tenant, user.user_id, self.session);
                let role = super::Role::of_column(&user.role)?;
                let permissions = super::Permission::known(&user.permissions);
                let must_change = user.must_change_password;
                tokens(app, whose, role, &permissions, &refresh, must_change).map(SignedIn::Program)
            }
        }
    }

    /// Where it is a page's.
    pub(crate) fn into_cookie(self) -> Option<Cookie> {
        match self.secret {
            Secret::Cookie(cookie) => Some(cookie),
            Secret::Refresh(_) => None,
        }
    }
}
