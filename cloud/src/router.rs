//! Every route, one line each, with its description: what is not here cannot be called.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::HeaderName;
use axum::http::header::CONTENT_TYPE;
use axum::middleware;
use axum::routing::get;
use utoipa::openapi::RefOr;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::problem::ApiError;
use crate::{
    admission, agent_settings, audit, delivery, drain, entry, foreign, ingest, onboarding, operation, outbox,
    pages, people, plan, promql, resolution, rotation, settings, store, tenant,
};

#[derive(OpenApi)]
#[openapi(
    info(title = "StorePulse cloud", description = "Takes batches of stores' samples, once, and keeps tenants apart."),
    modifiers(&Credentials),
    components(schemas(promql::QueryProblem)),
    tags(
        (name = "ingest", description = "for agents, and for programs that push"),
        (name = "stores", description = "what has arrived"),
        (name = "prometheus", description = "the query API of Prometheus over the samples that one sees, for Grafana and the like"),
        (name = "keys", description = "a store's key, changed by its agent"),
        (name = "agents", description = "what an agent is to run by, and what became of it"),
        (name = "people", description = "signing in, and who may"),
        (name = "pages", description = "where people sign in, and where the links of mails lead"),
        (name = "tenants", description = "for operators: tenants, their stores and keys, and who changed what"),
        (name = "operation", description = "for those who run the service"),
    )
)]
struct Description;

struct Credentials;

impl Modify for Credentials {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let bearer =
            HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("store_<tenant>_<store>_<token>");
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme("store_key", SecurityScheme::Http(bearer.build()));
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("operator_<token>");
        components.add_security_scheme("operator_key", SecurityScheme::Http(bearer.build()));
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT");
        components.add_security_scheme("access_token", SecurityScheme::Http(bearer.build()));
        let bearer =
            HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("person_<tenant>_<token>");
        components.add_security_scheme("person_token", SecurityScheme::Http(bearer.build()));
        let bearer =
            HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("entry_<tenant>_<token>");
        components.add_security_scheme("entry_token", SecurityScheme::Http(bearer.build()));
        // Whatever changes something repeats the page's token in X-CSRF-Token.
        let cookie = ApiKey::Cookie(ApiKeyValue::new("__Host-storepulse"));
        components.add_security_scheme("cookie", SecurityScheme::ApiKey(cookie));
    }
}

/// The routes, and the document that describes them.
fn described() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(ingest::http::post_batch, ingest::http::delete_batch))
        .routes(routes!(foreign::remote_write::http::write_series))
        .routes(routes!(foreign::otlp::http::export_metrics))
        .routes(routes!(store::list::list_stores))
        .routes(routes!(store::overview::show_overview))
        .routes(routes!(store::metrics::list_metrics))
        .routes(routes!(store::status::show_store_status))
        .routes(routes!(store::metrics::list_store_metrics))
        .routes(routes!(store::latest::list_store_latest))
        .routes(routes!(store::events::list_store_events))
        .routes(routes!(store::losses::list_store_losses))
        .routes(routes!(delivery::http::show_store_delivery))
        .routes(routes!(promql::http::query))
        .routes(routes!(promql::http::query_range))
        .routes(routes!(promql::http::list_series))
        .routes(routes!(promql::http::list_labels))
        .routes(routes!(promql::http::list_label_values))
        .routes(routes!(promql::http::show_metadata))
        .routes(routes!(promql::http::show_buildinfo))
        .routes(routes!(rotation::http::register_key, rotation::http::retire_key))
        .routes(routes!(agent_settings::http::show_own_settings))
        .routes(routes!(agent_settings::http::report_own_settings))
        .merge(of_people())
        .routes(routes!(tenant::profile::http::create_tenant, tenant::profile::http::list_tenants))
        .routes(routes!(
            tenant::profile::http::show_tenant,
            tenant::profile::http::update_tenant,
            tenant::profile::http::delete_tenant
        ))
        .routes(routes!(tenant::profile::http::set_tenant_status))
        .routes(routes!(tenant::stores::http::create_store, tenant::stores::http::list_tenant_stores))
        .routes(routes!(tenant::stores::http::show_tenant_store, tenant::stores::http::update_tenant_store))
        .routes(routes!(tenant::keys::http::issue_key, tenant::keys::http::list_keys))
        .routes(routes!(tenant::keys::http::revoke_key))
        .routes(routes!(tenant::keys::http::import_key))
        .routes(routes!(tenant::keys::http::open_rotation, tenant::keys::http::close_rotation))
        .routes(routes!(tenant::figures::http::show_tenant_stats))
        .routes(routes!(entry::http::enter_tenant))
        .routes(routes!(entry::http::leave_tenant))
        .routes(routes!(settings::http::list_tenant_settings))
        .routes(routes!(settings::http::set_tenant_setting, settings::http::reset_tenant_setting))
        .routes(routes!(settings::http::show_feature))
        .routes(routes!(settings::http::list_store_settings))
        .routes(routes!(settings::http::set_store_setting, settings::http::reset_store_setting))
        .routes(routes!(agent_settings::http::show_agent_settings, agent_settings::http::set_agent_settings))
        .routes(routes!(plan::http::list_plans))
        .routes(routes!(plan::http::put_plan))
        .routes(routes!(onboarding::http::onboard_tenant))
        .routes(routes!(audit::http::list_tenant_audit))
        .routes(routes!(audit::http::list_operator_audit))
        .routes(routes!(operation::http::show_health))
        .routes(routes!(operation::http::show_readiness))
        .routes(routes!(operation::http::show_metrics))
        .routes(routes!(show_openapi))
}

