//! The users of a tenant: made, changed, deactivated by whoever manages its people.
//!
//! A user is never deleted while the tenant lives: the audit speaks of it by its id. A tenant keeps at least one active admin.

pub(crate) mod http;
pub(crate) mod sql;

use serde::{Deserialize, Serialize};
use serde_json::json;
use storepulse_shared::ids::StoreId;
use utoipa::ToSchema;
use uuid::Uuid;

use self::sql::{StoresSeen, UserRow};
use super::password::Password;
use super::{Role, api_token, joined, names, reset, session};
use crate::app::rfc3339;
use crate::audit::{self, Actor, Deed};
use crate::db::TenantTx;
use crate::mail::Language;
use crate::operator::Refusal;
use crate::operator::request::present;

/// Users of a tenant, at most.
const USERS_MAX: i64 = 10_000;
/// Stores that can be named for one user; who sees more sees all.
const STORES_MAX: usize = 1_000;

/// A user as it is shown; its password is nowhere.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct User {
    pub user_id: Uuid,
    /// What it signs in with.
    pub user_name: String,
    /// It signs in with this, too.
    pub email: Option<String>,
    /// How it is shown to others.
    pub name: String,
    pub role: Role,
    /// The stores that it sees; null for all.
    pub stores: Option<Vec<String>>,
    /// In which it is written to; null: the tenant's.
    pub language: Option<Language>,
    /// Whether there is a password that opens it; otherwise only the tenant's provider does.
    pub has_password: bool,
    /// Whether its authenticator is asked for a code.
    pub has_authenticator: bool,
    /// Whether it may sign in.
    pub active: bool,
    /// The next thing that it does is to choose a password.
    pub must_change_password: bool,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339; null if it never was.
    pub last_signed_in_at: Option<String>,
}

/// A user to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewUser {
    /// 1 to 64 of a-z, 0-9, '.', '_' and '-'.
    pub user_name: String,
    /// Where mail reaches it.
    pub email: Option<String>,
    /// How it is shown to others, 1 to 200 characters of any script; its user name if it is left out.
    pub name: Option<String>,
    pub role: Role,
    /// The stores that it sees; all if it is left out or null.
    #[schema(value_type = Option<Vec<String>>)]
    pub stores: Option<Vec<StoreId>>,
    /// In which it is written to; the tenant's if it is left out.
    pub language: Option<Language>,
}

/// What is to change of a user; what is left out stays.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UserChange {
    /// Where mail reaches it; null for nowhere.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    pub email: Option<Option<String>>,
    /// How it is shown to others.
    pub name: Option<String>,
    pub role: Option<Role>,
    /// The stores that it sees; null for all.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<Vec<String>>)]
    pub stores: Option<Option<Vec<StoreId>>>,
    /// In which it is written to; null: the tenant's.
    #[serde(default, deserialize_with = "present")]
    pub language: Option<Option<Language>>,
    /// Whether it may sign in. Who may not is out within five seconds.
    pub active: Option<bool>,
}

/// As the audit names a user.
pub(crate) fn subject(user: Uuid) -> String {
    format!("user:{user}")
}

/// Who knows the first password of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FirstPassword {
    /// Only the user.
    Chosen,
    /// Whoever made the user, too: it has to choose another one first of all.
    SeenByOthers,
}

