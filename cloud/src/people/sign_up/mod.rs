//! Signing up: somebody becomes a tenant by herself, once the e-mail is proved to be hers. Only where the service is started with it.
//!
//! Whether an id is taken is told to nobody who has not proved an e-mail. A tenant is made on the control tables and its first admin
//! in the tenant: whoever comes again after an interruption goes on where it was.

pub(crate) mod http;
mod sql;

use std::time::Duration;

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use storepulse_shared::ids::TenantId;
use storepulse_shared::key::SignUpToken;
use utoipa::ToSchema;

use super::Role;
use super::names;
use super::password::Password;
use super::rules::PASSWORD_CHARS_MIN;
use super::user::{self, FirstPassword, NewUser, User};
use crate::app::App;
use crate::audit::Actor;
use crate::mail::smtp::{Mailer, SendError};
use crate::mail::{Brand, Fields, Kind, Language, render};
use crate::operator::{Refusal, text};
use crate::outbox::retry_s;
use crate::problem::ApiError;
use crate::settings;
use crate::tenant::profile::{self, NewTenant};
use crate::tenant::status::Status;

/// How long a link is good.
const GOOD_FOR: Duration = Duration::from_secs(24 * 3_600);
/// Who has not come back yet, at most.
const OPEN_MAX: i64 = 1_000;
/// Links to one address within a day.
const OF_ONE_MAX: i64 = 3;
/// Mails on their way in one go.
const AT_ONCE: i64 = 4;

/// Who wants to become a tenant.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewSignUp {
    /// The id that is wanted: 1 to 50 of a-z, 0-9 and '-'. Whether it is free is told by the confirmation.
    pub tenant_id: String,
    /// The company's name, 1 to 200 characters of any script.
    pub company: String,
    /// Where the link is sent.
    pub email: String,
    /// `en` if it is left out.
    pub language: Option<Language>,
}

/// Who has got the link.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Confirmation {
    /// As it came in the link.
    #[schema(value_type = String)]
    pub token: Password,
    /// Another id, if the one that was wanted is taken.
    pub tenant_id: Option<String>,
    /// The first admin's name to sign in with.
    pub user_name: String,
    /// How she is shown to others; her user name if it is left out.
    pub name: Option<String>,
    /// 12 characters to 256 bytes.
    #[schema(value_type = String)]
    pub password: Password,
}

/// A tenant that has signed up.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SignedUp {
    pub tenant_id: String,
    /// Its first admin, who can sign in now.
    pub admin: User,
}

/// Puts a mail down.
pub(crate) async fn begin(app: &App, new: &NewSignUp) -> Result<(), ApiError> {
    let tenant_id = check_id(&new.tenant_id)?;
    text::check_name("company", &new.company)?;
    let email = names::check_email(&new.email)?;
    let mut tx = app.db.control().await?;
    sql::lock(&mut tx).await?;
    sql::forget_old(&mut tx).await?;
    if sql::count_open(&mut tx).await? >= OPEN_MAX {
        return Err(ApiError::Overloaded { retry_after: Duration::from_secs(3_600) });
    }
    // Whoever asks too often is told the same, and nobody's mailbox is filled.
    if sql::count_of(&mut tx, &email).await? < OF_ONE_MAX {
        let language = new.language.unwrap_or(Language::En);
        let row = (tenant_id.as_str(), new.company.as_str(), email.as_str(), language.as_str());
        sql::insert(&mut tx, row, GOOD_FOR).await?;
    }
    Ok(tx.commit().await?)
}

/// Refuses what cannot be the id of a tenant.
fn check_id(id: &str) -> Result<TenantId, Refusal> {
    id.parse().map_err(|error| Refusal::Value(format!("tenant_id: {error}")))
}

