//! Rooms that move while something is under way: it goes to the new owner, and nobody hears of it.

use serde_json::{Value, json};

use crate::common::{Client, Cluster, Log, Served, three_nodes, two_nodes, uuid};

fn one(data: impl Into<Value>) -> Value {
    json!({ "messages": [{ "id": uuid(), "data": data.into() }] })
}

fn in_room(room: &str, data: impl Into<Value>) -> Value {
    let mut publish = one(data);
    publish["room"] = room.into();
    publish
}

/// Publishes that the log keeps back are on their way when the room goes to `to`; then it works again.
async fn move_under_way(
    cluster: &Cluster,
    socket: &mut Client,
    publishes: Vec<Value>,
    to: &Served,
) -> Vec<u32> {
    let shard = cluster.shard_of("a");
    cluster.set_log(shard, Log::Stalls);
    let before = cluster.submissions(shard);
    let mut sent = Vec::new();
    for publish in publishes {
        sent.push(socket.send("publish", publish).await);
    }
    cluster.submitted(shard, before + sent.len()).await;
    cluster.set_owner(shard, Some(to.id()));
    cluster.set_log(shard, Log::Works);
    sent
}

fn offsets(replies: &[Value]) -> Vec<&Value> {
    replies.iter().map(|reply| &reply["ok"]["offsets"][0]).collect()
}

async fn stored(node: &Served) -> Vec<Value> {
    let items = node.rest().get("/v1/rooms/a/messages").await.body["items"].take();
    items.as_array().unwrap().iter().map(|item| item["data"].clone()).collect()
}

