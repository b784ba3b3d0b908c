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
    /// A person whose role has this permission; whoever is somebody, if it is empty. It speaks of her tenant.
    Person(&'static str),
    /// A user who is signed in herself: it is about her own account, and neither for her programs nor for operators.
    Session,
    /// Anybody, and whoever has not what it takes is refused.
    SignIn,
    /// Anybody with a browser, which it sends elsewhere.
    Elsewhere,
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
pub(super) const KNOWN: [Route; 110] = [
    route("POST", "/v1/metrics/batch", Door::StoreKey, attempts::of_post_batch),
    route("DELETE", "/v1/metrics/batch", Door::StoreKey, attempts::of_delete_batch),
    route("POST", "/api/v1/write", Door::StoreKey, |_| attempts::of_remote_write()),
    route("POST", "/v1/metrics", Door::StoreKey, |_| attempts::of_otlp()),
    route("GET", "/v1/stores", Door::Reader("stores.read"), |_| attempts::plain("/v1/stores")),
    route("GET", "/v1/overview", Door::Reader("stores.read"), |_| attempts::plain("/v1/overview")),
    route("GET", "/v1/metrics", Door::Reader("metrics.read"), |_| attempts::plain("/v1/metrics")),
    route("GET", "/v1/stores/{store_id}/status", Door::Reader("stores.read"), |_| attempts::of_every_store("/v1/stores/{store_id}/status")),
    route("GET", "/v1/stores/{store_id}/metrics", Door::Reader("metrics.read"), |_| attempts::of_every_store("/v1/stores/{store_id}/metrics")),
    route("GET", "/v1/stores/{store_id}/latest", Door::Reader("metrics.read"), |_| attempts::of_every_store("/v1/stores/{store_id}/latest")),
    route("GET", "/v1/stores/{store_id}/events", Door::Reader("events.read"), |_| attempts::of_every_store("/v1/stores/{store_id}/events")),
    route("GET", "/v1/stores/{store_id}/losses", Door::Reader("stores.read"), |_| attempts::of_every_store("/v1/stores/{store_id}/losses")),
    route("GET", "/v1/stores/{store_id}/delivery", Door::Reader("stores.read"), |_| attempts::of_every_store("/v1/stores/{store_id}/delivery")),
    route("POST", "/v1/key/rotation", Door::StoreKey, attempts::of_post_rotation),
    route("DELETE", "/v1/key/rotation", Door::StoreKey, |_| attempts::of_delete_rotation()),
    route("GET", "/v1/store/settings", Door::StoreKey, |_| attempts::plain("/v1/store/settings")),
    route("PUT", "/v1/store/settings/report", Door::StoreKey, |_| attempts::of_put_settings_report()),
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
    route("DELETE", "/v1/session", Door::Session, |_| people::plain("DELETE", "/v1/session", "")),
    route("POST", "/v1/session/refresh", Door::SignIn, |_| people::of_refresh()),
    route("GET", "/v1/me", Door::Person(""), |_| people::plain("GET", "/v1/me", "")),
    route("PUT", "/v1/me/password", Door::Session, |_| people::plain("PUT", "/v1/me/password", people::WRONG_PASSWORD)),
    route("GET", "/v1/me/sessions", Door::Session, |_| people::plain("GET", "/v1/me/sessions", "")),
    route("DELETE", "/v1/me/sessions/{session_id}", Door::Session, people::of_sessions),
    route("GET", "/v1/me/tenants", Door::Session, |_| people::plain("GET", "/v1/me/tenants", "")),
    route("POST", "/v1/session/switch", Door::Session, |_| people::of_switch()),
    route("GET", "/v1/me/tokens", Door::Session, |_| people::plain("GET", "/v1/me/tokens", "")),
    route("POST", "/v1/me/tokens", Door::Session, |_| people::plain("POST", "/v1/me/tokens", r#"{"name":"mine","scopes":[]}"#)),
    route("DELETE", "/v1/me/tokens/{token_id}", Door::Session, people::of_tokens),
    route("POST", "/v1/me/authenticator", Door::Session, |_| people::plain("POST", "/v1/me/authenticator", r#"{"password":"not the right one"}"#)),
    route("POST", "/v1/me/authenticator/confirmation", Door::Session, |_| people::plain("POST", "/v1/me/authenticator/confirmation", r#"{"code":"000000"}"#)),
    route("POST", "/v1/me/authenticator/removal", Door::Session, |_| people::plain("POST", "/v1/me/authenticator/removal", r#"{"password":"not the right one"}"#)),
    route("POST", "/v1/password-resets", Door::SignIn, |_| people::of_reset()),
    route("POST", "/v1/password-resets/redemption", Door::SignIn, |_| people::of_redemption()),
    route("POST", "/v1/sign-ups", Door::SignIn, |_| people::of_sign_up()),
    route("POST", "/v1/sign-ups/confirmation", Door::SignIn, |_| people::of_sign_up_confirmation()),
    route("GET", "/v1/identity-provider", Door::Person("users.read"), |_| people::of_own_provider()),
    route("PUT", "/v1/identity-provider", Door::Person("users.manage"), |_| people::plain("PUT", "/v1/identity-provider", r#"{"issuer":"https://mine.example","client_id":"mine"}"#)),
    route("DELETE", "/v1/identity-provider", Door::Person("users.manage"), |_| people::plain("DELETE", "/v1/identity-provider", "")),
    route("GET", "/v1/providers/{tenant_id}/sign-in", Door::Elsewhere, |_| people::of_provider("sign-in?return_to=/x")),
    route("GET", "/v1/providers/{tenant_id}/callback", Door::Elsewhere, |_| people::of_provider("callback?code=x&state=x")),
    route("GET", "/v1/mail-templates", Door::Person("users.read"), |_| people::plain("GET", "/v1/mail-templates", "")),
    route("PUT", "/v1/mail-templates/{kind}/{language}", Door::Person("users.manage"), |_| people::plain("PUT", "/v1/mail-templates/invitation/en", r#"{"subject":"mine","text":"{link}"}"#)),
    route("DELETE", "/v1/mail-templates/{kind}/{language}", Door::Person("users.manage"), |_| people::plain("DELETE", "/v1/mail-templates/invitation/en", "")),
    route("DELETE", "/v1/users/{user_id}/authenticator", Door::Person("users.manage"), |w| people::of_users(w, "DELETE", "/v1/users/{user_id}/authenticator", "")),
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
    route("POST", "/v1/tenants/{tenant_id}/entries", Door::Operator, |_| operators::of("POST", "/v1/tenants/{tenant_id}/entries", r#"{"reason":"mine"}"#)),
    route("DELETE", "/v1/tenants/{tenant_id}/entries/{entry_id}", Door::Operator, |_| operators::of("DELETE", "/v1/tenants/{tenant_id}/entries/{entry_id}", "")),
    route("GET", "/v1/tenants/{tenant_id}/stats", Door::Operator, |_| operators::of("GET", "/v1/tenants/{tenant_id}/stats", "")),
    route("GET", "/v1/tenants/{tenant_id}/settings", Door::Operator, |_| operators::of("GET", "/v1/tenants/{tenant_id}/settings", "")),
    route("PUT", "/v1/tenants/{tenant_id}/settings/{type}/{name}", Door::Operator, |_| operators::of("PUT", "/v1/tenants/{tenant_id}/settings/{type}/{name}", operators::VALUE)),
    route("DELETE", "/v1/tenants/{tenant_id}/settings/{type}/{name}", Door::Operator, |_| operators::of("DELETE", "/v1/tenants/{tenant_id}/settings/{type}/{name}", "")),
    route("GET", "/v1/tenants/{tenant_id}/features/{feature}", Door::Operator, |_| operators::of("GET", "/v1/tenants/{tenant_id}/features/{feature}", "")),
    route("GET", "/v1/tenants/{tenant_id}/stores/{store_id}/settings", Door::Operator, |_| operators::of("GET", "/v1/tenants/{tenant_id}/stores/{store_id}/settings", "")),
    route("PUT", "/v1/tenants/{tenant_id}/stores/{store_id}/settings/{name}", Door::Operator, |_| operators::of("PUT", "/v1/tenants/{tenant_id}/stores/{store_id}/settings/{name}", operators::VALUE)),
    route("DELETE", "/v1/tenants/{tenant_id}/stores/{store_id}/settings/{name}", Door::Operator, |_| operators::of("DELETE", "/v1/tenants/{tenant_id}/stores/{store_id}/settings/{name}", "")),
    route("GET", "/v1/tenants/{tenant_id}/stores/{store_id}/agent-settings", Door::Operator, |_| operators::of("GET", "/v1/tenants/{tenant_id}/stores/{store_id}/agent-settings", "")),
    route("PUT", "/v1/tenants/{tenant_id}/stores/{store_id}/agent-settings", Door::Operator, |_| operators::of("PUT", "/v1/tenants/{tenant_id}/stores/{store_id}/agent-settings", "{}")),
    route("GET", "/v1/plans", Door::Operator, |_| operators::of("GET", "/v1/plans", "")),
    route("PUT", "/v1/plans/{plan}", Door::Operator, |_| operators::of("PUT", "/v1/plans/{plan}", r#"{"name":"Mine"}"#)),
    route("POST", "/v1/tenants/{tenant_id}/onboarding", Door::Operator, |_| operators::of("POST", "/v1/tenants/{tenant_id}/onboarding", r#"{"stores":1,"cloud_url":"https://cloud.example"}"#)),
    route("GET", "/v1/tenants/{tenant_id}/audit", Door::Operator, |_| operators::of("GET", "/v1/tenants/{tenant_id}/audit", "")),
    route("GET", "/v1/audit", Door::Operator, |_| operators::of("GET", "/v1/audit", "")),
    route("GET", "/", Door::Elsewhere, |_| attempts::plain("/")),
    route("GET", "/sign-in", Door::Open, |_| attempts::plain("/sign-in")),
    route("GET", "/invitation", Door::Open, |_| attempts::plain("/invitation")),
    route("GET", "/new-password", Door::Open, |_| attempts::plain("/new-password")),
    route("GET", "/sign-up", Door::Open, |_| attempts::plain("/sign-up")),
    route("GET", "/account", Door::Open, |_| attempts::plain("/account")),
    route("GET", "/pages/people.css", Door::Open, |_| attempts::plain("/pages/people.css")),
    route("GET", "/pages/people.js", Door::Open, |_| attempts::plain("/pages/people.js")),
    route("GET", "/health", Door::Open, |_| attempts::plain("/health")),
    route("GET", "/ready", Door::Open, |_| attempts::plain("/ready")),
    route("GET", "/metrics", Door::OpenWithNumbers, |_| attempts::plain("/metrics")),
    route("GET", "/openapi.json", Door::Open, |_| attempts::plain("/openapi.json")),
];