/// Makes a user whose first password is this hash's; without one, no password opens it.
pub(crate) async fn create(
    tx: &mut TenantTx,
    actor: &Actor,
    new: &NewUser,
    password_hash: Option<&str>,
    first: FirstPassword,
) -> Result<User, Refusal> {
    let user_name = names::check_user_name(&new.user_name)?;
    let email = new.email.as_deref().map(names::check_email).transpose()?;
    let name = new.name.as_deref().unwrap_or(&user_name);
    names::check_shown_name(name)?;
    if !sql::tenant_is_there(tx).await? {
        return Err(Refusal::NotThere(format!("tenant {} does not exist", tx.tenant())));
    }
    check_stores(tx, new.stores.as_deref()).await?;
    sql::lock(tx).await?;
    let users = sql::count(tx).await?;
    if users >= USERS_MAX {
        let detail = format!("the tenant has {users} users, and no more are taken");
        return Err(Refusal::conflict("user_limit", detail));
    }
    let user_id = Uuid::new_v4();
    let row = sql::NewRow {
        user_id,
        user_name: &user_name,
        email: email.as_deref(),
        name,
        role: new.role,
        all_stores: new.stores.is_none(),
        language: new.language,
        password_hash,
        must_change_password: first == FirstPassword::SeenByOthers,
    };
    sql::insert(tx, &row).await.map_err(|error| taken(error, &user_name, email.as_deref()))?;
    if let Some(stores) = &new.stores {
        sql::set_stores(tx, user_id, stores).await?;
    }
    let detail = json!({ "role": new.role, "stores": new.stores });
    audit::record_in(tx, actor, Deed { action: "user.created", subject: &subject(user_id), detail }).await?;
    show(tx, user_id).await
}

/// One user.
pub(crate) async fn show(tx: &mut TenantTx, user: Uuid) -> Result<User, Refusal> {
    let row = sql::find(tx, user).await?;
    row.map(User::try_from).transpose()?.ok_or_else(|| nobody(tx, &user.to_string()))
}

/// The id of a user by the name that it signs in with.
pub(crate) async fn id_of(tx: &mut TenantTx, user_name: &str) -> Result<Uuid, Refusal> {
    let name = names::check_user_name(user_name)?;
    sql::id_of(tx, &name).await?.ok_or_else(|| nobody(tx, &name))
}

/// Users in the order of their names, after this one.
pub(crate) async fn list(tx: &mut TenantTx, after: Option<&str>, limit: i64) -> Result<Vec<User>, Refusal> {
    let rows = sql::list(tx, after, limit).await?;
    Ok(rows.into_iter().map(User::try_from).collect::<Result<_, _>>()?)
}

/// Changes what is given.
pub(crate) async fn update(
    tx: &mut TenantTx,
    actor: &Actor,
    user: Uuid,
    change: &UserChange,
) -> Result<User, Refusal> {
    // One after the other: two admins who deactivate each other leave one.
    sql::lock(tx).await?;
    let before = show(tx, user).await?;
    let email = match &change.email {
        Some(Some(email)) => Some(names::check_email(email)?),
        Some(None) => None,
        None => before.email.clone(),
    };
    if let Some(name) = &change.name {
        names::check_shown_name(name)?;
    }
    if let Some(stores) = &change.stores {
        check_stores(tx, stores.as_deref()).await?;
    }
    let all_stores = change.stores.as_ref().map_or(before.stores.is_none(), Option::is_none);
    let is_active = change.active.unwrap_or(before.active);
    let role = change.role.unwrap_or(before.role);
    let was_admin = before.active && before.role == Role::Admin;
    if was_admin && (role != Role::Admin || !is_active) && sql::other_admins(tx, user).await? == 0 {
        let detail = "this is the tenant's last admin: make another one first";
        return Err(Refusal::conflict("last_admin", detail));
    }
    let row = sql::ChangedRow {
        email: email.as_deref(),
        name: change.name.as_deref().unwrap_or(&before.name),
        role,
        all_stores,
        language: change.language.unwrap_or(before.language),
        is_active,
    };
    sql::update(tx, user, &row).await.map_err(|error| taken(error, &before.user_name, email.as_deref()))?;
    if let Some(stores) = &change.stores {
        sql::set_stores(tx, user, stores.as_deref().unwrap_or_default()).await?;
    }
    if before.active && !is_active {
        session::end_all(tx, user, "deactivated", None).await?;
    }
    if before.email != email || !is_active {
        reset::sql::close_all(tx, user).await?;
    }
    if before.email != email && *actor != (Actor::Person { user }) {
        // Where mail goes, passwords are set.
        joined::part(tx, actor, user).await?;
    }
    let after = show(tx, user).await?;
    for (action, changed, detail) in [
        ("user.renamed", before.name != after.name, json!({})),
        ("user.email_changed", before.email != after.email, json!({})),
        ("user.role_changed", before.role != after.role, json!({ "from": before.role, "to": after.role })),
        (
            "user.stores_changed",
            before.stores != after.stores,
            json!({ "from": before.stores, "to": after.stores }),
        ),
        ("user.deactivated", before.active && !after.active, json!({})),
        ("user.activated", !before.active && after.active, json!({})),
    ] {
        if changed {
            audit::record_in(tx, actor, Deed { action, subject: &subject(user), detail }).await?;
        }
    }
    Ok(after)
}

