//! Whether what changes something was sent by a page of ours.
//!
//! Browsers say where a form stands: `Origin`, and over a way that they trust `Sec-Fetch-Site`. Whoever says neither is no
//! browser. This is one of three: the session's cookie is `SameSite=Strict`, and every form brings back a token.

use axum::http::{HeaderMap, header};

/// What browsers say of where a request comes from.
const FETCH_SITE: &str = "sec-fetch-site";

/// Whether this may come from a page of ours, which the request itself calls `host`.
pub(super) fn is_ours(headers: &HeaderMap, host: &str) -> bool {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let origin = match (origins.next(), origins.next()) {
        (None, _) => true,
        (Some(one), None) => one.to_str().is_ok_and(|origin| is_of(origin, host)),
        // Two of them are none.
        (Some(_), Some(_)) => false,
    };
    let site = headers.get(FETCH_SITE).is_none_or(|site| site == "same-origin" || site == "none");
    origin && site
}

fn is_of(origin: &str, host: &str) -> bool {
    let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn ours(sent: &[(&'static str, &'static str)]) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in sent {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        is_ours(&headers, "box.local:9750")
    }

    #[test]
    fn a_page_of_ours_or_no_page_at_all() {
        for sent in [
            &[][..],
            &[("origin", "http://box.local:9750")],
            &[("origin", "https://BOX.local:9750"), ("sec-fetch-site", "same-origin")],
            &[("sec-fetch-site", "none")],
        ] {
            assert!(ours(sent), "{sent:?}");
        }
        for sent in [
            &[("origin", "http://evil.example")][..],
            &[("origin", "http://box.local")],
            &[("origin", "http://box.local:9751")],
            &[("origin", "http://box.local:9750.evil.example")],
            &[("origin", "null")],
            &[("origin", "")],
            &[("origin", "box.local:9750")],
            &[("origin", "http://box.local:9750"), ("origin", "http://evil.example")],
            &[("origin", "http://box.local:9750"), ("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site")],
        ] {
            assert!(!ours(sent), "{sent:?}");
        }
    }
}
