//! From a token to an identity.

use std::collections::BTreeMap;

use jsonwebtoken::{Header, Validation, decode, decode_header};
use roomkeeper_types::Timestamp;
use serde::de::DeserializeOwned;

use crate::claims::millis;
use crate::{Claims, Identity, KeyId, VerifyingKey};

/// Longest token, in bytes.
const TOKEN_BYTES_MAX: usize = 8 << 10;
/// An issuer's clock may be ahead of ours by so much. A token's end is exact.
const LEEWAY_MS: u64 = 10_000;
/// Kinds of tokens that are meant for us; one that does not say is taken.
const KINDS: [&str; 4] = ["JWT", "at+jwt", "application/jwt", "application/at+jwt"];

/// Checks tokens.
#[derive(Debug, Clone)]
pub struct Verifier {
    keys: BTreeMap<KeyId, VerifyingKey>,
    issuer: Option<String>,
    audience: Option<String>,
}

/// Settings that no verifier can work with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifierError {
    /// There is no key.
    #[error("expected at least one key")]
    NoKeys,
    /// Two keys have the same id.
    #[error("two keys have the id {0}")]
    SameId(KeyId),
}

/// A token that is not valid. All that a client is told: the reason is for operators and issuers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the token is not valid")]
pub struct Invalid(#[from] pub Unverified);

/// Why a token is not valid. Has nothing of the token in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unverified {
    /// It is too long to be one of ours.
    #[error("it is longer than {TOKEN_BYTES_MAX} bytes")]
    TooLong,
    /// It is not three parts of base64url between dots, or its header is none.
    #[error("it is no signed JWT")]
    NoJwt,
    /// It is of another kind (`typ`).
    #[error("it is of another kind (typ)")]
    Kind,
    /// It brings a key, or says where to get one (`jku`, `jwk`, `x5u`, `x5c`), or asks for an extension (`crit`).
    #[error("its header has jku, jwk, x5u, x5c or crit")]
    Header,
    /// It names no key.
    #[error("it names no key (kid)")]
    NoKey,
    /// It names a key that is not configured.
    #[error("it names a key (kid) that is not configured")]
    UnknownKey,
    /// Its algorithm is not the key's.
    #[error("its algorithm (alg) is not the one of the key")]
    Algorithm,
    /// Its signature is not by the key.
    #[error("its signature is not by the key")]
    Signature,
    /// A claim is missing, of another type, out of range, or given twice.
    #[error("its claims are incomplete or malformed: sub and exp are needed")]
    Claims,
    /// It has run out.
    #[error("it has expired (exp)")]
    Expired,
    /// It is not valid yet.
    #[error("it is not valid yet (nbf)")]
    NotYet,
    /// It is by another issuer, or does not say by whom.
    #[error("it is by another issuer (iss)")]
    Issuer,
    /// It is for somebody else.
    #[error("it is for another audience (aud)")]
    Audience,
}

impl Verifier {
    /// Checks tokens with these keys. Where an issuer or an audience is given, tokens have to name it.
    ///
    /// # Errors
    /// No keys, or two of the same id.
    pub fn new(
        keys: impl IntoIterator<Item = (KeyId, VerifyingKey)>,
        issuer: Option<String>,
        audience: Option<String>,
    ) -> Result<Self, VerifierError> {
        let mut by_id = BTreeMap::new();
        for (id, key) in keys {
            if by_id.contains_key(&id) {
                return Err(VerifierError::SameId(id));
            }
            by_id.insert(id, key);
        }
        if by_id.is_empty() {
            return Err(VerifierError::NoKeys);
        }
        Ok(Self { keys: by_id, issuer, audience })
    }

    /// Who a client with this token is, at that time.
    ///
    /// # Errors
    /// The token is not valid.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Identity, Invalid> {
        let claims = self.claims(token, now)?;
        let expires = claims.expires();
        Ok(Identity::new(claims.sub, claims.scopes, Some(expires)))
    }

    /// What a valid token says.
    ///
    /// # Errors
    /// The token is not valid.
    pub fn claims(&self, token: &str, now: Timestamp) -> Result<Claims, Invalid> {
        let header = header(token, TOKEN_BYTES_MAX, &KINDS)?;
        let id = header.kid.as_deref().ok_or(Unverified::NoKey)?;
        let key = self.keys.get(id).ok_or(Unverified::UnknownKey)?;
        let claims: Claims = open(token, &header, key)?;
        self.check(&claims, now)?;
        Ok(claims)
    }

    fn check(&self, claims: &Claims, now: Timestamp) -> Result<(), Unverified> {
        if now >= claims.expires() {
            return Err(Unverified::Expired);
        }
        let soon = Timestamp(now.millis().saturating_add(LEEWAY_MS));
        if claims.nbf.is_some_and(|from| soon < millis(from)) {
            return Err(Unverified::NotYet);
        }
        if self.issuer.is_some() && self.issuer != claims.iss {
            return Err(Unverified::Issuer);
        }
        match &self.audience {
            Some(audience) if !claims.aud.names(audience) => Err(Unverified::Audience),
            // It is for somebody, and we do not know that it is us.
            None if !claims.aud.is_empty() => Err(Unverified::Audience),
            _ => Ok(()),
        }
    }
}

/// The header of a token that may be looked at any further.
pub(crate) fn header(token: &str, bytes_max: usize, kinds: &[&str]) -> Result<Header, Unverified> {
    if token.len() > bytes_max {
        return Err(Unverified::TooLong);
    }
    let header = decode_header(token).map_err(|_| Unverified::NoJwt)?;
    let brings = header.jku.is_some() || header.jwk.is_some() || header.x5u.is_some() || header.x5c.is_some();
    if brings || header.crit.is_some() {
        return Err(Unverified::Header);
    }
    let is_one = |kind: &String| kinds.iter().any(|known| known.eq_ignore_ascii_case(kind));
    if header.typ.as_ref().is_some_and(|kind| !is_one(kind)) {
        return Err(Unverified::Kind);
    }
    Ok(header)
}

/// The claims of a token that is signed by the key. Times are not looked at.
pub(crate) fn open<T: DeserializeOwned>(
    token: &str,
    header: &Header,
    key: &VerifyingKey,
) -> Result<T, Unverified> {
    use jsonwebtoken::errors::ErrorKind;

    let algorithm = key.algorithm().jwt();
    if header.alg != algorithm {
        return Err(Unverified::Algorithm);
    }
    let mut validation = Validation::new(algorithm);
    // Checked by us, at the time that we are given.
    validation.required_spec_claims.clear();
    (validation.validate_exp, validation.validate_nbf, validation.validate_aud) = (false, false, false);
    match decode(token, key.inner(), &validation) {
        Ok(data) => Ok(data.claims),
        Err(error) => Err(match error.kind() {
            // Read only after the signature was found to be right.
            ErrorKind::Json(_) => Unverified::Claims,
            ErrorKind::InvalidSignature => Unverified::Signature,
            _ => Unverified::NoJwt,
        }),
    }
}
