//! Invitations: whoever manages the tenant's people says with which role somebody may come, and she chooses her own name and
//! password. The token is good once, for seven days unless the tenant says otherwise.

pub(crate) mod http;
mod sql;

use std::time::Duration;

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use storepulse_shared::ids::StoreId;
use storepulse_shared::key::InviteToken;
use utoipa::ToSchema;
use uuid::Uuid;

use self::sql::InvitationRow;
use super::password::Password;
use super::rules::Rules;
use super::user::{self, FirstPassword, NewUser, User};
use super::{Role, joined, names};
use crate::app::{App, rfc3339};
use crate::audit::{self, Actor, Deed};
use crate::auth::SessionAuth;
use crate::db::TenantTx;
use crate::mail::{Kind, Language};
use crate::operator::Refusal;
use crate::outbox;
use crate::problem::ApiError;

/// Open invitations of a tenant, at most.
const OPEN_MAX: i64 = 1_000;
/// Invitations of a tenant within a day, whatever became of them: each may be a mail with words of the tenant's own.
const A_DAY_MAX: i64 = 1_000;
/// Longest statement of looking one up.
const LOOK_MAX: Duration = Duration::from_secs(5);

/// An invitation; its token is nowhere.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Invitation {
    pub invitation_id: Uuid,
    /// Whom it is for.
    pub email: String,
    pub role: Role,
    /// The stores that she will see; null for all.
    pub stores: Option<Vec<String>>,
    /// `open`, `accepted`, `revoked` or `over`.
    pub state: String,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339.
    pub expires_at: String,
    /// In which she is written to; null: the tenant's.
    pub language: Option<Language>,
    /// When her mail was taken, RFC 3339; null if it was not, or none is sent.
    pub mailed_at: Option<String>,
    /// Why it never will be.
    pub mail_error: Option<String>,
}

/// An invitation to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewInvitation {
    /// Whom it is for; she signs in with it, too.
    pub email: String,
    pub role: Role,
    /// The stores that she will see; all if it is left out or null.
    #[schema(value_type = Option<Vec<String>>)]
    pub stores: Option<Vec<StoreId>>,
    /// In which she is written to; the tenant's if it is left out.
    pub language: Option<Language>,
    /// Whether she is sent a mail; the answer has no token then. Where the service sends mail, she is, unless this says otherwise.
    pub mail: Option<bool>,
}

/// Who accepts.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Acceptance {
    /// As it came with the invitation.
    #[schema(value_type = String)]
    pub token: Password,
    /// 1 to 64 of a-z, 0-9, '.', '_' and '-'.
    pub user_name: String,
    /// How she is shown to others; her user name if it is left out.
    pub name: Option<String>,
    /// 12 characters (or as many as the tenant wants) to 256 bytes.
    #[schema(value_type = String)]
    pub password: Password,
    /// Whether this is also whoever is signed in, to another tenant, and asks: from then on she goes from one to the other without
    /// signing in.
    #[serde(default)]
    pub join: bool,
}

/// What has become of an invitation.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Accepted {
    #[serde(flatten)]
    pub user: User,
    /// Whether she goes from one tenant to the other without signing in from now on.
    pub joined: bool,
}

/// Invites somebody. The token is in the answer, and nowhere else; where she is sent a mail, it is made with the mail.
pub(crate) async fn create(
    app: &App,
    tx: &mut TenantTx,
    actor: &Actor,
    new: &NewInvitation,
) -> Result<(Invitation, Option<InviteToken>), Refusal> {
    if new.mail == Some(true) && app.outbox.is_none() {
        let detail = "this service sends no mail: leave `mail` out, and give the token of the answer to whom you invite";
        return Err(Refusal::conflict("mail_off", detail));
    }
    let email = names::check_email(&new.email)?;
    user::check_stores(tx, new.stores.as_deref()).await?;
    sql::forget_old(tx).await?;
    let open = sql::count_open(tx).await?;
    if open >= OPEN_MAX {
        let detail = format!(
            "{open} invitations are open, and no more are made: revoke those that nobody will accept"
        );
        return Err(Refusal::conflict("invitation_limit", detail));
    }
    let recent = sql::count_recent(tx).await?;
    if recent >= A_DAY_MAX {
        let detail =
            format!("{recent} invitations were made within a day, and no more are: come back tomorrow");
        return Err(Refusal::conflict("invitation_limit", detail));
    }
    if sql::is_users(tx, &email).await? {
        return Err(Refusal::conflict("email_exists", format!("a user has the email {email} already")));
    }
    let tenant = tx.tenant().parse().map_err(|e| sqlx::Error::Decode(Box::new(e)))?;
    let (token, id) = (InviteToken::issue(&tenant), Uuid::new_v4());
    let stores: Option<Vec<String>> =
        new.stores.as_ref().map(|stores| stores.iter().map(StoreId::to_string).collect());
    let row = sql::NewRow {
        invitation_id: id,
        hash: token.hash(),
        email: &email,
        role: new.role,
        stores: stores.as_deref(),
        language: new.language,
        invited_by: &actor.to_string(),
        good_for: Rules::of(tx).await?.invitation,
    };
    let row = sql::insert(tx, &row).await?;
    let is_mailed = new.mail != Some(false) && outbox::put(app, tx, Kind::Invitation, id).await?;
    let detail = json!({ "role": new.role, "stores": new.stores });
    audit::record_in(tx, actor, Deed { action: "invitation.created", subject: &subject(id), detail }).await?;
    Ok((row.try_into()?, (!is_mailed).then_some(token)))
}

