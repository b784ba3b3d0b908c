//! Does something in the shop's network answer in the cloud's place? A page for guests answers plain HTTP, for whatever host, and
//! sends people somewhere else or shows them something. It is asked without the key.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, LOCATION};

use super::way::Target;

const LIMIT: Duration = Duration::from_secs(4);

/// What answers plain HTTP where the cloud should be, if it is not the cloud.
pub(super) async fn look(target: &Target) -> Option<String> {
    // Where the cloud has its usual port, portals take the usual one of plain HTTP.
    let port = if target.is_tls && target.port == 443 { 80 } else { target.port };
    let client =
        reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).timeout(LIMIT);
    let url = format!("http://{}:{port}/health", target.host);
    let response = client.build().ok()?.get(url).send().await.ok()?;
    let header =
        |name| response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    judge(&target.host, response.status().as_u16(), header(LOCATION), header(CONTENT_TYPE))
}

/// A redirect to another host, or a page.
pub(super) fn judge(host: &str, status: u16, location: &str, media_type: &str) -> Option<String> {
    let elsewhere = reqwest::Url::parse(location).ok().and_then(|url| url.host_str().map(str::to_owned));
    match (status, elsewhere) {
        (300..=399, Some(other)) if !other.eq_ignore_ascii_case(host) => {
            Some(format!("it answers {status} and sends us to {other}"))
        }
        (511, _) => Some("it answers 511: this network wants a sign-in".to_owned()),
        (200..=299, _) if media_type.starts_with("text/html") => {
            Some(format!("it answers {status} with a page for people"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_portal_redirects_elsewhere_or_shows_a_page() {
        let is_portal =
            |status, location, media_type| judge("cloud.example", status, location, media_type).is_some();
        assert!(is_portal(302, "http://wifi.hotel/login", ""));
        assert!(is_portal(200, "", "text/html; charset=utf-8") && is_portal(511, "", ""));
        // The cloud itself leads from plain HTTP to TLS.
        assert!(!is_portal(308, "https://cloud.example/health", ""));
        assert!(!is_portal(200, "", "application/json") && !is_portal(404, "", "text/html"));
    }
}
