//! What a socket hears when its room loses its owner, and that its publishes keep their order.

use serde_json::{Value, json};

use crate::common::{Client, Log, one_node, two_nodes, uuid};

fn one(data: impl Into<Value>) -> Value {
    json!({ "messages": [{ "id": uuid(), "data": data.into() }] })
}

fn code(reply: &Value) -> &str {
    reply["error"]["code"].as_str().unwrap_or("ok")
}

#[tokio::test]
async fn room_socket_is_told_the_new_owner_and_closed() {
    let (cluster, first, second) = two_nodes().await;
    let mut socket = first.room("a").await;
    socket.ok("join", json!({})).await;
    cluster.set_owner(cluster.shard_of("a"), Some(second.id()));
    let (pushes, _, ended) = socket.rest().await;
    let moved = &pushes[0]["moved"];
    assert_eq!((&moved["room"], &moved["node"], &moved["url"]), (&json!("a"), &json!(2), &json!(second.url)));
    assert!(moved["retry_after_ms"].as_u64().unwrap() < 50);
    assert_eq!((pushes.len(), ended.0), (1, Some(4300)));
}

#[tokio::test]
async fn room_socket_without_a_new_owner_is_told_so_and_closed() {
    let (cluster, node) = one_node().await;
    let mut socket = node.room("a").await;
    socket.ok("join", json!({})).await;
    cluster.set_owner(cluster.shard_of("a"), None);
    let (pushes, _, ended) = socket.rest().await;
    assert_eq!(pushes[0]["moved"]["room"], "a");
    assert!(pushes[0]["moved"].get("node").is_none());
    assert_eq!(ended.0, Some(4300));
}

/// One unknown outcome: all behind it end unknown, nothing more of the socket is proposed, and sending everything
/// again in order keeps the order.
#[tokio::test]
async fn publish_with_unknown_outcome_takes_those_behind_it_along() {
    let (cluster, node) = one_node().await;
    let shard = cluster.shard_of("a");
    let mut socket = node.room("a").await;
    let batches: Vec<_> = (1..=6).map(one).collect();
    socket.ok("publish", batches[0].clone()).await;
    cluster.set_log(shard, Log::LosesAnswers);
    for batch in &batches[1..] {
        socket.send("publish", batch.clone()).await;
    }
    let (pushes, replies, ended) = socket.rest().await;
    assert!(!replies.is_empty());
    assert!(replies.iter().all(|reply| code(reply) == "unavailable"), "{replies:?}");
    assert_eq!(pushes.last().unwrap()["moved"]["node"], 1);
    assert_eq!(ended.0, Some(4300));

    cluster.set_log(shard, Log::Works);
    let mut again = node.room("a").await;
    for (offset, batch) in (1..).zip(&batches) {
        assert_eq!(again.ok("publish", batch.clone()).await["offsets"], json!([offset]));
    }
}

#[tokio::test]
async fn publish_without_an_outcome_in_time_is_a_timeout_and_takes_the_others_along() {
    let (cluster, node) = one_node().await;
    let shard = cluster.shard_of("a");
    let mut socket = node.room("a").await;
    socket.ok("join", json!({})).await;
    cluster.set_log(shard, Log::Stalls);
    let mut patient = one(1);
    patient["timeout_ms"] = json!(60_000);
    let mut hasty = one(2);
    hasty["timeout_ms"] = json!(30);
    socket.send("publish", patient).await;
    socket.send("publish", hasty).await;
    let (pushes, mut replies, ended) = socket.rest().await;
    replies.sort_by_key(|reply| reply["id"].as_u64());
    assert_eq!(replies.iter().map(code).collect::<Vec<_>>(), ["unavailable", "timeout"]);
    assert_eq!((pushes[0]["moved"]["room"].as_str(), ended.0), (Some("a"), Some(4300)));
}

async fn until_moved(socket: &mut Client, room: &str) {
    let push = socket.push().await.unwrap();
    assert_eq!(push["moved"]["room"], room, "{push}");
}

#[tokio::test]
async fn session_socket_stays_when_a_room_moves_and_goes_on_after_a_join() {
    let (cluster, first, second) = two_nodes().await;
    let mut socket = first.client("/v1/ws").await;
    let joined = socket.ok("join", json!({ "room": "a" })).await;
    socket.publish(Some("a"), json!(1)).await;
    assert_eq!(socket.offsets(1).await, [1]);
    cluster.set_owner(cluster.shard_of("a"), Some(second.id()));
    until_moved(&mut socket, "a").await;
    let again = socket.ok("join", json!({ "room": "a", "from": { "offset": 2 } })).await;
    assert_eq!((&again["owner"], &again["life"]), (&json!(2), &joined["life"]));
    assert_eq!(socket.publish(Some("a"), json!(2)).await, 2);
    assert_eq!(socket.offsets(1).await, [2]);
}

#[tokio::test]
async fn session_socket_takes_no_publish_behind_an_unknown_one_until_it_joins() {
    let (cluster, node) = one_node().await;
    let shard = cluster.shard_of("a");
    let mut socket = node.client("/v1/ws").await;
    let publish = |batch: &Value| {
        let mut batch = batch.clone();
        batch["room"] = "a".into();
        batch
    };
    let batches: Vec<_> = (1..=3).map(one).collect();
    cluster.set_log(shard, Log::LosesAnswers);
    let first = socket.call("publish", publish(&batches[0])).await.unwrap_err();
    assert_eq!(first["code"], "unavailable");
    until_moved(&mut socket, "a").await;
    cluster.set_log(shard, Log::Works);
    assert_eq!(socket.code("publish", publish(&batches[1])).await, "unavailable");
    // Other rooms and other commands go on.
    assert_eq!(socket.publish(Some("b"), json!(1)).await, 1);
    assert_eq!(socket.ok("history", json!({ "room": "a", "from": "beginning" })).await["next"], 2);
    assert_eq!(socket.code("publish", publish(&batches[1])).await, "unavailable");
    socket.ok("join", json!({ "room": "a", "from": { "offset": 2 } })).await;
    for (offset, batch) in (1..).zip(&batches) {
        assert_eq!(socket.ok("publish", publish(batch)).await["offsets"], json!([offset]));
    }
    assert_eq!(socket.offsets(2).await, [2, 3]);
}

#[tokio::test]
async fn session_socket_waits_for_a_room_without_an_owner_and_others_go_on() {
    let (cluster, node) = one_node().await;
    let shard = cluster.shard_of("a");
    let other = ["b", "c", "d", "e"].into_iter().find(|room| cluster.shard_of(room) != shard).unwrap();
    cluster.set_owner(shard, None);
    let mut socket = node.client("/v1/ws").await;
    let held = socket.send("join", json!({ "room": "a" })).await;
    let quick = socket.send("join", json!({ "room": other })).await;
    assert_eq!(socket.reply().await["id"], quick);
    cluster.set_owner(shard, Some(node.id()));
    let reply = socket.reply().await;
    assert_eq!((&reply["id"], code(&reply)), (&json!(held), "ok"));
    cluster.set_owner(shard, None);
    until_moved(&mut socket, "a").await;
    assert_eq!(socket.code("join", json!({ "room": "a" })).await, "unavailable");
}
