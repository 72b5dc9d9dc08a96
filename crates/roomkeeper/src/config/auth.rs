//! What clients are asked for: the section `auth`.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use roomkeeper_auth::{Algorithm, KeyId, Verifier, VerifyingKey, Vouching};
use roomkeeper_gateway::Access;
use serde::{Deserialize, Serialize};

use super::ConfigError;

/// What clients are asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Auth {
    pub(crate) keys: Vec<KeySpec>,
    pub(crate) required: bool,
    pub(crate) issuer: Option<String>,
    pub(crate) audience: Option<String>,
    #[serde(with = "humantime_serde")]
    pub(crate) timeout: Duration,
}

impl Default for Auth {
    fn default() -> Self {
        Self {
            keys: Vec::new(),
            required: true,
            issuer: None,
            audience: None,
            timeout: Duration::from_secs(5),
        }
    }
}

/// A key that tokens are checked with, and where it is: `main EdDSA file:/etc/roomkeeper/token.pub`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct KeySpec {
    id: KeyId,
    algorithm: Algorithm,
    source: KeySource,
}

/// Where a key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KeySource {
    /// In this file.
    File(PathBuf),
    /// In this environment variable.
    Env(String),
}

impl KeySource {
    /// Reads the key's text.
    ///
    /// # Errors
    /// It is not there, in words that name the place and not the key.
    pub(crate) fn read(&self) -> Result<String, String> {
        match self {
            Self::File(path) => {
                std::fs::read_to_string(path).map_err(|error| format!("cannot read {self}: {error}"))
            }
            Self::Env(name) => std::env::var(name).map_err(|_| format!("{self} is not set, or is no text")),
        }
    }
}

impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Env(name) => write!(f, "env:{name}"),
        }
    }
}

impl FromStr for KeySource {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(path.into())),
            Some(("env", name)) if !name.is_empty() => Ok(Self::Env(name.to_owned())),
            _ => Err("expected file:PATH or env:VARIABLE"),
        }
    }
}

impl KeySpec {
    /// The environment variable that has the key, if one has.
    pub(super) fn variable(&self) -> Option<&str> {
        match &self.source {
            KeySource::Env(name) => Some(name),
            KeySource::File(_) => None,
        }
    }

    fn load(&self) -> Result<(KeyId, VerifyingKey), String> {
        let text = self.source.read()?;
        let key =
            VerifyingKey::read(self.algorithm, &text).map_err(|error| format!("{}: {error}", self.source))?;
        Ok((self.id.clone(), key))
    }
}

impl FromStr for KeySpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut words = text.split_whitespace();
        let parts = (words.next(), words.next(), words.next(), words.next());
        let (Some(id), Some(algorithm), Some(source), None) = parts else {
            return Err(format!(
                "'{text}': expected ID ALGORITHM SOURCE, such as `main EdDSA file:token.pub`"
            ));
        };
        Ok(Self {
            id: id.parse().map_err(|error| format!("'{id}': {error}"))?,
            algorithm: algorithm.parse().map_err(|error| format!("'{algorithm}': {error}"))?,
            source: source.parse().map_err(|error| format!("'{source}': {error}"))?,
        })
    }
}

impl TryFrom<String> for KeySpec {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<KeySpec> for String {
    fn from(KeySpec { id, algorithm, source }: KeySpec) -> Self {
        format!("{id} {algorithm} {source}")
    }
}

impl Auth {
    /// Whether whoever has no token may do nothing.
    pub(crate) fn is_token_needed(&self) -> bool {
        self.required && !self.keys.is_empty()
    }

    /// Checks what can be checked without opening a file, for a node that listens to clients there.
    pub(super) fn validate(&self, clients: SocketAddr, secret: Option<&str>) -> Result<(), ConfigError> {
        if !clients.ip().is_loopback() && !self.is_token_needed() {
            let why = if self.keys.is_empty() { "auth.keys has none" } else { "auth.required is false" };
            return Err(ConfigError(format!(
                "listen.client is {clients}, which others can reach, and clients are not asked for a token ({why}).\n\
                 Make a key with `roomkeeper token key --algorithm eddsa --out token.key`, and set on every node\n\
                 \x20   auth.keys = [\"main EdDSA file:/path/to/token.key.pub\"]\n\
                 (in the environment ROOMKEEPER_AUTH_KEYS='main EdDSA file:/path/to/token.key.pub'); or listen on \
                 127.0.0.1"
            )));
        }
        if !self.keys.is_empty() && secret.is_none() {
            return Err(ConfigError(
                "auth.keys needs cluster.secret, by which nodes vouch for their clients to each other: set it to the \
                 same random string on every node (for example from `openssl rand -hex 32`)"
                    .to_owned(),
            ));
        }
        if !(Duration::from_millis(10)..=Duration::from_secs(3600)).contains(&self.timeout) {
            return Err(ConfigError("auth.timeout: expected 10ms to 1h".to_owned()));
        }
        Ok(())
    }

