//! What a provider says of itself (OpenID Connect Discovery 1.0), as far as a sign-in needs it, and for how long we believe it.
//!
//! A provider is the same for every tenant that names it, so it is remembered by its issuer. The rest of its document, which can
//! be long, is forgotten at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use openidconnect::core::{CoreClientAuthMethod, CoreJsonWebKeySet, CoreProviderMetadata};
use openidconnect::{AuthType, AuthUrl, IssuerUrl, JsonWebKeySetUrl, TokenUrl, UserInfoUrl};

use super::address::{check_issuer, check_scheme};
use super::error::{OidcError, of_discovery};
use super::outbound::Outbound;

/// How long a provider is remembered.
const REMEMBERED_FOR: Duration = Duration::from_secs(600);
/// How many are.
const REMEMBERED_MAX: usize = 2_000;
/// Most that is kept of a provider's keys, bytes: some fifty of them.
const KEYS_BYTES_MAX: usize = 32 * 1024;
/// Longest address that is kept, bytes.
const URL_BYTES_MAX: usize = 2_000;

/// A provider, as it has told us.
#[derive(Debug, Clone)]
pub(super) struct Provider {
    pub(super) issuer: IssuerUrl,
    pub(super) authorization: AuthUrl,
    pub(super) token: TokenUrl,
    pub(super) user_info: Option<UserInfoUrl>,
    pub(super) auth_type: AuthType,
    pub(super) keys: CoreJsonWebKeySet,
    keys_url: JsonWebKeySetUrl,
}

impl Provider {
    async fn discover(issuer: &str, outbound: &Outbound) -> Result<Self, OidcError> {
        check_issuer(issuer, outbound.may_be_private)
            .map_err(|why| OidcError::Address(format!("the issuer: {why}")))?;
        let issuer = IssuerUrl::new(issuer.to_owned())
            .map_err(|error| OidcError::Address(format!("the issuer: {error}")))?;
        let told =
            CoreProviderMetadata::discover_async(issuer.clone(), outbound).await.map_err(of_discovery)?;
        let token = told.token_endpoint();
        let token = token.ok_or_else(|| OidcError::Provider("it names no token endpoint".to_owned()))?;
        let provider = Self {
            issuer,
            authorization: told.authorization_endpoint().clone(),
            token: token.clone(),
            user_info: told.userinfo_endpoint().cloned(),
            auth_type: auth_type(&told),
            keys: told.jwks().clone(),
            keys_url: told.jwks_uri().clone(),
        };
        provider.check(outbound.may_be_private)
    }

    /// The same with the keys that it has now.
    async fn with_new_keys(&self, outbound: &Outbound) -> Result<Self, OidcError> {
        let keys = CoreJsonWebKeySet::fetch_async(&self.keys_url, outbound).await.map_err(of_discovery)?;
        Self { keys, ..self.clone() }.check(outbound.may_be_private)
    }

    fn check(self, may_be_private: bool) -> Result<Self, OidcError> {
        // The browser goes there; the other addresses are looked at when we do.
        check_scheme(self.authorization.url(), may_be_private)
            .map_err(|why| OidcError::Address(format!("the authorization endpoint: {why}")))?;
        let too_much = |what: &str| Err(OidcError::Provider(format!("{what} that it names are too long")));
        let user_info = self.user_info.as_ref().map_or("", |url| url.as_str());
        let urls = [self.authorization.as_str(), self.token.as_str(), self.keys_url.as_str(), user_info];
        if urls.iter().any(|url| url.len() > URL_BYTES_MAX) {
            return too_much("the addresses");
        }
        match serde_json::to_vec(&self.keys) {
            Ok(bytes) if bytes.len() <= KEYS_BYTES_MAX => Ok(self),
            _ => too_much("the keys"),
        }
    }
}

/// How it wants to be told the client's secret: in a header, which is the default of the standard, unless it only takes the body.
fn auth_type(told: &CoreProviderMetadata) -> AuthType {
    let takes =
        |method| told.token_endpoint_auth_methods_supported().is_some_and(|all| all.contains(&method));
    let only_body =
        takes(CoreClientAuthMethod::ClientSecretPost) && !takes(CoreClientAuthMethod::ClientSecretBasic);
    if only_body { AuthType::RequestBody } else { AuthType::BasicAuth }
}

