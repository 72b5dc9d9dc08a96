//! What rooms are created with.

use std::time::Duration;

use http::{Method, StatusCode};
use roomkeeper_gateway::{GatewayConfig, RoomDefaults};
use serde_json::{Value, json};

use crate::common::{Cluster, Served, config, one_node};

/// The options of a room, as its owner shows them.
async fn options(node: &Served, room: &str) -> Value {
    node.rest().get(&format!("/v1/rooms/{room}")).await.body["options"].take()
}

/// A node that owns everything, where rooms are created with these options unless others are named.
async fn node_with(room_defaults: RoomDefaults) -> (Cluster, Served) {
    let cluster = Cluster::new(4);
    let served = Served::start(&cluster, GatewayConfig { room_defaults, ..config() }).await;
    cluster.set_owner_of_all(served.id());
    (cluster, served)
}

#[tokio::test]
async fn options_of_a_create_are_shown_by_either_way() {
    let (_cluster, node) = one_node().await;
    let asked = json!({
        "retain_ms": 60_000, "retain_messages": 100, "retain_bytes": 1_000_000, "presence": false, "max_members": 7,
    });
    let body = json!({ "options": asked }).to_string();
    assert_eq!(node.rest().send(Method::PUT, "/v1/rooms/a", &body).await.status, StatusCode::CREATED);
    node.client("/v1/ws").await.ok("create", json!({ "room": "b", "options": asked })).await;
    for room in ["a", "b"] {
        assert_eq!(options(&node, room).await, asked);
    }
    node.rest().put("/v1/rooms/plain").await;
    assert_eq!(options(&node, "plain").await, json!({ "presence": true }));
}

#[tokio::test]
async fn room_that_names_no_options_has_the_clusters_however_it_is_created() {
    let defaults = RoomDefaults {
        retain: Some(Duration::from_secs(60)),
        retain_messages: Some(2),
        max_members: Some(9),
        ..RoomDefaults::default()
    };
    let (_cluster, node) = node_with(defaults).await;
    let expected = json!({ "retain_ms": 60_000, "retain_messages": 2, "presence": true, "max_members": 9 });
    node.rest().put("/v1/rooms/created").await;
    node.room("joined").await.ok("join", json!({})).await;
    for room in ["created", "joined"] {
        assert_eq!(options(&node, room).await, expected, "{room}");
    }
    let other = json!({ "options": { "retain_messages": 5, "presence": false } }).to_string();
    node.rest().send(Method::PUT, "/v1/rooms/other", &other).await;
    let expected = json!({
        "retain_ms": 60_000, "retain_messages": 5, "presence": false, "max_members": 9,
    });
    assert_eq!(options(&node, "other").await, expected);
}