    /// Reads the keys.
    ///
    /// # Errors
    /// One is not there, or is none; two have the same id.
    pub(super) fn load(&self, secret: Option<&str>) -> Result<Access, ConfigError> {
        let mut access = Access::open();
        if let Some(secret) = secret {
            let vouching = Vouching::new(secret);
            let vouching = vouching.map_err(|error| ConfigError(format!("cluster.secret: {error}")))?;
            access = access.with_vouching(vouching);
        }
        if self.keys.is_empty() {
            return Ok(access);
        }
        let wrong = |error: String| ConfigError(format!("auth.keys: {error}"));
        let keys: Vec<_> = self.keys.iter().map(KeySpec::load).collect::<Result<_, _>>().map_err(wrong)?;
        let tokens = Verifier::new(keys, self.issuer.clone(), self.audience.clone());
        let tokens = tokens.map_err(|error| wrong(error.to_string()))?;
        Ok(access.with_tokens(tokens, self.required, self.timeout))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: Option<&str> = Some("secret");

    fn auth(keys: &[&str]) -> Auth {
        Auth { keys: keys.iter().map(|key| key.parse().unwrap()).collect(), ..Auth::default() }
    }

    fn at(address: &str) -> SocketAddr {
        address.parse().unwrap()
    }

    #[test]
    fn key_is_an_id_an_algorithm_and_a_place() {
        for text in ["main EdDSA file:/a/token.pub", "a.b RS256 file:b", "dev HS256 env:KEY"] {
            assert_eq!(String::from(text.parse::<KeySpec>().unwrap()), text);
        }
        assert_eq!("a  hs256 env:K".parse::<KeySpec>().unwrap(), "a HS256 env:K".parse().unwrap());
        for text in [
            "",
            "main",
            "main EdDSA",
            "main none env:K",
            "m/n HS256 env:K",
            "main HS256 K",
            "a HS256 env:",
            "a HS256 file:a b",
        ] {
            let error = text.parse::<KeySpec>().unwrap_err();
            assert!(error.contains("expected") || error.contains("key's id"), "{text}: {error}");
        }
    }

    #[test]
    fn listener_that_others_reach_needs_keys_and_says_how_to_make_one() {
        let open = auth(&[]).validate(at("10.0.0.1:7700"), SECRET).unwrap_err().to_string();
        assert!(open.contains("roomkeeper token key") && open.contains("auth.keys"), "{open}");
        let optional = Auth { required: false, ..auth(&["main HS256 env:K"]) };
        let optional = optional.validate(at("0.0.0.0:7700"), SECRET).unwrap_err().to_string();
        assert!(optional.contains("auth.required"), "{optional}");
        auth(&["main HS256 env:K"]).validate(at("0.0.0.0:7700"), SECRET).unwrap();
        auth(&[]).validate(at("127.0.0.1:7700"), None).unwrap();
        auth(&[]).validate(at("[::1]:7700"), None).unwrap();
        let alone = auth(&["main HS256 env:K"]).validate(at("127.0.0.1:7700"), None).unwrap_err().to_string();
        assert!(alone.contains("cluster.secret"), "{alone}");
    }

    #[test]
    fn key_that_is_missing_or_wrong_is_named_by_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        let spec = |algorithm: &str| format!("main {algorithm} file:{}", file.display());
        let error = |spec: &str| auth(&[spec]).load(SECRET).unwrap_err().to_string();
        assert!(error(&spec("HS256")).contains("cannot read file:"), "{}", error(&spec("HS256")));
        assert!(error("main HS256 env:NO_SUCH_VARIABLE").contains("env:NO_SUCH_VARIABLE"));
        std::fs::write(&file, "canary").unwrap();
        let short = error(&spec("HS256"));
        assert!(short.contains("at least 32 bytes") && !short.contains("canary"), "{short}");
        assert!(error(&spec("EdDSA")).contains("public key"));
        std::fs::write(&file, "0123456789abcdef0123456789abcdef\n").unwrap();
        auth(&[&spec("HS256")]).load(SECRET).unwrap();
        let twice = auth(&[&spec("HS256"), &spec("HS256")]).load(SECRET).unwrap_err().to_string();
        assert!(twice.contains("two keys have the id main"), "{twice}");
    }
}
