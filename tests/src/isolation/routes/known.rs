//! Every route of the cloud, one line each, with its answer to a stranger.
//!
//! A route that `/openapi.json` has and this table has not fails the suite, and the other way round: whoever adds one says
//! here who may pass, and what there is to try.

use super::attempts::{self, Attempt};
use super::operators;
use super::people;
use super::queries::{self, hour};
use crate::isolation::world::World;

/// Who may pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Door {
    /// Anybody: it tells nothing of any tenant, and the same to all.
    Open,
    /// Anybody: it tells nothing of any tenant, but its numbers move.
    OpenWithNumbers,
    /// The agent of an active store, and it speaks of that store only.
    StoreKey,
    /// The same; or a person whose role has this permission, and it speaks of the stores that she sees.
    Reader(&'static str),
    /// A person whose role has this permission; whoever is signed in, if it is empty. It speaks of her tenant.
    Person(&'static str),
    /// Anybody, and whoever has not what it takes is refused.
    SignIn,
    /// An operator. No store's key opens it.
    Operator,
}

/// A route.
#[derive(Debug)]
pub(super) struct Route {
    pub method: &'static str,
    pub path: &'static str,
    pub door: Door,
    pub attempts: fn(&World) -> Vec<Attempt>,
}

const fn route(
    method: &'static str,
    path: &'static str,
    door: Door,
    attempts: fn(&World) -> Vec<Attempt>,
) -> Route {
    Route { method, path, door, attempts }
}

#[rustfmt::skip]
pub(super) const KNOWN: [Route; 86] = [
    route("POST", "/v1/metrics/batch", Door::StoreKey, attempts::of_post_batch),
    route("DELETE", "/v1/metrics/batch", Door::StoreKey, attempts::of_delete_batch),
    route("POST", "/api/v1/write", Door::StoreKey, |_| attempts::of_remote_write()),
    route("POST", "/v1/metrics", Door::StoreKey, |_| attempts::of_otlp()),
    route("GET", "/v1/stores", Door::Reader("stores.read"), |_| attempts::plain("/v1/stores")),
    route("GET", "/v1/stores/{store_id}/status", Door::Reader("stores.read"), |_| attempts::of_every_store("/v1/stores/{store_id}/status")),
    route("GET", "/v1/stores/{store_id}/metrics", Door::Reader("metrics.read"), |_| attempts::of_every_store("/v1/stores/{store_id}/metrics")),
    route("GET", "/v1/stores/{store_id}/latest", Door::Reader("metrics.read"), |_| attempts::of_every_store("/v1/stores/{store_id}/latest")),
    route("GET", "/v1/stores/{store_id}/events", Door::Reader("events.read"), |_| attempts::of_every_store("/v1/stores/{store_id}/events")),
    route("GET", "/v1/stores/{store_id}/losses", Door::Reader("stores.read"), |_| attempts::of_every_store("/v1/stores/{store_id}/losses")),
    route("GET", "/v1/stores/{store_id}/delivery", Door::Reader("stores.read"), |_| attempts::of_every_store("/v1/stores/{store_id}/delivery")),
    route("POST", "/v1/key/rotation", Door::StoreKey, attempts::of_post_rotation),
    route("DELETE", "/v1/key/rotation", Door::StoreKey, |_| attempts::of_delete_rotation()),
    route("GET", "/api/v1/query", Door::Reader("metrics.read"), |w| queries::of(w, "GET", "/api/v1/query", "query=", "")),
    route("GET", "/api/v1/query_range", Door::Reader("metrics.read"), |w| queries::of(w, "GET", "/api/v1/query_range", "query=last_over_time(", &format!("[1h]){}", hour()))),
    route("GET", "/api/v1/series", Door::Reader("metrics.read"), |w| queries::of(w, "GET", "/api/v1/series", "match[]=", "")),
    route("GET", "/api/v1/labels", Door::Reader("metrics.read"), |w| queries::of(w, "GET", "/api/v1/labels", "match[]=", "")),
    route("POST", "/api/v1/query", Door::Reader("metrics.read"), |w| queries::of(w, "POST", "/api/v1/query", "query=", "")),
    route("POST", "/api/v1/query_range", Door::Reader("metrics.read"), |w| queries::of(w, "POST", "/api/v1/query_range", "query=last_over_time(", &format!("[1h]){}", hour()))),
    route("POST", "/api/v1/series", Door::Reader("metrics.read"), |w| queries::of(w, "POST", "/api/v1/series", "match[]=", "")),
    route("POST", "/api/v1/labels", Door::Reader("metrics.read"), |w| queries::of(w, "POST", "/api/v1/labels", "match[]=", "")),
    route("GET", "/api/v1/label/{name}/values", Door::Reader("metrics.read"), |w| queries::of(w, "GET", "/api/v1/label/origin/values", "match[]=", "")),
    route("GET", "/api/v1/metadata", Door::Reader("metrics.read"), |_| attempts::plain("/api/v1/metadata")),
    route("GET", "/api/v1/status/buildinfo", Door::Reader("metrics.read"), |_| attempts::plain("/api/v1/status/buildinfo")),
    route("POST", "/v1/session", Door::SignIn, people::of_sign_in),
    route("DELETE", "/v1/session", Door::Person(""), |_| people::plain("DELETE", "/v1/session", "")),
    route("POST", "/v1/session/refresh", Door::SignIn, |_| people::of_refresh()),
    route("GET", "/v1/me", Door::Person(""), |_| people::plain("GET", "/v1/me", "")),
    route("PUT", "/v1/me/password", Door::Person(""), |_| people::plain("PUT", "/v1/me/password", people::WRONG_PASSWORD)),
    route("GET", "/v1/me/sessions", Door::Person(""), |_| people::plain("GET", "/v1/me/sessions", "")),
    route("DELETE", "/v1/me/sessions/{session_id}", Door::Person(""), people::of_sessions),
    route("GET", "/v1/users", Door::Person("users.read"), |_| people::plain("GET", "/v1/users", "")),
    route("POST", "/v1/users", Door::Person("users.manage"), |_| people::plain("POST", "/v1/users", r#"{"user_name":"mine","role":"viewer"}"#)),
    route("GET", "/v1/users/{user_id}", Door::Person("users.read"), |w| people::of_users(w, "GET", "/v1/users/{user_id}", "")),
    route("PATCH", "/v1/users/{user_id}", Door::Person("users.manage"), |w| people::of_users(w, "PATCH", "/v1/users/{user_id}", r#"{"active":false}"#)),
    route("POST", "/v1/users/{user_id}/password", Door::Person("users.manage"), |w| people::of_users(w, "POST", "/v1/users/{user_id}/password", "")),
    route("GET", "/v1/invitations", Door::Person("users.read"), |_| people::plain("GET", "/v1/invitations", "")),
    route("POST", "/v1/invitations", Door::Person("users.manage"), |_| people::plain("POST", "/v1/invitations", r#"{"email":"mine@x.example","role":"viewer"}"#)),
    route("POST", "/v1/invitations/accept", Door::SignIn, people::of_acceptance),
    route("DELETE", "/v1/invitations/{invitation_id}", Door::Person("users.manage"), people::of_invitations),
    route("POST", "/v1/tenants", Door::Operator, |_| operators::of("POST", "/v1/tenants", r#"{"tenant_id":"mine","company":"Mine"}"#)),
    route("GET", "/v1/tenants", Door::Operator, |_| operators::of("GET", "/v1/tenants", "")),
    route("GET", "/v1/tenants/{tenant_id}", Door::Operator, |_| operators::of("GET", "/v1/tenants/{tenant_id}", "")),
    route("PATCH", "/v1/tenants/{tenant_id}", Door::Operator, |_| operators::of("PATCH", "/v1/tenants/{tenant_id}", r#"{"company":"Mine"}"#)),
    route("DELETE", "/v1/tenants/{tenant_id}", Door::Operator, |_| operators::of("DELETE", "/v1/tenants/{tenant_id}", "")),
    route("PUT", "/v1/tenants/{tenant_id}/status", Door::Operator, |_| operators::of("PUT", "/v1/tenants/{tenant_id}/status", r#"{"status":"suspended"}"#)),
    route("POST", "/v1/tenants/{tenant_id}/stores", Door::Operator, |_| operators::of("POST", "/v1/tenants/{tenant_id}/stores", r#"{"store_id":"M01"}"#)),
    route("GET", "/v1/tenants/{tenant_id}/stores", Door::Operator, |_| operators::of("GET", "/v1/tenants/{tenant_id}/stores", "")),
    route("GET", "/v1/tenants/{tenant_id}/stores/{store_id}", Door::Operator, |_| operators::of("GET", "/v1/tenants/{tenant_id}/stores/{store_id}", "")),
    route("PATCH", "/v1/tenants/{tenant_id}/stores/{store_id}", Door::Operator, |_| operators::of("PATCH", "/v1/tenants/{tenant_id}/stores/{store_id}", r#"{"status":"suspended"}"#)),
    route("POST", "/v1/tenants/{tenant_id}/stores/{store_id}/keys", Door::Operator, |_| operators::of("POST", "/v1/tenants/{tenant_id}/stores/{store_id}/keys", "")),
    route("GET", "/v1/tenants/{tenant_id}/stores/{store_id}/keys", Door::Operator, |_| operators::of("GET", "/v1/tenants/{tenant_id}/stores/{store_id}/keys", "")),
    route("DELETE", "/v1/tenants/{tenant_id}/stores/{store_id}/keys/{key_id}", Door::Operator, |_| operators::of("DELETE", "/v1/tenants/{tenant_id}/stores/{store_id}/keys/{key_id}", "")),
    route("POST", "/v1/tenants/{tenant_id}/stores/{store_id}/imported-keys", Door::Operator, |_| operators::of("POST", "/v1/tenants/{tenant_id}/stores/{store_id}/imported-keys", operators::KEY_HASH)),
    route("POST", "/v1/tenants/{tenant_id}/stores/{store_id}/rotation", Door::Operator, |_| operators::of("POST", "/v1/tenants/{tenant_id}/stores/{store_id}/rotation", "{}")),
    route("DELETE", "/v1/tenants/{tenant_id}/stores/{store_id}/rotation", Door::Operator, |_| operators::of("DELETE", "/v1/tenants/{tenant_id}/stores/{store_id}/rotation", "")),
    route("GET", "/v1/tenants/{tenant_id}/stats", Door::Operator, |_| operators::of("GET", "/v1/tenants/{tenant_id}/stats", "")),
    route("GET", "/v1/tenants/{tenant_id}/overview", Door::Operator, |_| operators::of("GET", "/v1/tenants/{tenant_id}/overview", "")),
    route("GET", "/v1/tenants/{tenant_id}/metrics", Door::Operator, |_| operators::of("GET", "/v1/tenants/{tenant_id}/metrics", "")),
    route("GET", "/v1/tenants/{tenant_id}/prometheus/api/v1/query", Door::Operator, |_| operators::query("GET", "query", "query=", "")),
    route("POST", "/v1/tenants/{tenant_id}/prometheus/api/v1/query", Door::Operator, |_| operators::query("POST", "query", "query=", "")),
    route("GET", "/v1/tenants/{tenant_id}/prometheus/api/v1/query_range", Door::Operator, |_| operators::query("GET", "query_range", "query=last_over_time(", &format!("[1h]){}", hour()))),
    route("POST", "/v1/tenants/{tenant_id}/prometheus/api/v1/query_range", Door::Operator, |_| operators::query("POST", "query_range", "query=last_over_time(", &format!("[1h]){}", hour()))),
    route("GET", "/v1/tenants/{tenant_id}/prometheus/api/v1/series", Door::Operator, |_| operators::query("GET", "series", "match[]=", "")),
    route("POST", "/v1/tenants/{tenant_id}/prometheus/api/v1/series", Door::Operator, |_| operators::query("POST", "series", "match[]=", "")),
    route("GET", "/v1/tenants/{tenant_id}/prometheus/api/v1/labels", Door::Operator, |_| operators::query("GET", "labels", "match[]=", "")),
    route("POST", "/v1/tenants/{tenant_id}/prometheus/api/v1/labels", Door::Operator, |_| operators::query("POST", "labels", "match[]=", "")),
    route("GET", "/v1/tenants/{tenant_id}/prometheus/api/v1/label/{name}/values", Door::Operator, |_| operators::query("GET", "label/origin/values", "match[]=", "")),
    route("GET", "/v1/tenants/{tenant_id}/prometheus/api/v1/metadata", Door::Operator, |_| operators::query("GET", "metadata", "x=", "")),
    route("GET", "/v1/tenants/{tenant_id}/prometheus/api/v1/status/buildinfo", Door::Operator, |_| operators::query("GET", "status/buildinfo", "x=", "")),
    route("GET", "/v1/tenants/{tenant_id}/settings", Door::Operator, |_| operators::of("GET", "/v1/tenants/{tenant_id}/settings", "")),
    route("PUT", "/v1/tenants/{tenant_id}/settings/{type}/{name}", Door::Operator, |_| operators::of("PUT", "/v1/tenants/{tenant_id}/settings/{type}/{name}", operators::VALUE)),
    route("DELETE", "/v1/tenants/{tenant_id}/settings/{type}/{name}", Door::Operator, |_| operators::of("DELETE", "/v1/tenants/{tenant_id}/settings/{type}/{name}", "")),
    route("GET", "/v1/tenants/{tenant_id}/features/{feature}", Door::Operator, |_| operators::of("GET", "/v1/tenants/{tenant_id}/features/{feature}", "")),
    route("GET", "/v1/tenants/{tenant_id}/stores/{store_id}/settings", Door::Operator, |_| operators::of("GET", "/v1/tenants/{tenant_id}/stores/{store_id}/settings", "")),
    route("PUT", "/v1/tenants/{tenant_id}/stores/{store_id}/settings/{name}", Door::Operator, |_| operators::of("PUT", "/v1/tenants/{tenant_id}/stores/{store_id}/settings/{name}", operators::VALUE)),
    route("DELETE", "/v1/tenants/{tenant_id}/stores/{store_id}/settings/{name}", Door::Operator, |_| operators::of("DELETE", "/v1/tenants/{tenant_id}/stores/{store_id}/settings/{name}", "")),
    route("GET", "/v1/plans", Door::Operator, |_| operators::of("GET", "/v1/plans", "")),
    route("PUT", "/v1/plans/{plan}", Door::Operator, |_| operators::of("PUT", "/v1/plans/{plan}", r#"{"name":"Mine"}"#)),
    route("POST", "/v1/tenants/{tenant_id}/onboarding", Door::Operator, |_| operators::of("POST", "/v1/tenants/{tenant_id}/onboarding", r#"{"stores":1,"cloud_url":"https://cloud.example"}"#)),
    route("GET", "/v1/tenants/{tenant_id}/audit", Door::Operator, |_| operators::of("GET", "/v1/tenants/{tenant_id}/audit", "")),
    route("GET", "/v1/audit", Door::Operator, |_| operators::of("GET", "/v1/audit", "")),
    route("GET", "/health", Door::Open, |_| attempts::plain("/health")),
    route("GET", "/ready", Door::Open, |_| attempts::plain("/ready")),
    route("GET", "/metrics", Door::OpenWithNumbers, |_| attempts::plain("/metrics")),
    route("GET", "/openapi.json", Door::Open, |_| attempts::plain("/openapi.json")),
];
