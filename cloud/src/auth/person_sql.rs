//! What is behind the credential of a person, looked up in the tenant that it names.

use storepulse_shared::ids::{StoreId, TenantId};
use uuid::Uuid;

use super::person::{First, Person, SessionOf, Via, Who};
use crate::db::TenantTx;
use crate::people::{Permission, Role};

/// A credential that opens, with whose it is.
#[derive(Debug)]
pub(super) struct Row {
    holder: Holder,
    permissions: Vec<String>,
    tenant_status: String,
    retention_days: i32,
    ends_s: i64,
    /// That it was used is to be noted.
    pub(super) is_to_be_touched: bool,
}

#[derive(Debug)]
enum Holder {
    User(UserRow),
    Operator { entry: Uuid, name: String, credential_id: String },
}

/// An active user, and the session or token that she comes with.
#[derive(Debug)]
struct UserRow {
    user_id: Uuid,
    role: String,
    permissions: Vec<String>,
    all_stores: bool,
    stores: Vec<String>,
    must_change_password: bool,
    lacks_factor: bool,
    tenant_status: String,
    retention_days: i32,
    session_id: Option<Uuid>,
    opened_as: Option<String>,
    scopes: Option<Vec<String>>,
    ends_s: i64,
    is_to_be_touched: bool,
}

impl UserRow {
    fn into_row(mut self) -> Row {
        let ends_s = self.ends_s;
        Row {
            permissions: std::mem::take(&mut self.permissions),
            tenant_status: std::mem::take(&mut self.tenant_status),
            retention_days: self.retention_days,
            is_to_be_touched: self.is_to_be_touched,
            holder: Holder::User(self),
            ends_s,
        }
    }
}

impl Row {
    /// With where it was looked for. An access token is over before its session is.
    pub(super) fn into_person(
        self,
        tenant: &TenantId,
        csrf_token: Option<String>,
        token_ends: Option<i64>,
    ) -> Result<Person, sqlx::Error> {
        let mut permissions = Permission::known(&self.permissions);
        let (who, via, stores, first) = match self.holder {
            Holder::Operator { entry, name, credential_id } => {
                (Who::Operator { name, credential_id }, Via::Entry(entry), None, None)
            }
            Holder::User(user) => {
                // Whom the provider has signed in need not know that password.
                let is_providers = user.opened_as.as_deref() == Some("provider");
                let first = match (user.must_change_password && !is_providers, user.lacks_factor) {
                    (true, _) => Some(First::ChangePassword),
                    (false, true) => Some(First::SetUpAuthenticator),
                    (false, false) => None,
                };
                let via = match user.session_id {
                    Some(id) => Via::Session(SessionOf { id, may_switch: !is_providers, csrf_token }),
                    None => Via::Token,
                };
                if let Some(scopes) = user.scopes {
                    permissions.retain(|may| scopes.iter().any(|scope| scope == may.as_str()));
                }
                let stores: Result<Vec<StoreId>, _> = user.stores.iter().map(|id| id.parse()).collect();
                let stores = stores.map_err(|e| sqlx::Error::Decode(Box::new(e)))?;
                let role = Role::of_column(&user.role)?;
                (Who::User { id: user.user_id, role }, via, (!user.all_stores).then_some(stores), first)
            }
        };
        Ok(Person {
            tenant: tenant.clone(),
            who,
            via,
            permissions,
            stores,
            retention_days: self.retention_days,
            first,
            tenant_is_active: self.tenant_status == "active",
            ends_s: token_ends.map_or(self.ends_s, |ends| ends.min(self.ends_s)),
        })
    }
}

/// What is known of an active user, whatever she comes with: what is asked of `c` and where it is found goes before and behind. A
/// session that a provider has vouched for needs no factor of ours.
macro_rules! user {
    ($of_credential:literal, $found_in:literal, $($value:expr),+) => {
        sqlx::query_as!(
            UserRow,
            r#"select u.user_id, u.role, u.all_stores, u.must_change_password, t.status as tenant_status, t.retention_days,
                array(select p.permission from role_permissions p where p.role = u.role) as "permissions!",
                array(select s.store_id from user_stores s where s.tenant_id = $1 and s.user_id = u.user_id
                    order by s.store_id collate "C") as "stores!",
                u.password_hash is not null and coalesce((select r.value = 'true'::jsonb from tenant_settings r where r.tenant_id = $1 and r.type = 'auth'
                        and r.name = 'require_second_factor'), false)
                    and not exists (select from authenticators a where a.tenant_id = $1 and a.user_id = u.user_id
                        and a.confirmed_at is not null)
                    and "#
                + $of_credential
                + " from "
                + $found_in
                + " join users u on u.tenant_id = c.tenant_id and u.user_id = c.user_id
                join tenants t on t.tenant_id = c.tenant_id
                where c.tenant_id = $1 and u.deactivated_at is null and c.is_open",
            $($value),+
        )
    };
}

