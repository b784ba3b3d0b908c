//! What onboarding changes in the database: one transaction a step, for all stores at once, with its audit in it.
//!
//! Every step finds what is missing and makes that, so any of them may be done again. Each holds the tenant's row: nobody
//! counts or makes its stores meanwhile.

use std::collections::HashMap;

use serde_json::json;
use storepulse_shared::ids::{StoreId, TenantId};
use storepulse_shared::key::{Origin, StoreKey};
use time::OffsetDateTime;

use super::sql::{self, KeyRow, TenantRow, texts};
use super::{Contacts, OnboardError, Request};
use crate::audit::{self, Actor, Deed};
use crate::db::{ControlTx, Db};

/// A tenant after its step.
#[derive(Debug)]
pub(super) struct Standing {
    pub company: String,
    pub plan: String,
    pub is_pending: bool,
    pub is_new: bool,
}

/// Makes the tenant if it is missing, pending as yet.
///
/// # Errors
/// The plan is unknown, the tenant is closed, or the stores would be too many: nothing is made then.
pub(super) async fn tenant(db: &Db, request: &Request, actor: &Actor) -> Result<Standing, OnboardError> {
    let id = &request.tenant;
    let mut tx = db.control().await?;
    let mut found = sql::lock_tenant(&mut tx, id).await?;
    let mut is_new = false;
    if found.is_none() {
        let plans = sql::plans(&mut tx).await?;
        if !plans.contains(&request.plan) {
            return Err(OnboardError::UnknownPlan { plan: request.plan.clone(), known: plans.join(", ") });
        }
        is_new = sql::create_tenant(&mut tx, id, &request.company, &request.plan).await?;
        found = sql::lock_tenant(&mut tx, id).await?;
    }
    let Some(found) = found else { return Err(sqlx::Error::RowNotFound.into()) };
    if !matches!(found.status.as_str(), "pending" | "active") {
        return Err(OnboardError::NotOpen { tenant: id.clone(), status: found.status });
    }
    fits(&mut tx, request, &found).await?;
    if is_new {
        let subject = format!("tenant:{id}");
        let deed =
            Deed { action: "tenant.created", subject: &subject, detail: json!({ "plan": found.plan }) };
        audit::record(&mut tx, id, actor, deed).await?;
    }
    if !request.contacts.is_empty() {
        add_contacts(&mut tx, id, &request.contacts, actor).await?;
    }
    tx.commit().await?;
    Ok(Standing { company: found.company, plan: found.plan, is_pending: found.status == "pending", is_new })
}

async fn fits(tx: &mut ControlTx, request: &Request, found: &TenantRow) -> Result<(), OnboardError> {
    let Some(max) = found.max_stores else { return Ok(()) };
    let others = sql::count_other_stores(tx, &request.tenant, &texts(&request.stores)).await?;
    let wanted = others.unsigned_abs() + request.stores.len() as u64;
    if wanted > u64::from(max.unsigned_abs()) {
        let (tenant, plan) = (request.tenant.clone(), found.plan.clone());
        return Err(OnboardError::StoreLimit { tenant, plan, max: max.unsigned_abs(), wanted });
    }
    Ok(())
}

async fn add_contacts(
    tx: &mut ControlTx,
    tenant: &TenantId,
    contacts: &Contacts,
    actor: &Actor,
) -> Result<(), OnboardError> {
    let value = json!({ "email": contacts.email, "admin": contacts.admin, "whatsapp": contacts.whatsapp });
    if sql::add_contacts(tx, tenant, &value).await? {
        let detail = json!({});
        let deed = Deed { action: "setting.changed", subject: "setting:general/contacts", detail };
        audit::record(tx, tenant, actor, deed).await?;
    }
    Ok(())
}

/// Makes the stores that are missing; returns how many, and those that are suspended.
///
/// # Errors
/// Meanwhile there are too many, or one differs from another only in case.
pub(super) async fn stores(
    db: &Db,
    request: &Request,
    actor: &Actor,
) -> Result<(usize, Vec<String>), OnboardError> {
    let (tenant, wanted) = (&request.tenant, texts(&request.stores));
    let mut tx = db.control().await?;
    let found = sql::lock_tenant(&mut tx, tenant).await?.ok_or(sqlx::Error::RowNotFound)?;
    fits(&mut tx, request, &found).await?;
    let made = sql::create_stores(&mut tx, tenant, &wanted).await.map_err(|error| match error {
        sqlx::Error::Database(e) if e.constraint() == Some("stores_id_ignoring_case") => {
            OnboardError::SameIgnoringCase(tenant.clone())
        }
        error => error.into(),
    })?;
    for store in &made {
        let subject = format!("store:{store}");
        let deed = Deed { action: "store.created", subject: &subject, detail: json!({}) };
        audit::record(&mut tx, tenant, actor, deed).await?;
    }
    let suspended = sql::suspended_stores(&mut tx, tenant, &wanted).await?;
    tx.commit().await?;
    Ok((made.len(), suspended))
}

/// When stores last sent anything.
type Busy = HashMap<String, OffsetDateTime>;

async fn busy(db: &Db, tenant: &TenantId, wanted: &[String]) -> Result<Busy, OnboardError> {
    let mut tx = db.tenant(tenant).await?;
    let last = sql::last_received(&mut tx, wanted).await?;
    tx.rollback().await?;
    Ok(last.into_iter().collect())
}

/// The keys that the database knows of these stores.
#[derive(Debug)]
pub(super) struct Known(HashMap<String, Vec<KeyRow>>);

