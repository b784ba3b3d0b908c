//! The access token: a JWT signed with Ed25519, which says whose session a request belongs to.
//!
//! Whatever it says is only where to look: the session's row decides ([`crate::auth`]). There is one algorithm; a token that names
//! another one, or none, or a key that we do not have, is not looked at further.

use std::time::Duration;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use storepulse_shared::ids::TenantId;
use uuid::Uuid;

use super::{Permission, Role};

/// How long an access token is good for.
pub(crate) const ACCESS_TTL: Duration = Duration::from_secs(600);
/// Longest token that is looked at, bytes.
pub(crate) const TOKEN_BYTES_MAX: usize = 2_048;
/// Who issues, and for whom.
const ISSUER: &str = "storepulse";

/// What is signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claims {
    iss: String,
    aud: String,
    /// The user.
    pub(crate) sub: Uuid,
    /// The tenant.
    pub(crate) tid: TenantId,
    /// The session.
    pub(crate) sid: Uuid,
    /// The user's role when it was issued, for whoever shows a page.
    typ: String,
    /// And what it may do.
    permissions: Vec<String>,
    iat: i64,
    /// Unix seconds.
    pub(crate) exp: i64,
}

/// A key that signs.
pub(crate) struct SigningKey {
    pub(super) key_id: String,
    pub(super) private: EncodingKey,
}

/// A key that verifies.
pub(crate) struct VerifyingKey {
    pub(super) key_id: String,
    pub(super) public: DecodingKey,
}

impl Claims {
    /// Of a session, from now on.
    pub(super) fn new(
        (tenant, user, session): (&TenantId, Uuid, Uuid),
        role: Role,
        permissions: &[Permission],
        now_s: i64,
    ) -> Self {
        Self {
            iss: ISSUER.to_owned(),
            aud: ISSUER.to_owned(),
            sub: user,
            tid: tenant.clone(),
            sid: session,
            typ: role.as_str().to_owned(),
            permissions: permissions.iter().map(|may| may.as_str().to_owned()).collect(),
            iat: now_s,
            exp: now_s.saturating_add(i64::try_from(ACCESS_TTL.as_secs()).unwrap_or_default()),
        }
    }

    /// As a token.
    pub(super) fn sign(&self, key: &SigningKey) -> Result<String, jsonwebtoken::errors::Error> {
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(key.key_id.clone());
        jsonwebtoken::encode(&header, self, &key.private)
    }
}

/// By which key a token says it is signed, if it can be one of ours.
pub(super) fn key_id(token: &str) -> Option<String> {
    if token.len() > TOKEN_BYTES_MAX {
        return None;
    }
    let header = jsonwebtoken::decode_header(token).ok()?;
    // `crit` names extensions that must be understood (RFC 7515); none are.
    (header.alg == Algorithm::EdDSA).then_some(header.kid).flatten()
}

/// What a token says, if this key has signed it and it is not over.
pub(super) fn verify(token: &str, key: &VerifyingKey) -> Option<Claims> {
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.leeway = 0;
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[ISSUER]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    jsonwebtoken::decode(token, &key.public, &validation).ok().map(|decoded| decoded.claims)
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;
    use crate::people::signing::KeyPair;

    fn keys(pair: &KeyPair) -> (SigningKey, VerifyingKey) {
        (pair.signing(), pair.verifying())
    }

    fn claims(now_s: i64) -> Claims {
        let tenant: TenantId = "la-villa".parse().unwrap();
        Claims::new(
            (&tenant, Uuid::from_u128(1), Uuid::from_u128(2)),
            Role::Viewer,
            &[Permission::StoresRead],
            now_s,
        )
    }

    fn now_s() -> i64 {
        crate::app::now_ms() / 1_000
    }

    #[test]
    fn a_token_says_whose_session_it_is_until_it_is_over() {
        let (signing, verifying) = keys(&KeyPair::make().unwrap());
        let token = claims(now_s()).sign(&signing).unwrap();
        assert_eq!(key_id(&token).as_deref(), Some(signing.key_id.as_str()));
        assert_eq!(verify(&token, &verifying).unwrap(), claims(verify(&token, &verifying).unwrap().iat));
        let over = claims(now_s() - 601).sign(&signing).unwrap();
        assert_eq!(verify(&over, &verifying), None);
    }

    #[test]
    fn whatever_was_not_signed_so_opens_nothing() {
        let pair = KeyPair::make().unwrap();
        let (signing, verifying) = keys(&pair);
        let (other, _) = keys(&KeyPair::make().unwrap());
        let good = claims(now_s());
        let token = good.sign(&signing).unwrap();
        let [head, body, signature] = <[&str; 3]>::try_from(token.split('.').collect::<Vec<_>>()).unwrap();
        let encode = |json: serde_json::Value| URL_SAFE_NO_PAD.encode(json.to_string());
        let none = encode(serde_json::json!({ "alg": "none", "typ": "JWT", "kid": signing.key_id }));
        let hs256 = encode(serde_json::json!({ "alg": "HS256", "typ": "JWT", "kid": signing.key_id }));
        let admin = {
            let mut changed: serde_json::Value =
                serde_json::from_slice(&URL_SAFE_NO_PAD.decode(body).unwrap()).unwrap();
            changed["tid"] = "el-prado".into();
            encode(changed)
        };
        for (name, forged) in [
            ("no algorithm", format!("{none}.{body}.")),
            ("no algorithm, and a signature", format!("{none}.{body}.{signature}")),
            ("another algorithm", format!("{hs256}.{body}.{signature}")),
            ("another tenant", format!("{head}.{admin}.{signature}")),
            ("no signature", format!("{head}.{body}.")),
            ("two parts", format!("{head}.{body}")),
            ("another key", good.sign(&other).unwrap()),
            ("too long", format!("{token}{}", "A".repeat(TOKEN_BYTES_MAX))),
            ("nothing", String::new()),
        ] {
            let opened = key_id(&forged).and_then(|_| verify(&forged, &verifying));
            assert_eq!(opened, None, "{name}");
        }
        // The public key as a secret: what takes the algorithm from the token would believe it.
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some(signing.key_id.clone());
        let confused = jsonwebtoken::encode(&header, &good, &EncodingKey::from_secret(&pair.public)).unwrap();
        assert!(key_id(&confused).is_none() && verify(&confused, &verifying).is_none());
    }
}