/// The session, if it is open, used with access tokens, and this user's, who is active.
pub(super) async fn find_session(
    tx: &mut TenantTx,
    session: Uuid,
    user: Uuid,
) -> Result<Option<Row>, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    let found = user!(
        r#"c.opened_as <> 'provider' as "lacks_factor!", c.session_id as "session_id?", c.opened_as as "opened_as?",
            null::text[] as scopes, extract(epoch from c.expires_at)::bigint as "ends_s!", false as "is_to_be_touched!""#,
        r"(select *, ended_at is null and expires_at > now() and cookie_hash is null as is_open from sessions
            where tenant_id = $1 and session_id = $2 and user_id = $3) c",
        tenant,
        session,
        user
    );
    Ok(found.fetch_optional(tx.connection()).await?.map(UserRow::into_row))
}

/// The same by the cookie of its page.
pub(super) async fn find_cookie(tx: &mut TenantTx, hash: &[u8; 32]) -> Result<Option<Row>, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    let found = user!(
        r#"c.opened_as <> 'provider' as "lacks_factor!", c.session_id as "session_id?", c.opened_as as "opened_as?",
            null::text[] as scopes, extract(epoch from c.expires_at)::bigint as "ends_s!",
            c.refreshed_at < now() - interval '1 minute' as "is_to_be_touched!""#,
        r"(select *, ended_at is null and expires_at > now() as is_open from sessions
            where tenant_id = $1 and cookie_hash = $2) c",
        tenant,
        hash.as_slice()
    );
    Ok(found.fetch_optional(tx.connection()).await?.map(UserRow::into_row))
}

/// A token of a program, if it is not over.
pub(super) async fn find_token(tx: &mut TenantTx, hash: &[u8; 32]) -> Result<Option<Row>, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    let found = user!(
        r#"true as "lacks_factor!", null::uuid as session_id, null::text as opened_as, c.scopes as "scopes?",
            coalesce(extract(epoch from c.expires_at)::bigint, 9223372036854775807) as "ends_s!",
            coalesce(c.last_used_at < now() - interval '1 minute', true) as "is_to_be_touched!""#,
        r"(select *, revoked_at is null and coalesce(expires_at > now(), true) as is_open from api_tokens
            where tenant_id = $1 and token_hash = $2) c",
        tenant,
        hash.as_slice()
    );
    Ok(found.fetch_optional(tx.connection()).await?.map(UserRow::into_row))
}

/// An operator's entry, if it is not over. What an operator may do is the permissions of a role that no user has.
pub(super) async fn find_entry(tx: &mut TenantTx, hash: &[u8; 32]) -> Result<Option<Row>, sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    let found = sqlx::query!(
        r#"select e.entry_id, e.operator, e.credential_id, t.status, t.retention_days,
            extract(epoch from e.expires_at)::bigint as "ends_s!",
            array(select p.permission from role_permissions p where p.role = 'operator') as "permissions!"
        from operator_entries e join tenants t on t.tenant_id = e.tenant_id
        where e.tenant_id = $1 and e.token_hash = $2 and e.ended_at is null and e.expires_at > now()"#,
        tenant,
        hash.as_slice(),
    );
    let found = found.fetch_optional(tx.connection()).await?;
    Ok(found.map(|row| Row {
        holder: Holder::Operator {
            entry: row.entry_id,
            name: row.operator,
            credential_id: row.credential_id,
        },
        permissions: row.permissions,
        tenant_status: row.status,
        retention_days: row.retention_days,
        ends_s: row.ends_s,
        is_to_be_touched: false,
    }))
}

/// Notes that a token was used.
pub(super) async fn touch_token(tx: &mut TenantTx, hash: &[u8; 32]) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query!(
        "update api_tokens set last_used_at = now() where tenant_id = $1 and token_hash = $2",
        tenant,
        hash.as_slice(),
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Notes that a page was used: its session goes on for as long as the tenant says, and no longer than half a year.
pub(super) async fn touch_page(tx: &mut TenantTx, hash: &[u8; 32]) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().to_owned();
    sqlx::query!(
        "update sessions set refreshed_at = now(),
            expires_at = least(greatest(expires_at, now() + (expires_at - refreshed_at)), created_at + interval '180 days')
        where tenant_id = $1 and cookie_hash = $2 and ended_at is null",
        tenant,
        hash.as_slice(),
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}
