//! Keys. Each is for one algorithm, whatever a token says of itself.

use std::fmt;
use std::str::FromStr;

use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{EncodePrivateKey, EncodePublicKey, KeypairBytes};
use jsonwebtoken::crypto::CryptoProvider;
use jsonwebtoken::{DecodingKey, EncodingKey, Header};
use serde::Serialize;

use crate::{Claims, KeyId};

/// How tokens are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// Ed25519: nodes have the public key only.
    EdDsa,
    /// RSA with SHA-256, for issuers that have nothing else: nodes have the public key only.
    Rs256,
    /// A shared secret, for development: whoever can check a token can also make one.
    Hs256,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::EdDsa, Self::Rs256, Self::Hs256];

    /// The name in tokens.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Rs256 => "RS256",
            Self::Hs256 => "HS256",
        }
    }

    pub(crate) const fn jwt(self) -> jsonwebtoken::Algorithm {
        match self {
            Self::EdDsa => jsonwebtoken::Algorithm::EdDSA,
            Self::Rs256 => jsonwebtoken::Algorithm::RS256,
            Self::Hs256 => jsonwebtoken::Algorithm::HS256,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Algorithm {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = |algorithm: &Self| algorithm.name().eq_ignore_ascii_case(text);
        Self::ALL.into_iter().find(named).ok_or("expected EdDSA, RS256 or HS256")
    }
}

/// A key that cannot be used. Says nothing of the key itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A node was given a key that can make tokens.
    #[error("this is a private key, which makes tokens: give nodes the public one")]
    Private,
    /// It is no public key in PEM, or one for another algorithm.
    #[error("expected a public key for {0} in PEM (-----BEGIN PUBLIC KEY-----)")]
    NotPublic(Algorithm),
    /// It is no private key in PEM, or one of another kind.
    #[error("expected a private key for EdDSA or RS256 in PEM, or a secret for HS256")]
    NotPrivate,
    /// An RSA key of fewer than 2,048 bits.
    #[error("expected at least 2048 bits, this RSA key has {0}")]
    ShortRsa(usize),
    /// A secret of fewer than 32 bytes, which can be guessed from one token.
    #[error("expected a secret of at least 32 bytes, this one has {0} (`openssl rand -hex 32` makes one)")]
    ShortSecret(usize),
    /// A secret that looks like a key in PEM: as a public one it would be no secret.
    #[error("this is a key in PEM, which is no secret for HS256")]
    NotSecret,
}

/// A secret has at least as many bytes as its hash.
const SECRET_BYTES_MIN: usize = 32;
const RSA_BITS_MIN: usize = 2_048;
const ED25519_BYTES: usize = 32;

/// What tokens are checked with.
#[derive(Clone)]
pub struct VerifyingKey {
    algorithm: Algorithm,
    key: DecodingKey,
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyingKey").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

impl VerifyingKey {
    /// Reads a key: a public one in PEM for [`Algorithm::EdDsa`] and [`Algorithm::Rs256`], for
    /// [`Algorithm::Hs256`] the secret itself, without blanks and line ends around it.
    ///
    /// # Errors
    /// It is none for the algorithm, too short, or a private one.
    pub fn read(algorithm: Algorithm, text: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        let public = |read: fn(&[u8]) -> jsonwebtoken::errors::Result<DecodingKey>| {
            if text.contains("PRIVATE KEY-----") {
                return Err(KeyError::Private);
            }
            if !text.contains("PUBLIC KEY-----") {
                return Err(KeyError::NotPublic(algorithm));
            }
            read(text.as_bytes()).map_err(|_| KeyError::NotPublic(algorithm))
        };
        let key = match algorithm {
            Algorithm::EdDsa => {
                let key = public(DecodingKey::from_ed_pem)?;
                // The library takes the first 32 bytes of whatever there is.
                let bytes = key.try_get_as_bytes().map_or(0, <[u8]>::len);
                if bytes == ED25519_BYTES { key } else { return Err(KeyError::NotPublic(algorithm)) }
            }
            Algorithm::Rs256 => {
                let key = public(DecodingKey::from_rsa_pem)?;
                match rsa_bits(&key).ok_or(KeyError::NotPublic(algorithm))? {
                    RSA_BITS_MIN.. => key,
                    bits => return Err(KeyError::ShortRsa(bits)),
                }
            }
            Algorithm::Hs256 => return Self::of_secret(secret(text)?),
        };
        Ok(Self { algorithm, key })
    }

    /// Reads a key of an algorithm that it tells by what it is. For people who look at a token; a node is told.
    ///
    /// # Errors
    /// As [`VerifyingKey::read`].
    pub fn guess(text: &str) -> Result<Self, KeyError> {
        if !text.contains("-----BEGIN ") {
            return Self::read(Algorithm::Hs256, text);
        }
        match Self::read(Algorithm::EdDsa, text) {
            Err(KeyError::NotPublic(_)) => Self::read(Algorithm::Rs256, text),
            read => read,
        }
    }

