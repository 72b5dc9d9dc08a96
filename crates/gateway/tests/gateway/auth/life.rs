//! Tokens that run out while their client is connected.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{nodes, now, open, rest, scope, token, token_until};
use crate::common::{Client, Served};

const ALL: [&str; 3] = ["publish", "subscribe", "create"];

fn short_token() -> (String, u64) {
    let exp = now() + 2;
    (token_until("ann", scope("chat", &ALL), exp), exp)
}

/// Waits until shortly after that second has begun.
async fn until_after(exp: u64) {
    while now() <= exp {
        sleep(Duration::from_millis(50)).await;
    }
}

/// The ways to be connected.
async fn connected(owner: &Served, other: &Served, token: &str) -> Vec<Client> {
    let mut clients = Vec::new();
    for (node, path) in [
        (owner, "/v1/ws"),
        (owner, "/v1/rooms/chat/ws"),
        (other, "/v1/ws"),
        (other, "/v1/rooms/chat/ws?route=proxy"),
    ] {
        let mut client = open(node, path, token).await;
        client.ok("join", json!({ "room": "chat" })).await;
        clients.push(client);
    }
    clients
}

#[tokio::test]
async fn socket_is_closed_when_its_token_runs_out_and_gets_nothing_more() {
    let (cluster, owner, other) = nodes().await;
    let (ann, exp) = short_token();
    let clients = connected(&owner, &other, &ann).await;
    until_after(exp).await;
    cluster.append(cluster.shard_of("chat"), "chat", json!("too late"));
    for client in clients {
        let ended = tokio::time::timeout(Duration::from_secs(3), client.rest()).await;
        let (pushes, _, ended) = ended.expect("closed in time");
        assert_eq!(ended.0, Some(4500));
        assert!(!Value::from(pushes).to_string().contains("too late"));
    }
    assert_eq!(rest(&owner, Some(&ann)).get("/v1/cluster").await.status, 401);
}

#[tokio::test]
async fn fresh_token_in_time_keeps_the_socket_and_its_subscriptions() {
    let (cluster, owner, other) = nodes().await;
    let (ann, exp) = short_token();
    let mut clients = connected(&owner, &other, &ann).await;
    let fresh = token("ann", scope("chat", &ALL));
    for client in &mut clients {
        let hello = client.ok("hello", json!({ "token": fresh })).await;
        assert!(hello["expires"].as_u64().unwrap() > exp * 1_000);
    }
    until_after(exp + 1).await;
    cluster.append(cluster.shard_of("chat"), "chat", json!("still here"));
    for client in &mut clients {
        assert_eq!(client.messages(1).await[0]["data"], "still here");
        client.publish(Some("chat"), json!(1)).await;
        client.messages(1).await;
        // Each gets what the others publish as well.
    }
}

#[tokio::test]
async fn command_with_a_token_that_has_run_out_is_unauthorized() {
    let (_cluster, owner, other) = nodes().await;
    let (ann, exp) = short_token();
    let mut clients = connected(&owner, &other, &ann).await;
    until_after(exp).await;
    for client in &mut clients {
        // Answered, or closed before it was read: never carried out.
        match tokio::time::timeout(Duration::from_secs(3), client.try_publish_code(json!(1))).await.unwrap() {
            Ok(code) => assert_eq!(code, "unauthorized"),
            Err(ended) => assert_eq!(ended.0, Some(4500)),
        }
    }
    let fresh = token("ann", scope("chat", &["history"]));
    let stored = rest(&owner, Some(&fresh)).get("/v1/rooms/chat/messages").await;
    assert_eq!(stored.body["items"], json!([]));
}

#[tokio::test]
async fn fresh_token_with_other_scopes_is_in_force_at_once_everywhere() {
    let (_cluster, owner, other) = nodes().await;
    let started = Instant::now();
    for (number, node) in [&owner, &other].into_iter().enumerate() {
        let mut client = open(node, "/v1/ws", &token("ann", scope("chat", &ALL))).await;
        client.publish(Some("chat"), json!(1)).await;
        for round in 0..5 {
            let room = format!("new{number}.{round}");
            assert_eq!(client.code("create", json!({ "room": room })).await, "forbidden");
            let wider = token("ann", scope("*", &["publish", "create"]));
            client.ok("hello", json!({ "token": wider })).await;
            // Created by the way, by whichever node owns it.
            client.publish(Some(&room), json!(1)).await;
            let narrower = token("ann", scope("*", &["publish"]));
            client.ok("hello", json!({ "token": narrower })).await;
            let missing = json!({ "room": format!("{room}.x"), "messages": [{ "id": crate::common::uuid(), "data": 1 }] });
            assert_eq!(client.code("publish", missing).await, "not_found");
        }
    }
    assert!(started.elapsed() < Duration::from_secs(60));
}
