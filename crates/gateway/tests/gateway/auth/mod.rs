//! Tokens: who may do what, where it is asked, and for how long.

mod life;
mod limits;
mod lists;
mod matrix;
mod narrower;
mod relays;
mod sockets;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use roomkeeper_auth::{Algorithm, SigningKey, Verifier, VerifyingKey, Vouching};
use roomkeeper_gateway::{Access, GatewayConfig};
use serde_json::{Value, json};

use crate::common::{Client, Cluster, Rest, Served, config};

const KEY: &str = "0123456789abcdef0123456789abcdef";
const SECRET: &str = "what the nodes of these tests share";

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A token of this user with these scopes, that runs out at this time, in seconds.
fn token_until(user: &str, scopes: Value, exp: u64) -> String {
    let claims = json!({ "sub": user, "exp": exp, "scopes": scopes });
    let claims = serde_json::from_value(claims).unwrap();
    SigningKey::read(KEY).unwrap().sign(&"k".parse().unwrap(), &claims).unwrap()
}

fn token(user: &str, scopes: Value) -> String {
    token_until(user, scopes, now() + 600)
}

/// One scope.
fn scope(rooms: &str, actions: &[&str]) -> Value {
    json!([{ "rooms": rooms, "actions": actions }])
}

const EVERYTHING: [&str; 6] = ["publish", "subscribe", "history", "create", "delete", "presence"];

/// A token that may do everything with all shared rooms.
fn master(user: &str) -> String {
    token(user, scope("*", &EVERYTHING))
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

fn asking_within(timeout: Duration) -> Access {
    let key = VerifyingKey::read(Algorithm::Hs256, KEY).unwrap();
    let tokens = Verifier::new([("k".parse().unwrap(), key)], None, None).unwrap();
    Access::open().with_tokens(tokens, true, timeout).with_vouching(Vouching::new(SECRET).unwrap())
}

/// Two nodes that ask for tokens, of which the first owns everything.
async fn nodes() -> (Cluster, Served, Served) {
    nodes_asking_within(Duration::from_secs(5)).await
}

async fn nodes_asking_within(timeout: Duration) -> (Cluster, Served, Served) {
    nodes_with(config(), timeout).await
}

async fn nodes_with(config: GatewayConfig, timeout: Duration) -> (Cluster, Served, Served) {
    let cluster = Cluster::new(4);
    let first = Served::guarded(&cluster, config.clone(), asking_within(timeout)).await;
    let second = Served::guarded(&cluster, config, asking_within(timeout)).await;
    cluster.set_owner_of_all(first.id());
    (cluster, first, second)
}

fn rest(node: &Served, token: Option<&str>) -> Rest {
    match token {
        Some(token) => node.rest().with("authorization", bearer(token)),
        None => node.rest(),
    }
}

/// A socket whose handshake brings the token.
async fn open(node: &Served, path: &str, token: &str) -> Client {
    Client::open(&node.url, path, &[("authorization", &bearer(token))]).await
}
