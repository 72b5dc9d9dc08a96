//! Who says that it relays, where nodes share no secret to vouch with, or without being one of them: a client like any
//! other to what limits clients.

use roomkeeper_gateway::{Access, GatewayConfig};
use serde_json::{Value, json};

use crate::common::{Client, Cluster, Rest, Served, config, sharing_a_secret, uuid};

const MARK: &str = "roomkeeper-relay";
/// As a relay marks what it does for a client, and what it does for several.
const MARKS: [&str; 2] = ["9", "node"];

/// A node, with a secret or without, and these settings.
async fn nodes(change: impl Fn(&mut GatewayConfig)) -> Vec<(Cluster, Served)> {
    let mut nodes = Vec::new();
    for access in [Access::open(), sharing_a_secret()] {
        let cluster = Cluster::new(4);
        let mut settings = config();
        change(&mut settings);
        let node = Served::guarded(&cluster, settings, access).await;
        cluster.set_owner_of_all(node.id());
        nodes.push((cluster, node));
    }
    nodes
}

fn batch(room: &str) -> Value {
    let messages: Vec<_> = (0..5).map(|n| json!({ "id": uuid(), "data": n })).collect();
    json!({ "room": room, "messages": messages })
}

#[tokio::test]
async fn commands_of_a_marked_connection_are_limited() {
    for (_cluster, node) in nodes(|config| config.rates.commands_per_connection = 5).await {
        for mark in MARKS {
            let mut socket = Client::open(&node.url, "/v1/ws", &[(MARK, mark)]).await;
            let rest: Rest = node.rest().with(MARK, mark);
            let (mut over_socket, mut over_http) = (0, 0);
            for _ in 0..30 {
                over_socket += usize::from(socket.call("hello", json!({})).await.is_err());
                over_http += usize::from(rest.get("/v1/rooms/a").await.code() == "rate_limited");
            }
            assert!(over_socket > 0 && over_http > 0, "{mark}: {over_socket} {over_http}");
        }
    }
}

#[tokio::test]
async fn messages_of_a_user_over_a_marked_connection_are_limited() {
    for (_cluster, node) in nodes(|config| config.rates.messages_per_user = 5).await {
        for mark in MARKS {
            let path = format!("/v1/ws?user=ann{mark}");
            let mut socket = Client::open(&node.url, &path, &[(MARK, mark)]).await;
            socket.ok("publish", batch("a")).await;
            let mut codes = Vec::new();
            for room in ["b", "c", "d", "e"] {
                codes.push(socket.call("publish", batch(room)).await.is_ok());
            }
            assert!(codes.contains(&false), "{mark}");
        }
    }
}

#[tokio::test]
async fn marked_sockets_of_a_user_and_their_rooms_are_counted() {
    let limits = |config: &mut GatewayConfig| {
        config.max_connections_per_user = 1;
        config.max_rooms_per_socket = 2;
    };
    for (_cluster, node) in nodes(limits).await {
        for mark in MARKS {
            let path = format!("/v1/ws?user=ann{mark}");
            let mut socket = Client::open(&node.url, &path, &[(MARK, mark)]).await;
            let second = Client::try_open(&node.url, &path, &[(MARK, mark)]).await;
            assert_eq!(second.err().unwrap().status(), 429, "{mark}");
            for room in ["a", "b"] {
                socket.ok("join", json!({ "room": room })).await;
            }
            assert_eq!(socket.code("join", json!({ "room": "c" })).await, "rate_limited", "{mark}");
        }
    }
}
