//! `?tenant=` in place of `X-Tenant-ID`, for people who try things out with a browser. Only with `--development`.

use axum::extract::Request;
use axum::http::uri::{PathAndQuery, Uri};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;

use super::TENANT_HEADER;

const PARAMETER: &str = "tenant";

/// Takes the parameter out of the query, which routes read strictly, and puts it where the header would be.
pub(crate) async fn take_query(mut request: Request, next: Next) -> Response {
    let named = named(request.uri());
    if let Some((uri, tenants)) = named {
        *request.uri_mut() = uri;
        for tenant in tenants {
            // What cannot be a header cannot be a tenant: it contradicts every credential.
            let value = HeaderValue::from_str(&tenant).unwrap_or(HeaderValue::from_static("?"));
            request.headers_mut().append(HeaderName::from_static(TENANT_HEADER), value);
        }
    }
    next.run(request).await
}

/// The URI without the parameter, and its values, if there are any.
fn named(uri: &Uri) -> Option<(Uri, Vec<String>)> {
    let query = uri.query()?;
    let (named, rest): (Vec<_>, Vec<_>) =
        form_urlencoded::parse(query.as_bytes()).partition(|(name, _)| name == PARAMETER);
    if named.is_empty() {
        return None;
    }
    let rest = form_urlencoded::Serializer::new(String::new()).extend_pairs(rest).finish();
    let text = if rest.is_empty() { uri.path().to_owned() } else { format!("{}?{rest}", uri.path()) };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(text.parse::<PathAndQuery>().ok()?);
    Some((Uri::from_parts(parts).ok()?, named.into_iter().map(|(_, value)| value.into_owned()).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parameter_leaves_the_query_and_the_others_stay() {
        let of = |uri: &str| named(&uri.parse().unwrap()).map(|(uri, tenants)| (uri.to_string(), tenants));
        assert_eq!(of("/v1/stores?limit=1"), None);
        assert_eq!(of("/v1/stores?tenant=acme"), Some(("/v1/stores".to_owned(), vec!["acme".to_owned()])));
        let both = of("https://x.test/a?q=1%202&tenant=a&tenant=b").unwrap();
        assert_eq!(both, ("https://x.test/a?q=1+2".to_owned(), vec!["a".to_owned(), "b".to_owned()]));
    }
}
