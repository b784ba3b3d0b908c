//! Tenants, stores and their keys, as the operator manages them. On the control tables only: no tenant's data is
//! reachable from here, except by [`figures`], which reads it as the tenant itself.

pub(crate) mod figures;
pub(crate) mod keys;
pub(crate) mod profile;
pub(crate) mod sql;
pub(crate) mod status;
pub(crate) mod stores;
