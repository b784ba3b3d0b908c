//! The way out to a provider: every request of this room takes it, and no other.
//!
//! It follows no redirect and uses no proxy of the environment; it asks only where [`super::address`] lets it, of names at the
//! moment that they are resolved, so that what was looked at is what is connected to; and it neither waits nor reads for long.

use std::error::Error as _;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::Semaphore;

use super::OidcError;
use super::address::{check_url, is_global};

/// How long a connection may take.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// How long a request may take, with its answer.
const REQUEST_MAX: Duration = Duration::from_secs(10);
/// Longest answer, bytes.
const ANSWER_BYTES_MAX: usize = 256 * 1024;
/// How long a connection that nobody uses is kept: the next request of the same sign-in comes at once.
const IDLE_MAX: Duration = Duration::from_secs(10);
/// Names that are resolved at once. A name's servers can take their time, and each of them takes a thread.
const LOOKUPS_MAX: usize = 32;

/// Asks providers.
#[derive(Debug, Clone)]
pub(super) struct Outbound {
    http: reqwest::Client,
    pub(super) may_be_private: bool,
}

impl Outbound {
    pub(super) fn new(may_be_private: bool) -> Result<Self, reqwest::Error> {
        crate::tls::install_provider();
        let resolver = Resolver { may_be_private, places: Arc::new(Semaphore::new(LOOKUPS_MAX)) };
        let http = reqwest::Client::builder()
            .user_agent(concat!("storepulse-cloud/", env!("CARGO_PKG_VERSION")))
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .https_only(!may_be_private)
            .dns_resolver(resolver)
            .connect_timeout(CONNECT_MAX)
            .timeout(REQUEST_MAX)
            .pool_idle_timeout(IDLE_MAX)
            .pool_max_idle_per_host(1)
            .build()?;
        Ok(Self { http, may_be_private })
    }

    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, OidcError> {
        let request = reqwest::Request::try_from(request);
        let request = request.map_err(|_| OidcError::Address("it is not a URL".to_owned()))?;
        let host = request.url().host_str().unwrap_or_default().to_owned();
        let here = |why: String| OidcError::Address(format!("{host}: {why}"));
        check_url(request.url(), self.may_be_private).map_err(here)?;
        let mut response = self.http.execute(request).await.map_err(|error| told(&host, &error))?;
        if response.status().is_redirection() {
            return Err(here(format!("it answers {} to lead elsewhere", response.status().as_u16())));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| told(&host, &error))? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                let why = format!("{host}: its answer is longer than {ANSWER_BYTES_MAX} bytes");
                return Err(OidcError::Provider(why));
            }
            body.extend_from_slice(&chunk);
        }
        let mut answer = HttpResponse::new(body);
        *answer.status_mut() = response.status();
        *answer.headers_mut() = std::mem::take(response.headers_mut());
        Ok(answer)
    }
}

impl<'c> AsyncHttpClient<'c> for Outbound {
    type Error = OidcError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, OidcError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.send(request))
    }
}

/// By its innermost cause, without the URL: what is asked of a provider is not for the log.
fn told(host: &str, error: &reqwest::Error) -> OidcError {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
        if let Some(refused) = cause.downcast_ref::<NotPublic>() {
            return OidcError::Address(format!("{host}: {refused}"));
        }
    }
    let why = match error.source() {
        _ if error.is_timeout() => "it does not answer in time".to_owned(),
        Some(_) => innermost.to_string(),
        None => "it does not answer".to_owned(),
    };
    OidcError::Provider(format!("{host}: {why}"))
}

/// A name leads to where we do not go.
#[derive(Debug, thiserror::Error)]
#[error("the name resolves to {0}, which is not a public address")]
struct NotPublic(std::net::IpAddr);

/// Resolves as the system does, and refuses a name that has an address which is not public.
#[derive(Debug)]
struct Resolver {
    may_be_private: bool,
    places: Arc<Semaphore>,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (may_be_private, places) = (self.may_be_private, Arc::clone(&self.places));
        Box::pin(async move {
            let place = places.acquire_owned().await?;
            let lookup = tokio::task::spawn_blocking(move || {
                // Taken as long as the lookup lasts, whether or not somebody still waits for it.
                let _place = place;
                (name.as_str(), 0).to_socket_addrs().map(Iterator::collect::<Vec<SocketAddr>>)
            });
            let addresses = lookup.await??;
            match addresses.iter().find(|address| !may_be_private && !is_global(address.ip())) {
                Some(address) => Err(NotPublic(address.ip()).into()),
                None => Ok(Box::new(addresses.into_iter()) as Addrs),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(url: &str) -> HttpRequest {
        let mut request = HttpRequest::new(Vec::new());
        *request.uri_mut() = url.parse().unwrap();
        request
    }

    #[tokio::test]
    async fn a_name_that_resolves_to_this_machine_is_not_connected_to() {
        let outbound = Outbound::new(false).unwrap();
        let refused = outbound.send(get("https://localhost:1/")).await.unwrap_err();
        assert!(matches!(&refused, OidcError::Address(why) if why.contains("resolves to")), "{refused}");
        let nobody_there = Outbound::new(true).unwrap().send(get("https://localhost:1/")).await.unwrap_err();
        assert!(matches!(nobody_there, OidcError::Provider(_)), "{nobody_there}");
    }

    #[tokio::test]
    async fn an_address_that_is_not_public_is_not_connected_to() {
        let outbound = Outbound::new(false).unwrap();
        for url in [
            "https://127.0.0.1:1/",
            "https://169.254.169.254/",
            "https://[fd00::1]/",
            "http://retail.example/",
        ] {
            let refused = outbound.send(get(url)).await.unwrap_err();
            assert!(matches!(refused, OidcError::Address(_)), "{url}: {refused}");
        }
    }
}
