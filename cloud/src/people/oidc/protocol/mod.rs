//! Signing in at a tenant's own provider: the client's side of OpenID Connect, by the authorization code flow with PKCE (S256),
//! `state` and `nonce`.
//!
//! A tenant's admin names the provider, so nothing of it is trusted before it is looked at: where it is ([`address`],
//! [`outbound`]), what it says of itself ([`provider`]), and what its tokens say ([`token`]). Messages, signatures and comparisons
//! are the library's, `openidconnect`; what it leaves open is closed here: which algorithms, `azp`, `at_hash`, and that nothing
//! foreign gets into the text of an error.
//!
//! Left to the caller, and needed: `state` must come back in the browser that it was given to, once; a [`Kept`] is good for the
//! registration that it was begun with, and for one [`Client::finish`]. The address to come back to should be another one for each
//! tenant, or the `iss` of the answer (RFC 9207) be compared: otherwise a bad provider of one tenant can have the code of another
//! tenant's provider sent to itself.

mod address;
mod error;
mod outbound;
mod provider;
mod token;

#[cfg(test)]
mod odd_provider;
#[cfg(test)]
mod tests;

use std::fmt;

use openidconnect::core::{CoreAuthenticationFlow, CoreClient, CoreTokenResponse, CoreUserInfoClaims};
use openidconnect::{
    AccessToken, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointNotSet, EndpointSet, Nonce,
    OAuth2TokenResponse as _, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope, SubjectIdentifier,
    UserInfoUrl,
};

pub(crate) use self::address::check_issuer;
pub(crate) use self::error::OidcError;
use self::error::{of_exchange, of_user_info};
use self::outbound::Outbound;
use self::provider::{Provider, Providers};

/// Longest code that is passed on, bytes.
const CODE_BYTES_MAX: usize = 4_096;

/// What a tenant has agreed with its provider.
#[derive(Clone)]
pub(crate) struct Registration {
    /// The provider's name, which is the URL that its description is found under.
    pub(crate) issuer: String,
    /// Who we are there.
    pub(crate) client_id: String,
    /// And how we show it; a provider may do with PKCE alone.
    pub(crate) client_secret: Option<String>,
}

/// A sign-in that has begun.
pub(crate) struct Begun {
    /// Where the browser goes.
    pub(crate) url: String,
    /// What it has to come back with.
    pub(crate) state: String,
    /// What to keep until then.
    pub(crate) kept: Kept,
}

/// What [`Client::finish`] needs of the beginning.
#[derive(Clone)]
pub(crate) struct Kept {
    /// What the ID token has to repeat.
    pub(crate) nonce: String,
    /// What only we can send with the code.
    pub(crate) verifier: String,
}

/// Who has signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// At which provider.
    pub(crate) issuer: String,
    /// The provider's name of the person, which is never given to another one. Everything else can change.
    pub(crate) subject: String,
    /// As the provider has it.
    pub(crate) email: Option<String>,
    /// Whether the provider says that it is the person's.
    pub(crate) email_verified: bool,
    /// What the person is called.
    pub(crate) name: Option<String>,
    /// How the person signs in there.
    pub(crate) preferred_username: Option<String>,
}

/// Signs people in at the providers of tenants. It remembers what providers say of themselves for ten minutes.
#[derive(Debug)]
pub(crate) struct Client {
    outbound: Outbound,
    providers: Providers,
}

/// The library's client, with what a sign-in needs.
type Library = CoreClient<EndpointSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointSet>;

impl Client {
    /// One that asks providers in public networks only, unless they may be private.
    pub(crate) fn new(may_be_private: bool) -> Result<Self, reqwest::Error> {
        let outbound = Outbound::new(may_be_private)?;
        Ok(Self { providers: Providers::new(outbound.clone()), outbound })
    }

    /// Begins: asks the provider where it is signed in, and makes what ties the answer to this sign-in.
    pub(crate) async fn begin(
        &self,
        registration: &Registration,
        redirect_uri: &str,
    ) -> Result<Begun, OidcError> {
        let provider = self.providers.get(&registration.issuer).await?;
        let library = library(&provider, registration, redirect_uri)?;
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let code_flow = CoreAuthenticationFlow::AuthorizationCode;
        // The library asks for the scope `openid` by itself.
        let (url, state, nonce) = library
            .authorize_url(code_flow, CsrfToken::new_random, Nonce::new_random)
            .add_scope(Scope::new("email".to_owned()))
            .add_scope(Scope::new("profile".to_owned()))
            .set_pkce_challenge(challenge)
            .url();
        let kept = Kept { nonce: nonce.secret().clone(), verifier: verifier.into_secret() };
        Ok(Begun { url: url.into(), state: state.into_secret(), kept })
    }