#[tokio::test]
async fn publishes_under_way_on_a_room_socket_are_stored_by_the_new_owner_in_order() {
    let (cluster, first, second) = two_nodes().await;
    let mut socket = first.room("a").await;
    socket.ok("join", json!({})).await;
    move_under_way(&cluster, &mut socket, (1..=5).map(one).collect(), &second).await;
    let (pushes, replies, ended) = socket.rest().await;
    assert_eq!(offsets(&replies), [1, 2, 3, 4, 5]);
    assert_eq!((pushes.len(), &pushes[0]["moved"]["node"], ended.0), (1, &json!(2), Some(4300)));
    assert_eq!(stored(&second).await, [1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn publish_sent_after_the_room_has_moved_is_still_answered() {
    let (cluster, first, second) = two_nodes().await;
    let mut socket = first.room("a").await;
    socket.publish(None, json!(1)).await;
    cluster.set_owner(cluster.shard_of("a"), Some(second.id()));
    assert_eq!(socket.push().await.unwrap()["moved"]["node"], 2);
    assert_eq!(socket.publish(None, json!(2)).await, 2);
    assert_eq!(socket.code("join", json!({})).await, "unavailable");
    let (_, _, ended) = socket.rest().await;
    assert_eq!(ended.0, Some(4300));
}

/// A client that does not listen is not served by its former owner for ever.
#[tokio::test]
async fn socket_of_a_room_that_has_moved_is_closed_under_load_too() {
    let (cluster, first, second) = two_nodes().await;
    let mut socket = first.room("a").await;
    cluster.set_owner(cluster.shard_of("a"), Some(second.id()));
    let mut acked = 0;
    let ended = loop {
        match socket.try_publish(json!("x")).await {
            Ok(offset) => {
                acked += 1;
                assert_eq!(offset, acked);
            }
            Err(ended) => break ended,
        }
    };
    assert_eq!(ended.0, Some(4300));
    assert!(acked > 0);
}

#[tokio::test]
async fn publishes_under_way_without_a_new_owner_are_each_answered_unknown() {
    let (cluster, first, second) = two_nodes().await;
    let shard = cluster.shard_of("a");
    let mut socket = first.room("a").await;
    cluster.set_log(shard, Log::Stalls);
    for n in 0..5 {
        socket.send("publish", one(n)).await;
    }
    cluster.submitted(shard, 5).await;
    cluster.set_owner(shard, None);
    let (pushes, replies, ended) = socket.rest().await;
    let code = |reply: &Value| reply["error"]["code"].as_str().unwrap_or("ok").to_owned();
    assert_eq!(replies.iter().map(code).collect::<Vec<_>>(), ["unavailable"; 5]);
    assert!(replies.iter().all(|reply| reply["error"]["retry"] == true));
    assert_eq!((pushes.len(), ended.0), (1, Some(4300)));
    cluster.set_log(shard, Log::Works);
    cluster.set_owner(shard, Some(second.id()));
    assert_eq!(second.rest().get("/v1/rooms/a").await.code(), "not_found", "nothing of it was stored");
}

#[tokio::test]
async fn publishes_under_way_on_a_session_socket_are_stored_by_the_new_owner_in_order() {
    let (cluster, [first, second, third]) = three_nodes().await;
    // From its own node to another one, from there to a third, and back to its own.
    let mut socket = first.client("/v1/ws").await;
    let mut next = 1;
    for to in [&second, &third, &first] {
        let publishes = (next..next + 4).map(|n| in_room("a", n)).collect();
        let sent = move_under_way(&cluster, &mut socket, publishes, to).await;
        for id in sent {
            let reply = socket.reply().await;
            assert_eq!((&reply["id"], &reply["ok"]["offsets"][0]), (&json!(id), &json!(next)), "{reply}");
            next += 1;
        }
    }
    assert_eq!(stored(&first).await, (1..next).map(Value::from).collect::<Vec<_>>());
    assert!(socket.rest_is_quiet().await, "who has not joined has nothing to join again");
}

#[tokio::test]
async fn publishes_under_way_through_a_proxy_are_stored_by_the_new_owner_in_order() {
    let (cluster, [first, second, third]) = three_nodes().await;
    let mut socket = second.client("/v1/rooms/a/ws?route=proxy").await;
    move_under_way(&cluster, &mut socket, (1..=5).map(one).collect(), &third).await;
    let (pushes, replies, ended) = socket.rest().await;
    assert_eq!(offsets(&replies), [1, 2, 3, 4, 5]);
    assert_eq!((&pushes[0]["moved"]["node"], ended.0), (&json!(3), Some(4300)));
    assert_eq!(stored(&third).await, [1, 2, 3, 4, 5]);
    drop(first);
}

#[tokio::test]
async fn outcome_lost_with_its_owner_is_told_by_the_next_one() {
    let (cluster, first, second) = two_nodes().await;
    let shard = cluster.shard_of("a");
    let mut socket = first.client("/v1/ws").await;
    cluster.set_log(shard, Log::Stalls);
    let id = socket.send("publish", in_room("a", 1)).await;
    cluster.submitted(shard, 1).await;
    // Stored, but the owner is gone before it hears of it.
    cluster.set_log(shard, Log::LosesOwner(second.id()));
    let reply = socket.reply().await;
    assert_eq!((&reply["id"], &reply["ok"]["offsets"]), (&json!(id), &json!([1])), "{reply}");
    assert_eq!(reply["ok"]["duplicates"], json!([true]));
}

#[tokio::test]
async fn publish_over_http_under_way_is_sent_to_the_new_owner() {
    let (cluster, first, second) = two_nodes().await;
    let shard = cluster.shard_of("a");
    for (n, query) in [(1, ""), (2, "?route=proxy")] {
        cluster.set_owner(shard, Some(first.id()));
        cluster.set_log(shard, Log::Stalls);
        let rest = first.rest();
        let path = format!("/v1/rooms/a/messages{query}");
        let body = one(n);
        let before = cluster.submissions(shard);
        let publishing = rest.post(&path, body.clone());
        let moving = async {
            cluster.submitted(shard, before + 1).await;
            cluster.set_owner(shard, Some(second.id()));
            cluster.set_log(shard, Log::Works);
        };
        let (mut answer, ()) = tokio::join!(publishing, moving);
        if query.is_empty() {
            assert_eq!(answer.status, 307, "{answer:?}");
            let location = answer.header("location").strip_prefix(&second.url).unwrap().to_owned();
            answer = second.rest().post(&location, body).await;
        }
        assert_eq!((answer.status.as_u16(), &answer.body["offsets"]), (200, &json!([n])), "{answer:?}");
    }
}

#[tokio::test]
async fn history_under_way_is_read_from_the_new_owner() {
    let (cluster, first, second) = two_nodes().await;
    let shard = cluster.shard_of("a");
    let mut socket = first.client("/v1/ws").await;
    socket.publish(Some("a"), json!(1)).await;
    cluster.set_owner(shard, Some(second.id()));
    let history = socket.ok("history", json!({ "room": "a", "from": "beginning" })).await;
    assert_eq!(history["next"], 2);
}
