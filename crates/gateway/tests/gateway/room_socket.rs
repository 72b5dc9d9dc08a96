//! A room socket on the node that owns its room.

use std::time::Duration;

use serde_json::json;

use crate::common::{one_node, uuid};

#[tokio::test]
async fn published_message_reaches_every_subscriber_in_order() {
    let (_cluster, node) = one_node().await;
    let (mut ann, mut bob) = (node.room("a").await, node.room("a").await);
    let hello = ann.ok("hello", json!({ "user": "ann" })).await;
    assert_eq!(hello["user"], "ann");
    assert_eq!(hello["heartbeat_ms"], json!([3500, 7000]));
    let joined = bob.ok("join", json!({})).await;
    assert_eq!((&joined["first"], &joined["next"], &joined["from"]), (&json!(1), &json!(1), &json!(1)));
    for n in 1..=20 {
        assert_eq!(ann.publish(None, json!({ "n": n })).await, n);
    }
    let items = bob.messages(20).await;
    for (n, item) in (1..).zip(&items) {
        assert_eq!(
            (&item["offset"], &item["data"], &item["from"]),
            (&json!(n), &json!({ "n": n }), &json!("ann"))
        );
    }
}

#[tokio::test]
async fn join_from_every_start_gets_what_it_asked_for() {
    let (_cluster, node) = one_node().await;
    let mut writer = node.room("a").await;
    for n in 1..=5 {
        writer.publish(None, json!(n)).await;
    }
    let table = [
        (json!("beginning"), 1, vec![1, 2, 3, 4, 5, 6]),
        (json!("latest"), 6, vec![6]),
        (json!({ "offset": 3 }), 3, vec![3, 4, 5, 6]),
        (json!({ "offset": 6 }), 6, vec![6]),
        (json!({ "range": [2, 6] }), 2, vec![2, 3, 4, 5, 6]),
    ];
    let mut joined = Vec::new();
    for (from, start, offsets) in table {
        let mut reader = node.room("a").await;
        let ok = reader.ok("join", json!({ "from": from })).await;
        assert_eq!(ok["from"], start, "{from}");
        joined.push((reader, offsets));
    }
    writer.publish(None, json!(6)).await;
    for (mut reader, offsets) in joined {
        assert_eq!(reader.offsets(offsets.len()).await, offsets);
    }
}

/// Whether messages come out of the log or of the feed.
#[tokio::test]
async fn join_with_credit_gets_messages_as_far_as_it_reaches() {
    let (_cluster, node) = one_node().await;
    let mut writer = node.room("a").await;
    for n in 1..=5 {
        writer.publish(None, json!(n)).await;
    }
    let (mut none, mut some, mut more) = (node.room("a").await, node.room("a").await, node.room("a").await);
    none.ok("join", json!({ "from": "beginning", "credit": 0 })).await;
    some.ok("join", json!({ "from": "beginning", "credit": 3 })).await;
    more.ok("join", json!({ "from": { "offset": 4 }, "credit": 4 })).await;
    assert_eq!(some.offsets(3).await, [1, 2, 3]);
    assert_eq!(more.offsets(2).await, [4, 5]);
    let batch: Vec<_> = (6..=9).map(|n| json!({ "id": uuid(), "data": n })).collect();
    writer.ok("publish", json!({ "messages": batch })).await;
    assert_eq!(more.offsets(2).await, [6, 7]);
    for socket in [&mut none, &mut some, &mut more] {
        assert!(socket.is_quiet_for(Duration::from_millis(100)).await);
    }
}

#[tokio::test]
async fn join_of_a_range_ends_behind_it() {
    let (_cluster, node) = one_node().await;
    let mut socket = node.room("a").await;
    socket.ok("join", json!({ "from": { "range": [1, 2] } })).await;
    for n in 1..=4 {
        socket.publish(None, json!(n)).await;
    }
    assert_eq!(socket.offsets(2).await, [1, 2]);
    // Had there been more, it would have come before this reply.
    socket.ok("join", json!({ "from": { "offset": 5 } })).await;
    socket.publish(None, json!(5)).await;
    assert_eq!(socket.offsets(1).await, [5]);
}

#[tokio::test]
async fn join_outside_the_log_is_refused_and_names_the_bound() {
    let (_cluster, node) = one_node().await;
    let mut socket = node.room("a").await;
    socket.publish(None, json!(1)).await;
    for from in [json!({ "offset": 3 }), json!({ "range": [3, 4] })] {
        let error = socket.call("join", json!({ "from": from })).await.unwrap_err();
        assert_eq!((&error["code"], &error["next"]), (&json!("bad_request"), &json!(2)), "{error}");
    }
    let error = socket.call("history", json!({ "from": { "offset": 3 } })).await.unwrap_err();
    assert_eq!(error["code"], "bad_request");
    let empty = socket.ok("history", json!({ "from": { "offset": 2 } })).await;
    assert_eq!((&empty["items"], &empty["next"]), (&json!([]), &json!(2)));
    assert_eq!(socket.code("join", json!({ "from": "committed" })).await, "bad_request");
}