/// The providers that we have asked.
#[derive(Debug)]
pub(super) struct Providers {
    outbound: Outbound,
    remembered: Mutex<HashMap<String, Remembered>>,
}

#[derive(Debug)]
struct Remembered {
    provider: Arc<Provider>,
    since: Instant,
}

impl Providers {
    pub(super) fn new(outbound: Outbound) -> Self {
        Self { outbound, remembered: Mutex::default() }
    }

    /// The one with this issuer.
    pub(super) async fn get(&self, issuer: &str) -> Result<Arc<Provider>, OidcError> {
        if let Some(provider) = self.recall(issuer, Instant::now()) {
            return Ok(provider);
        }
        let provider = Arc::new(Provider::discover(issuer, &self.outbound).await?);
        self.remember(issuer, &provider, Instant::now());
        Ok(provider)
    }

    /// The same, with the keys that it has now.
    pub(super) async fn with_new_keys(&self, provider: &Provider) -> Result<Arc<Provider>, OidcError> {
        let provider = Arc::new(provider.with_new_keys(&self.outbound).await?);
        // Its description is as old as it was.
        if let Some(known) = self.lock().get_mut(provider.issuer.as_str()) {
            known.provider = Arc::clone(&provider);
        }
        Ok(provider)
    }

    fn recall(&self, issuer: &str, now: Instant) -> Option<Arc<Provider>> {
        let remembered = self.lock();
        let known = remembered.get(issuer)?;
        (now.duration_since(known.since) < REMEMBERED_FOR).then(|| Arc::clone(&known.provider))
    }

    fn remember(&self, issuer: &str, provider: &Arc<Provider>, now: Instant) {
        let mut remembered = self.lock();
        if remembered.len() >= REMEMBERED_MAX {
            remembered.retain(|_, known| now.duration_since(known.since) < REMEMBERED_FOR);
        }
        if remembered.len() >= REMEMBERED_MAX
            && let Some(oldest) = remembered.iter().min_by_key(|(_, known)| known.since)
        {
            let oldest = oldest.0.clone();
            remembered.remove(&oldest);
        }
        remembered.insert(issuer.to_owned(), Remembered { provider: Arc::clone(provider), since: now });
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Remembered>> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn provider(issuer: &str) -> Arc<Provider> {
        let url = || "https://login.retail.example/x".to_owned();
        Arc::new(Provider {
            issuer: IssuerUrl::new(issuer.to_owned()).unwrap(),
            authorization: AuthUrl::new(url()).unwrap(),
            token: TokenUrl::new(url()).unwrap(),
            user_info: None,
            auth_type: AuthType::BasicAuth,
            keys: CoreJsonWebKeySet::default(),
            keys_url: JsonWebKeySetUrl::new(url()).unwrap(),
        })
    }

    #[test]
    fn a_provider_is_forgotten_after_ten_minutes() {
        let providers = Providers::new(Outbound::new(false).unwrap());
        let (issuer, now) = ("https://login.retail.example", Instant::now());
        providers.remember(issuer, &provider(issuer), now);
        assert!(providers.recall(issuer, now + Duration::from_secs(599)).is_some());
        assert!(providers.recall(issuer, now + Duration::from_secs(600)).is_none());
        assert!(providers.recall("https://login.retail.example/", now).is_none());
    }

    #[test]
    fn when_there_are_too_many_the_oldest_is_forgotten() {
        let providers = Providers::new(Outbound::new(false).unwrap());
        let start = Instant::now();
        let issuer = |n: usize| format!("https://login-{n}.retail.example");
        let last = REMEMBERED_MAX + 1;
        for n in 0..=last {
            let at = start + Duration::from_millis(u64::try_from(n).unwrap());
            providers.remember(&issuer(n), &provider(&issuer(n)), at);
        }
        assert_eq!(providers.lock().len(), REMEMBERED_MAX);
        let at = start + Duration::from_secs(10);
        assert!(providers.recall(&issuer(1), at).is_none() && providers.recall(&issuer(2), at).is_some());
        assert!(providers.recall(&issuer(last), at).is_some());
    }
}