impl Known {
    pub(super) async fn read(db: &Db, tenant: &TenantId, stores: &[StoreId]) -> Result<Self, OnboardError> {
        let wanted = texts(stores);
        let busy = busy(db, tenant, &wanted).await?;
        let mut tx = db.control().await?;
        Self::locked(&mut tx, tenant, &wanted, &busy).await
    }

    async fn locked(
        tx: &mut ControlTx,
        tenant: &TenantId,
        wanted: &[String],
        busy: &Busy,
    ) -> Result<Self, OnboardError> {
        let mut known: HashMap<String, Vec<KeyRow>> = HashMap::new();
        for mut row in sql::keys(tx, tenant, wanted).await? {
            // The time of last use is written late, so whatever came after the key was made may have come with it.
            row.is_used |= busy.get(&row.store_id).is_some_and(|last| row.created_at <= *last);
            known.entry(row.store_id.clone()).or_default().push(row);
        }
        Ok(Self(known))
    }

    fn of(&self, store: &StoreId) -> &[KeyRow] {
        self.0.get(store.as_str()).map(Vec::as_slice).unwrap_or_default()
    }

    /// What is to be done about a key that stands in a file.
    pub(super) fn about(&self, key: &StoreKey) -> FileKey {
        let hash = key.hash();
        match self.of(key.store()).iter().find(|row| row.key_hash == hash) {
            Some(row) if row.is_active => FileKey::Opens,
            Some(_) => FileKey::Revoked,
            None if key.origin() == Origin::Issued => FileKey::Unregistered,
            None => FileKey::NotOurs,
        }
    }

    /// Whether the store has a key that somebody may be using.
    pub(super) fn in_use(&self, store: &StoreId) -> bool {
        self.of(store).iter().any(|row| row.is_active && row.is_used)
    }
}

/// What the database says of a key that stands in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileKey {
    /// It is kept.
    Opens,
    /// The file was written and nothing more: it is registered.
    Unregistered,
    /// Another one is made.
    Revoked,
    /// Made by an older system, and not imported.
    NotOurs,
}

/// Registers keys whose files are durable. What of the same stores was issued before and has never opened anything is
/// revoked with it: nobody has it, or nobody uses it. Returns how many were registered and revoked.
///
/// # Errors
/// A store has two keys in use.
pub(super) async fn keys(
    db: &Db,
    tenant: &TenantId,
    keys: &[StoreKey],
    actor: &Actor,
) -> Result<(usize, usize), OnboardError> {
    let wanted: Vec<String> = keys.iter().map(|key| key.store().to_string()).collect();
    let busy = busy(db, tenant, &wanted).await?;
    let mut tx = db.control().await?;
    sql::lock_tenant(&mut tx, tenant).await?.ok_or(sqlx::Error::RowNotFound)?;
    let known = Known::locked(&mut tx, tenant, &wanted, &busy).await?;
    let (mut new, mut orphans) = (Vec::new(), Vec::new());
    for key in keys {
        if known.about(key) == FileKey::Opens {
            continue;
        }
        let active = || known.of(key.store()).iter().filter(|row| row.is_active);
        orphans.extend(active().filter(|row| !row.is_used));
        let taken: Vec<i16> = active().filter(|row| row.is_used).map(|row| row.slot).collect();
        let slot = [1, 2].into_iter().find(|slot| !taken.contains(slot));
        new.push((key, slot.ok_or_else(|| OnboardError::TwoInUse(key.store().clone()))?));
    }
    let hashes: Vec<Vec<u8>> = orphans.iter().map(|row| row.key_hash.clone()).collect();
    sql::revoke_keys(&mut tx, tenant, &hashes).await?;
    sql::add_keys(&mut tx, tenant, &new).await?;
    for row in &orphans {
        let subject = format!("store:{}", row.store_id);
        let detail = json!({ "key_id": row.key_id, "why": "never used, and replaced by onboarding" });
        audit::record(&mut tx, tenant, actor, Deed { action: "key.revoked", subject: &subject, detail })
            .await?;
    }
    for (key, _) in &new {
        let subject = format!("store:{}", key.store());
        let deed = Deed { action: "key.issued", subject: &subject, detail: json!({ "key_id": key.label() }) };
        audit::record(&mut tx, tenant, actor, deed).await?;
    }
    tx.commit().await?;
    Ok((new.len(), orphans.len()))
}

/// Opens a pending tenant to its agents; one that is open stays so.
pub(super) async fn activate(
    db: &Db,
    tenant: &TenantId,
    why: &str,
    actor: &Actor,
) -> Result<(), OnboardError> {
    change(db, tenant, ("pending", "active"), ("tenant.activated", why), actor).await
}

/// Closes a tenant whose keys open what they must not.
pub(super) async fn suspend(
    db: &Db,
    tenant: &TenantId,
    why: &str,
    actor: &Actor,
) -> Result<(), OnboardError> {
    change(db, tenant, ("active", "suspended"), ("tenant.suspended", why), actor).await
}

async fn change(
    db: &Db,
    tenant: &TenantId,
    (from, to): (&str, &str),
    (action, why): (&str, &str),
    actor: &Actor,
) -> Result<(), OnboardError> {
    let mut tx = db.control().await?;
    if sql::move_tenant(&mut tx, tenant, from, to).await? {
        let subject = format!("tenant:{tenant}");
        let detail = json!({ "from": from, "to": to, "why": why });
        audit::record(&mut tx, tenant, actor, Deed { action, subject: &subject, detail }).await?;
    }
    tx.commit().await?;
    Ok(())
}
