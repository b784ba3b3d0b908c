//! A file that is compiled in, as browsers are told it: with the policy of its content, a tag by which they ask whether what they keep
//! is still so, and packed for those that unpack. What is the same for everybody and holds no secret may be packed.

use std::io::Write as _;

use axum::body::Body;
use axum::http::header::{self, HeaderName};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest as _, Sha256};

/// Bytes of the hash that are a tag: 128 bits.
const TAG_BYTES: usize = 16;

/// Nothing but our own files, in no frame of anybody's, and forms that go nowhere else.
pub(super) const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Told with whatever is told.
const ALWAYS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    // Kept, and asked for each time: a new version counts at once.
    (header::CACHE_CONTROL, "no-cache"),
    (header::VARY, "accept-encoding"),
];

/// One of the files. Its hash and its packed form are made once.
pub(super) struct Kept {
    content_type: &'static str,
    text: &'static str,
    /// Left out where it could not be made.
    packed: Option<Vec<u8>>,
    hash: String,
}

impl Kept {
    pub(super) fn new(content_type: &'static str, text: &'static str) -> Self {
        let digest = Sha256::digest(text.as_bytes());
        let hash = digest.iter().take(TAG_BYTES).map(|byte| format!("{byte:02x}")).collect();
        Self { content_type, text, packed: pack(text).ok(), hash }
    }

    /// What the browser that sends these headers is told.
    pub(super) fn tell(&'static self, headers: &HeaderMap) -> Response {
        let packed = self.packed.as_deref().filter(|_| unpacks(headers));
        // The same in another form is something else to a strong tag.
        let tag = format!("\"{}{}\"", self.hash, if packed.is_some() { "-gzip" } else { "" });
        let mut response = match packed {
            _ if has(headers, &tag) => StatusCode::NOT_MODIFIED.into_response(),
            Some(packed) => ([(header::CONTENT_ENCODING, "gzip")], Body::from(packed)).into_response(),
            None => Body::from(self.text).into_response(),
        };
        let told = response.headers_mut();
        told.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        told.extend(ALWAYS.map(|(name, value)| (name, HeaderValue::from_static(value))));
        if let Ok(tag) = HeaderValue::try_from(tag) {
            told.insert(header::ETAG, tag);
        }
        response
    }

    #[cfg(test)]
    pub(super) fn packed_bytes(&self) -> usize {
        self.packed.as_ref().unwrap().len()
    }
}

fn pack(text: &str) -> std::io::Result<Vec<u8>> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    packed.write_all(text.as_bytes())?;
    packed.finish()
}

/// Every browser does. Who says `gzip;q=0` is believed, too.
fn unpacks(headers: &HeaderMap) -> bool {
    listed(headers, header::ACCEPT_ENCODING).any(|each| {
        let (name, weight) = each.split_once(';').unwrap_or((each, "q=1"));
        let is_none = weight.trim().strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0));
        name.trim().eq_ignore_ascii_case("gzip") && !is_none
    })
}

/// Whether the browser has what this tag is of (RFC 9110, section 13.1.2).
fn has(headers: &HeaderMap, tag: &str) -> bool {
    listed(headers, header::IF_NONE_MATCH)
        .any(|each| each == "*" || each.strip_prefix("W/").unwrap_or(each) == tag)
}

fn listed(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}
