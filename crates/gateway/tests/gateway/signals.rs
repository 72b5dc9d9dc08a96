//! Signals: to everybody in the room now, and to nobody later.

use serde_json::json;

use crate::common::{Way, two_nodes};

#[tokio::test]
async fn signal_goes_to_all_who_are_joined_its_sender_included_and_is_not_stored() {
    for way in Way::ALL {
        let (_cluster, owner, other) = two_nodes().await;
        let (mut sender, _) = way.join((&owner, &other), "a", "ann", json!({})).await;
        let mut readers = Vec::new();
        for way in Way::ALL {
            readers.push(way.join((&owner, &other), "a", "bob", json!({})).await.0);
        }
        let (mut without_credit, _) = way.join((&owner, &other), "a", "cat", json!({ "credit": 0 })).await;
        assert_eq!(sender.ok("signal", json!({ "room": "a", "data": { "typing": true } })).await, json!({}));
        readers.push(sender);
        for reader in readers.iter_mut().chain([&mut without_credit]) {
            let push = reader.push().await.unwrap();
            let signal = json!({ "room": "a", "from": "ann", "data": { "typing": true } });
            assert_eq!(push, json!({ "signal": signal }), "{way:?}");
            assert!(reader.rest_is_quiet().await);
        }
        let history = readers[0].ok("history", json!({ "room": "a", "from": "beginning" })).await;
        assert_eq!(history["next"], 1);
    }
}

#[tokio::test]
async fn signal_to_a_room_that_is_not_there_is_not_found_and_to_a_former_life_recreated() {
    for way in Way::ALL {
        let (_cluster, owner, other) = two_nodes().await;
        let mut socket = way.open(&owner, &other, "a", "ann").await;
        let signal = json!({ "room": "a", "data": 1 });
        assert_eq!(socket.code("signal", signal.clone()).await, "not_found", "{way:?}");
        socket.ok("join", json!({ "room": "a" })).await;
        let mut writer = owner.client("/v1/ws").await;
        writer.ok("delete", json!({ "room": "a" })).await;
        writer.publish(Some("a"), json!(1)).await;
        assert_eq!(socket.code("signal", signal).await, "recreated", "{way:?}");
    }
}

#[tokio::test]
async fn signal_by_rest_comes_from_every_node() {
    let (_cluster, owner, other) = two_nodes().await;
    let (mut reader, _) = Way::FarSession.join((&owner, &other), "a", "bob", json!({})).await;
    for node in [&owner, &other] {
        let rest = node.rest().with("roomkeeper-user", "ann");
        let answer = rest.post("/v1/rooms/a/signal?route=proxy", json!({ "data": 7 })).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let push = reader.push().await.unwrap();
        assert_eq!(push, json!({ "signal": { "room": "a", "from": "ann", "data": 7 } }));
        let none = rest.post("/v1/rooms/none/signal?route=proxy", json!({ "data": 7 })).await;
        assert_eq!((none.status.as_u16(), none.code()), (404, "not_found"));
    }
}

/// Signals are sent at most once: who does not read loses some, and no more than that.
#[tokio::test]
async fn signal_that_a_reader_is_too_slow_for_is_dropped() {
    const COUNT: u64 = 1_500;
    let (_cluster, owner, _other) = two_nodes().await;
    let mut slow = owner.client("/v1/ws").await;
    slow.ok("join", json!({ "room": "a" })).await;
    let mut sender = owner.client("/v1/ws").await;
    let text = "x".repeat(30_000);
    for n in 1..=COUNT {
        sender.ok("signal", json!({ "room": "a", "data": [n, text] })).await;
    }
    sender.publish(Some("a"), json!(1)).await;
    let (mut last, mut count) = (0, 0);
    while last < COUNT {
        let push = slow.push().await.unwrap();
        if let Some(n) = push["signal"]["data"][0].as_u64() {
            assert!(n > last, "in order, and none twice");
            (last, count) = (n, count + 1);
        }
    }
    assert!(count < COUNT, "{count}");
}
