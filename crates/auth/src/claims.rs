//! What a token says.

use roomkeeper_types::{Timestamp, UserId};
use serde::{Deserialize, Deserializer, Serialize};

use crate::Scope;

/// The claims of a token. Others than these are ignored; a claim that is given twice makes the token invalid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The user.
    pub sub: UserId,
    /// When the token runs out, seconds since the Unix epoch, exclusive.
    #[serde(deserialize_with = "seconds")]
    pub exp: u64,
    /// When it begins to be valid, seconds since the Unix epoch.
    #[serde(default, deserialize_with = "seconds_if_any", skip_serializing_if = "Option::is_none")]
    pub nbf: Option<u64>,
    /// When it was issued, seconds since the Unix epoch. For people only.
    #[serde(default, deserialize_with = "seconds_if_any", skip_serializing_if = "Option::is_none")]
    pub iat: Option<u64>,
    /// Who issued it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iss: Option<String>,
    /// Whom it is for.
    #[serde(default, skip_serializing_if = "Audience::is_empty")]
    pub aud: Audience,
    /// What it grants; nothing where it is missing.
    #[serde(default)]
    pub scopes: Vec<Scope>,
}

/// Whom a token is for: one name or several.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Audience(Vec<String>);

impl Audience {
    /// Whether it is for nobody in particular.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it is for that one, among others perhaps.
    #[must_use]
    pub fn names(&self, audience: &str) -> bool {
        self.0.iter().any(|name| name == audience)
    }
}

impl From<Option<String>> for Audience {
    fn from(audience: Option<String>) -> Self {
        Self(audience.into_iter().collect())
    }
}

impl<'de> Deserialize<'de> for Audience {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            One(String),
            Several(Vec<String>),
        }
        Ok(Self(match Form::deserialize(deserializer)? {
            Form::One(name) => vec![name],
            Form::Several(names) => names,
        }))
    }
}

impl Claims {
    /// When the token runs out.
    #[must_use]
    pub fn expires(&self) -> Timestamp {
        millis(self.exp)
    }
}

/// The same time in milliseconds.
pub(crate) fn millis(seconds: u64) -> Timestamp {
    Timestamp(seconds.saturating_mul(1_000))
}

/// Largest number of seconds whose milliseconds a client can be shown: below 2^53.
const SECONDS_MAX: u64 = ((1 << 53) - 1) / 1_000;

/// A time of a token: a number, perhaps with a fraction, which is cut off.
fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    use serde::de::Error;

    let number = serde_json::Number::deserialize(deserializer)?;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be within")]
    let fraction = |number: f64| (0.0..=SECONDS_MAX as f64).contains(&number).then_some(number as u64);
    let seconds = number.as_u64().or_else(|| number.as_f64().and_then(fraction));
    seconds
        .filter(|seconds| *seconds <= SECONDS_MAX)
        .ok_or_else(|| D::Error::custom("expected a time in seconds since 1970"))
}

fn seconds_if_any<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    seconds(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Claims, serde_json::Error> {
        serde_json::from_str(json)
    }

    #[test]
    fn claims_of_any_issuer_are_read() {
        let claims = read(
            r#"{"sub": "ann", "exp": 1800000000.9, "nbf": 5, "aud": ["a", "b"], "other": {"x": 1},
                "scopes": [{"rooms": "chat.*", "actions": ["publish"], "note": 1}]}"#,
        )
        .unwrap();
        assert_eq!((claims.exp, claims.nbf, claims.iat), (1_800_000_000, Some(5), None));
        assert_eq!(claims.expires(), Timestamp(1_800_000_000_000));
        assert!(claims.aud.names("b") && !claims.aud.names("c"));
        assert_eq!(claims.scopes.len(), 1);
        assert!(read(r#"{"sub": "ann", "exp": 1, "aud": "a"}"#).unwrap().aud.names("a"));
        assert!(read(r#"{"sub": "ann", "exp": 1}"#).unwrap().scopes.is_empty());
    }

    #[test]
    fn claims_that_lack_something_or_are_given_twice_are_refused() {
        let wrong = [
            r#"{"exp": 1}"#,
            r#"{"sub": "ann"}"#,
            r#"{"sub": "", "exp": 1}"#,
            r#"{"sub": "a\u0000b", "exp": 1}"#,
            r#"{"sub": 1, "exp": 1}"#,
            r#"{"sub": "ann", "exp": "1"}"#,
            r#"{"sub": "ann", "exp": -1}"#,
            r#"{"sub": "ann", "exp": 1e300}"#,
            r#"{"sub": "ann", "exp": 9007199254741}"#,
            r#"{"sub": "ann", "exp": null}"#,
            r#"{"sub": "ann", "exp": 1, "nbf": "soon"}"#,
            r#"{"sub": "ann", "exp": 1, "scopes": "publish"}"#,
            r#"{"sub": "ann", "exp": 1, "scopes": [{"rooms": "*"}]}"#,
            r#"{"sub": "ann", "exp": 1, "scopes": [{"rooms": "a b", "actions": []}]}"#,
            r#"{"sub": "ann", "exp": 1, "aud": [1]}"#,
            r#"{"sub": "ann", "sub": "bob", "exp": 1}"#,
            r#"{"sub": "ann", "exp": 1, "exp": 2}"#,
            r#"{"sub": "ann", "exp": 1, "scopes": [], "scopes": []}"#,
            r#"{"sub": "ann", "exp": 1, "scopes": [{"rooms": "a", "rooms": "*", "actions": []}]}"#,
        ];
        for json in wrong {
            assert!(read(json).is_err(), "{json}");
        }
    }
}
