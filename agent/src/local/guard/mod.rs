//! What stands between the network and the page: everybody on the shop's LAN may send it whatever they like.
//!
//! In the order of a request: [`serve()`] bounds connections and slow clients, [`check`] refuses what does not name this box
//! ([`host`]), what another site's page sent ([`origin`]) and what is too large or too slow, then [`Reader`] says who reads,
//! and [`Signed`] lets only those act who know the PIN ([`access`]) and come from a form of ours.
//!
//! [`Reader`]: super::reader::Reader

mod access;
mod attempts;
mod door;
mod form;
mod host;
mod origin;
mod serve;
mod sessions;
mod signed;
mod words;

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_TYPE, REFERRER_POLICY, SET_COOKIE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tokio::sync::Semaphore;

pub(crate) use self::access::{Access, Refused, SESSION};
pub(crate) use self::door::Seats;
pub(crate) use self::form::Fields;
pub(crate) use self::serve::{Limits, Visitor, serve};
pub(crate) use self::signed::{Signed, is_path_of_ours, to_sign_in};
pub(crate) use self::words::Words;
use super::reader;
use crate::config::HostName;

/// What the page's connections may take.
pub(crate) const PAGE_LIMITS: Limits = Limits {
    places: Seats { network: 64, address: 16, own: 32 },
    head_time: Duration::from_secs(5),
    head_bytes: 16 << 10,
    connection_time: Duration::from_secs(5 * 60),
};

/// Of a gateway: agents keep their connections, and a terminal may stand behind an address with many others.
pub(crate) const PUSH_LIMITS: Limits = Limits {
    places: Seats { network: 256, address: 128, own: 256 },
    head_time: Duration::from_secs(60),
    head_bytes: 16 << 10,
    connection_time: Duration::from_secs(3_600),
};

/// Largest body: a form.
const BODY_BYTES_MAX: usize = 16 << 10;
/// How long it may take to come.
const BODY_TIME: Duration = Duration::from_secs(10);
/// Requests that are answered at the same time; more wait. It bounds what readers can take of the box.
const AT_ONCE: usize = 8;

const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// What every request is checked by.
#[derive(Debug)]
pub(crate) struct Guard {
    hosts: Vec<HostName>,
    body_time: Duration,
    turns: Semaphore,
}

impl Guard {
    /// With the names that are configured.
    pub(crate) fn new(hosts: Vec<HostName>) -> Self {
        Self { hosts, body_time: BODY_TIME, turns: Semaphore::new(AT_ONCE) }
    }

    /// With another time for bodies.
    #[cfg(test)]
    pub(crate) fn with_body_time(self, body_time: Duration) -> Self {
        Self { body_time, ..self }
    }
}

/// Lets a request pass that is for us, from a page of ours if it does something, and whole.
pub(crate) async fn check(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    let chosen = reader::chosen(request.uri().query());
    let mut response = match admit(&guard, request).await {
        Ok(request) => {
            let _turn = guard.turns.acquire().await;
            next.run(request).await
        }
        Err((status, text)) => {
            // What was not read of it must not be taken for the next one.
            let plain = [(CONTENT_TYPE, "text/plain; charset=utf-8"), (CONNECTION, "close")];
            (status, plain, text).into_response()
        }
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // Another policy would take `Origin` from our own forms.
        (REFERRER_POLICY, "same-origin"),
        (RESOURCE_POLICY, "same-origin"),
        (CACHE_CONTROL, "no-store"),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if let Some(language) = chosen {
        headers.append(SET_COOKIE, reader::keep(language));
    }
    response
}

/// The same request with its body read.
async fn admit(guard: &Guard, request: Request) -> Result<Request, (StatusCode, &'static str)> {
    let Some(visitor) = request.extensions().get::<Visitor>().copied() else {
        return Err((StatusCode::INTERNAL_SERVER_ERROR, "who asks is not known\n"));
    };
    let (parts, body) = request.into_parts();
    let here = host::Box(visitor);
    let named =
        host::named(&parts.uri, &parts.headers).filter(|named| host::is_ours(named, &guard.hosts, &here));
    let Some(named) = named else {
        let text = "this box is not called so; use its address, or list the name in local.hosts\n";
        return Err((StatusCode::MISDIRECTED_REQUEST, text));
    };
    let only_reads = matches!(parts.method, Method::GET | Method::HEAD);
    if !only_reads && !origin::is_ours(&parts.headers, named.as_str()) {
        return Err((StatusCode::FORBIDDEN, "this was not sent by a page of this box\n"));
    }
    let body = read(guard, &parts.headers, body).await?;
    Ok(Request::from_parts(parts, Body::from(body)))
}

async fn read(guard: &Guard, headers: &HeaderMap, body: Body) -> Result<Bytes, (StatusCode, &'static str)> {
    let too_large = (StatusCode::PAYLOAD_TOO_LARGE, "more than 16 KiB\n");
    let told = headers.get(axum::http::header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    if told.and_then(|length| length.parse::<u64>().ok()).is_some_and(|length| length > BODY_BYTES_MAX as u64)
    {
        return Err(too_large);
    }
    match tokio::time::timeout(guard.body_time, Limited::new(body, BODY_BYTES_MAX).collect()).await {
        Ok(Ok(whole)) => Ok(whole.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large),
        Ok(Err(_)) | Err(_) => Err((StatusCode::REQUEST_TIMEOUT, "it did not arrive whole in time\n")),
    }
}

#[cfg(test)]
mod tests;
