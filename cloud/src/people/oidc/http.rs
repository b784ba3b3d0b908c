//! `/v1/identity-provider` (a tenant's provider) and `/v1/providers/{tenant_id}/…` (signing in with it).

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, COOKIE, LOCATION, SET_COOKIE, USER_AGENT};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use storepulse_shared::answer::Problem;
use storepulse_shared::ids::TenantId;
use utoipa::IntoParams;

use super::{Fault, IdentityProvider, NewProvider, Stop};
use crate::app::App;
use crate::auth::{PersonAuth, address};
use crate::operator::request::{Asked, Named, Told};
use crate::people::answers::{ChangeRefusals, ReadRefusals};
use crate::people::attempts::take_strangers_turn;
use crate::people::may;
use crate::problem::ApiError;

/// What the browser holds while it is at the provider.
const VISIT: &str = "__Host-storepulse-visit";
/// Longest place to go back to, bytes.
const RETURN_TO_MAX: usize = 500;

/// Show the provider of one's tenant
#[utoipa::path(
    get,
    path = "/v1/identity-provider",
    tag = "people",
    security(("access_token" = []), ("cookie" = []), ("person_token" = []), ("entry_token" = [])),
    responses((status = 200, description = "the provider", body = IdentityProvider), ReadRefusals)
)]
pub(crate) async fn show_identity_provider(
    State(app): State<Arc<App>>,
    auth: PersonAuth<may::ReadUsers>,
) -> Result<Json<IdentityProvider>, ApiError> {
    let mut tx = app.db.tenant(&auth.tenant).await?;
    let provider = super::show(&app, &mut tx).await?;
    tx.rollback().await?;
    Ok(Json(provider))
}

/// Let a provider vouch for the people of one's tenant
#[utoipa::path(
    put,
    path = "/v1/identity-provider",
    tag = "people",
    security(("access_token" = []), ("cookie" = []), ("person_token" = []), ("entry_token" = [])),
    request_body = NewProvider,
    responses((status = 200, description = "the provider", body = IdentityProvider), ChangeRefusals)
)]
pub(crate) async fn put_identity_provider(
    State(app): State<Arc<App>>,
    auth: PersonAuth<may::ManageUsers>,
    Told(new): Told<NewProvider>,
) -> Result<Json<IdentityProvider>, ApiError> {
    let mut tx = app.db.tenant(&auth.tenant).await?;
    let provider = super::put(&app, &mut tx, &auth.actor(), new).await?;
    tx.commit().await?;
    Ok(Json(provider))
}

