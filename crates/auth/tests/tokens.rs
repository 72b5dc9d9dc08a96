//! Tokens, good ones and all kinds of bad ones. The keys were made with openssl.

#![allow(clippy::unwrap_used, reason = "allowed in tests; clippy knows only functions with #[test] as such")]

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use jsonwebtoken::crypto::sign;
use jsonwebtoken::{Algorithm as Jwt, EncodingKey};
use proptest::prelude::*;
use roomkeeper_auth::{
    Action, Algorithm, Claims, Invalid, KeyError, KeyId, KeyPair, SigningKey, Unverified, Verifier,
    VerifierError, VerifyingKey,
};
use roomkeeper_types::Timestamp;
use serde_json::{Value, json};

const ED: &str = include_str!("keys/ed.pem");
const ED_PUBLIC: &str = include_str!("keys/ed.pub");
const RSA: &str = include_str!("keys/rsa.pem");
const RSA_PKCS8: &str = include_str!("keys/rsa-pkcs8.pem");
const RSA_PUBLIC: &str = include_str!("keys/rsa.pub");
const SHORT_RSA_PUBLIC: &str = include_str!("keys/short-rsa.pub");
const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// Seconds: when the tokens of these tests are looked at, and when they expire.
const NOW: u64 = 1_800_000_000;
const LATER: u64 = NOW + 3_600;

fn now() -> Timestamp {
    at(NOW)
}

fn at(seconds: u64) -> Timestamp {
    Timestamp(seconds * 1_000)
}

fn id(id: &str) -> KeyId {
    id.parse().unwrap()
}

fn keys() -> Vec<(KeyId, VerifyingKey)> {
    let key = |name, algorithm, text| (id(name), VerifyingKey::read(algorithm, text).unwrap());
    vec![
        key("ed", Algorithm::EdDsa, ED_PUBLIC),
        key("rsa", Algorithm::Rs256, RSA_PUBLIC),
        key("hs", Algorithm::Hs256, SECRET),
    ]
}

fn verifier() -> Verifier {
    Verifier::new(keys(), None, None).unwrap()
}

fn claims() -> Claims {
    serde_json::from_value(usual()).unwrap()
}

fn usual() -> Value {
    json!({ "sub": "ann", "exp": LATER, "scopes": [{ "rooms": "chat.*", "actions": ["publish"] }] })
}

/// A token of any header and payload, signed by the secret.
fn forge(header: &Value, payload: &str) -> String {
    let message = format!("{}.{}", BASE64.encode(header.to_string()), BASE64.encode(payload));
    let key = EncodingKey::from_secret(SECRET.as_bytes()).unwrap();
    format!("{message}.{}", sign(message.as_bytes(), &key, Jwt::HS256).unwrap())
}

fn with_claims(payload: &Value) -> String {
    forge(&json!({ "alg": "HS256", "kid": "hs" }), &payload.to_string())
}

fn why(token: &str) -> Unverified {
    let Invalid(why) = verifier().verify(token, now()).unwrap_err();
    why
}

#[test]
fn token_by_any_key_is_who_it_says() {
    for (name, key) in [("ed", ED), ("rsa", RSA), ("rsa", RSA_PKCS8), ("hs", SECRET)] {
        let token = SigningKey::read(key).unwrap().sign(&id(name), &claims()).unwrap();
        let identity = verifier().verify(&token, now()).unwrap();
        assert_eq!(identity.user().as_str(), "ann", "{name}");
        assert_eq!(identity.expires(), Some(at(LATER)));
        assert!(identity.allows(Action::Publish, &"chat.a".parse().unwrap()));
        assert!(!identity.allows(Action::Subscribe, &"chat.a".parse().unwrap()));
        assert_eq!(verifier().claims(&token, now()).unwrap(), claims());
    }
}

#[test]
fn token_made_elsewhere_is_read() {
    // By Python's hmac and base64.
    let token = "eyJhbGciOiJIUzI1NiIsImtpZCI6ImhzIiwidHlwIjoiSldUIn0.\
                 eyJzdWIiOiJhbm4iLCJleHAiOjE4MDAwMDM2MDAsInNjb3BlcyI6W119.\
                 kazfzs3R37Ld--KfcLTTr3V09AFWQzj2AOzB-vt1UXM";
    assert_eq!(verifier().verify(token, now()).unwrap().user().as_str(), "ann");
}

