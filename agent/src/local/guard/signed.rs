//! Who may act: a session, and the form that was made for it.

use axum::extract::{FromRequest, FromRequestParts as _, Request};
use axum::http::header::{HOST, REFERER};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};

use super::form::Fields;
use super::sessions::same;
use crate::local::reader::{Reader, Session};
use crate::local::{LocalState, refuse};

/// Longest path that signing in leads back to.
const PATH_BYTES_MAX: usize = 200;

/// An action by somebody who is signed in, from a form of this session. Its origin was checked before.
pub(crate) struct Signed {
    pub reader: Reader,
    /// What else the form said.
    pub fields: Fields,
}

impl FromRequest<LocalState> for Signed {
    type Rejection = Response;

    async fn from_request(request: Request, state: &LocalState) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let Ok(reader) = Reader::from_request_parts(&mut parts, state).await;
        let Some(session) = &reader.session else {
            return Err(to_sign_in(&page_of(&parts.headers)));
        };
        let request = Request::from_parts(parts, body);
        let fields = Fields::from_request(request, state).await.map_err(StatusCode::into_response)?;
        if !is_of(session, fields.get("csrf")) {
            return Err(refuse(&reader, StatusCode::FORBIDDEN, reader.words().old_form));
        }
        Ok(Self { reader, fields })
    }
}

fn is_of(session: &Session, told: &str) -> bool {
    let hash = |text: &str| sha2::Digest::chain_update(sha2::Sha256::default(), text);
    same(&sha2::Digest::finalize(hash(&session.csrf)).into(), &sha2::Digest::finalize(hash(told)).into())
}

/// Leads to the PIN, and from there to a page of ours.
pub(crate) fn to_sign_in(then: &str) -> Response {
    let query: String = form_urlencoded::Serializer::new(String::new()).append_pair("then", then).finish();
    Redirect::to(&format!("/sign-in?{query}")).into_response()
}

/// The page of ours that the form stands on.
fn page_of(headers: &HeaderMap) -> String {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let referer: Option<axum::http::Uri> = text(REFERER).parse().ok();
    let page = referer.filter(|uri| uri.authority().is_some_and(|from| from.as_str() == text(HOST)));
    page.map(|uri| uri.path().to_owned())
        .filter(|path| is_path_of_ours(path))
        .unwrap_or_else(|| "/".to_owned())
}

/// Whether this leads to a page of this box and nowhere else.
pub(crate) fn is_path_of_ours(path: &str) -> bool {
    path.len() <= PATH_BYTES_MAX
        && path.starts_with('/')
        && !path.starts_with("//")
        && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn only_paths_of_this_box_are_led_to() {
        for path in ["/", "/device/fridge", "/setup/scale/scale-1?x=1"] {
            assert!(is_path_of_ours(path), "{path}");
        }
        let long = format!("/{}", "a".repeat(PATH_BYTES_MAX));
        for path in [
            "",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "evil",
            "/a b",
            "/a\r\nb",
            "/ñ",
            &long,
        ] {
            assert!(!is_path_of_ours(path), "{path}");
        }
    }

    #[test]
    fn signing_in_leads_back_to_the_page_of_the_form() {
        let page = |referer: &'static str| {
            let headers = [(HOST, "box:9750"), (REFERER, referer)];
            page_of(
                &headers.map(|(name, value)| (name, HeaderValue::from_static(value))).into_iter().collect(),
            )
        };
        assert_eq!(page("http://box:9750/device/fridge?lang=es"), "/device/fridge");
        assert_eq!(page("http://evil.example/device/fridge"), "/");
        assert_eq!(page("http://box:9750//evil.example/x"), "/");
        assert_eq!(page("rubbish"), "/");
    }

    #[test]
    fn a_form_is_of_its_session_only() {
        let session = Session { csrf: "abc".to_owned(), minutes_left: 1 };
        assert!(is_of(&session, "abc"));
        assert!(!is_of(&session, "") && !is_of(&session, "abcd") && !is_of(&session, "abd"));
    }
}
