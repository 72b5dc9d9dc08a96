//! A session socket with rooms on several nodes.

use serde_json::{Value, json};

use crate::common::{Client, Log, Served, one_node, two_nodes, uuid};
use roomkeeper_protocol::Codec;

fn one(room: &str, data: impl Into<Value>) -> Value {
    json!({ "room": room, "messages": [{ "id": uuid(), "data": data.into() }] })
}

#[tokio::test]
async fn rooms_of_other_nodes_are_served_like_own_ones() {
    let (cluster, first, second) = two_nodes().await;
    let far = "a";
    cluster.set_owner(cluster.shard_of(far), Some(second.id()));
    let near =
        ["b", "c", "d", "e"].into_iter().find(|r| cluster.shard_of(r) != cluster.shard_of(far)).unwrap();
    let mut socket = first.client("/v1/ws").await;
    socket.ok("hello", json!({ "user": "ann" })).await;
    for (room, owner) in [(far, 2), (near, 1)] {
        assert_eq!(socket.ok("create", json!({ "room": room })).await["owner"], owner);
        let joined = socket.ok("join", json!({ "room": room })).await;
        assert_eq!((&joined["owner"], &joined["next"]), (&json!(owner), &json!(1)));
        for n in 1..=50 {
            assert_eq!(socket.publish(Some(room), json!(n)).await, n);
        }
        let items = socket.messages(50).await;
        assert!((1..).zip(&items).all(|(n, item)| item["offset"] == n && item["from"] == "ann"));
        let history = socket.ok("history", json!({ "room": room, "from": { "offset": 49 } })).await;
        assert_eq!((history["items"].as_array().unwrap().len(), &history["next"]), (2, &json!(51)));
        socket.ok("leave", json!({ "room": room })).await;
        assert_eq!(socket.publish(Some(room), json!("unseen")).await, 51);
    }
    let listed = socket.ok("rooms", json!({})).await;
    assert_eq!(listed["rooms"].as_array().unwrap().len(), 2);
    for room in [far, near] {
        socket.ok("delete", json!({ "room": room })).await;
        assert_eq!(socket.code("history", json!({ "room": room, "from": "beginning" })).await, "not_found");
    }
    assert!(socket.rest_is_quiet().await, "no message of a room that was left");
}

#[tokio::test]
async fn pipelined_publishes_to_a_remote_room_are_all_answered_in_order() {
    let (_cluster, _owner, other) = two_nodes().await;
    other.client("/v1/ws").await.pipeline(Some("a"), 3000).await;
}

#[tokio::test]
async fn errors_of_a_remote_room_come_through_with_their_details() {
    let (_cluster, _owner, other) = two_nodes().await;
    let mut socket = other.client("/v1/ws").await;
    let batch = one("a", 1);
    socket.ok("publish", batch.clone()).await;
    assert_eq!(socket.ok("publish", batch).await["duplicates"], json!([true]));
    let mut expecting = one("a", 2);
    expecting["expect"] = json!(9);
    let error = socket.call("publish", expecting).await.unwrap_err();
    assert_eq!((&error["code"], &error["next"]), (&json!("conflict"), &json!(2)));
    let error = socket.call("join", json!({ "room": "a", "from": { "offset": 5 } })).await.unwrap_err();
    assert_eq!((&error["code"], &error["next"]), (&json!("bad_request"), &json!(2)));
    assert_eq!(socket.code("create", json!({ "room": "a" })).await, "already_exists");
}

