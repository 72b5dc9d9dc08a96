//! Requests on a node that does not own their room.

use std::time::Duration;

use http::StatusCode;
use serde_json::json;

use crate::common::{Client, two_nodes, uuid};

#[tokio::test]
async fn plain_request_is_redirected_with_its_query_and_one_hop() {
    let (_cluster, owner, other) = two_nodes().await;
    let answer = other.rest().get("/v1/rooms/a/messages?from=1&hops=1").await;
    assert_eq!(answer.status, StatusCode::TEMPORARY_REDIRECT);
    assert_eq!(answer.header("location"), format!("{}/v1/rooms/a/messages?from=1&hops=2", owner.url));
    assert_eq!((&answer.body["owner"], &answer.body["url"]), (&json!(1), &json!(owner.url)));
    assert!(answer.body["epoch"].is_u64());
}

#[tokio::test]
async fn plain_request_of_a_browser_or_with_a_token_is_proxied() {
    let (_cluster, _owner, other) = two_nodes().await;
    let body = json!({ "messages": [{ "id": uuid(), "data": 1 }] });
    let browser = other.rest().with("origin", "http://console").with("roomkeeper-user", "ann");
    let published = browser.post("/v1/rooms/a/messages", body).await;
    assert_eq!((published.status, &published.body["offsets"]), (StatusCode::OK, &json!([1])));
    let read = other.rest().with("authorization", "Bearer x").get("/v1/rooms/a/messages").await;
    assert_eq!((read.status, &read.body["items"][0]["from"]), (StatusCode::OK, &json!("ann")));
    let missing = browser.get("/v1/rooms/b").await;
    assert_eq!((missing.status, missing.code()), (StatusCode::NOT_FOUND, "not_found"));
    let named = other.rest().get("/v1/rooms/a?route=proxy").await;
    assert_eq!((named.status, &named.body["owner"]), (StatusCode::OK, &json!(1)));
}

#[tokio::test]
async fn request_with_too_many_hops_is_proxied() {
    let (_cluster, owner, other) = two_nodes().await;
    owner.rest().put("/v1/rooms/a").await;
    assert_eq!(other.rest().get("/v1/rooms/a?hops=3").await.status, StatusCode::TEMPORARY_REDIRECT);
    assert_eq!(other.rest().get("/v1/rooms/a?hops=4").await.status, StatusCode::OK);
}

#[tokio::test]
async fn relayed_request_is_never_relayed_again() {
    let (_cluster, owner, other) = two_nodes().await;
    for path in ["/v1/rooms/a", "/v1/rooms/a?route=proxy", "/v1/rooms/a?hops=9"] {
        let answer = other.rest().with("roomkeeper-relay", 9).get(path).await;
        assert_eq!(
            (answer.status, answer.code()),
            (StatusCode::MISDIRECTED_REQUEST, "unavailable"),
            "{path}"
        );
        assert_eq!(
            (&answer.body["owner"]["node"], &answer.body["owner"]["url"]),
            (&json!(1), &json!(owner.url))
        );
    }
    let refused = Client::try_open(&other.url, "/v1/rooms/a/ws", &[("roomkeeper-relay", "9")]).await;
    assert_eq!(refused.err().expect("a refusal").status(), StatusCode::MISDIRECTED_REQUEST);
}

#[tokio::test]
async fn socket_is_redirected_to_the_owners_socket() {
    let (_cluster, owner, other) = two_nodes().await;
    let refused = Client::try_open(&other.url, "/v1/rooms/a/ws", &[]).await.err().expect("a refusal");
    assert_eq!(refused.status(), StatusCode::TEMPORARY_REDIRECT);
    let location = refused.headers()["location"].to_str().unwrap();
    assert_eq!(location, format!("{}/v1/rooms/a/ws?hops=1", owner.url.replace("http", "ws")));
    let path = location.strip_prefix(&owner.url.replace("http", "ws")).unwrap();
    assert_eq!(owner.client(path).await.publish(None, json!(1)).await, 1);
}

#[tokio::test]
async fn socket_of_a_browser_gets_a_redirect_push_and_is_closed_as_moved() {
    let (_cluster, owner, other) = two_nodes().await;
    let browser = Client::open(&other.url, "/v1/rooms/a/ws", &[("origin", "http://console")]).await;
    let named = other.client("/v1/rooms/a/ws?route=frame").await;
    for socket in [browser, named] {
        let (pushes, _, ended) = socket.rest().await;
        let redirect = &pushes[0]["redirect"];
        assert_eq!((&redirect["room"], &redirect["node"]), (&json!("a"), &json!(1)));
        assert_eq!(redirect["url"], owner.url);
        assert!(redirect["retry_after_ms"].as_u64().unwrap() < 50);
        assert_eq!((pushes.len(), ended.0), (1, Some(4300)));
    }
}

