//! Sign-ins at providers that are not what they should be.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use super::odd_provider::{CLIENT, Key, OddProvider, SECRET};
use super::*;

const BACK: &str = "https://storepulse.example/v1/sign-in/la-villa";

fn client() -> Client {
    Client::new(true).unwrap()
}

/// A sign-in with a token that is made of its nonce.
async fn sign_in(
    client: &Client,
    provider: &OddProvider,
    token: impl FnOnce(&str) -> String,
) -> Result<Identity, OidcError> {
    let registration = provider.registration();
    let begun = client.begin(&registration, BACK).await?;
    provider.gives(&token(&begun.kept.nonce));
    client.finish(&registration, BACK, &begun.kept, "c-1").await
}

fn refused(ended: Result<Identity, OidcError>) -> String {
    match ended {
        Err(OidcError::Refused(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_good_sign_in_ends_with_who_it_is() {
    let key = Key::make("k1");
    let provider = OddProvider::start(&key).await;
    let (client, registration) = (client(), provider.registration());
    let begun = client.begin(&registration, BACK).await.unwrap();
    let url = reqwest::Url::parse(&begun.url).unwrap();
    let query: std::collections::HashMap<_, _> = url.query_pairs().collect();
    assert_eq!((url.origin().ascii_serialization(), url.path()), (provider.issuer.clone(), "/authorize"));
    for (name, value) in [
        ("response_type", "code"),
        ("scope", "openid email profile"),
        ("client_id", CLIENT),
        ("redirect_uri", BACK),
        ("code_challenge_method", "S256"),
        ("state", begun.state.as_str()),
        ("nonce", begun.kept.nonce.as_str()),
    ] {
        assert_eq!(query[name], value, "{name}");
    }
    assert!(!begun.url.contains(&begun.kept.verifier) && begun.state.len() >= 20);
    provider.gives(&key.sign(&provider.claims(&begun.kept.nonce)));
    let identity = client.finish(&registration, BACK, &begun.kept, "c-1").await.unwrap();
    let expected = Identity {
        issuer: provider.issuer.clone(),
        subject: "u-17".to_owned(),
        email: Some("ana.ruiz@retail.example".to_owned()),
        email_verified: true,
        name: None,
        preferred_username: None,
    };
    assert_eq!(identity, expected);
    let asked = provider.asked("/token").join("");
    assert!(asked.contains("code=c-1") && asked.contains(&format!("code_verifier={}", begun.kept.verifier)));
    assert!(!asked.contains(SECRET), "{asked}");
    assert_eq!(
        (provider.asked("/.well-known/openid-configuration").len(), provider.asked("/keys").len()),
        (1, 1)
    );
    assert!(provider.asked("/userinfo").is_empty());
}

#[tokio::test]
async fn a_token_that_says_anything_else_is_refused() {
    let key = Key::make("k1");
    let (provider, client) = (OddProvider::start(&key).await, client());
    for (field, value, why) in [
        ("iss", json!("https://login.retail.example"), "another issuer"),
        ("iss", json!(format!("{}/", provider.issuer)), "another issuer"),
        ("aud", json!("somebody-else"), "another client"),
        ("aud", json!([CLIENT, "somebody-else"]), "another client"),
        ("aud", json!([]), "another client"),
        ("azp", json!("somebody-else"), "another client"),
        ("nonce", json!("another"), "another sign-in"),
        ("nonce", Value::Null, "another sign-in"),
        ("exp", json!(1_700_000_000), "is over"),
        ("at_hash", json!("AAAAAAAAAAAAAAAAAAAAAA"), "another access token"),
        ("sub", json!(""), "nobody"),
        ("sub", json!("x".repeat(256)), "nobody"),
    ] {
        let ended = sign_in(&client, &provider, |nonce| {
            let mut claims = provider.claims(nonce);
            claims[field] = value.clone();
            key.sign(&claims)
        });
        let said = refused(ended.await);
        assert!(said.contains(why), "{field} {value}: {said}");
    }
    // The hash of `a-t`, by SHA-256.
    let right = sign_in(&client, &provider, |nonce| {
        let mut claims = provider.claims(nonce);
        claims["at_hash"] = json!("VnuJlX8MC2BRgOelmzQnMQ");
        claims["azp"] = json!(CLIENT);
        key.sign(&claims)
    });
    assert_eq!(right.await.unwrap().subject, "u-17");
}

#[tokio::test]
async fn a_token_that_the_provider_has_not_signed_is_refused() {
    let (key, other) = (Key::make("k1"), Key::make("k1"));
    let (provider, client) = (OddProvider::start(&key).await, client());
    let said = refused(sign_in(&client, &provider, |nonce| other.sign(&provider.claims(nonce))).await);
    assert!(said.contains("not signed by the provider"), "{said}");

    for (header, why) in [
        (r#"{"alg":"none"}"#, "is not signed"),
        (r#"{"alg":"ES384","kid":"k1"}"#, "with an algorithm"),
        (r#"{"alg":"RS512","kid":"k1"}"#, "with an algorithm"),
    ] {
        let forged = sign_in(&client, &provider, |nonce| {
            let token = key.sign(&provider.claims(nonce));
            let (_, rest) = token.split_once('.').unwrap();
            let (body, signature) = rest.split_once('.').unwrap();
            let signature = if header.contains("none") { "" } else { signature };
            format!("{}.{body}.{signature}", URL_SAFE_NO_PAD.encode(header))
        });
        let said = refused(forged.await);
        assert!(said.contains(why), "{header}: {said}");
    }

    for secret in [SECRET, ""] {
        let shared = sign_in(&client, &provider, |nonce| {
            let header = Header::new(Algorithm::HS256);
            let key = EncodingKey::from_secret(secret.as_bytes());
            jsonwebtoken::encode(&header, &provider.claims(nonce), &key).unwrap()
        });
        assert!(refused(shared.await).contains("with an algorithm"), "{secret}");
    }

    let access_token = sign_in(&client, &provider, |nonce| {
        let mut header = Header::new(Algorithm::ES256);
        header.typ = Some("at+jwt".to_owned());
        key.sign_as(&header, &provider.claims(nonce))
    });
    assert!(refused(access_token.await).contains("of a kind"));
}

#[tokio::test]
async fn for_a_key_that_is_not_known_the_keys_are_fetched_again_once() {
    let (old, new, nobodys) = (Key::make("k1"), Key::make("k2"), Key::make("k3"));
    let (provider, client) = (OddProvider::start(&old).await, client());
    provider.names_keys(&[&[&old], &[&old, &new]]);
    let with = async |key: &Key| sign_in(&client, &provider, |nonce| key.sign(&provider.claims(nonce))).await;
    assert!(with(&old).await.is_ok());
    assert_eq!(provider.asked("/keys").len(), 1);
    assert!(with(&new).await.is_ok());
    assert_eq!(provider.asked("/keys").len(), 2);
    assert!(with(&new).await.is_ok() && with(&old).await.is_ok());
    assert_eq!(provider.asked("/keys").len(), 2, "they are remembered");
    assert!(refused(with(&nobodys).await).contains("does not name"));
    assert_eq!(provider.asked("/keys").len(), 3);
    assert_eq!(provider.asked("/token").len(), 5, "a code is sent once");
    assert_eq!(provider.asked("/.well-known/openid-configuration").len(), 1);
}

#[tokio::test]
async fn a_provider_that_leads_elsewhere_is_not_followed() {
    let provider = OddProvider::start(&Key::make("k1")).await;
    let discovery = "/.well-known/openid-configuration";
    let begin = async || client().begin(&provider.registration(), BACK).await.unwrap_err();
    for (field, url) in [
        ("jwks_uri", "http://10.0.0.1/keys"),
        ("jwks_uri", "https://ana:secret@127.0.0.1/keys"),
        ("jwks_uri", "ftp://127.0.0.1/keys"),
        ("authorization_endpoint", "http://login.retail.example/"),
        ("authorization_endpoint", "javascript:alert(1)"),
    ] {
        provider.describes_itself_with(field, json!(url));
        let error = begin().await;
        assert!(matches!(error, OidcError::Address(_)), "{field} {url}: {error}");
    }
    provider.answers(discovery, &[(302, String::new())]);
    let error = begin().await;
    assert!(matches!(&error, OidcError::Address(why) if why.contains("302")), "{error}");
    assert!(provider.asked("/elsewhere").is_empty());

    provider.describes_itself_with("token_endpoint", json!("http://10.0.0.1/token"));
    let (client, registration) = (client(), provider.registration());
    let begun = client.begin(&registration, BACK).await.unwrap();
    let error = client.finish(&registration, BACK, &begun.kept, "c-1").await.unwrap_err();
    assert!(matches!(error, OidcError::Address(_)), "{error}");
}

#[tokio::test]
async fn a_provider_that_describes_itself_badly_does_not_work() {
    let provider = OddProvider::start(&Key::make("k1")).await;
    let discovery = "/.well-known/openid-configuration";
    let begin = async || client().begin(&provider.registration(), BACK).await.unwrap_err();
    for (status, body) in
        [(404, "{}".to_owned()), (200, String::new()), (200, "<html>".to_owned()), (200, "[".repeat(100_000))]
    {
        provider.answers(discovery, &[(status, body)]);
        let error = begin().await;
        assert!(matches!(error, OidcError::Provider(_)), "{error}");
    }
    let nearly = provider.description().to_string() + &" ".repeat(200_000);
    provider.answers(discovery, &[(200, nearly.clone())]);
    assert!(client().begin(&provider.registration(), BACK).await.is_ok());
    provider.answers(discovery, &[(200, nearly + &" ".repeat(62_144))]);
    assert!(begin().await.to_string().contains("longer than 262144 bytes"));
    for (field, value) in [
        ("issuer", json!("https://login.retail.example")),
        ("issuer", json!(format!("{}/", provider.issuer))),
        ("token_endpoint", Value::Null),
        ("token_endpoint", json!(format!("{}/{}", provider.issuer, "x".repeat(2_000)))),
        ("jwks_uri", json!(format!("{}/nothing", provider.issuer))),
    ] {
        provider.describes_itself_with(field, value);
        let error = begin().await;
        assert!(matches!(error, OidcError::Provider(_)), "{field}: {error}");
    }
    provider.says(discovery, &provider.description());
    let many: Vec<Key> = (0..400).map(|_| Key::make("one-of-very-many")).collect();
    provider.names_keys(&[&many.iter().collect::<Vec<_>>()]);
    let error = begin().await;
    assert!(matches!(&error, OidcError::Provider(why) if why.contains("too long")), "{error}");
}

#[tokio::test]
async fn what_the_token_does_not_tell_is_asked_for_and_told_of_the_same_person() {
    let key = Key::make("k1");
    let provider = OddProvider::start(&key).await;
    provider.describes_itself_with("userinfo_endpoint", json!(format!("{}/userinfo", provider.issuer)));
    let client = client();
    let without = |nonce: &str| {
        let mut claims = provider.claims(nonce);
        claims["email"] = Value::Null;
        claims["name"] = json!("Ana");
        key.sign(&claims)
    };
    let more = json!({
        "sub": "u-17", "email": "a@retail.example", "email_verified": "false", "name": "Another",
        "preferred_username": "ana", "updated_at": "2026-11-21T00:00:00Z",
    });
    provider.says("/userinfo", &more);
    let identity = sign_in(&client, &provider, without).await.unwrap();
    assert_eq!(identity.email.as_deref(), Some("a@retail.example"));
    assert!(!identity.email_verified, "it is said of the other e-mail");
    assert_eq!(
        (identity.name.as_deref(), identity.preferred_username.as_deref()),
        (Some("Ana"), Some("ana"))
    );

    provider.says("/userinfo", &json!({ "sub": "u-18", "email": "b@retail.example" }));
    assert!(refused(sign_in(&client, &provider, without).await).contains("somebody else"));
    provider.answers("/userinfo", &[(500, "{}".to_owned())]);
    let error = sign_in(&client, &provider, without).await.unwrap_err();
    assert!(matches!(error, OidcError::Provider(_)), "{error}");

    let registration = provider.registration();
    let begun = client.begin(&registration, BACK).await.unwrap();
    let (token, odd) = (without(&begun.kept.nonce), "a\nHost: elsewhere");
    provider.says("/token", &json!({ "access_token": odd, "token_type": "Bearer", "id_token": token }));
    let error = client.finish(&registration, BACK, &begun.kept, "c-1").await.unwrap_err();
    assert!(matches!(error, OidcError::Provider(_)), "{error}");
}

#[tokio::test]
async fn claims_that_cannot_be_shown_count_as_not_there() {
    let key = Key::make("k1");
    let (provider, client) = (OddProvider::start(&key).await, client());
    let odd = sign_in(&client, &provider, |nonce| {
        let mut claims = provider.claims(nonce);
        claims["email"] = json!("a@retail.example\r\nBcc: b@retail.example");
        claims["name"] = json!("x".repeat(321));
        claims["preferred_username"] = json!("  ");
        key.sign(&claims)
    });
    let identity = odd.await.unwrap();
    assert_eq!((identity.email, identity.name, identity.preferred_username), (None, None, None));
    assert!(!identity.email_verified, "there is nothing to be verified");
}

#[tokio::test]
async fn no_error_repeats_what_was_sent_or_told() {
    let key = Key::make("k1");
    let (provider, client) = (OddProvider::start(&key).await, client());
    let registration = provider.registration();
    let begun = client.begin(&registration, BACK).await.unwrap();
    let finish = async |code: &str| client.finish(&registration, BACK, &begun.kept, code).await.unwrap_err();
    let echo = format!("c-of-once {} {SECRET}", begun.kept.verifier);
    for (status, body) in [
        (400, json!({ "error": "invalid_grant", "error_description": echo })),
        (401, json!({ "error": "invalid_client", "error_description": echo })),
        (400, json!({ "error": echo })),
        (400, json!({ "x": echo })),
        (200, json!({ "access_token": [echo] })),
        (200, json!({ "access_token": "a", "token_type": "Bearer", "id_token": echo })),
        (200, json!({ "access_token": "a", "token_type": "Bearer" })),
        (500, json!(echo)),
    ] {
        provider.answers("/token", &[(status, body.to_string())]);
        let error = finish("c-of-once").await;
        let said = format!("{error} {error:?}");
        assert!(!said.contains("c-of-once") && !said.contains(SECRET), "{body}: {said}");
        assert!(!said.contains(&begun.kept.verifier), "{body}: {said}");
    }
    for no_code in [String::new(), "c".repeat(4_097)] {
        assert!(matches!(finish(&no_code).await, OidcError::Refused(_)));
    }
    let shown = format!("{registration:?} {begun:?} {:?} {client:?}", begun.kept);
    for secret in [SECRET, &begun.state, &begun.kept.nonce, &begun.kept.verifier] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[tokio::test]
async fn nobody_is_asked_in_a_private_network_unless_that_is_allowed() {
    let provider = OddProvider::start(&Key::make("k1")).await;
    let public = Client::new(false).unwrap();
    let error = public.begin(&provider.registration(), BACK).await.unwrap_err();
    assert!(matches!(error, OidcError::Address(_)), "{error}");
    assert!(provider.asked("/.well-known/openid-configuration").is_empty());
}

#[test]
fn sign_ins_can_be_handled_by_any_thread() {
    fn is_send<T: Send>(_: &T) {}
    let client = client();
    let registration = Registration { issuer: String::new(), client_id: String::new(), client_secret: None };
    let kept = Kept { nonce: String::new(), verifier: String::new() };
    is_send(&client.begin(&registration, BACK));
    is_send(&client.finish(&registration, BACK, &kept, ""));
}
