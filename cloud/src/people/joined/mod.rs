//! Users of several tenants who are one person: she goes from one to another without signing in again.
//!
//! Nothing joins users but herself: who accepts an invitation while she is signed in elsewhere may say that it is for her (an equal
//! e-mail says nothing). A tenant's admins may set passwords, e-mails and factors of its users, and its provider vouches for whom it
//! likes; none of that may open another tenant. So a session that a provider has opened leads nowhere else, and a user whose
//! password, e-mail or factor somebody else has set is joined to nobody any more.
//!
//! The rows of one person are of different tenants: only the control tables' door sees them together.

pub(crate) mod http;
mod sql;

use serde::{Deserialize, Serialize};
use serde_json::json;
use storepulse_shared::ids::TenantId;
use utoipa::ToSchema;
use uuid::Uuid;

use super::authenticator;
use super::password::Password;
use super::session::opening::{self, OpenedAs, Opening, SignedIn};
use super::session::sql::find_user_by_id;
use super::{session, user};
use crate::app::App;
use crate::audit::{self, Actor, Deed};
use crate::auth::{SessionAuth, doubt_user, tenant_suspended};
use crate::db::{ControlTx, TenantTx};
use crate::operator::Refusal;
use crate::problem::ApiError;

/// Tenants of one person, at most.
const TENANTS_MAX: i64 = 5;

/// A tenant of whoever is signed in.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct JoinedTenant {
    pub tenant_id: String,
    /// The company's name.
    pub company: String,
    /// The one that this session is of.
    pub current: bool,
}

/// Where to go on.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Switch {
    /// The other tenant's id.
    pub tenant: String,
    /// Where one's user there has an authenticator: its code, or a recovery code.
    #[schema(value_type = Option<String>)]
    pub code: Option<Password>,
    /// What signs in, as it is to be shown in the list of sessions.
    pub device: Option<String>,
    /// Whether it is a page, which gets a cookie instead of tokens.
    #[serde(default)]
    pub page: bool,
}

/// The tenants of whoever is signed in, by id; her own at the least. Whom only the provider of this one has signed in is told of no
/// other: where else somebody works is not her tenant's to know.
pub(crate) async fn list(app: &App, auth: &SessionAuth) -> Result<Vec<JoinedTenant>, ApiError> {
    let mut tx = app.db.control().await?;
    let mut rows = sql::tenants_of(&mut tx, &auth.tenant, auth.user).await?;
    rows.retain(|row| may_go_on(auth).is_ok() || row.tenant_id == auth.tenant.as_str());
    let shown = |row: sql::TenantRow| JoinedTenant {
        current: row.tenant_id == auth.tenant.as_str(),
        tenant_id: row.tenant_id,
        company: row.company,
    };
    Ok(rows.into_iter().map(shown).collect())
}

/// A person who is about to be joined to one more user. Nobody else joins her meanwhile.
pub(crate) struct Held {
    person: Uuid,
    tx: ControlTx,
}

/// Holds whoever is signed in, as she is now, for a user of another tenant: refuses who is of as many tenants as she may be, of that one
/// already, or must not go on from here.
pub(crate) async fn hold(app: &App, auth: &SessionAuth, to: &TenantId) -> Result<Held, ApiError> {
    may_go_on(auth)?;
    if *to == auth.tenant {
        let detail = "the invitation is to the tenant that you are signed in to: accept it without `join`";
        return Err(Refusal::conflict("same_tenant", detail).into());
    }
    let mut tx = app.db.tenant(&auth.tenant).await?;
    // Looked at again: while she chose a name, somebody may have changed her password.
    if !sql::lock_signed_in(&mut tx, auth.user, auth.session.id).await? {
        return Err(ApiError::Unauthorized);
    }
    let person = sql::person_of(&mut tx, auth.user).await?;
    tx.commit().await?;
    let mut tx = app.db.control().await?;
    sql::lock(&mut tx, person).await?;
    let (tenants, is_there) = sql::count_of(&mut tx, person, to).await?;
    if is_there {
        let detail = format!("another user of tenant {to} is joined to you already: accept without `join`");
        return Err(Refusal::conflict("already_joined", detail).into());
    }
    if tenants >= TENANTS_MAX {
        let detail = format!("one person is of at most {TENANTS_MAX} tenants: accept without `join`");
        return Err(Refusal::conflict("tenant_limit", detail).into());
    }
    Ok(Held { person, tx })
}