#[tokio::test]
async fn remote_room_over_protobuf_is_the_same() {
    use futures::{SinkExt, StreamExt};
    use roomkeeper_protocol::{
        Command, CommandKind, Frame, From, Join, Push, Reply, Request, RoomRef, ServerFrame,
    };
    use tokio_tungstenite::tungstenite::Message;

    let (_cluster, owner, other) = two_nodes().await;
    for n in 0..3 {
        owner.room("a").await.publish(None, json!(n)).await;
    }
    let offer = [("sec-websocket-protocol", Codec::Proto.subprotocol())];
    let mut socket = Client::open(&other.url, "/v1/ws", &offer).await.socket;
    let room = RoomRef { room: Some("a".parse().unwrap()), life: None };
    let join = Join { room, from: From::Beginning, ..Join::default() };
    let request = Request { id: 1, command: Command::Join(join) };
    let frame = Codec::Proto.encode_request(&request).into_bytes();
    socket.send(Message::Binary(frame)).await.unwrap();
    let mut seen = Vec::new();
    while seen.len() < 4 {
        let Some(Ok(Message::Binary(bytes))) = socket.next().await else { panic!("a frame") };
        match Codec::Proto.decode_server(&Frame::Binary(bytes), |_| Some(CommandKind::Join)).unwrap().unwrap()
        {
            ServerFrame::Reply(1, Ok(Reply::Join(ok))) => seen.push(ok.from.get() - 1),
            ServerFrame::Push(Push::Messages { items, .. }) => {
                seen.extend(items.iter().map(|item| item.offset.get()));
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(seen, [0, 1, 2, 3]);
}

#[tokio::test]
async fn remote_room_that_moves_here_is_joined_again_without_a_gap() {
    let (cluster, first, second) = two_nodes().await;
    let shard = cluster.shard_of("a");
    let mut socket = second.client("/v1/ws").await;
    socket.ok("join", json!({ "room": "a" })).await;
    let mut writer = first.room("a").await;
    writer.publish(None, json!(1)).await;
    assert_eq!(socket.offsets(1).await, [1]);
    cluster.set_owner(shard, Some(second.id()));
    let moved = socket.push().await.unwrap();
    assert_eq!((&moved["moved"]["room"], &moved["moved"]["node"]), (&json!("a"), &json!(2)));
    second.room("a").await.publish(None, json!(2)).await;
    let joined = socket.ok("join", json!({ "room": "a", "from": { "offset": 2 } })).await;
    assert_eq!(joined["owner"], 2);
    assert_eq!(socket.offsets(1).await, [2]);
}

/// The client's own node becomes the owner.
#[tokio::test]
async fn remote_publishes_under_way_when_the_owner_is_lost_are_stored_by_the_next_one() {
    let (cluster, first, second) = two_nodes().await;
    let shard = cluster.shard_of("a");
    let mut socket = second.client("/v1/ws").await;
    socket.ok("join", json!({ "room": "a" })).await;
    let before = cluster.submissions(shard);
    cluster.set_log(shard, Log::Stalls);
    for n in 1..=4 {
        socket.send("publish", one("a", n)).await;
    }
    cluster.submitted(shard, before + 4).await;
    cluster.set_owner(shard, Some(second.id()));
    cluster.set_log(shard, Log::Works);
    for n in 1..=4 {
        assert_eq!(socket.reply().await["ok"]["offsets"], json!([n]));
    }
    assert_eq!(socket.push().await.unwrap()["moved"]["node"], 2);
    assert_eq!(socket.publish(Some("a"), json!(5)).await, 5);
    drop(first);
}

#[tokio::test]
async fn owner_that_stops_leaves_the_session_socket_open() {
    let (cluster, first, second) = two_nodes().await;
    let mut socket = second.client("/v1/ws").await;
    socket.ok("join", json!({ "room": "a" })).await;
    first.stop().await;
    assert_eq!(socket.push().await.unwrap()["moved"]["room"], "a");
    cluster.set_owner_of_all(second.id());
    socket.ok("join", json!({ "room": "a" })).await;
    assert_eq!(socket.publish(Some("a"), json!(1)).await, 1);
}

/// Commands that a relay sends to a node which is not the owner are refused there, and the relay goes to the owner.
#[tokio::test]
async fn join_through_a_stale_owner_finds_the_present_one() {
    let (cluster, owner, relay) = two_nodes().await;
    let former = Served::start(&cluster, crate::common::config()).await;
    relay.node.believe(cluster.shard_of("a"), former.id());
    let mut socket = relay.client("/v1/ws").await;
    assert_eq!(socket.ok("join", json!({ "room": "a" })).await["owner"], 1);
    assert_eq!(socket.publish(Some("a"), json!(1)).await, 1);
    assert_eq!(socket.offsets(1).await, [1]);
    drop(owner);
}

#[tokio::test]
async fn slow_session_socket_gets_all_of_a_remote_room() {
    const COUNT: usize = 2000;
    let (_cluster, owner, other) = two_nodes().await;
    let mut slow = other.client("/v1/ws").await;
    slow.ok("join", json!({ "room": "a" })).await;
    let mut writer = owner.room("a").await;
    let text = "x".repeat(4000);
    for _ in 0..COUNT / 20 {
        let messages: Vec<_> = (0..20).map(|_| json!({ "id": uuid(), "data": text })).collect();
        writer.ok("publish", json!({ "messages": messages })).await;
    }
    assert!(slow.offsets(COUNT).await.into_iter().eq(1..=COUNT as u64));
}

#[tokio::test]
async fn relayed_publish_that_was_refused_keeps_those_behind_it_out_until_the_relay_begins_anew() {
    let (cluster, node) = one_node().await;
    let shard = cluster.shard_of("a");
    let mut relay = Client::open(&node.url, "/v1/ws", &[("roomkeeper-relay", "9")]).await;
    cluster.set_owner(shard, None);
    assert_eq!(relay.code("publish", one("a", 1)).await, "unavailable");
    cluster.set_owner(shard, Some(node.id()));
    assert_eq!(relay.code("publish", one("a", 2)).await, "unavailable", "it was sent behind the refused one");
    relay.ok("leave", json!({ "room": "a" })).await;
    assert_eq!(relay.publish(Some("a"), json!(1)).await, 1);
}
