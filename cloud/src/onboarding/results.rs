//! What onboarding has done and checked, for programs and people; it holds no secret.

use serde::Serialize;

/// `onboarding_results.json`.
#[derive(Debug, Serialize)]
pub struct Results {
    /// The tenant.
    pub tenant_id: String,
    /// Its company.
    pub company: String,
    /// Its plan.
    pub plan: String,
    /// `active`, or what keeps it from being that.
    pub status: &'static str,
    /// Where its agents report.
    pub cloud_url: String,
    /// When this was written, RFC 3339.
    pub finished_at: String,
    /// Whether the keys were tried.
    pub validation: Validation,
    /// Each store.
    pub stores: Vec<StoreResult>,
}

/// Whether the keys were tried at the cloud.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Validation {
    /// Every key opens its own store and nothing else.
    Passed {
        /// Keys that were tried.
        keys: usize,
        /// Requests that were answered.
        requests: usize,
    },
    /// Nothing was asked of the cloud.
    Skipped {
        /// Why.
        why: &'static str,
    },
    /// Something is not as it should be.
    Failed {
        /// What.
        why: String,
    },
}

/// One store.
#[derive(Debug, Serialize)]
pub struct StoreResult {
    /// Its id.
    pub store_id: String,
    /// `active` or `suspended`.
    pub status: &'static str,
    /// What was done about its key.
    pub key: KeyResult,
    /// The public part of the key.
    pub key_id: Option<String>,
    /// Its folder in the package.
    pub folder: String,
}

/// What was done about a store's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyResult {
    /// Made and registered.
    Issued,
    /// It stood in its file and opened already.
    Kept,
    /// It stood in its file and is registered now.
    Registered,
    /// Another one is in use; it is not in this package.
    InUse,
}
