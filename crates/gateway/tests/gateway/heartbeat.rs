//! Heartbeats: a client says what it has of the last minute, and gets what is missing, if and only if something is.

use std::time::Duration;

use serde_json::{Value, json};

use crate::common::{Client, Way, two_nodes, uuid};

const QUIET: Duration = Duration::from_millis(80);

/// Publishes so many messages, and returns their ids.
async fn fill(writer: &mut Client, count: usize) -> Vec<String> {
    let ids: Vec<String> = (0..count).map(|_| uuid()).collect();
    let messages: Vec<_> = ids.iter().map(|id| json!({ "id": id, "data": 1 })).collect();
    writer.ok("publish", json!({ "room": "a", "messages": messages })).await;
    ids
}

/// A heartbeat that lists all messages but those at `missing`, which are offsets.
fn without(ids: &[String], missing: &[usize]) -> Value {
    let listed = (1..).zip(ids).filter(|(offset, _)| !missing.contains(offset)).map(|(_, id)| id);
    json!({ "rooms": { "a": { "here": true, "seen": listed.collect::<Vec<_>>() } } })
}

/// The offsets of the next `sync` pushes, so many in all, and that nothing comes behind them.
async fn synced(client: &mut Client, count: usize) -> Vec<u64> {
    let mut offsets = Vec::new();
    while offsets.len() < count {
        let push = client.push().await.unwrap();
        let items = push["sync"]["items"].as_array().unwrap_or_else(|| panic!("no sync: {push}"));
        offsets.extend(items.iter().map(|item| item["offset"].as_u64().unwrap()));
    }
    assert!(client.is_quiet_for(QUIET).await);
    offsets
}

#[tokio::test]
async fn heartbeat_that_leaves_out_three_gets_exactly_those_and_one_that_lists_all_nothing() {
    for way in Way::ALL {
        let (_cluster, owner, other) = two_nodes().await;
        let mut writer = owner.client("/v1/ws").await;
        let mut ids = fill(&mut writer, 10).await;
        let (mut socket, _) = way.join((&owner, &other), "a", "ann", json!({ "from": "beginning" })).await;
        socket.offsets(10).await;
        ids.extend(fill(&mut writer, 10).await);
        socket.offsets(10).await;
        // It is not known yet what had arrived.
        socket.ok("heartbeat", without(&ids, &[3, 4, 15])).await;
        assert!(socket.is_quiet_for(QUIET).await, "{way:?}");
        socket.ok("heartbeat", without(&ids, &[3, 4, 15])).await;
        assert_eq!(synced(&mut socket, 3).await, [3, 4, 15], "{way:?}");
        for _ in 0..2 {
            socket.ok("heartbeat", without(&ids, &[])).await;
            assert!(socket.is_quiet_for(QUIET).await, "{way:?}");
        }
        // What came since the heartbeat before may be on its way.
        fill(&mut writer, 5).await;
        socket.offsets(5).await;
        socket.ok("heartbeat", without(&ids, &[])).await;
        assert!(socket.is_quiet_for(QUIET).await, "{way:?}");
        socket.ok("heartbeat", without(&ids, &[])).await;
        assert_eq!(synced(&mut socket, 5).await, [21, 22, 23, 24, 25], "{way:?}");
        let upto = json!({ "rooms": { "a": { "upto": 22, "seen": [ids[0]] } } });
        socket.ok("heartbeat", upto).await;
        assert_eq!(synced(&mut socket, 3).await, [23, 24, 25], "{way:?}");
    }
}

#[tokio::test]
async fn heartbeat_of_a_client_that_joined_late_asks_for_nothing_older() {
    for way in Way::ALL {
        let (_cluster, owner, other) = two_nodes().await;
        let mut writer = owner.client("/v1/ws").await;
        let mut ids = fill(&mut writer, 10).await;
        let (mut socket, _) = way.join((&owner, &other), "a", "ann", json!({})).await;
        ids.extend(fill(&mut writer, 2).await);
        socket.offsets(2).await;
        for _ in 0..2 {
            socket.ok("heartbeat", json!({ "rooms": { "a": { "seen": ids[10..] } } })).await;
            assert!(socket.is_quiet_for(QUIET).await, "{way:?}");
        }
    }
}

