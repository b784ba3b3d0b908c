//! `/sign-in` and `/sign-out`.

use std::time::Instant;

use axum::Extension;
use axum::extract::State;
use axum::http::header::{RETRY_AFTER, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse as _, Redirect, Response};

use crate::local::guard::{Fields, Refused, Signed, Visitor, is_path_of_ours};
use crate::local::reader::{Reader, keep_session, session_id};
use crate::local::{LocalState, page};

/// Asks for the PIN.
pub(crate) async fn show_sign_in(reader: Reader, uri: Uri) -> Response {
    let query = uri.query().unwrap_or_default().as_bytes();
    let then =
        form_urlencoded::parse(query).find(|(name, _)| name == "then").map(|(_, then)| then.into_owned());
    let then = then.filter(|then| is_path_of_ours(then)).unwrap_or_else(|| "/".to_owned());
    let problem = (!reader.can_sign_in).then(|| reader.words().refused(&Refused::NoPin));
    page::sign_in(&reader, &then, problem.as_deref())
}

/// Compares it; whoever knows it goes on where they wanted to.
pub(crate) async fn sign_in(
    State(local): State<LocalState>,
    Extension(visitor): Extension<Visitor>,
    reader: Reader,
    headers: HeaderMap,
    fields: Fields,
) -> Response {
    let then = Some(fields.get("then")).filter(|then| is_path_of_ours(then)).unwrap_or("/");
    let why = match local.access.sign_in(visitor.peer.ip(), fields.get("pin"), Instant::now()) {
        Ok(id) => {
            // Whoever signs in again has one session, not two.
            session_id(&headers).inspect(|id| local.access.sign_out(id));
            return with_session(Redirect::to(then).into_response(), &id);
        }
        Err(why) => why,
    };
    let mut response = page::sign_in(&reader, then, Some(&reader.words().refused(&why)));
    *response.status_mut() = match why {
        Refused::NoPin => StatusCode::FORBIDDEN,
        Refused::BadPin(_) => StatusCode::SERVICE_UNAVAILABLE,
        Refused::Wait(_) => StatusCode::TOO_MANY_REQUESTS,
        Refused::Wrong => StatusCode::UNAUTHORIZED,
    };
    if let Refused::Wait(wait) = why {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait.as_secs() + 1));
    }
    response
}

/// Ends the session.
pub(crate) async fn sign_out(
    State(local): State<LocalState>,
    headers: HeaderMap,
    _signed: Signed,
) -> Response {
    session_id(&headers).inspect(|id| local.access.sign_out(id));
    with_session(Redirect::to("/").into_response(), "")
}

fn with_session(mut response: Response, id: &str) -> Response {
    response.headers_mut().extend(keep_session(id).map(|cookie| (SET_COOKIE, cookie)));
    response
}
