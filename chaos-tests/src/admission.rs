//! What clients prove themselves with where nodes ask for it: off loopback, which is where they have network
//! namespaces of their own.

use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use reqwest::Url;
use roomkeeper_auth::{Claims, SigningKey};
use roomkeeper_client::ClientConfig;
use serde_json::{Value, json};

/// Variable that a node reads the key of tokens from.
const KEY_VARIABLE: &str = "CHAOS_TESTS_TOKEN_KEY";
/// For tests only, and for nodes that live as long as a run.
const KEY: &str = "not a secret: every run of chaos-tests has this key";
const KEY_ID: &str = "chaos";
/// The user of all clients: the one whom the load takes itself for.
const USER: &str = "chaos";
/// Longer than any run.
const SECONDS: u64 = 7 * 24 * 3600;

/// Environment of a node that asks for tokens.
pub(crate) fn of_node() -> [(String, String); 2] {
    let keys = format!("{KEY_ID} HS256 env:{KEY_VARIABLE}");
    [("ROOMKEEPER_AUTH_KEYS".to_owned(), keys), (KEY_VARIABLE.to_owned(), KEY.to_owned())]
}

/// Environment of a node on loopback that looks at tokens where there are any, and takes others at their word.
pub(crate) fn of_trusting_node() -> Vec<(String, String)> {
    let required = ("ROOMKEEPER_AUTH_REQUIRED".to_owned(), "false".to_owned());
    of_node().into_iter().chain([required]).collect()
}

/// A token for everything.
///
/// # Errors
/// It cannot be made, which does not happen.
pub(crate) fn token() -> Result<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let actions = ["publish", "subscribe", "history", "create", "delete", "presence"];
    token_of(USER, now + SECONDS, json!([{ "rooms": "*", "actions": actions }]))
}

/// A user's token that runs out then, seconds since 1970.
///
/// # Errors
/// As [`token`].
pub(crate) fn token_of(user: &str, exp: u64, scopes: Value) -> Result<String> {
    let claims: Claims = serde_json::from_value(json!({ "sub": user, "exp": exp, "scopes": scopes }))?;
    let key = SigningKey::read(KEY).context("the key of tokens")?;
    Ok(key.sign(&KEY_ID.parse()?, &claims)?)
}

/// The settings of a client that starts from these URLs.
pub(crate) fn config<U: Into<String>>(urls: impl IntoIterator<Item = U>) -> ClientConfig {
    let mut config = ClientConfig::new(urls);
    if config.urls.iter().any(|url| is_off_loopback(url)) {
        // Who has none is told so by the first node.
        config.token = token().ok().map(Into::into);
    }
    config
}

fn is_off_loopback(url: &str) -> bool {
    let host = Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned));
    host.and_then(|host| host.parse::<IpAddr>().ok()).is_some_and(|address| !address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_has_a_token_off_loopback_only() {
        assert!(config(["http://127.0.0.1:7700"]).token.is_none());
        assert!(config(["http://10.3.4.1:7700"]).token.is_some());
    }
}