#[test]
fn token_that_is_wrong_is_refused_for_its_reason() {
    let header = |extra: Value| {
        let mut header = json!({ "alg": "HS256", "kid": "hs" });
        header.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        forge(&header, &usual().to_string())
    };
    let unsigned = |alg: &str, signature: &str| {
        let header = json!({ "alg": alg, "kid": "hs" }).to_string();
        format!("{}.{}.{signature}", BASE64.encode(header), BASE64.encode(usual().to_string()))
    };
    let good = with_claims(&usual());
    let key = |kid: Value| forge(&json!({ "alg": "HS256", "kid": kid }), &usual().to_string());
    let table = [
        ("nothing", String::new(), Unverified::NoJwt),
        ("two parts", "a.b".into(), Unverified::NoJwt),
        ("four parts", format!("{good}.x"), Unverified::NoJwt),
        ("blanks around", format!(" {good}"), Unverified::NoJwt),
        ("padding", format!("{good}=="), Unverified::NoJwt),
        ("none", unsigned("none", ""), Unverified::NoJwt),
        ("None with a signature", unsigned("None", "AAAA"), Unverified::NoJwt),
        ("no signature", unsigned("HS256", ""), Unverified::Signature),
        ("another signature", unsigned("HS256", &BASE64.encode([7; 32])), Unverified::Signature),
        ("longer hash", header(json!({ "alg": "HS512" })), Unverified::Algorithm),
        ("ES256", header(json!({ "alg": "ES256" })), Unverified::Algorithm),
        ("jku", header(json!({ "jku": "https://evil.example/keys" })), Unverified::Header),
        ("x5u", header(json!({ "x5u": "https://evil.example/cert" })), Unverified::Header),
        ("x5c", header(json!({ "x5c": ["AAAA"] })), Unverified::Header),
        ("jwk", header(json!({ "jwk": { "kty": "oct", "k": "AAAA" } })), Unverified::Header),
        ("crit", header(json!({ "crit": ["exp"] })), Unverified::Header),
        ("b64", header(json!({ "b64": false })), Unverified::NoJwt),
        ("typ", header(json!({ "typ": "dpop+jwt" })), Unverified::Kind),
        ("the nodes' own", header(json!({ "typ": "roomkeeper-relay+jwt" })), Unverified::Kind),
        ("no kid", forge(&json!({ "alg": "HS256" }), &usual().to_string()), Unverified::NoKey),
        ("unknown kid", key("other".into()), Unverified::UnknownKey),
        ("kid with a path", key("../../etc/passwd".into()), Unverified::UnknownKey),
        ("kid with SQL", key("hs' OR '1'='1".into()), Unverified::UnknownKey),
        ("kid in other case", key("HS".into()), Unverified::UnknownKey),
        ("kid no text", key(json!(["hs"])), Unverified::NoJwt),
        (
            "too long",
            with_claims(&json!({ "sub": "ann", "exp": LATER, "pad": "x".repeat(9_000) })),
            Unverified::TooLong,
        ),
        ("no exp", with_claims(&json!({ "sub": "ann" })), Unverified::Claims),
        ("no sub", with_claims(&json!({ "exp": LATER })), Unverified::Claims),
        ("no claims", with_claims(&json!([])), Unverified::Claims),
        ("expired", with_claims(&json!({ "sub": "ann", "exp": NOW })), Unverified::Expired),
        ("not yet", with_claims(&json!({ "sub": "ann", "exp": LATER, "nbf": NOW + 11 })), Unverified::NotYet),
        (
            "for somebody",
            with_claims(&json!({ "sub": "ann", "exp": LATER, "aud": "x" })),
            Unverified::Audience,
        ),
        (
            "user twice",
            forge(&json!({ "alg": "HS256", "kid": "hs" }), r#"{"sub":"ann","sub":"root","exp":1900000000}"#),
            Unverified::Claims,
        ),
    ];
    for (name, token, reason) in table {
        assert_eq!(why(&token), reason, "{name}");
        assert_eq!(Invalid(reason).to_string(), "the token is not valid", "{name}");
    }
}

#[test]
fn token_whose_header_says_alg_twice_is_refused() {
    let header = r#"{"alg":"HS256","alg":"none","kid":"hs"}"#;
    let message = format!("{}.{}", BASE64.encode(header), BASE64.encode(usual().to_string()));
    let key = EncodingKey::from_secret(SECRET.as_bytes()).unwrap();
    let token = format!("{message}.{}", sign(message.as_bytes(), &key, Jwt::HS256).unwrap());
    assert_eq!(why(&token), Unverified::NoJwt);
}

/// The public key is public: whoever has it must not be able to sign with it as a secret.
#[test]
fn token_signed_with_a_public_key_as_secret_is_refused() {
    for (kid, public) in [("rsa", RSA_PUBLIC), ("ed", ED_PUBLIC)] {
        for secret in [public, public.trim()] {
            let header = BASE64.encode(json!({ "alg": "HS256", "kid": kid }).to_string());
            let message = format!("{header}.{}", BASE64.encode(usual().to_string()));
            let key = EncodingKey::from_secret(secret.as_bytes()).unwrap();
            let token = format!("{message}.{}", sign(message.as_bytes(), &key, Jwt::HS256).unwrap());
            assert_eq!(why(&token), Unverified::Algorithm, "{kid}");
        }
    }
    // Nor by the key of another algorithm under its name.
    for (kid, key) in [("ed", RSA), ("rsa", ED), ("hs", ED), ("hs", RSA)] {
        let token = SigningKey::read(key).unwrap().sign(&id(kid), &claims()).unwrap();
        assert_eq!(why(&token), Unverified::Algorithm, "{kid}");
    }
    let other = KeyPair::of_seed(&[9; 32]).unwrap();
    let token = SigningKey::read(&other.private_pem).unwrap().sign(&id("ed"), &claims()).unwrap();
    assert_eq!(why(&token), Unverified::Signature);
}

#[test]
fn token_is_valid_until_its_very_end_and_a_little_before_its_beginning() {
    let token = with_claims(&json!({ "sub": "ann", "exp": LATER, "nbf": NOW }));
    let at = |millis: u64| verifier().verify(&token, Timestamp(millis)).map(drop).map_err(|Invalid(why)| why);
    assert_eq!(at(LATER * 1_000 - 1), Ok(()));
    assert_eq!(at(LATER * 1_000), Err(Unverified::Expired));
    assert_eq!(at(NOW * 1_000 - 10_000), Ok(()));
    assert_eq!(at(NOW * 1_000 - 10_001), Err(Unverified::NotYet));
    assert_eq!(at(u64::MAX), Err(Unverified::Expired));
}

#[test]
fn token_names_the_issuer_and_audience_that_are_asked_for() {
    let strict = Verifier::new(keys(), Some("us".into()), Some("rooms".into())).unwrap();
    let verify = |more: Value| {
        let mut payload = usual();
        payload.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        strict.verify(&with_claims(&payload), now()).map(drop).map_err(|Invalid(why)| why)
    };
    assert_eq!(verify(json!({ "iss": "us", "aud": "rooms" })), Ok(()));
    assert_eq!(verify(json!({ "iss": "us", "aud": ["mail", "rooms"] })), Ok(()));
    assert_eq!(verify(json!({ "iss": "US", "aud": "rooms" })), Err(Unverified::Issuer));
    assert_eq!(verify(json!({ "aud": "rooms" })), Err(Unverified::Issuer));
    assert_eq!(verify(json!({ "iss": ["us"], "aud": "rooms" })), Err(Unverified::Claims));
    assert_eq!(verify(json!({ "iss": "us", "aud": "mail" })), Err(Unverified::Audience));
    assert_eq!(verify(json!({ "iss": "us" })), Err(Unverified::Audience));
}

#[test]
fn keys_are_changed_by_having_both_for_a_while() {
    let new = KeyPair::of_seed(&[3; 32]).unwrap();
    let new_public = (id("new"), VerifyingKey::read(Algorithm::EdDsa, &new.public_pem).unwrap());
    let old_public = keys().remove(0);
    let by_old = SigningKey::read(ED).unwrap().sign(&id("ed"), &claims()).unwrap();
    let by_new = SigningKey::read(&new.private_pem).unwrap().sign(&id("new"), &claims()).unwrap();
    let both = Verifier::new([old_public, new_public.clone()], None, None).unwrap();
    assert!(both.verify(&by_old, now()).is_ok() && both.verify(&by_new, now()).is_ok());
    let after = Verifier::new([new_public], None, None).unwrap();
    assert_eq!(after.verify(&by_old, now()), Err(Invalid(Unverified::UnknownKey)));
    assert!(after.verify(&by_new, now()).is_ok());
}

#[test]
fn verifier_without_keys_or_with_one_id_twice_is_refused() {
    assert_eq!(Verifier::new([], None, None).unwrap_err(), VerifierError::NoKeys);
    let twice = [keys().remove(0), keys().remove(0)];
    assert_eq!(Verifier::new(twice, None, None).unwrap_err(), VerifierError::SameId(id("ed")));
}

#[test]
fn key_that_is_none_for_the_algorithm_is_refused() {
    use Algorithm::{EdDsa, Hs256, Rs256};

    let table = [
        (EdDsa, ED, KeyError::Private),
        (Rs256, RSA, KeyError::Private),
        (EdDsa, RSA_PUBLIC, KeyError::NotPublic(EdDsa)),
        (Rs256, ED_PUBLIC, KeyError::NotPublic(Rs256)),
        (EdDsa, SECRET, KeyError::NotPublic(EdDsa)),
        (Rs256, "", KeyError::NotPublic(Rs256)),
        (Rs256, SHORT_RSA_PUBLIC, KeyError::ShortRsa(1_024)),
        (Hs256, ED_PUBLIC, KeyError::NotSecret),
        (Hs256, RSA, KeyError::NotSecret),
        (Hs256, "password", KeyError::ShortSecret(8)),
    ];
    for (algorithm, text, expected) in table {
        assert_eq!(VerifyingKey::read(algorithm, text).unwrap_err(), expected, "{algorithm}");
    }
    // An Ed25519 key that breaks off.
    let short = "-----BEGIN PUBLIC KEY-----\nMAoGAytlcAMFAAECAwQ=\n-----END PUBLIC KEY-----";
    assert!(VerifyingKey::read(EdDsa, short).is_err());
    for text in ["", "short", ED_PUBLIC, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"] {
        assert!(SigningKey::read(text).is_err(), "{text}");
    }
}

#[test]
fn key_tells_its_algorithm_by_what_it_is() {
    let algorithm = |text| VerifyingKey::guess(text).map(|key| key.algorithm());
    assert_eq!(algorithm(ED_PUBLIC), Ok(Algorithm::EdDsa));
    assert_eq!(algorithm(RSA_PUBLIC), Ok(Algorithm::Rs256));
    assert_eq!(algorithm(SECRET), Ok(Algorithm::Hs256));
    assert_eq!(algorithm(ED), Err(KeyError::Private));
    assert_eq!(algorithm(SHORT_RSA_PUBLIC), Err(KeyError::ShortRsa(1_024)));
}

#[test]
fn key_of_a_seed_is_what_openssl_would_write() {
    let pair = KeyPair::of_seed(&[1; 32]).unwrap();
    assert_eq!(pair, KeyPair::of_seed(&[1; 32]).unwrap());
    assert!(
        pair.private_pem.starts_with("-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEI"),
        "{}",
        pair.private_pem
    );
    assert_eq!(SigningKey::read(&pair.private_pem).unwrap().algorithm(), Algorithm::EdDsa);
}

#[test]
fn keys_are_not_shown_by_debug() {
    let pair = KeyPair::of_seed(&[1; 32]).unwrap();
    let secret = format!("{:?} {:?}", VerifyingKey::read(Algorithm::Hs256, SECRET), SigningKey::read(SECRET));
    let shown = format!("{secret} {pair:?} {:?} {:?}", verifier(), SigningKey::read(&pair.private_pem));
    let middle = &pair.private_pem.lines().nth(1).unwrap()[24..];
    assert!(!shown.contains(SECRET) && !shown.contains(middle), "{shown}");
}

proptest! {
    #[test]
    fn token_of_any_text_is_refused(text in "\\PC{0,200}", dots in "[A-Za-z0-9_.-]{0,200}") {
        prop_assert!(verifier().verify(&text, now()).is_err());
        prop_assert!(verifier().verify(&dots, now()).is_err());
    }

    #[test]
    fn token_with_any_byte_changed_is_refused(at in 0_usize..10_000, to in prop::char::range('!', '~')) {
        for (name, key) in [("ed", ED), ("hs", SECRET)] {
            let token = SigningKey::read(key).unwrap().sign(&id(name), &claims()).unwrap();
            let mut changed: Vec<char> = token.chars().collect();
            let at = at % changed.len();
            changed[at] = to;
            let changed: String = changed.into_iter().collect();
            prop_assert!(changed == token || verifier().verify(&changed, now()).is_err());
        }
    }
}
