//! The small pages of people: where they sign in, where the links of their mails lead, and the account of whoever is signed in.
//!
//! They are one shell, one style and one script without anything of a third party, compiled in; the script asks the same `/v1/`
//! routes as every other client, and knows nothing that its reader may not. What it is told by a link's `#…` or by an answer is in
//! no address, log or store of the browser. Words are data, `words/<language>.json`: every language has every word. Which page it is
//! the script sees by its path.
//!
//! ```text
//! shell.html ─► /pages/people.css
//!            └► /pages/people.js = words/*.json + script/*.js, one after the other: one module
//! ```
//!
//! The policy of their content lets nothing run that is not of these files, so what a tenant or a problem is called is text only.

mod kept;
#[cfg(test)]
mod tests;

use std::sync::LazyLock;

use axum::http::HeaderMap;
use axum::response::{Redirect, Response};

use self::kept::Kept;

const SHELL: &str = include_str!("shell.html");
const STYLE: &str = include_str!("people.css");
const SCRIPT: &str = concat!(
    "const WORDS = {\"en\": ",
    include_str!("words/en.json"),
    ", \"es\": ",
    include_str!("words/es.json"),
    ", \"pt\": ",
    include_str!("words/pt.json"),
    "};\n",
    include_str!("script/linked.js"),
    include_str!("script/language.js"),
    include_str!("script/ask.js"),
    include_str!("script/form.js"),
    include_str!("script/steps.js"),
    include_str!("script/sign_in.js"),
    include_str!("script/links.js"),
    include_str!("script/account.js"),
    include_str!("script/start.js"),
);

static KEPT_SHELL: LazyLock<Kept> = LazyLock::new(|| Kept::new("text/html; charset=utf-8", SHELL));
static KEPT_STYLE: LazyLock<Kept> = LazyLock::new(|| Kept::new("text/css; charset=utf-8", STYLE));
static KEPT_SCRIPT: LazyLock<Kept> = LazyLock::new(|| Kept::new("text/javascript; charset=utf-8", SCRIPT));

/// Go to one's account, where one is asked to sign in
#[utoipa::path(
    get,
    path = "/",
    tag = "pages",
    responses((status = 303, description = "to /account"))
)]
pub(crate) async fn show_home() -> Redirect {
    Redirect::to("/account")
}

/// Show the page to sign in
///
/// Its script looks at `?tenant=`, `?return_to=` (a path of this service), `?problem=` and `?lang=`; the service does not.
#[utoipa::path(
    get,
    path = "/sign-in",
    tag = "pages",
    responses(
        (status = 200, description = "the page", body = String, content_type = "text/html"),
        (status = 304, description = "as it was"),
    )
)]
pub(crate) async fn show_sign_in(headers: HeaderMap) -> Response {
    KEPT_SHELL.tell(&headers)
}

/// Show the page to accept an invitation; its token stands behind the `#` of the link
#[utoipa::path(
    get,
    path = "/invitation",
    tag = "pages",
    responses(
        (status = 200, description = "the page", body = String, content_type = "text/html"),
        (status = 304, description = "as it was"),
    )
)]
pub(crate) async fn show_invitation(headers: HeaderMap) -> Response {
    KEPT_SHELL.tell(&headers)
}

/// Show the page to choose another password; its token stands behind the `#` of the link
#[utoipa::path(
    get,
    path = "/new-password",
    tag = "pages",
    responses(
        (status = 200, description = "the page", body = String, content_type = "text/html"),
        (status = 304, description = "as it was"),
    )
)]
pub(crate) async fn show_new_password(headers: HeaderMap) -> Response {
    KEPT_SHELL.tell(&headers)
}

/// Show the page to sign up, and to finish it with the token behind the `#` of the link
#[utoipa::path(
    get,
    path = "/sign-up",
    tag = "pages",
    responses(
        (status = 200, description = "the page, also where nobody signs up by herself: it says so", body = String, content_type = "text/html"),
        (status = 304, description = "as it was"),
    )
)]
pub(crate) async fn show_sign_up(headers: HeaderMap) -> Response {
    KEPT_SHELL.tell(&headers)
}

/// Show the page of one's own account; it goes to the page to sign in where nobody is
#[utoipa::path(
    get,
    path = "/account",
    tag = "pages",
    responses(
        (status = 200, description = "the page", body = String, content_type = "text/html"),
        (status = 304, description = "as it was"),
    )
)]
pub(crate) async fn show_account(headers: HeaderMap) -> Response {
    KEPT_SHELL.tell(&headers)
}

/// Show the style of these pages
#[utoipa::path(
    get,
    path = "/pages/people.css",
    tag = "pages",
    responses(
        (status = 200, description = "the style", body = String, content_type = "text/css"),
        (status = 304, description = "as it was"),
    )
)]
pub(crate) async fn show_style(headers: HeaderMap) -> Response {
    KEPT_STYLE.tell(&headers)
}

/// Show the script of these pages, with its words
#[utoipa::path(
    get,
    path = "/pages/people.js",
    tag = "pages",
    responses(
        (status = 200, description = "the module", body = String, content_type = "text/javascript"),
        (status = 304, description = "as it was"),
    )
)]
pub(crate) async fn show_script(headers: HeaderMap) -> Response {
    KEPT_SCRIPT.tell(&headers)
}