/// All of the last ninety days, the newest first.
pub(crate) async fn list(tx: &mut TenantTx) -> Result<Vec<Invitation>, sqlx::Error> {
    sql::list(tx).await?.into_iter().map(Invitation::try_from).collect()
}

/// Takes an open invitation back.
pub(crate) async fn revoke(tx: &mut TenantTx, actor: &Actor, id: Uuid) -> Result<(), Refusal> {
    if !sql::revoke(tx, id).await? {
        return Err(Refusal::NotThere(format!("there is no open invitation {id}")));
    }
    let deed = Deed { action: "invitation.revoked", subject: &subject(id), detail: json!({}) };
    Ok(audit::record_in(tx, actor, deed).await?)
}

/// Makes the user that the invitation is for. Of several who come with the same token at once, one does.
pub(crate) async fn accept(
    app: &App,
    signed_in: Option<&SessionAuth>,
    acceptance: Acceptance,
) -> Result<Accepted, ApiError> {
    let unknown = || {
        app.metrics.refusals.count("invitation_unknown");
        let detail = "the invitation is unknown, was accepted or revoked, or is over; ask whoever invited you for another one";
        ApiError::refused(StatusCode::NOT_FOUND, "invitation_unknown", detail)
    };
    let token: InviteToken = acceptance.token.expose().parse().map_err(|_| unknown())?;
    let tenant = token.tenant().clone();
    let mut tx = app.db.read(&tenant, LOOK_MAX).await?;
    let found = sql::find_open(&mut tx, &token.hash()).await?;
    let rules = Rules::of(&mut tx).await?;
    tx.rollback().await?;
    let row = found.ok_or_else(unknown)?;
    // What cannot be a user is told before a password is hashed for it.
    let user_name = names::check_user_name(&acceptance.user_name)?;
    acceptance.password.check(rules.password_chars_min, &user_name, Some(&row.email))?;
    let hash = app.hashing.hash(acceptance.password).await?;
    let joining = match signed_in {
        Some(auth) => Some((auth, joined::hold(app, auth, &tenant).await?)),
        None => None,
    };

    let mut tx = app.db.tenant(&tenant).await?;
    if !sql::lock_open(&mut tx, row.invitation_id).await? {
        return Err(unknown());
    }
    let stores = row.stores.map(|stores| stores.iter().map(|store| store.parse()).collect::<Result<_, _>>());
    let new = NewUser {
        user_name,
        email: Some(row.email),
        name: acceptance.name,
        role: Role::of_column(&row.role)?,
        stores: stores.transpose().map_err(|e| sqlx::Error::Decode(Box::new(e)))?,
        language: row.language.and_then(|language| language.parse().ok()),
    };
    let actor = Actor::Invitation { invitation: row.invitation_id };
    let user = user::create(&mut tx, &actor, &new, Some(&hash), FirstPassword::Chosen).await?;
    sql::set_accepted(&mut tx, row.invitation_id, user.user_id).await?;
    let detail = json!({ "user": user.user_id });
    let deed = Deed { action: "invitation.accepted", subject: &subject(row.invitation_id), detail };
    audit::record_in(&mut tx, &actor, deed).await?;
    // In the transaction that makes her: nobody of the tenant has seen this user before it is joined.
    if let Some((_, held)) = &joining {
        joined::join(&mut tx, held, user.user_id).await?;
    }
    tx.commit().await?;
    let joined = joining.is_some();
    if let Some((auth, held)) = joining {
        held.done(auth).await?;
    }
    Ok(Accepted { user, joined })
}

/// As the audit names an invitation.
fn subject(id: Uuid) -> String {
    format!("invitation:{id}")
}

impl TryFrom<InvitationRow> for Invitation {
    type Error = sqlx::Error;

    fn try_from(row: InvitationRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            invitation_id: row.invitation_id,
            email: row.email,
            role: Role::of_column(&row.role)?,
            stores: row.stores,
            state: row.state,
            created_at: rfc3339(row.created_at),
            expires_at: rfc3339(row.expires_at),
            language: row.language.and_then(|language| language.parse().ok()),
            mailed_at: row.mailed_at.map(rfc3339),
            mail_error: row.mail_error,
        })
    }
}
