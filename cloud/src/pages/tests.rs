//! That the pages hold what they promise: nothing inline, nothing from elsewhere, all words in all languages, few bytes.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::header;

use super::*;

/// What a first visit may cost in all, as it goes over the line.
const PACKED_BYTES_MAX: usize = 40_000;

const LANGUAGES: [(&str, &str); 3] = [
    ("en", include_str!("words/en.json")),
    ("es", include_str!("words/es.json")),
    ("pt", include_str!("words/pt.json")),
];

/// Words whose keys the script puts together from what it is told.
const TOLD: [&str; 3] = ["problem_", "role_", "scope_"];

fn words(text: &str) -> BTreeMap<String, String> {
    serde_json::from_str(text).unwrap()
}

/// What stands between the marks, each time.
fn between<'a>(text: &'a str, from: &str, to: &str) -> Vec<&'a str> {
    text.split(from).skip(1).filter_map(|rest| rest.split_once(to)).map(|(found, _)| found).collect()
}

/// The keys that the script asks for by name.
fn asked_for() -> BTreeSet<String> {
    let is_key = |key: &&str| !key.is_empty() && key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    between(SCRIPT, "'@", "'").into_iter().filter(is_key).map(str::to_owned).collect()
}

fn told(headers: &[(&'static str, &'static str)]) -> Response {
    let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
    KEPT_SCRIPT.tell(&headers.collect())
}

#[test]
fn the_shell_holds_no_script_and_no_style_of_its_own() {
    let shell = SHELL.to_lowercase();
    assert!(!shell.contains("<style") && !shell.contains("style="));
    assert!(!shell.contains("javascript:") && !shell.contains("://"));
    assert_eq!(between(&shell, "<script", "</script>"), [r#" type="module" src="/pages/people.js">"#]);
    let tags = between(&shell, "<", ">");
    let attributes = || tags.iter().flat_map(|tag| tag.split_whitespace().skip(1));
    assert!(attributes().count() > 10);
    assert!(attributes().all(|attribute| !attribute.starts_with("on")));
}

#[test]
fn the_script_makes_nothing_of_text_and_asks_nobody_else() {
    for banned in [
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "new Function",
        "javascript:",
        "http://",
        "https://",
        "import(",
        "import ",
        "console.",
        "sessionStorage",
        "indexedDB",
        "document.cookie",
        ".style",
    ] {
        assert!(!SCRIPT.contains(banned), "{banned}");
    }
    // The one thing that is kept is the tenant.
    assert_eq!(
        between(SCRIPT, "localStorage.", "(").into_iter().collect::<BTreeSet<_>>(),
        ["getItem", "setItem"].into()
    );
    assert!(SCRIPT.contains("localStorage.setItem(REMEMBERED, tenant)"));
    assert_eq!(SCRIPT.matches("localStorage.setItem(").count(), 1);
    assert!(!STYLE.contains("url(") && !STYLE.contains("@import"));
}

#[test]
fn every_language_has_every_word_that_is_asked_for_and_no_other() {
    let asked_for = asked_for();
    assert!(asked_for.len() > 80);
    let english = words(LANGUAGES[0].1);
    for (language, text) in LANGUAGES {
        assert!(SCRIPT.contains(text), "{language}");
        let words = words(text);
        assert!(words.keys().eq(english.keys()), "{language} has other words than English");
        for key in &asked_for {
            assert!(words.contains_key(key), "{language} lacks {key}");
        }
        for (key, word) in &words {
            assert!(
                asked_for.contains(key) || TOLD.iter().any(|told| key.starts_with(told)),
                "nothing asks for {key}"
            );
            assert!(!word.trim().is_empty(), "{language}: {key} is empty");
            let values =
                |word| between(word, "{", "}").into_iter().map(str::to_owned).collect::<BTreeSet<_>>();
            assert_eq!(values(word), values(&english[key]), "{language}: {key}");
        }
    }
}

#[test]
fn what_brings_people_to_the_page_and_what_they_meet_there_is_said_in_words() {
    let known = words(LANGUAGES[0].1);
    for code in [
        // Of `/sign-in?problem=`.
        "no_provider",
        "provider_unreachable",
        "provider_refused",
        "visit_unknown",
        "not_a_user",
        "tenant_suspended",
        // Of the routes.
        "sign_in_failed",
        "code_required",
        "code_wrong",
        "codes_closed",
        "rate_limited",
        "overloaded",
        "mail_off",
        "invitation_unknown",
        "reset_unknown",
        "sign_up_unknown",
        "tenant_exists",
        "user_exists",
        "csrf_token_missing",
    ] {
        assert!(known.contains_key(&format!("problem_{code}")), "{code}");
    }
}

#[test]
fn a_first_visit_costs_few_bytes() {
    let bytes = KEPT_SHELL.packed_bytes() + KEPT_STYLE.packed_bytes() + KEPT_SCRIPT.packed_bytes();
    assert!(bytes < PACKED_BYTES_MAX, "{bytes}");
    assert!(SHELL.len() + STYLE.len() + SCRIPT.len() < 2 * PACKED_BYTES_MAX);
}

#[tokio::test]
async fn all_of_them_come_with_the_policy_of_their_content() {
    let none = HeaderMap::new;
    let all = [
        show_sign_in(none()).await,
        show_invitation(none()).await,
        show_new_password(none()).await,
        show_sign_up(none()).await,
        show_account(none()).await,
        show_style(none()).await,
        show_script(none()).await,
        told(&[("if-none-match", "*")]),
    ];
    for response in all {
        let says = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
        let policy = says("content-security-policy");
        for part in [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "connect-src 'self'",
            "img-src 'self' data:",
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        ] {
            assert!(policy.split("; ").any(|each| each == part), "{part}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(says("x-content-type-options"), "nosniff");
        assert_eq!(says("referrer-policy"), "no-referrer");
        assert_eq!(says("cross-origin-opener-policy"), "same-origin");
        assert_eq!(says("cache-control"), "no-cache");
    }
    assert_eq!(show_account(none()).await.headers()[header::CONTENT_TYPE], "text/html; charset=utf-8");
}

#[tokio::test]
async fn what_a_browser_keeps_is_told_again_only_if_it_has_changed() {
    let plain = told(&[]);
    let packed = told(&[("accept-encoding", "br, gzip;q=0.8")]);
    let tag = |response: &Response| response.headers()[header::ETAG].to_str().unwrap().to_owned();
    assert!(tag(&plain).starts_with('"') && tag(&plain) != tag(&packed));
    assert_eq!(packed.headers()[header::CONTENT_ENCODING], "gzip");
    assert!(told(&[("accept-encoding", "gzip;q=0, br")]).headers().get(header::CONTENT_ENCODING).is_none());

    let (same, weak) = (tag(&plain), format!("\"other\", W/{}", tag(&plain)));
    for (held, status) in [(same.as_str(), 304), (&weak, 304), ("*", 304), ("\"other\"", 200)] {
        let mut headers = HeaderMap::new();
        headers.insert(header::IF_NONE_MATCH, held.parse().unwrap());
        let response = KEPT_SCRIPT.tell(&headers);
        assert_eq!(response.status(), status, "{held}");
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        assert_eq!(body.is_empty(), status == 304);
    }

    let body = axum::body::to_bytes(packed.into_body(), usize::MAX).await.unwrap();
    let mut unpacked = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&*body), &mut unpacked).unwrap();
    assert_eq!(unpacked, SCRIPT);
}