#[tokio::test]
async fn leave_ends_the_subscription_and_join_takes_it_up_again() {
    let (_cluster, node) = one_node().await;
    let mut socket = node.room("a").await;
    socket.ok("join", json!({})).await;
    socket.publish(None, json!(1)).await;
    assert_eq!(socket.offsets(1).await, [1]);
    socket.ok("leave", json!({})).await;
    socket.publish(None, json!(2)).await;
    socket.publish(None, json!(3)).await;
    socket.ok("join", json!({ "from": { "offset": 3 } })).await;
    assert_eq!(socket.offsets(1).await, [3]);
}

#[tokio::test]
async fn publish_again_with_the_same_ids_stores_nothing() {
    let (_cluster, node) = one_node().await;
    let mut socket = node.room("a").await;
    let batch =
        json!({ "messages": [{ "id": uuid(), "data": 1 }, { "id": uuid(), "data": 2 }], "expect": 1 });
    let first = socket.ok("publish", batch.clone()).await;
    assert_eq!((&first["offsets"], &first["duplicates"]), (&json!([1, 2]), &json!([false, false])));
    let again = socket.ok("publish", batch.clone()).await;
    assert_eq!((&again["offsets"], &again["duplicates"]), (&json!([1, 2]), &json!([true, true])));
    let error = socket
        .call("publish", json!({ "messages": [{ "id": uuid(), "data": 3 }], "expect": 1 }))
        .await
        .unwrap_err();
    assert_eq!(
        (&error["code"], &error["next"], &error["retry"]),
        (&json!("conflict"), &json!(3), &json!(false))
    );
    let reused = json!({ "messages": [{ "id": batch["messages"][0]["id"], "data": "other" }] });
    assert_eq!(socket.code("publish", reused).await, "conflict");
}

#[tokio::test]
async fn joined_socket_is_bound_to_the_life_it_joined() {
    let (_cluster, node) = one_node().await;
    let (mut old, mut other) = (node.room("a").await, node.room("a").await);
    let life = old.ok("join", json!({})).await["life"].clone();
    other.ok("delete", json!({})).await;
    assert_eq!(old.code("publish", json!({ "messages": [{ "id": uuid(), "data": 1 }] })).await, "not_found");
    other.ok("create", json!({})).await;
    assert_eq!(other.code("create", json!({})).await, "already_exists");
    assert_eq!(old.code("publish", json!({ "messages": [{ "id": uuid(), "data": 1 }] })).await, "recreated");
    assert_eq!(old.code("history", json!({ "from": "beginning" })).await, "recreated");
    assert_eq!(old.code("join", json!({ "life": life })).await, "recreated");
    let joined = old.ok("join", json!({})).await;
    assert_ne!(joined["life"], life);
    assert_eq!(old.publish(None, json!(1)).await, 1);
    assert_eq!(old.offsets(1).await, [1]);
}

#[tokio::test]
async fn pipelined_publishes_are_ordered_as_sent() {
    let (_cluster, node) = one_node().await;
    let (mut writer, mut reader) = (node.room("a").await, node.room("a").await);
    reader.ok("join", json!({})).await;
    writer.pipeline(None, 3000).await;
    let items = reader.messages(3000).await;
    assert!((1..).zip(&items).all(|(n, item)| item["offset"] == n && item["data"] == n));
}

/// A subscriber that reads nothing for long goes on from the log: it gets every message, and the writer is never
/// held up by it.
#[tokio::test]
async fn subscriber_that_falls_behind_gets_everything_from_the_log() {
    const COUNT: u64 = 4000;
    let (_cluster, node) = one_node().await;
    let (mut writer, mut slow) = (node.room("a").await, node.room("a").await);
    slow.ok("join", json!({})).await;
    let text = "x".repeat(4000);
    for _ in 0..COUNT / 20 {
        let messages: Vec<_> = (0..20).map(|_| json!({ "id": uuid(), "data": text })).collect();
        writer.ok("publish", json!({ "messages": messages })).await;
    }
    let offsets = slow.offsets(usize::try_from(COUNT).unwrap()).await;
    assert!(offsets.iter().copied().eq(1..=COUNT));
    // And it keeps up from here on.
    writer.publish(None, json!("last")).await;
    assert_eq!(slow.offsets(1).await, [COUNT + 1]);
}

#[tokio::test]
async fn stopping_node_closes_sockets_as_draining() {
    let (_cluster, node) = one_node().await;
    let mut socket = node.room("a").await;
    socket.publish(None, json!(1)).await;
    let session = node.client("/v1/ws").await;
    node.stop().await;
    for socket in [socket, session] {
        let (_, _, ended) = socket.rest().await;
        assert_eq!(ended.0, Some(4301));
    }
}