    /// Ends: changes the code for an ID token, and says who that is. If it is signed with a key that we do not know of, the
    /// provider's keys are fetched again, once.
    pub(crate) async fn finish(
        &self,
        registration: &Registration,
        redirect_uri: &str,
        begun: &Kept,
        code: &str,
    ) -> Result<Identity, OidcError> {
        if code.is_empty() || code.len() > CODE_BYTES_MAX {
            return Err(OidcError::Refused("that is no code".to_owned()));
        }
        let mut provider = self.providers.get(&registration.issuer).await?;
        let library = library(&provider, registration, redirect_uri)?;
        let response: CoreTokenResponse = library
            .exchange_code(AuthorizationCode::new(code.to_owned()))
            .set_pkce_verifier(PkceCodeVerifier::new(begun.verifier.clone()))
            .request_async(&self.outbound)
            .await
            .map_err(of_exchange)?;
        let mut verified = token::verify(&provider, &registration.client_id, &begun.nonce, &response);
        if matches!(verified, Err(token::Fault::UnknownKey)) {
            provider = self.providers.with_new_keys(&provider).await?;
            verified = token::verify(&provider, &registration.client_id, &begun.nonce, &response);
        }
        let mut identity = token::identity(&provider, verified?);
        if identity.email.is_none()
            && let Some(user_info) = provider.user_info.clone()
        {
            self.ask_more(library, user_info, response.access_token(), &mut identity).await?;
        }
        Ok(identity)
    }

    /// What the ID token does not tell, at the userinfo endpoint, which has to speak of the same person.
    async fn ask_more(
        &self,
        library: Library,
        user_info: UserInfoUrl,
        access_token: &AccessToken,
        identity: &mut Identity,
    ) -> Result<(), OidcError> {
        // The library takes it for granted that the token can stand in a header.
        if !access_token.secret().bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(OidcError::Provider("its access token cannot be sent".to_owned()));
        }
        let subject = SubjectIdentifier::new(identity.subject.clone());
        let library = library.set_user_info_url(user_info);
        let request = library.user_info(access_token.clone(), Some(subject));
        let claims: CoreUserInfoClaims = request.request_async(&self.outbound).await.map_err(of_user_info)?;
        identity.email = claims.email().and_then(|email| token::text(email));
        // It is said of this e-mail, not of the one that was missing.
        identity.email_verified = identity.email.is_some() && claims.email_verified().unwrap_or_default();
        let name =
            || claims.name().and_then(|name| name.iter().next()).and_then(|(_, name)| token::text(name));
        identity.name = identity.name.take().or_else(name);
        let user_name = || claims.preferred_username().and_then(|name| token::text(name));
        identity.preferred_username = identity.preferred_username.take().or_else(user_name);
        Ok(())
    }
}

fn library(
    provider: &Provider,
    registration: &Registration,
    redirect_uri: &str,
) -> Result<Library, OidcError> {
    let back = RedirectUrl::new(redirect_uri.to_owned())
        .map_err(|error| OidcError::Address(format!("the way back to us: {error}")))?;
    let id = ClientId::new(registration.client_id.clone());
    let library = openidconnect::Client::new(id, provider.issuer.clone(), provider.keys.clone())
        .set_auth_uri(provider.authorization.clone())
        .set_token_uri(provider.token.clone())
        .set_auth_type(provider.auth_type.clone())
        .set_redirect_uri(back);
    Ok(match &registration.client_secret {
        Some(secret) => library.set_client_secret(ClientSecret::new(secret.clone())),
        None => library,
    })
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { issuer, client_id, client_secret } = self;
        let secret = client_secret.as_ref().map(|_| "redacted");
        f.debug_struct("Registration")
            .field("issuer", issuer)
            .field("client_id", client_id)
            .field("client_secret", &secret)
            .finish()
    }
}

impl fmt::Debug for Begun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Begun(redacted)")
    }
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Kept(redacted)")
    }
}
