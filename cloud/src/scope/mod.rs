//! Whose samples a request reads: those of one store, by its own key; or of the stores that a person sees: of all, where an operator
//! has entered the tenant.
//!
//! Either way what is read goes through a transaction that is bound to the one tenant, and names the stores beside: whoever
//! reads for a [`Scope`] asks [`Scope::stores`] first, and for nothing else. In a handler's signature a [`StoreReader`] says that
//! the store of the path is read by its agent or by a person who sees it, a [`Reader`] the same of all that the caller sees.

mod sql;

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde::Deserialize;
use storepulse_shared::ids::{StoreId, TenantId};

use crate::app::App;
use crate::auth::{Person, PersonAuth, StoreAuth, bearer};
use crate::db::TenantTx;
use crate::operator::request::Named;
use crate::people::permission::Needed;
use crate::problem::ApiError;

/// Longest that looking a tenant up takes.
const STATEMENT_MAX: Duration = Duration::from_secs(10);

/// Whose samples are read.
#[derive(Debug, Clone)]
pub(crate) struct Scope {
    /// Whose stores they are.
    pub(crate) tenant: TenantId,
    seen: Seen,
    /// How long the tenant keeps samples.
    pub(crate) retention_days: i32,
}

/// Which of its stores.
#[derive(Debug, Clone)]
enum Seen {
    One(StoreId),
    These(Vec<StoreId>),
    All,
}

impl From<&StoreAuth> for Scope {
    fn from(auth: &StoreAuth) -> Self {
        let (tenant, seen) = (auth.tenant.clone(), Seen::One(auth.store.clone()));
        Self { tenant, seen, retention_days: auth.retention_days }
    }
}

impl From<&Person> for Scope {
    fn from(person: &Person) -> Self {
        let seen = person.stores.clone().map_or(Seen::All, Seen::These);
        Self { tenant: person.tenant.clone(), seen, retention_days: person.retention_days }
    }
}

impl<N> From<&StoreReader<N>> for Scope {
    fn from(reader: &StoreReader<N>) -> Self {
        let (tenant, seen) = (reader.tenant.clone(), Seen::One(reader.store.clone()));
        Self { tenant, seen, retention_days: reader.retention_days }
    }
}

impl Scope {
    /// Whether stores have to be told apart in an answer.
    pub(crate) fn is_of_many(&self) -> bool {
        !matches!(self.seen, Seen::One(_))
    }

    /// The stores that it is of by name; none for all.
    pub(crate) fn named(&self) -> &[StoreId] {
        match &self.seen {
            Seen::One(store) => std::slice::from_ref(store),
            Seen::These(stores) => stores,
            Seen::All => &[],
        }
    }

    /// Whether a store of the tenant is of it.
    pub(crate) fn sees(&self, store: &str) -> bool {
        match &self.seen {
            Seen::One(one) => one.as_str() == store,
            Seen::These(these) => these.iter().any(|one| one.as_str() == store),
            Seen::All => true,
        }
    }

    /// What it is of, for the name of a file.
    pub(crate) fn name(&self) -> &str {
        match &self.seen {
            Seen::One(store) => store.as_str(),
            Seen::These(_) | Seen::All => self.tenant.as_str(),
        }
    }

    /// The stores in the order of their ids, as bytes; those of a tenant as they are in this transaction of it.
    ///
    /// # Errors
    /// The server refused, or is away.
    pub(crate) async fn stores(&self, tx: &mut TenantTx) -> Result<Vec<StoreId>, sqlx::Error> {
        match &self.seen {
            Seen::One(store) => Ok(vec![store.clone()]),
            Seen::These(stores) => Ok(stores.clone()),
            Seen::All => sql::stores(tx).await,
        }
    }
}

/// The store of the path, for its agent, or for a person who sees it and may do what the handler needs. To everybody else it is
/// not there.
#[derive(Debug)]
pub(crate) struct StoreReader<N> {
    /// Whose it is.
    pub(crate) tenant: TenantId,
    /// Which it is.
    pub(crate) store: StoreId,
    /// How long the tenant keeps samples.
    pub(crate) retention_days: i32,
    needed: PhantomData<N>,
}

#[derive(Deserialize)]
struct StoreInPath {
    store_id: String,
}

impl<N: Needed> FromRequestParts<Arc<App>> for StoreReader<N> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let needed = PhantomData;
        if is_store_key(parts) {
            let auth = StoreAuth::from_request_parts(parts, app).await?;
            let Named(StoreInPath { store_id }) = Named::from_request_parts(parts, app).await?;
            let (store, retention_days) = (auth.own_store(&store_id)?.clone(), auth.retention_days);
            return Ok(Self { tenant: auth.tenant, store, retention_days, needed });
        }
        let person = PersonAuth::<N>::from_request_parts(parts, app).await?;
        let Named(StoreInPath { store_id }) = Named::from_request_parts(parts, app).await?;
        let store: StoreId = store_id.parse().map_err(|_| ApiError::NotFound)?;
        if !person.sees(&store) {
            return Err(ApiError::NotFound);
        }
        let mut tx = app.db.read(&person.tenant, STATEMENT_MAX).await?;
        let is_there = sql::has_store(&mut tx, &store).await?;
        tx.rollback().await?;
        let (tenant, retention_days) = (person.tenant.clone(), person.retention_days);
        if is_there { Ok(Self { tenant, store, retention_days, needed }) } else { Err(ApiError::NotFound) }
    }
}

/// All that the caller sees: the store of a key, or those of a person who may do what the handler needs.
#[derive(Debug)]
pub(crate) struct Reader<N>(pub(crate) Scope, pub(crate) PhantomData<N>);

impl<N: Needed> FromRequestParts<Arc<App>> for Reader<N> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let scope = if is_store_key(parts) {
            Scope::from(&StoreAuth::from_request_parts(parts, app).await?)
        } else {
            let person = PersonAuth::<N>::from_request_parts(parts, app).await?;
            Scope::from(&*person)
        };
        Ok(Self(scope, PhantomData))
    }
}

/// What is neither is nobody's, whichever is tried.
fn is_store_key(parts: &Parts) -> bool {
    bearer(parts).is_some_and(|credential| credential.starts_with("store_"))
}
