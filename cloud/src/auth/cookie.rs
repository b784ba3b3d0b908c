//! The cookie of a page where somebody is signed in, and that a request which changes something comes from such a page.
//!
//! A browser sends the cookie with whatever asks it to, other sites' forms included. So whoever changes something also repeats, in
//! `X-CSRF-Token`, what the service has told the page alone: it is derived from the cookie, which no script can read, and no other
//! site can read our answers. `__Host-` ties the cookie to this host and to HTTPS; browsers take it on `localhost` without.

use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, header};
use sha2::{Digest as _, Sha256};
use storepulse_shared::ids::TenantId;
use storepulse_shared::key::SessionToken;

use crate::problem::ApiError;

/// As browsers know it.
const NAME: &str = "__Host-storepulse";
/// What is repeated with whatever changes something.
const CSRF_HEADER: &str = "x-csrf-token";
/// Bytes of it: 128 bits.
const CSRF_BYTES: usize = 16;

/// A cookie of ours.
#[derive(Debug, Clone)]
pub(crate) struct Cookie(SessionToken);

impl Cookie {
    pub(crate) const fn new(token: SessionToken) -> Self {
        Self(token)
    }

    pub(super) const fn tenant(&self) -> &TenantId {
        self.0.tenant()
    }

    pub(super) fn expose(&self) -> &str {
        self.0.expose()
    }

    /// What its page repeats. Nobody makes it who does not know the cookie.
    pub(crate) fn csrf_token(&self) -> String {
        let digest = Sha256::new().chain_update(b"storepulse csrf ").chain_update(self.expose()).finalize();
        digest.iter().take(CSRF_BYTES).map(|byte| format!("{byte:02x}")).collect()
    }

    /// `Set-Cookie`, for as long as the browser runs; when the session ends is the service's to say.
    pub(crate) fn set(&self) -> Result<HeaderValue, ApiError> {
        let value = format!("{NAME}={}; Path=/; Secure; HttpOnly; SameSite=Lax", self.expose());
        let mut value = HeaderValue::from_str(&value).map_err(|e| ApiError::Internal(e.into()))?;
        value.set_sensitive(true);
        Ok(value)
    }
}

/// `Set-Cookie` that takes it away.
pub(crate) const CLEARED: &str = "__Host-storepulse=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0";

/// The one that a request comes with, if it is whole. Two of them are none.
pub(super) fn of(parts: &Parts) -> Option<Cookie> {
    let mut ours = parts
        .headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().strip_prefix(NAME)?.strip_prefix('='));
    let (one, None) = (ours.next()?, ours.next()) else { return None };
    one.parse().ok().map(Cookie)
}

/// Refuses what a page of ours has not asked for, where something may change.
pub(super) fn check_origin(parts: &Parts, cookie: &Cookie) -> Result<(), ApiError> {
    if matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(());
    }
    let told = parts.headers.get(CSRF_HEADER).map(HeaderValue::as_bytes).unwrap_or_default();
    // Of equal length whoever has told it; what differs takes as long as what does not.
    let expected = cookie.csrf_token();
    let differs = told.len() != expected.len()
        || told.iter().zip(expected.as_bytes()).fold(0, |differs, (a, b)| differs | (a ^ b)) != 0;
    if differs {
        let detail = "repeat the page's csrf_token in X-CSRF-Token: GET /v1/me tells it".to_owned();
        return Err(ApiError::Forbidden { code: "csrf_token_missing", detail });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn parts(method: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().method(method);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn cookie() -> Cookie {
        Cookie::new(SessionToken::issue(&"la-villa".parse().unwrap()))
    }

    #[test]
    fn the_cookie_is_found_among_others_and_two_of_them_are_none() {
        let (ours, other) = (cookie(), cookie());
        let pair = |cookie: &Cookie| format!("{NAME}={}", cookie.expose());
        let among = format!("a=1; {}; b=2", pair(&ours));
        assert_eq!(of(&parts("GET", &[("cookie", &among)])).unwrap().expose(), ours.expose());
        let two = format!("{}; {}", pair(&ours), pair(&other));
        assert!(of(&parts("GET", &[("cookie", &two)])).is_none());
        assert!(of(&parts("GET", &[("cookie", &pair(&ours)), ("cookie", &pair(&other))])).is_none());
        assert!(of(&parts("GET", &[("cookie", "__Host-storepulse=session_la-villa_x")])).is_none());
        assert!(ours.set().unwrap().to_str().unwrap().ends_with("; Path=/; Secure; HttpOnly; SameSite=Lax"));
    }

    #[test]
    fn what_changes_something_repeats_what_the_page_was_told() {
        let (ours, other) = (cookie(), cookie());
        let token = ours.csrf_token();
        assert!(check_origin(&parts("GET", &[]), &ours).is_ok());
        assert!(check_origin(&parts("POST", &[(CSRF_HEADER, &token)]), &ours).is_ok());
        assert!(check_origin(&parts("DELETE", &[]), &ours).is_err());
        assert!(check_origin(&parts("PUT", &[(CSRF_HEADER, &other.csrf_token())]), &ours).is_err());
        assert!(check_origin(&parts("POST", &[(CSRF_HEADER, &token[..31])]), &ours).is_err());
    }
}