impl Held {
    /// The other user is there: it stands in the audit of whoever is signed in, too. Not before: two who join each other's tenants would
    /// wait for each other's audits.
    pub(crate) async fn done(mut self, auth: &SessionAuth) -> Result<(), sqlx::Error> {
        let subject = user::subject(auth.user);
        let deed = Deed { action: "user.joined", subject: &subject, detail: json!({}) };
        audit::record(&mut self.tx, &auth.tenant, &auth.actor(), deed).await?;
        self.tx.commit().await
    }
}

/// Makes a user who is just being made, and so seen by nobody yet, one with whom is held.
pub(crate) async fn join(tx: &mut TenantTx, held: &Held, user: Uuid) -> Result<(), sqlx::Error> {
    sql::join(tx, user, held.person).await?;
    let deed = Deed { action: "user.joined", subject: &user::subject(user), detail: json!({}) };
    audit::record_in(tx, &Actor::Person { user }, deed).await
}

/// The user is joined to nobody any more.
pub(crate) async fn part(tx: &mut TenantTx, actor: &Actor, user: Uuid) -> Result<(), sqlx::Error> {
    if sql::part(tx, user).await? {
        let deed = Deed { action: "user.parted", subject: &user::subject(user), detail: json!({}) };
        audit::record_in(tx, actor, deed).await?;
    }
    Ok(())
}

/// Opens a session in another tenant of the same person. The session that asks opens nothing there; a program's stays as it is, a
/// page's ends.
pub(crate) async fn switch(app: &App, auth: &SessionAuth, asked: Switch) -> Result<SignedIn, ApiError> {
    let device = asked.device.as_deref().unwrap_or("unnamed");
    session::check_device(device)?;
    may_go_on(auth)?;
    let tenant: TenantId = asked.tenant.parse().map_err(|_| not_joined())?;
    let mut tx = app.db.control().await?;
    let user = sql::joined_to(&mut tx, &auth.tenant, auth.user, &tenant).await?;
    drop(tx);
    let user = user.ok_or_else(not_joined)?;
    let mut tx = app.db.tenant(&tenant).await?;
    // Held: nobody deactivates or parts it meanwhile.
    if !sql::lock_active(&mut tx, user).await? {
        return Err(not_joined());
    }
    let row = find_user_by_id(&mut tx, user).await?.ok_or_else(not_joined)?;
    if row.tenant_status != "active" {
        return Err(tenant_suspended());
    }
    let passed = authenticator::pass(&mut tx, user, asked.code.as_ref()).await?;
    if let Err(error) = authenticator::refuse(passed) {
        tx.commit().await?;
        return Err(error);
    }
    let how = Opening { opened_as: OpenedAs::Joined, device, for_page: asked.page };
    let opened = opening::open(&mut tx, user, how).await?;
    tx.commit().await?;
    if asked.page && auth.session.csrf_token.is_some() {
        // Its cookie gives way to the new one, and nobody could use or end it any more.
        let mut tx = app.db.tenant(&auth.tenant).await?;
        session::end(&mut tx, auth, auth.session.id, "replaced").await?;
        tx.commit().await?;
        doubt_user(app, &auth.tenant, auth.user);
    }
    opened.tell(app, &tenant, &row)
}

fn may_go_on(auth: &SessionAuth) -> Result<(), ApiError> {
    auth.check_ready()?;
    if auth.session.may_switch {
        return Ok(());
    }
    let detail = "this session was opened by the tenant's provider, which vouches for this tenant only: sign in with your password";
    Err(ApiError::Forbidden { code: "password_session_required", detail: detail.to_owned() })
}

/// One body, whether there is such a tenant or not.
fn not_joined() -> ApiError {
    let detail = "you are not joined to a user of this tenant: sign in there (POST /v1/session)";
    ApiError::Forbidden { code: "sign_in_required", detail: detail.to_owned() }
}
