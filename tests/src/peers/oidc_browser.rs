//! A person at a browser who signs in at the provider of `tests/peers/oidc`: follows redirects, keeps cookies, fills in two forms.
//!
//! It knows the forms of that program and no others. Each sign-in begins without cookies, so everybody is asked who she is.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail, ensure};
use reqwest::Url;
use reqwest::header::{CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE};

/// Pages that a sign-in may take; it takes some eight.
const PAGES_MAX: usize = 20;

/// Goes where the service sends a browser, signs in there as `login`, agrees, and returns the URL that the browser is sent back
/// to, without asking there. The client must not follow redirects by itself.
pub(super) async fn sign_in_at_provider(
    http: &reqwest::Client,
    url: &str,
    login: &str,
) -> anyhow::Result<String> {
    let mut url = Url::parse(url).with_context(|| url.to_owned())?;
    let provider = url.origin();
    let (mut cookies, mut form) = (BTreeMap::new(), None);
    for _ in 0..PAGES_MAX {
        if url.origin() != provider {
            return Ok(url.into());
        }
        let response = ask(http, &url, &mut cookies, form.take()).await?;
        let status = response.status();
        if status.is_redirection() {
            let location = response.headers().get(LOCATION).context("a redirect to nowhere")?.to_str()?;
            url = url.join(location)?;
            continue;
        }
        let page = response.text().await?;
        ensure!(status.is_success(), "the provider answers {status} at {}", url.path());
        (url, form) = filled_in(&page, &url, login)?;
    }
    bail!("the provider has not ended after {PAGES_MAX} pages")
}

async fn ask(
    http: &reqwest::Client,
    url: &Url,
    cookies: &mut BTreeMap<String, String>,
    form: Option<String>,
) -> anyhow::Result<reqwest::Response> {
    let held: Vec<String> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let request = match form {
        Some(form) => {
            http.post(url.clone()).header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form)
        }
        None => http.get(url.clone()),
    };
    let response = request.header(COOKIE, held.join("; ")).send().await?;
    for set in response.headers().get_all(SET_COOKIE) {
        let pair = set.to_str()?.split(';').next().unwrap_or_default();
        match pair.split_once('=') {
            // How this provider takes one back.
            Some((name, "")) => drop(cookies.remove(name)),
            Some((name, value)) => drop(cookies.insert(name.to_owned(), value.to_owned())),
            None => {}
        }
    }
    Ok(response)
}

/// Where the form of a page goes, and with what.
fn filled_in(page: &str, at: &Url, login: &str) -> anyhow::Result<(Url, Option<String>)> {
    let after = |text: &str, before: &str| text.split_once(before).map(|(_, after)| after.to_owned());
    let quoted = |before: &str| {
        let value = after(page, before)?;
        value.split_once('"').map(|(value, _)| value.to_owned())
    };
    let action = quoted(r#"action=""#).with_context(|| format!("no form at {}", at.path()))?;
    let action = at.join(&action.replace("&amp;", "&"))?;
    let prompt = quoted(r#"name="prompt" value=""#).context("a form that asks for nothing")?;
    let fields = match prompt.as_str() {
        "login" => vec![("prompt", "login"), ("login", login), ("password", "any will do")],
        "consent" => vec![("prompt", "consent")],
        other => bail!("a form that asks for {other}"),
    };
    let encoded = Url::parse_with_params("http://form", &fields)?.query().map(str::to_owned);
    Ok((action, encoded))
}
