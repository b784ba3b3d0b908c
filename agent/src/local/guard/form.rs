//! The fields of a form, as browsers send it.

use std::collections::BTreeMap;

use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use http_body_util::BodyExt as _;

/// How browsers send a form without files.
const MEDIA_TYPE: &str = "application/x-www-form-urlencoded";
/// Fields of one form; more are left out.
const FIELDS_MAX: usize = 64;

/// The fields; of two with one name, the first. No `Debug`: a PIN may stand here.
#[derive(Default)]
pub(crate) struct Fields(BTreeMap<String, String>);

impl Fields {
    fn parse(body: &[u8]) -> Self {
        let mut fields = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(body).take(FIELDS_MAX) {
            fields.entry(name.into_owned()).or_insert_with(|| value.into_owned());
        }
        Self(fields)
    }

    /// What was put into a field; empty if there is none of this name.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }
}

impl<S: Send + Sync> FromRequest<S> for Fields {
    type Rejection = StatusCode;

    /// The size of the body was limited by the guard.
    async fn from_request(request: Request, _state: &S) -> Result<Self, StatusCode> {
        let sent =
            request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if !sent.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(MEDIA_TYPE) {
            return Err(StatusCode::UNSUPPORTED_MEDIA_TYPE);
        }
        let body = request.into_body().collect().await.map_err(|_| StatusCode::BAD_REQUEST)?;
        Ok(Self::parse(&body.to_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_name_and_rubbish_is_none() {
        let fields = Fields::parse(b"note=a+b%C3%B1%3C&minutes=60&minutes=90&%zz=%ff&empty");
        assert_eq!((fields.get("note"), fields.get("minutes")), ("a bñ<", "60"));
        assert_eq!((fields.get("empty"), fields.get("none")), ("", ""));
        let many: String = (0..10_000).map(|no| format!("f{no}=1&")).collect();
        assert_eq!(Fields::parse(many.as_bytes()).0.len(), FIELDS_MAX);
    }
}