    /// The one algorithm that it is for.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub(crate) fn inner(&self) -> &DecodingKey {
        &self.key
    }

    pub(crate) fn of_secret(secret: &[u8]) -> Result<Self, KeyError> {
        let key = DecodingKey::from_secret(secret).map_err(|_| KeyError::ShortSecret(secret.len()))?;
        Ok(Self { algorithm: Algorithm::Hs256, key })
    }
}

fn rsa_bits(key: &DecodingKey) -> Option<usize> {
    let provider = CryptoProvider::try_get_default()?;
    let (modulus, _) =
        (provider.key_utils.rsa_pub_components_from_public_key)(key.try_get_as_bytes().ok()?).ok()?;
    let first = modulus.iter().position(|byte| *byte != 0)?;
    Some((modulus.len() - first) * 8 - modulus[first].leading_zeros() as usize)
}

fn secret(text: &str) -> Result<&[u8], KeyError> {
    match text.len() {
        _ if text.contains("-----BEGIN ") => Err(KeyError::NotSecret),
        SECRET_BYTES_MIN.. => Ok(text.as_bytes()),
        short => Err(KeyError::ShortSecret(short)),
    }
}

/// What tokens are made with.
#[derive(Clone)]
pub struct SigningKey {
    algorithm: Algorithm,
    key: EncodingKey,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

impl SigningKey {
    /// Reads a key, which tells its algorithm by what it is: a private one for EdDSA or RS256 in PEM, or a secret
    /// for HS256.
    ///
    /// # Errors
    /// It is none of them.
    pub fn read(text: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        if !text.contains("-----BEGIN ") {
            return Self::of_secret(secret(text)?);
        }
        if !text.contains("PRIVATE KEY-----") {
            return Err(KeyError::NotPrivate);
        }
        let ed = EncodingKey::from_ed_pem(text.as_bytes()).map(|key| (Algorithm::EdDsa, key));
        let rsa = || EncodingKey::from_rsa_pem(text.as_bytes()).map(|key| (Algorithm::Rs256, key));
        let (algorithm, key) = ed.or_else(|_| rsa()).map_err(|_| KeyError::NotPrivate)?;
        Ok(Self { algorithm, key })
    }

    /// The one algorithm that it is for.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Makes a token. `id` tells the nodes which of their keys to check it with.
    ///
    /// # Errors
    /// The key turns out to be unusable.
    pub fn sign(&self, id: &KeyId, claims: &Claims) -> Result<String, KeyError> {
        self.seal(Some(id), "JWT", claims)
    }

    pub(crate) fn seal(
        &self,
        id: Option<&KeyId>,
        kind: &str,
        claims: &impl Serialize,
    ) -> Result<String, KeyError> {
        let kid = id.map(|id| id.as_str().to_owned());
        let header = Header { kid, typ: Some(kind.to_owned()), ..Header::new(self.algorithm.jwt()) };
        jsonwebtoken::encode(&header, claims, &self.key).map_err(|_| KeyError::NotPrivate)
    }

    pub(crate) fn of_secret(secret: &[u8]) -> Result<Self, KeyError> {
        let key = EncodingKey::from_secret(secret).map_err(|_| KeyError::ShortSecret(secret.len()))?;
        Ok(Self { algorithm: Algorithm::Hs256, key })
    }
}

/// A new key for [`Algorithm::EdDsa`], as the files that openssl would write.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyPair {
    /// Makes tokens: for the issuer only.
    pub private_pem: String,
    /// Checks tokens: for the nodes.
    pub public_pem: String,
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyPair").field("public_pem", &self.public_pem).finish_non_exhaustive()
    }
}

impl KeyPair {
    /// The key of these 32 random bytes.
    ///
    /// # Errors
    /// It cannot be written, which does not happen.
    pub fn of_seed(seed: &[u8; ED25519_BYTES]) -> Result<Self, KeyError> {
        let public = ed25519_dalek::SigningKey::from_bytes(seed).verifying_key();
        // Without the public key in it: the form that every version of openssl reads.
        let private = KeypairBytes { secret_key: *seed, public_key: None };
        let private_pem = private.to_pkcs8_pem(LineEnding::LF).map_err(|_| KeyError::NotPrivate)?;
        let public_pem = public.to_public_key_pem(LineEnding::LF);
        Ok(Self {
            private_pem: private_pem.to_string(),
            public_pem: public_pem.map_err(|_| KeyError::NotPublic(Algorithm::EdDsa))?,
        })
    }
}
