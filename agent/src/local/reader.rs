//! Who reads the page: in which language, and whether signed in.

use std::convert::Infallible;
use std::time::Instant;

use axum::extract::FromRequestParts;
use axum::http::header::{ACCEPT_LANGUAGE, COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};

use super::LocalState;
use super::guard::Words;
use crate::language::Language;

/// The session, as browsers know it. No script sees it, and no other site's page brings it along.
const SESSION_COOKIE: &str = "storepulse_session";
/// The chosen language.
const LANGUAGE_COOKIE: &str = "storepulse_lang";

/// Whoever made this request.
#[derive(Debug, Clone)]
pub(crate) struct Reader {
    /// Chosen with `?lang=`, kept in a cookie; otherwise the browser's.
    pub language: Language,
    /// Only after the PIN.
    pub session: Option<Session>,
    /// Whether a PIN is configured; without one there are no actions.
    pub can_sign_in: bool,
}

/// A session of whoever knew the PIN.
#[derive(Clone)]
pub(crate) struct Session {
    /// What every form must bring back.
    pub csrf: String,
    /// Minutes that it still lasts.
    pub minutes_left: u64,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("minutes_left", &self.minutes_left).finish_non_exhaustive()
    }
}

impl Reader {
    /// What the guard and the actions say to them.
    pub(crate) const fn words(&self) -> &'static Words {
        Words::of(self.language)
    }
}

impl FromRequestParts<LocalState> for Reader {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &LocalState) -> Result<Self, Infallible> {
        let session = session_id(&parts.headers).and_then(|id| state.access.session(id, Instant::now()));
        let language = language(parts.uri.query(), &parts.headers);
        Ok(Self { language, session, can_sign_in: state.access.has_pin() })
    }
}

fn language(query: Option<&str>, headers: &HeaderMap) -> Language {
    let accepted = || headers.get(ACCEPT_LANGUAGE)?.to_str().ok();
    chosen(query)
        .or_else(|| Language::of_tag(cookie(headers, LANGUAGE_COOKIE)?))
        .or_else(|| Language::of_header(accepted()?))
        .unwrap_or(Language::En)
}

/// The language that `?lang=` chooses.
pub(super) fn chosen(query: Option<&str>) -> Option<Language> {
    let (_, tag) = form_urlencoded::parse(query?.as_bytes()).find(|(name, _)| name == "lang")?;
    Language::of_tag(&tag)
}

/// `Set-Cookie` for a language: a year.
pub(super) fn keep(language: Language) -> HeaderValue {
    HeaderValue::from_static(match language {
        Language::En => "storepulse_lang=en; Path=/; Max-Age=31536000; SameSite=Lax",
        Language::Es => "storepulse_lang=es; Path=/; Max-Age=31536000; SameSite=Lax",
        Language::Pt => "storepulse_lang=pt; Path=/; Max-Age=31536000; SameSite=Lax",
    })
}

/// The id of the session that a request claims.
pub(super) fn session_id(headers: &HeaderMap) -> Option<&str> {
    cookie(headers, SESSION_COOKIE).filter(|id| !id.is_empty())
}

/// `Set-Cookie` for a session; empty takes it away. When it ends is ours to say, not the browser's.
pub(super) fn keep_session(id: &str) -> Option<HeaderValue> {
    let ends = if id.is_empty() { "; Max-Age=0" } else { "" };
    let text = format!("{SESSION_COOKIE}={id}; Path=/; HttpOnly; SameSite=Strict{ends}");
    let mut value = HeaderValue::from_str(&text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The value of a cookie; two of one name are none.
fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let all = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = all.flat_map(|value| value.split(';'));
    let mut ours = pairs.filter_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='));
    let (one, None) = (ours.next()?, ours.next()) else { return None };
    Some(one)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(cookie: &'static str, accepted: &'static str) -> HeaderMap {
        [(COOKIE, cookie), (ACCEPT_LANGUAGE, accepted)]
            .map(|(name, value)| (name, HeaderValue::from_static(value)))
            .into_iter()
            .collect()
    }

    #[test]
    fn a_language_is_chosen_kept_or_the_browsers() {
        let kept = headers("a=b; storepulse_lang=pt", "es-MX,es;q=0.9");
        assert_eq!(language(Some("x=1&lang=en"), &kept), Language::En);
        assert_eq!(language(Some("lang=fr"), &kept), Language::Pt);
        assert_eq!(language(None, &headers("storepulse_lang=xx", "es-MX,es;q=0.9")), Language::Es);
        assert_eq!(language(None, &HeaderMap::new()), Language::En);
        for language in Language::ALL {
            assert!(
                keep(language)
                    .to_str()
                    .unwrap()
                    .starts_with(&format!("{LANGUAGE_COOKIE}={}; ", language.code()))
            );
        }
    }

    #[test]
    fn a_session_is_claimed_by_one_cookie() {
        assert_eq!(session_id(&headers("a=b; storepulse_session=x1", "")), Some("x1"));
        assert_eq!(session_id(&headers("storepulse_session=x1; storepulse_session=x2", "")), None);
        assert_eq!(session_id(&headers("storepulse_session=", "")), None);
        assert_eq!(session_id(&headers("storepulse_sessions=x1", "")), None);
        assert!(
            keep_session("x1").unwrap().to_str().unwrap().ends_with("x1; Path=/; HttpOnly; SameSite=Strict")
        );
        assert!(keep_session("").unwrap().to_str().unwrap().ends_with("Max-Age=0"));
    }
}
