//! The ID token: what makes it good (OpenID Connect Core 1.0, section 3.1.3.7), and who it says it is.
//!
//! Signed by a key of the provider's with an algorithm that needs no shared secret, of this issuer, for this client and nobody
//! else, with the nonce of this sign-in, not over. What is wrong is told in our words only: a token's own text could be anything.

use openidconnect::core::{
    CoreIdToken, CoreIdTokenClaims, CoreIdTokenVerifier, CoreJwsSigningAlgorithm, CoreTokenResponse,
};
use openidconnect::{
    AccessTokenHash, ClaimsVerificationError, ClientId, Nonce, OAuth2TokenResponse as _,
    SignatureVerificationError, TokenResponse as _,
};

use super::provider::Provider;
use super::{Identity, OidcError};

/// What may sign: whatever a public key verifies, of the strength that all providers have.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 4] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EdDsa,
];
/// Longest subject, bytes (OpenID Connect Core 1.0, section 2).
const SUBJECT_BYTES_MAX: usize = 255;
/// Longest other claim that is taken, bytes.
const CLAIM_BYTES_MAX: usize = 320;

/// Why a token is not good.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// No key that we know of has signed it; the provider may have a new one.
    UnknownKey,
    /// For good.
    Bad(&'static str),
}

impl From<Fault> for OidcError {
    fn from(fault: Fault) -> Self {
        Self::Refused(match fault {
            Fault::UnknownKey => {
                "the ID token is signed with a key that the provider does not name".to_owned()
            }
            Fault::Bad(why) => format!("the ID token {why}"),
        })
    }
}

/// What a good token says; otherwise what is wrong with it.
pub(super) fn verify<'a>(
    provider: &Provider,
    client_id: &str,
    nonce: &str,
    response: &'a CoreTokenResponse,
) -> Result<&'a CoreIdTokenClaims, Fault> {
    let token = response.id_token().ok_or(Fault::Bad("is missing"))?;
    // As for a client without a secret, even if there is one: so that no secret can be the key of a signature.
    let client = ClientId::new(client_id.to_owned());
    let verifier = CoreIdTokenVerifier::new_public_client(
        client.clone(),
        provider.issuer.clone(),
        provider.keys.clone(),
    )
    .set_allowed_algs(ALGORITHMS);
    let claims = token.claims(&verifier, &Nonce::new(nonce.to_owned())).map_err(|error| fault(&error))?;
    // The library leaves it to us. Other audiences than this client, with which it would be needed, are refused by the library.
    if claims.authorized_party().is_some_and(|party| *party != client) {
        return Err(Fault::Bad("was made for another client"));
    }
    check_access_token(token, &verifier, claims, response)?;
    let subject = claims.subject().as_str();
    if subject.is_empty() || subject.len() > SUBJECT_BYTES_MAX || subject.chars().any(char::is_control) {
        return Err(Fault::Bad("names nobody"));
    }
    Ok(claims)
}

/// If the ID token says which access token it came with, it was this one.
fn check_access_token(
    token: &CoreIdToken,
    verifier: &CoreIdTokenVerifier<'_>,
    claims: &CoreIdTokenClaims,
    response: &CoreTokenResponse,
) -> Result<(), Fault> {
    let Some(expected) = claims.access_token_hash() else {
        return Ok(());
    };
    let hash = || {
        let (algorithm, key) = (token.signing_alg().ok()?, token.signing_key(verifier).ok()?);
        AccessTokenHash::from_token(response.access_token(), algorithm, key).ok()
    };
    if hash().as_ref() == Some(expected) {
        Ok(())
    } else {
        Err(Fault::Bad("came with another access token than this one"))
    }
}

fn fault(error: &ClaimsVerificationError) -> Fault {
    use ClaimsVerificationError as E;
    use SignatureVerificationError as S;
    Fault::Bad(match error {
        E::SignatureVerification(S::NoMatchingKey) => return Fault::UnknownKey,
        E::SignatureVerification(S::NoSignature) => "is not signed",
        E::SignatureVerification(S::DisallowedAlg(_) | S::UnsupportedAlg(_)) => {
            "is signed with an algorithm that is not one of RS256, PS256, ES256 and EdDSA"
        }
        E::SignatureVerification(S::AmbiguousKeyId(_)) => {
            "does not say by which of several keys it is signed"
        }
        E::SignatureVerification(_) => "is not signed by the provider",
        E::Expired(_) => "is over",
        E::InvalidAudience(_) => "was made for another client",
        E::InvalidIssuer(_) => "is of another issuer",
        E::InvalidNonce(_) => "is of another sign-in",
        _ => "is of a kind that is not understood",
    })
}

/// Who it is, as far as the token says.
pub(super) fn identity(provider: &Provider, claims: &CoreIdTokenClaims) -> Identity {
    let email = claims.email().and_then(|email| text(email));
    Identity {
        issuer: provider.issuer.as_str().to_owned(),
        subject: claims.subject().as_str().to_owned(),
        email_verified: email.is_some() && claims.email_verified().unwrap_or_default(),
        email,
        name: claims.name().and_then(|name| name.iter().next()).and_then(|(_, name)| text(name)),
        preferred_username: claims.preferred_username().and_then(|name| text(name)),
    }
}

/// A claim that can be shown and stored; what cannot counts as not there.
pub(super) fn text(claim: &str) -> Option<String> {
    let claim = claim.trim();
    let fits = !claim.is_empty() && claim.len() <= CLAIM_BYTES_MAX && !claim.chars().any(char::is_control);
    fits.then(|| claim.to_owned())
}