#[tokio::test]
async fn heartbeat_after_a_change_of_owner_gets_what_the_former_one_had_sent() {
    for way in Way::ALL {
        let (cluster, first, second) = two_nodes().await;
        let mut writer = first.client("/v1/ws").await;
        let ids = fill(&mut writer, 20).await;
        cluster.set_owner(cluster.shard_of("a"), Some(second.id()));
        let from = json!({ "room": "a", "from": { "offset": 21 } });
        let mut again = way.open(&second, &first, "a", "ann").await;
        again.ok("hello", json!({ "user": "ann", "session": "0123" })).await;
        again.ok("join", from.clone()).await;
        again.ok("heartbeat", without(&ids, &[1, 9, 20])).await;
        assert_eq!(synced(&mut again, 3).await, [1, 9, 20], "{way:?}");
        again.ok("heartbeat", without(&ids, &[])).await;
        assert!(again.is_quiet_for(QUIET).await, "{way:?}");
        // One that names no session is held to what it shows to have.
        let mut other = way.open(&second, &first, "a", "bob").await;
        other.ok("join", from).await;
        other.ok("heartbeat", without(&ids, &[1, 2, 9, 20])).await;
        assert_eq!(synced(&mut other, 2).await, [9, 20], "{way:?}");
    }
}

#[tokio::test]
async fn heartbeat_of_a_socket_that_outlived_the_owner_gets_what_the_former_one_had_sent() {
    for way in [Way::Session, Way::FarSession, Way::FarProto] {
        let (cluster, first, second) = two_nodes().await;
        let mut writer = first.client("/v1/ws").await;
        let ids = fill(&mut writer, 20).await;
        let (mut socket, _) =
            way.join((&first, &second), "a", "ann", json!({ "from": { "offset": 5 } })).await;
        socket.offsets(16).await;
        cluster.set_owner(cluster.shard_of("a"), Some(second.id()));
        while socket.push().await.unwrap()["moved"].is_null() {}
        socket.ok("join", json!({ "room": "a", "from": { "offset": 21 } })).await;
        socket.ok("heartbeat", without(&ids, &[1, 5, 9, 20])).await;
        assert_eq!(synced(&mut socket, 3).await, [5, 9, 20], "{way:?}: it began at 5");
        socket.ok("heartbeat", without(&ids, &[1])).await;
        assert!(socket.is_quiet_for(QUIET).await, "{way:?}");
    }
}