/// Makes the tenant and its first admin.
pub(crate) async fn confirm(app: &App, plan: &str, asked: Confirmation) -> Result<SignedUp, ApiError> {
    let unknown = || {
        app.metrics.refusals.count("sign_up_unknown");
        let detail = "the link is unknown, was used, or is over: sign up again";
        ApiError::refused(StatusCode::NOT_FOUND, "sign_up_unknown", detail)
    };
    let token: SignUpToken = asked.token.expose().parse().map_err(|_| unknown())?;
    let mut tx = app.db.control().await?;
    let row = sql::find_open(&mut tx, &token.hash()).await?.ok_or_else(unknown)?;
    drop(tx);
    let other_id = asked.tenant_id.as_deref().map(check_id).transpose()?;
    let user_name = names::check_user_name(&asked.user_name)?;
    asked.password.check(PASSWORD_CHARS_MIN, &user_name, Some(&row.email))?;
    let hash = app.hashing.hash(asked.password).await?;

    let tenant = make_tenant(app, plan, &token, other_id).await?.ok_or_else(unknown)?;
    let new = NewUser {
        user_name,
        email: Some(row.email),
        name: asked.name,
        role: Role::Admin,
        stores: None,
        language: row.language.parse().ok(),
    };
    let mut tx = app.db.tenant(&tenant).await?;
    user::sql::lock(&mut tx).await?;
    if user::sql::count(&mut tx).await? > 0 {
        // It is finished, by whoever came with the same link.
        return Err(unknown());
    }
    let actor = Actor::SignUp { sign_up: row.sign_up_id };
    let admin = user::create(&mut tx, &actor, &new, Some(&hash), FirstPassword::Chosen).await?;
    tx.commit().await?;
    Ok(SignedUp { tenant_id: tenant.to_string(), admin })
}

/// The tenant of a sign-up, made by whoever comes first; `None` if the link is not good any more.
async fn make_tenant(
    app: &App,
    plan: &str,
    token: &SignUpToken,
    other_id: Option<TenantId>,
) -> Result<Option<TenantId>, ApiError> {
    let mut tx = app.db.control().await?;
    let Some(row) = sql::lock_open(&mut tx, &token.hash()).await? else { return Ok(None) };
    let wanted: TenantId = row.wanted_id.parse().map_err(|e| sqlx::Error::Decode(Box::new(e)))?;
    if row.is_confirmed {
        return Ok(Some(wanted));
    }
    let tenant_id = other_id.unwrap_or(wanted);
    let actor = Actor::SignUp { sign_up: row.sign_up_id };
    let new = NewTenant {
        tenant_id: tenant_id.clone(),
        company: row.company,
        plan: Some(plan.to_owned()),
        max_stores: None,
        retention_days: None,
        custom_domain: None,
        accept_imported_keys: None,
    };
    profile::create(&mut tx, &actor, &new).await?;
    profile::set_status(&mut tx, &actor, &tenant_id, Status::Active).await?;
    let language = json!(row.language);
    settings::set_for_tenant(&mut tx, &actor, &tenant_id, ("general", "language"), Some(&language)).await?;
    sql::set_confirmed(&mut tx, row.sign_up_id, tenant_id.as_str()).await?;
    tx.commit().await?;
    Ok(Some(tenant_id))
}

/// Sends what is due. The secret is made when the mail is: none lies in the database.
pub(crate) async fn send_due(
    app: &App,
    mailer: &Mailer,
    link: impl Fn(&str) -> String,
) -> Result<(), sqlx::Error> {
    let mut tx = app.db.control().await?;
    let due = sql::take_due(&mut tx, AT_ONCE).await?;
    tx.commit().await?;
    for row in due {
        let token = SignUpToken::issue();
        let mut tx = app.db.control().await?;
        let is_open = sql::renew(&mut tx, row.sign_up_id, &token.hash()).await?;
        tx.commit().await?;
        if !is_open {
            continue;
        }
        let brand = Brand { name: "StorePulse".to_owned(), colour: String::new() };
        let fields = Fields {
            tenant_id: row.wanted_id,
            name: row.company,
            link: Some(link(token.expose())),
            good_for: GOOD_FOR,
        };
        let language = row.language.parse().unwrap_or(Language::En);
        let mail = render(Kind::SignUp, language, &brand, &fields, None);
        let sent = mailer.send(&row.email, &mail).await;
        let retry_s = match &sent {
            Err(SendError::Failed(_)) => retry_s(row.attempts),
            Ok(()) | Err(SendError::Refused(_)) => None,
        };
        match (&sent, retry_s) {
            (Err(error), Some(_)) => {
                tracing::warn!(%error, "the mail of a sign-up was not taken; it is tried again");
            }
            (Err(error), None) => tracing::error!(%error, "the mail of a sign-up is given up"),
            (Ok(()), _) => {}
        }
        if retry_s.is_none() {
            app.metrics.mails.count(sent.is_ok());
        }
        let mut tx = app.db.control().await?;
        sql::note_mail(&mut tx, row.sign_up_id, retry_s).await?;
        tx.commit().await?;
    }
    Ok(())
}