/// Signing in, and who may.
fn of_people() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(people::session::http::sign_in, people::session::http::sign_out))
        .routes(routes!(people::session::http::refresh_session))
        .routes(routes!(people::joined::http::switch_tenant))
        .routes(routes!(people::joined::http::list_own_tenants))
        .routes(routes!(people::session::http::show_me))
        .routes(routes!(people::session::http::change_password))
        .routes(routes!(people::session::http::list_sessions))
        .routes(routes!(people::session::http::end_session))
        .routes(routes!(people::user::http::list_users, people::user::http::create_user))
        .routes(routes!(people::user::http::show_user, people::user::http::update_user))
        .routes(routes!(people::user::http::reset_password))
        .routes(routes!(people::authenticator::http::begin_authenticator))
        .routes(routes!(people::authenticator::http::confirm_authenticator))
        .routes(routes!(people::authenticator::http::remove_authenticator))
        .routes(routes!(people::authenticator::http::remove_users_authenticator))
        .routes(routes!(people::api_token::http::create_token, people::api_token::http::list_tokens))
        .routes(routes!(people::api_token::http::revoke_token))
        .routes(routes!(people::reset::http::request_password_reset))
        .routes(routes!(people::reset::http::redeem_password_reset))
        .routes(routes!(people::sign_up::http::sign_up))
        .routes(routes!(people::sign_up::http::confirm_sign_up))
        .routes(routes!(
            people::oidc::http::show_identity_provider,
            people::oidc::http::put_identity_provider,
            people::oidc::http::remove_identity_provider
        ))
        .routes(routes!(people::oidc::http::begin_sign_in))
        .routes(routes!(people::oidc::http::finish_sign_in))
        .routes(routes!(outbox::http::list_mail_templates))
        .routes(routes!(outbox::http::put_mail_template, outbox::http::reset_mail_template))
        .routes(routes!(
            people::invitation::http::create_invitation,
            people::invitation::http::list_invitations
        ))
        .routes(routes!(pages::show_home))
        .routes(routes!(pages::show_sign_in))
        .routes(routes!(pages::show_invitation))
        .routes(routes!(pages::show_new_password))
        .routes(routes!(pages::show_sign_up))
        .routes(routes!(pages::show_account))
        .routes(routes!(pages::show_style))
        .routes(routes!(pages::show_script))
        .routes(routes!(people::invitation::http::accept_invitation))
        .routes(routes!(people::invitation::http::revoke_invitation))
}

/// The document that describes every route.
///
/// # Errors
/// It cannot be written as JSON.
pub(crate) fn openapi_json() -> Result<String, serde_json::Error> {
    let mut document = described().into_openapi();
    for item in document.paths.paths.values_mut() {
        // One handler serves both, but each needs a name of its own.
        if let (Some(get), Some(post)) = (&item.get, &mut item.post)
            && let (Some(name), true) = (&get.operation_id, get.operation_id == post.operation_id)
        {
            post.operation_id = Some(format!("{name}_by_form"));
        }
        for operation in [&mut item.get, &mut item.post, &mut item.put, &mut item.delete, &mut item.patch] {
            tell_of_limits(operation.as_mut());
        }
    }
    document.to_json()
}

/// Whatever looks at a credential may find that it is beyond a limit ([`crate::limits`]).
fn tell_of_limits(operation: Option<&mut Operation>) {
    let Some(responses) = operation.map(|operation| &mut operation.responses.responses) else { return };
    if let Some(RefOr::T(mut refused)) = responses.get("401").cloned() {
        "beyond a limit; come back after Retry-After".clone_into(&mut refused.description);
        responses.entry("429".to_owned()).or_insert(RefOr::T(refused));
    }
}

pub(crate) fn router(app: Arc<App>) -> Router {
    let (router, _) = described().split_for_parts();
    let router = router
        .fallback(get(not_found).post(not_found).put(not_found).delete(not_found).patch(not_found))
        .layer(middleware::from_fn_with_state(Arc::clone(&app), admission::admit))
        .layer(middleware::from_fn_with_state(Arc::clone(&app), admission::read_on))
        // Outside of it: what waits or is refused there is timed, too.
        .layer(middleware::from_fn_with_state(Arc::clone(&app), operation::requests::time))
        .layer(middleware::from_fn_with_state(Arc::clone(&app), drain::send_elsewhere));
    let router = match app.resolution.is_development() {
        true => router.layer(middleware::from_fn(resolution::take_query)),
        false => router,
    };
    router.with_state(app)
}

/// Show this document
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "operation",
    responses((status = 200, description = "OpenAPI 3.1", body = Object))
)]
async fn show_openapi(State(app): State<Arc<App>>) -> ([(HeaderName, &'static str); 1], String) {
    ([(CONTENT_TYPE, "application/json")], app.openapi.clone())
}

async fn not_found() -> ApiError {
    ApiError::NotFound
}