/// Gives a user a password that somebody else has seen: it has to choose another one first of all, and is signed out everywhere.
pub(crate) async fn reset_password(
    tx: &mut TenantTx,
    actor: &Actor,
    user: Uuid,
    password_hash: &str,
) -> Result<User, Refusal> {
    check_not_own(actor, user, "PUT /v1/me/password")?;
    sql::lock(tx).await?;
    show(tx, user).await?;
    sql::set_password(tx, user, password_hash, true).await?;
    session::end_all(tx, user, "password_changed", None).await?;
    api_token::sql::revoke_all(tx, user).await?;
    reset::sql::close_all(tx, user).await?;
    joined::part(tx, actor, user).await?;
    let deed = Deed { action: "user.password_reset", subject: &subject(user), detail: json!({}) };
    audit::record_in(tx, actor, deed).await?;
    show(tx, user).await
}

/// Refuses to do for others what asks for one's own password where it is one's own: a page that was left open is not enough for it.
pub(super) fn check_not_own(actor: &Actor, user: Uuid, way: &str) -> Result<(), Refusal> {
    if *actor != (Actor::Person { user }) {
        return Ok(());
    }
    Err(Refusal::conflict("own_account", format!("this is your own account: {way}")))
}

/// A password that nobody has thought of, and its hash.
pub(crate) fn first_password() -> anyhow::Result<(Password, String)> {
    let password = Password::make();
    let hash = super::password::hash_now(&password).map_err(|e| anyhow::anyhow!("argon2: {e}"))?;
    Ok((password, hash))
}

pub(super) async fn check_stores(tx: &mut TenantTx, stores: Option<&[StoreId]>) -> Result<(), Refusal> {
    let Some(stores) = stores else { return Ok(()) };
    if stores.len() > STORES_MAX {
        let detail = format!(
            "stores: {} of them; at most {STORES_MAX} can be named, leave it out for all",
            stores.len()
        );
        return Err(Refusal::Value(detail));
    }
    let known = sql::known_stores(tx, stores).await?;
    match stores.iter().find(|store| !known.iter().any(|known| known == store.as_str())) {
        Some(store) => Err(Refusal::Value(format!("stores: the tenant has no store {store}"))),
        None => Ok(()),
    }
}

fn nobody(tx: &TenantTx, user: &str) -> Refusal {
    Refusal::NotThere(format!("tenant {} has no user {user}", tx.tenant()))
}

fn taken(error: sqlx::Error, user_name: &str, email: Option<&str>) -> Refusal {
    let constraint = match &error {
        sqlx::Error::Database(e) => e.constraint().map(str::to_owned),
        _ => None,
    };
    match constraint.as_deref() {
        Some("users_user_name") => Refusal::conflict(
            "user_exists",
            format!("there is a user {user_name} already; choose another user_name"),
        ),
        Some("users_email") => {
            let email = email.unwrap_or_default();
            Refusal::conflict("email_exists", format!("another user has the email {email} already"))
        }
        _ => error.into(),
    }
}

impl TryFrom<UserRow> for User {
    type Error = sqlx::Error;

    fn try_from(row: UserRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            user_id: row.user_id,
            user_name: row.user_name,
            email: row.email,
            name: row.name,
            role: Role::of_column(&row.role)?,
            stores: StoresSeen::of(row.all_stores, row.stores).into_named(),
            language: row.language.and_then(|language| language.parse().ok()),
            has_password: row.has_password,
            has_authenticator: row.has_authenticator,
            active: row.deactivated_at.is_none(),
            must_change_password: row.must_change_password,
            created_at: rfc3339(row.created_at),
            last_signed_in_at: row.last_signed_in_at.map(rfc3339),
        })
    }
}