#[tokio::test]
async fn proxied_socket_publishes_and_receives() {
    let (_cluster, owner, other) = two_nodes().await;
    let mut proxied = other.client("/v1/rooms/a/ws?route=proxy&user=ann").await;
    assert_eq!(proxied.ok("hello", json!({})).await["user"], "ann");
    proxied.ok("join", json!({})).await;
    let mut direct = owner.room("a").await;
    for n in 1..=300 {
        let socket = if n % 2 == 0 { &mut proxied } else { &mut direct };
        assert_eq!(socket.publish(None, json!(n)).await, n);
    }
    assert!(proxied.offsets(300).await.into_iter().eq(1..=300));
}

#[tokio::test]
async fn pipelined_publishes_through_a_proxy_are_all_answered_in_order() {
    let (_cluster, _owner, other) = two_nodes().await;
    let mut proxied = other.client("/v1/rooms/a/ws?route=proxy").await;
    proxied.pipeline(None, 3000).await;
}

#[tokio::test]
async fn proxied_socket_whose_room_moves_is_told_and_closed() {
    let (cluster, _owner, other) = two_nodes().await;
    let third = crate::common::Served::start(&cluster, crate::common::config()).await;
    let mut proxied = third.client("/v1/rooms/a/ws?route=proxy").await;
    proxied.ok("join", json!({})).await;
    cluster.set_owner(cluster.shard_of("a"), Some(other.id()));
    let (pushes, _, ended) = proxied.rest().await;
    assert_eq!((&pushes[0]["moved"]["room"], &pushes[0]["moved"]["node"]), (&json!("a"), &json!(2)));
    assert_eq!(ended.0, Some(4300));
}

#[tokio::test]
async fn proxied_socket_whose_owner_dies_is_told_and_closed() {
    let (_cluster, owner, other) = two_nodes().await;
    let mut proxied = other.client("/v1/rooms/a/ws?route=proxy").await;
    proxied.ok("join", json!({})).await;
    owner.stop().await;
    let (pushes, _, ended) = proxied.rest().await;
    assert_eq!(pushes[0]["moved"]["room"], "a");
    assert_eq!(ended.0, Some(4300));
}

#[tokio::test]
async fn frame_too_large_for_a_proxied_socket_is_refused_like_any_other() {
    use futures::SinkExt;
    use tokio_tungstenite::tungstenite::Message;

    let (_cluster, _owner, other) = two_nodes().await;
    let mut proxied = other.client("/v1/rooms/a/ws?route=proxy").await;
    // The server may close before it has read all of it.
    let _ = proxied.socket.send(Message::text("x".repeat(3 << 20))).await;
    let (_, replies, ended) = proxied.rest().await;
    assert_eq!((&replies[0]["id"], &replies[0]["error"]["code"]), (&json!(0), &json!("too_large")));
    assert_eq!(ended.0, Some(4503));
}

#[tokio::test]
async fn request_is_held_until_there_is_an_owner() {
    let (cluster, owner, _other) = two_nodes().await;
    let shard = cluster.shard_of("a");
    cluster.set_owner(shard, None);
    let rest = owner.rest();
    let (created, socket, ()) = tokio::join!(rest.put("/v1/rooms/a"), owner.room("a"), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        cluster.set_owner(shard, Some(owner.id()));
    });
    assert_eq!(created.status, StatusCode::CREATED);
    let mut socket = socket;
    assert_eq!(socket.publish(None, json!(1)).await, 1);
}

#[tokio::test]
async fn request_without_an_owner_in_time_is_unavailable() {
    let (cluster, owner, other) = two_nodes().await;
    cluster.set_owner(cluster.shard_of("a"), None);
    for node in [&owner, &other] {
        let answer = node.rest().get("/v1/rooms/a").await;
        assert_eq!((answer.status, answer.code()), (StatusCode::SERVICE_UNAVAILABLE, "unavailable"));
        assert_eq!(answer.header("retry-after"), "1");
        let refused = Client::try_open(&node.url, "/v1/rooms/a/ws", &[]).await.err().expect("a refusal");
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    }
}

/// A relay that asks a former owner learns from its answer who the present one is.
#[tokio::test]
async fn relay_with_a_stale_owner_learns_the_present_one() {
    let (cluster, owner, relay) = two_nodes().await;
    let former = crate::common::Served::start(&cluster, crate::common::config()).await;
    owner.rest().put("/v1/rooms/a").await;
    let shard = cluster.shard_of("a");
    relay.node.believe(shard, former.id());
    assert_eq!(relay.rest().get("/v1/rooms/a?route=proxy").await.body["owner"], 1);
    relay.node.believe(shard, former.id());
    let mut socket = relay.client("/v1/rooms/a/ws?route=proxy").await;
    assert_eq!(socket.publish(None, json!(1)).await, 1);
}

/// A relay that cannot reach the owner it knows waits for the next one.
#[tokio::test]
async fn relay_to_a_dead_owner_waits_for_the_next_one() {
    let (cluster, owner, relay) = two_nodes().await;
    let id = owner.id();
    owner.stop().await;
    let shard = cluster.shard_of("a");
    relay.node.believe(shard, id);
    let rest = relay.rest();
    let (created, ()) = tokio::join!(rest.put("/v1/rooms/a?route=proxy"), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        relay.node.forget(shard);
        cluster.set_owner(shard, Some(relay.id()));
    });
    assert_eq!(created.status, StatusCode::CREATED);
}