#[tokio::test]
async fn heartbeat_in_its_short_form_is_answered_only_if_it_has_an_id() {
    for way in [Way::Room, Way::ProxiedRoom] {
        let (_cluster, owner, other) = two_nodes().await;
        let (mut socket, _) = way.join((&owner, &other), "a", "ann", json!({})).await;
        let mut writer = owner.client("/v1/ws").await;
        let ids = fill(&mut writer, 3).await;
        socket.offsets(3).await;
        socket.send_text(&json!({ "id": 99, "amhere": true, "msgSeen": ids }).to_string()).await;
        let reply = socket.reply().await;
        assert_eq!(reply, json!({ "id": 99, "ok": {} }), "{way:?}");
        socket.send_text(&json!({ "amhere": true, "msgSeen": [ids[0], ids[2]] }).to_string()).await;
        assert_eq!(synced(&mut socket, 1).await, [2], "{way:?}");
        // The next reply is that of the next command.
        assert!(socket.rest_is_quiet().await);
    }
    let (_cluster, owner, _other) = two_nodes().await;
    let mut session = owner.client("/v1/ws").await;
    session.send_text(r#"{"amhere": true, "msgSeen": []}"#).await;
    let reply = session.reply().await;
    assert_eq!(
        (&reply["id"], &reply["error"]["code"]),
        (&json!(0), &json!("bad_request")),
        "bound to no room"
    );
}

#[tokio::test]
async fn heartbeat_about_rooms_that_are_not_joined_or_not_the_sockets_own() {
    for way in Way::ALL {
        let (_cluster, owner, other) = two_nodes().await;
        let mut writer = owner.client("/v1/ws").await;
        fill(&mut writer, 3).await;
        let mut socket = way.open(&owner, &other, "a", "ann").await;
        for _ in 0..2 {
            socket.ok("heartbeat", json!({ "rooms": { "a": { "seen": [] } } })).await;
        }
        let elsewhere = json!({ "rooms": { "b": { "seen": [] } } });
        match way {
            Way::Room | Way::ProxiedRoom => {
                assert_eq!(socket.code("heartbeat", elsewhere).await, "bad_request", "{way:?}");
            }
            _ => drop(socket.ok("heartbeat", elsewhere).await),
        }
        assert!(socket.is_quiet_for(QUIET).await, "{way:?}");
    }
}

#[tokio::test]
async fn heartbeat_keeps_to_the_credit() {
    for way in Way::ALL {
        let (_cluster, owner, other) = two_nodes().await;
        let mut writer = owner.client("/v1/ws").await;
        fill(&mut writer, 20).await;
        let mut socket = way.open(&owner, &other, "a", "ann").await;
        socket.ok("hello", json!({ "user": "ann", "session": "0123" })).await;
        socket.ok("join", json!({ "room": "a", "from": { "offset": 5 }, "credit": 3 })).await;
        assert_eq!(socket.offsets(3).await, [5, 6, 7], "{way:?}");
        socket.ok("heartbeat", without(&[], &[])).await;
        assert_eq!(synced(&mut socket, 4).await, [1, 2, 3, 4], "{way:?}");
        socket.ok("heartbeat", without(&[], &[])).await;
        assert_eq!(synced(&mut socket, 7).await, [1, 2, 3, 4, 5, 6, 7], "{way:?}");
    }
}

#[tokio::test]
async fn short_heartbeat_out_of_bounds_is_refused_once_and_the_socket_goes_on() {
    let uuids = |count: usize| -> Vec<String> { (0..count).map(|_| uuid()).collect() };
    for way in [Way::Room, Way::ProxiedRoom] {
        let (_cluster, owner, other) = two_nodes().await;
        let (mut socket, _) = way.join((&owner, &other), "a", "ann", json!({})).await;
        let bad = [
            json!({ "amhere": "true", "msgSeen": [] }),
            json!({ "amhere": 1, "msgSeen": [] }),
            json!({ "amhere": [], "msgSeen": [] }),
            json!({ "amhere": true, "msgSeen": uuid() }),
            json!({ "amhere": true, "msgSeen": { "a": [] } }),
            json!({ "amhere": true, "msgSeen": 3 }),
            json!({ "amhere": true, "msgSeen": [1, 2, 3] }),
            json!({ "amhere": true, "msgSeen": [uuid(), null] }),
            json!({ "amhere": true, "msgSeen": [[uuid()]] }),
            json!({ "amhere": true, "msgSeen": [""] }),
            json!({ "amhere": true, "msgSeen": [format!("{}0", uuid())] }),
            json!({ "amhere": true, "msgSeen": [uuid()[1..]] }),
            json!({ "amhere": true, "msgSeen": ["f".repeat(200_000)] }),
            json!({ "amhere": true, "msgSeen": uuids(1_001) }),
            json!({ "amhere": true, "msgSeen": uuids(20_000) }),
            json!({ "amhere": true, "msgSeen": [], "upto": 1 }),
        ];
        for frame in bad {
            for id in [0, 7] {
                let mut frame = frame.clone();
                if id != 0 {
                    frame["id"] = id.into();
                }
                let text = frame.to_string();
                socket.send_text(&text).await;
                let reply = socket.reply().await;
                let short = &text[..text.len().min(120)];
                assert_eq!(
                    (&reply["error"]["code"], &reply["error"]["retry"]),
                    (&json!("bad_request"), &json!(false)),
                    "{short}"
                );
                // A frame with other fields than a heartbeat's is none, and has to have an id.
                assert!(reply["id"] == id, "{short}: {reply}");
                assert!(reply.to_string().len() < 600, "{short}: what was sent is not sent back");
            }
        }
        // As many as it may list, and whatever it lists.
        socket.send_text(&json!({ "id": 8, "amhere": true, "msgSeen": uuids(1_000) }).to_string()).await;
        assert_eq!(socket.reply().await, json!({ "id": 8, "ok": {} }), "{way:?}");
        assert!(socket.rest_is_quiet().await, "{way:?}");
        let frame = json!({ "amhere": true, "msgSeen": uuids(30_000) }).to_string();
        assert!(frame.len() > 1 << 20);
        socket.send_text(&frame).await;
        let (_, replies, ended) = socket.rest().await;
        assert_eq!(
            (&replies[0]["id"], &replies[0]["error"]["code"]),
            (&json!(0), &json!("too_large")),
            "{way:?}"
        );
        assert_eq!(ended.0, Some(4503), "{way:?}");
    }
}

#[tokio::test]
async fn first_heartbeat_is_held_to_the_session_that_is_taken_up_by_every_way_and_isolation() {
    for way in Way::ALL {
        for isolation in ["committed", "uncommitted"] {
            let (_cluster, owner, other) = two_nodes().await;
            let mut writer = owner.client("/v1/ws").await;
            let ids = fill(&mut writer, 10).await;
            let join = json!({ "room": "a", "from": { "offset": 11 }, "isolation": isolation });
            let mut again = way.open(&owner, &other, "a", "ann").await;
            again.ok("hello", json!({ "user": "ann", "session": "0123" })).await;
            again.ok("join", join.clone()).await;
            again.ok("heartbeat", without(&ids, &[2, 5])).await;
            assert_eq!(synced(&mut again, 2).await, [2, 5], "{way:?} {isolation}");
            again.ok("heartbeat", without(&[], &[])).await;
            assert_eq!(synced(&mut again, 10).await, (1..=10).collect::<Vec<_>>(), "{way:?} {isolation}");
            // It may be here for the first time.
            let mut new = way.open(&owner, &other, "a", "bob").await;
            new.ok("join", join).await;
            new.ok("heartbeat", without(&[], &[])).await;
            assert!(new.is_quiet_for(QUIET).await, "{way:?} {isolation}");
        }
    }
}
