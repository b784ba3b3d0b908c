//! Why a sign-in at a provider came to nothing.
//!
//! What a provider sends could hold anything, so no text of it gets in here: only what the standards name, and our own words.

use openidconnect::core::{CoreErrorResponseType, CoreRequestTokenError};
use openidconnect::{DiscoveryError, RequestTokenError, UserInfoError};

/// Why a sign-in at a provider came to nothing. The texts hold no secrets, codes or tokens.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OidcError {
    /// An address may not be used.
    #[error("the provider's address may not be used: {0}")]
    Address(String),
    /// It cannot be reached, or what it answers cannot be understood.
    #[error("the provider does not work: {0}")]
    Provider(String),
    /// The code or the token is not good, or we are not whom it expects.
    #[error("the provider's sign-in is refused: {0}")]
    Refused(String),
}

/// Of asking a provider what it is.
pub(super) fn of_discovery(error: DiscoveryError<OidcError>) -> OidcError {
    OidcError::Provider(match error {
        DiscoveryError::Request(error) => return error,
        DiscoveryError::Response(status, ..) if !status.is_success() => {
            format!("it answers {} where it should describe itself", status.as_u16())
        }
        DiscoveryError::Validation(_) => "it says that its issuer is another one".to_owned(),
        _ => "its description of itself, or of its keys, cannot be read".to_owned(),
    })
}

/// Of changing a code for a token.
pub(super) fn of_exchange(error: CoreRequestTokenError<OidcError>) -> OidcError {
    use CoreErrorResponseType as E;
    let answer = match error {
        RequestTokenError::Request(error) => return error,
        RequestTokenError::ServerResponse(answer) => answer,
        _ => return OidcError::Provider("it answers a code with what is no token".to_owned()),
    };
    OidcError::Refused(match answer.error() {
        E::InvalidClient => {
            "it does not know this client, or the client's secret is not right (invalid_client)".to_owned()
        }
        E::InvalidGrant => "the code is not good, or not good any more (invalid_grant)".to_owned(),
        // Its description may repeat what we have sent.
        E::Extension(_) => "it refuses the code for a reason of its own".to_owned(),
        named => format!("it refuses the code ({})", named.as_ref()),
    })
}

/// Of asking who somebody is.
pub(super) fn of_user_info(error: UserInfoError<OidcError>) -> OidcError {
    match error {
        UserInfoError::Request(error) => error,
        UserInfoError::ClaimsVerification(_) => OidcError::Refused(
            "its userinfo endpoint speaks of somebody else, or is not signed well".to_owned(),
        ),
        UserInfoError::Response(status, ..) => {
            OidcError::Provider(format!("its userinfo endpoint answers {}", status.as_u16()))
        }
        _ => OidcError::Provider("what its userinfo endpoint answers cannot be read".to_owned()),
    }
}