/// Let it vouch no more
#[utoipa::path(
    delete,
    path = "/v1/identity-provider",
    tag = "people",
    security(("access_token" = []), ("cookie" = []), ("person_token" = []), ("entry_token" = [])),
    responses((status = 204, description = "nobody signs in with it"), ChangeRefusals)
)]
pub(crate) async fn remove_identity_provider(
    State(app): State<Arc<App>>,
    auth: PersonAuth<may::ManageUsers>,
) -> Result<StatusCode, ApiError> {
    let mut tx = app.db.tenant(&auth.tenant).await?;
    super::delete(&mut tx, &auth.actor()).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Where to go.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct SignInQuery {
    /// A path of this service, for when one is signed in; `/account` if it is left out.
    return_to: Option<String>,
}

/// Go to the provider of a tenant, to sign in there
#[utoipa::path(
    get,
    path = "/v1/providers/{tenant_id}/sign-in",
    tag = "people",
    params(("tenant_id" = String, Path, description = "the tenant"), SignInQuery),
    responses(
        (status = 303, description = "to the provider; or to the page to sign in, with what is in the way"),
        (status = 400, description = "not understood, or a place to return to that is not of this service", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "what cannot be a tenant", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "too many from this address that led nowhere yet; come back after Retry-After", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "busy; come back after Retry-After", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn begin_sign_in(
    State(app): State<Arc<App>>,
    parts: Parts,
    Named(tenant): Named<TenantId>,
    Asked(query): Asked<SignInQuery>,
) -> Result<Response, ApiError> {
    let return_to = query.return_to.as_deref().unwrap_or("/account");
    check_return_to(return_to)?;
    take_strangers_turn(&app, address(&parts))?;
    match super::begin(&app, &tenant, return_to).await {
        Ok((url, state)) => {
            let cookie = format!("{VISIT}={state}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=600");
            see_other(&url, &[cookie])
        }
        Err(Stop::Fault(fault)) => stopped(&tenant, fault, query.return_to.as_deref()),
        Err(Stop::Ours(error)) => Err(error),
    }
}

/// What a provider sends people back with. It may add what it likes.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct CallbackQuery {
    /// What the provider can be asked with.
    code: Option<String>,
    /// What the browser was sent with.
    state: Option<String>,
}

/// Come back from the provider of a tenant
#[utoipa::path(
    get,
    path = "/v1/providers/{tenant_id}/callback",
    tag = "people",
    params(("tenant_id" = String, Path, description = "the tenant"), CallbackQuery),
    responses(
        (status = 303, description = "signed in, to where one wanted to go; or to the page to sign in, with what is in the way"),
        (status = 400, description = "not understood", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "what cannot be a tenant", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "busy; come back after Retry-After", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn finish_sign_in(
    State(app): State<Arc<App>>,
    parts: Parts,
    Named(tenant): Named<TenantId>,
    Asked(query): Asked<CallbackQuery>,
) -> Result<Response, ApiError> {
    let Some(state) = query.state.filter(|state| brought(&parts) == Some(state.as_str())) else {
        return stopped(&tenant, Fault::VisitUnknown, None);
    };
    let device = device(&parts);
    match super::finish(&app, &tenant, &state, query.code.as_deref(), &device).await {
        Ok((cookie, return_to)) => {
            // What she left with.
            app.strangers.give_back(address(&parts), None);
            let mut response = see_other(&return_to, &[cleared()])?;
            response.headers_mut().append(SET_COOKIE, cookie.set()?);
            Ok(response)
        }
        Err(Stop::Fault(fault)) => stopped(&tenant, fault, None),
        Err(Stop::Ours(error)) => Err(error),
    }
}

/// What this browser was given when it left. Somebody else's link to come back to opens nothing here.
fn brought(parts: &Parts) -> Option<&str> {
    let pairs = parts.headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    pairs
        .flat_map(|value| value.split(';'))
        .find_map(|pair| pair.trim().strip_prefix(VISIT)?.strip_prefix('='))
}

/// What the browser is, in words, as far as it says: for the list of sessions.
fn device(parts: &Parts) -> String {
    /// What a browser calls itself, before what it also calls itself.
    const BROWSERS: [(&str, &str); 6] = [
        ("Edg", "Edge"),
        ("OPR/", "Opera"),
        ("SamsungBrowser/", "Samsung Internet"),
        ("Firefox/", "Firefox"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
    ];
    const SYSTEMS: [(&str, &str); 7] = [
        ("Android", "Android"),
        ("iPhone", "iOS"),
        ("iPad", "iOS"),
        ("Windows", "Windows"),
        ("Mac OS X", "macOS"),
        ("CrOS", "ChromeOS"),
        ("Linux", "Linux"),
    ];
    let said = parts.headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let of = |known: &[(&str, &'static str)]| {
        known.iter().find(|(mark, _)| said.contains(mark)).map(|(_, name)| *name)
    };
    let words: Vec<&str> = [of(&BROWSERS), of(&SYSTEMS)].into_iter().flatten().collect();
    if words.is_empty() { "browser".to_owned() } else { words.join(", ") }
}

fn cleared() -> String {
    format!("{VISIT}=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0")
}

fn stopped(tenant: &TenantId, fault: Fault, return_to: Option<&str>) -> Result<Response, ApiError> {
    let mut to = format!("/sign-in?tenant={tenant}&problem={}", fault.as_str());
    if let Some(return_to) = return_to {
        to.push_str("&return_to=");
        to.extend(form_urlencoded::byte_serialize(return_to.as_bytes()));
    }
    see_other(&to, &[cleared()])
}

fn see_other(to: &str, cookies: &[String]) -> Result<Response, ApiError> {
    let value = |text: &str| HeaderValue::from_str(text).map_err(|e| ApiError::Internal(e.into()));
    let mut response = StatusCode::SEE_OTHER.into_response();
    let headers = response.headers_mut();
    headers.insert(LOCATION, value(to)?);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    for cookie in cookies {
        headers.append(SET_COOKIE, value(cookie)?);
    }
    Ok(response)
}

/// A path of this service, and nothing that a browser could take for another host.
fn check_return_to(path: &str) -> Result<(), ApiError> {
    let is_own = path.len() <= RETURN_TO_MAX
        && path.starts_with('/')
        && !path.starts_with("//")
        && path.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
    if is_own {
        return Ok(());
    }
    let detail = format!(
        "return_to: {path:.80?} is not a path of this service: it begins with one '/', and has at most {RETURN_TO_MAX} letters, digits and signs"
    );
    Err(ApiError::refused(StatusCode::BAD_REQUEST, "bad_query", detail))
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    #[test]
    fn a_browser_is_told_in_words() {
        let told = |said: &str| {
            device(&Request::builder().header(USER_AGENT, said).body(()).unwrap().into_parts().0)
        };
        let of_phone = "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Mobile Safari/537.36";
        assert_eq!(told(of_phone), "Chrome, Android");
        assert_eq!(
            told("Mozilla/5.0 (Macintosh; Intel Mac OS X 14_1) Version/17.1 Safari/605.1.15"),
            "Safari, macOS"
        );
        assert_eq!(
            told("Mozilla/5.0 (Windows NT 10.0) Chrome/130.0 Safari/537.36 Edg/130.0"),
            "Edge, Windows"
        );
        assert_eq!(told("<script>"), "browser");
    }

    #[test]
    fn one_returns_to_this_service_only() {
        for good in ["/", "/dashboards/1?a=b&c=%2F%2F#x", "/a//b"] {
            assert!(check_return_to(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "https://elsewhere.example",
            "//elsewhere.example",
            "/\\elsewhere.example",
            "\\\\elsewhere.example",
            "/a\r\nSet-Cookie: x=y",
            "/a b",
            " /a",
            "javascript:alert(1)",
            "/ñ",
            &format!("/{}", "x".repeat(500)),
        ] {
            assert!(check_return_to(bad).is_err(), "{bad}");
        }
    }
}
