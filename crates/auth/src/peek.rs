//! What a token says, whoever has signed it.

use jsonwebtoken::dangerous::insecure_decode_claims;
use serde_json::{Map, Value};

use crate::{Claims, Unverified};

/// What a token says, whoever has signed it: for people who look at one, never to decide anything.
#[derive(Debug, Clone, PartialEq)]
pub struct Peek {
    /// The key that it names.
    pub key: Option<String>,
    /// The algorithm that it names.
    pub algorithm: String,
    /// All that it claims.
    pub claims: Map<String, Value>,
}

impl Peek {
    /// Looks at a token.
    ///
    /// # Errors
    /// It is no JWT.
    pub fn at(token: &str) -> Result<Self, Unverified> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| Unverified::NoJwt)?;
        let claims = insecure_decode_claims(token).map_err(|_| Unverified::NoJwt)?;
        Ok(Self { key: header.kid, algorithm: format!("{:?}", header.alg), claims })
    }

    /// Its claims, as far as they are those of a token for this cluster.
    ///
    /// # Errors
    /// What is missing or wrong, for people.
    pub fn claims(&self) -> Result<Claims, String> {
        serde_json::from_value(Value::Object(self.claims.clone())).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SigningKey;

    #[test]
    fn peek_tells_what_a_token_says_and_what_is_wrong_with_it() {
        let key = SigningKey::read("0123456789abcdef0123456789abcdef").unwrap();
        let claims = serde_json::json!({ "sub": "ann", "exp": 7 });
        let token = key.seal(Some(&"k".parse().unwrap()), "JWT", &claims).unwrap();
        let peek = Peek::at(&token).unwrap();
        assert_eq!((peek.key.as_deref(), peek.algorithm.as_str()), (Some("k"), "HS256"));
        assert_eq!(peek.claims().unwrap().sub.as_str(), "ann");
        let peek = Peek::at(&key.seal(None, "JWT", &serde_json::json!({ "sub": "ann" })).unwrap()).unwrap();
        assert!(peek.claims().unwrap_err().contains("exp"));
        assert_eq!(Peek::at("a.b"), Err(Unverified::NoJwt));
    }
}
