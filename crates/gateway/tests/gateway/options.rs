//! What rooms are created with.

use std::time::Duration;

use http::{Method, StatusCode};
use roomkeeper_gateway::{GatewayConfig, RoomDefaults};
use serde_json::{Value, json};

use crate::common::{Cluster, Served, config, one_node, uuid};

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
    let message = || json!({ "id": uuid(), "data": 1 });
    let mut session = node.client("/v1/ws").await;
    session.publish(Some("published"), json!(1)).await;
    let hold = json!({ "room": "held", "hold_ms": 60_000, "messages": [message()] });
    session.ok("publish", hold).await;
    node.rest().post("/v1/rooms/posted/messages", json!({ "messages": [message()] })).await;
    for room in ["created", "joined", "published", "held", "posted"] {
        assert_eq!(options(&node, room).await, expected, "{room}");
    }
    // They are in force from the first message on.
    let three = json!({ "room": "three", "messages": [message(), message(), message()] });
    session.ok("publish", three).await;
    assert_eq!(node.rest().get("/v1/rooms/three").await.body["first"], 2);
    let other = json!({ "options": { "retain_messages": 5, "presence": false } }).to_string();
    node.rest().send(Method::PUT, "/v1/rooms/other", &other).await;
    let expected = json!({
        "retain_ms": 60_000, "retain_messages": 5, "presence": false, "max_members": 9,
    });
    assert_eq!(options(&node, "other").await, expected);
}

/// Whose configuration counts is the owner's: the node that the client is on only passes on what it is told.
#[tokio::test]
async fn room_that_a_publish_creates_from_afar_has_its_owners_options() {
    let cluster = Cluster::new(4);
    let few = RoomDefaults { retain_messages: Some(2), ..RoomDefaults::default() };
    let owner = Served::start(&cluster, GatewayConfig { room_defaults: few, ..config() }).await;
    let many = RoomDefaults { retain_messages: Some(9), ..RoomDefaults::default() };
    let other = Served::start(&cluster, GatewayConfig { room_defaults: many, ..config() }).await;
    cluster.set_owner_of_all(owner.id());
    let mut session = other.client("/v1/ws").await;
    session.publish(Some("session"), json!(1)).await;
    other.client("/v1/rooms/proxied/ws?route=proxy").await.publish(None, json!(1)).await;
    let message = json!({ "messages": [{ "id": uuid(), "data": 1 }] });
    other.rest().post("/v1/rooms/posted/messages?route=proxy", message).await;
    for room in ["session", "proxied", "posted"] {
        let expected = json!({ "retain_messages": 2, "presence": true });
        assert_eq!(options(&owner, room).await, expected, "{room}");
    }
    // The room keeps to it under an owner that would have created it otherwise.
    cluster.set_owner_of_all(other.id());
    for n in 2..5 {
        assert_eq!(session.publish(Some("session"), json!(n)).await, n);
    }
    assert_eq!(other.rest().get("/v1/rooms/session").await.body["first"], 3);
}
