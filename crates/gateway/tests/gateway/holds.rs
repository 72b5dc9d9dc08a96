//! Holds: messages without offsets until their sender confirms them, and what readers of either isolation see.

use std::time::Duration;

use serde_json::{Value, json};

use crate::common::{Client, Way, two_nodes, uuid};

/// A publish of held messages, and their ids.
fn held(count: usize, hold_ms: u64) -> (Value, Vec<String>) {
    let ids: Vec<String> = (0..count).map(|_| uuid()).collect();
    let messages: Vec<_> = ids.iter().map(|id| json!({ "id": id, "data": 1 })).collect();
    (json!({ "room": "a", "messages": messages, "hold_ms": hold_ms }), ids)
}

fn of(ids: &[String]) -> Value {
    json!({ "room": "a", "ids": ids })
}

fn ids_of(push: &Value, kind: &str) -> Vec<String> {
    let items = push[kind]["items"].as_array().unwrap_or_else(|| panic!("no {kind}: {push}"));
    items.iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn publish_that_is_held_has_no_offsets_until_it_is_confirmed() {
    for way in Way::ALL {
        let (_cluster, owner, other) = two_nodes().await;
        let mut socket = way.open(&owner, &other, "a", "ann").await;
        let (publish, ids) = held(3, 60_000);
        let ok = socket.ok("publish", publish.clone()).await;
        assert_eq!(
            (&ok["offsets"], &ok["held"], &ok["duplicates"]),
            (&json!([]), &json!(true), &json!([false, false, false]))
        );
        let again = socket.ok("publish", publish).await;
        assert_eq!(
            (&again["expires"], &again["duplicates"]),
            (&ok["expires"], &json!([true, true, true])),
            "{way:?}"
        );
        assert_eq!(socket.publish(Some("a"), json!(1)).await, 1, "{way:?}");
        assert_eq!(socket.code("confirm", of(&ids[..2])).await, "conflict", "a part: {way:?}");
        for _ in 0..2 {
            assert_eq!(socket.ok("confirm", of(&ids)).await["offsets"], json!([2, 3, 4]), "{way:?}");
        }
        assert_eq!(socket.code("rollback", of(&ids)).await, "too_late", "{way:?}");
        assert_eq!(socket.code("confirm", of(&[uuid()])).await, "not_found", "{way:?}");
    }
}

#[tokio::test]
async fn hold_of_another_user_is_forbidden() {
    for way in Way::ALL {
        let (_cluster, owner, other) = two_nodes().await;
        let mut ann = way.open(&owner, &other, "a", "ann").await;
        let mut bob = way.open(&owner, &other, "a", "bob").await;
        let (publish, ids) = held(1, 60_000);
        ann.ok("publish", publish).await;
        for command in ["confirm", "rollback"] {
            assert_eq!(bob.code(command, of(&ids)).await, "forbidden", "{way:?}");
        }
        for _ in 0..2 {
            ann.ok("rollback", of(&ids)).await;
        }
        assert_eq!(ann.code("confirm", of(&ids)).await, "gone", "{way:?}");
    }
}

#[tokio::test]
async fn reader_of_what_is_uncommitted_sees_each_hold_and_what_becomes_of_it() {
    for way in Way::ALL {
        let (cluster, owner, other) = two_nodes().await;
        let shard = cluster.shard_of("a");
        let mut writer = owner.client("/v1/ws").await;
        writer.publish(Some("a"), json!(0)).await;
        let (open, open_ids) = held(2, 60_000);
        let expires = writer.ok("publish", open).await["expires"].clone();
        let fields = json!({ "isolation": "uncommitted", "from": "beginning" });
        let (mut reader, _) = way.join((&owner, &other), "a", "ann", fields).await;
        let first = reader.push().await.unwrap();
        assert_eq!(
            (ids_of(&first, "held"), &first["held"]["expires"]),
            (open_ids.clone(), &expires),
            "{way:?}"
        );
        assert!(first["held"]["items"][0].get("offset").is_none(), "{first}");
        assert_eq!(reader.offsets(1).await, [1], "{way:?}");

        let (dropped, dropped_ids) = held(1, 60_000);
        writer.ok("publish", dropped).await;
        assert_eq!(ids_of(&reader.push().await.unwrap(), "held"), dropped_ids, "{way:?}");
        writer.ok("rollback", of(&dropped_ids)).await;
        let rolled_back = reader.push().await.unwrap();
        assert_eq!(rolled_back["rolled_back"], json!({ "room": "a", "ids": dropped_ids }), "{way:?}");

        let (short, short_ids) = held(1, 1);
        writer.ok("publish", short).await;
        assert_eq!(ids_of(&reader.push().await.unwrap(), "held"), short_ids, "{way:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
        cluster.sweep(shard);
        assert_eq!(reader.push().await.unwrap()["rolled_back"]["ids"], json!(short_ids), "{way:?}");
        assert_eq!(writer.code("confirm", of(&short_ids)).await, "gone");

        writer.ok("confirm", of(&open_ids)).await;
        assert_eq!(ids_of(&reader.push().await.unwrap(), "messages"), open_ids, "{way:?}");
        assert!(reader.rest_is_quiet().await);
    }
}

/// Held and confirmed at once, time after time: the one is heard of before the other, whatever sockets lie between.
#[tokio::test]
async fn hold_is_heard_of_before_it_is_confirmed() {
    for way in Way::ALL {
        let (_cluster, owner, other) = two_nodes().await;
        let fields = json!({ "isolation": "uncommitted" });
        let (mut reader, _) = way.join((&owner, &other), "a", "ann", fields).await;
        let mut writer = owner.client("/v1/ws").await;
        let mut sent = Vec::new();
        for _ in 0..50 {
            let (publish, ids) = held(1, 60_000);
            writer.send("publish", publish).await;
            writer.send("confirm", of(&ids)).await;
            sent.extend(ids);
        }
        let (mut open, mut confirmed) = (Vec::new(), Vec::new());
        while confirmed.len() < sent.len() {
            let push = reader.push().await.unwrap();
            if push["held"].is_object() {
                open.extend(ids_of(&push, "held"));
            } else {
                confirmed.extend(ids_of(&push, "messages"));
                assert!(confirmed.len() <= open.len(), "{way:?}");
            }
        }
        assert_eq!((open, confirmed), (sent.clone(), sent), "{way:?}");
    }
}

#[tokio::test]
async fn reader_of_what_is_committed_sees_a_hold_only_when_it_is_confirmed() {
    for way in Way::ALL {
        let (_cluster, owner, other) = two_nodes().await;
        let mut writer = owner.client("/v1/ws").await;
        let (before, before_ids) = held(1, 60_000);
        writer.ok("publish", before).await;
        let (mut reader, _) = way.join((&owner, &other), "a", "ann", json!({})).await;
        let (dropped, dropped_ids) = held(1, 60_000);
        writer.ok("publish", dropped).await;
        writer.ok("rollback", of(&dropped_ids)).await;
        assert!(reader.is_quiet_for(Duration::from_millis(80)).await, "{way:?}");
        writer.ok("confirm", of(&before_ids)).await;
        assert_eq!(ids_of(&reader.push().await.unwrap(), "messages"), before_ids, "{way:?}");
        assert!(reader.rest_is_quiet().await);
    }
}

#[tokio::test]
async fn history_of_what_is_uncommitted_ends_with_the_open_holds() {
    for way in Way::ALL {
        let (_cluster, owner, other) = two_nodes().await;
        let mut socket = way.open(&owner, &other, "a", "ann").await;
        socket.publish(Some("a"), json!(1)).await;
        let (publish, ids) = held(2, 60_000);
        socket.ok("publish", publish).await;
        let ask = |isolation| json!({ "room": "a", "from": "beginning", "isolation": isolation });
        let whole = socket.ok("history", ask("uncommitted")).await;
        let items = whole["items"].as_array().unwrap();
        assert_eq!((items.len(), &whole["next"]), (3, &json!(2)), "{way:?}");
        assert_eq!((&items[0]["offset"], items[1].get("offset")), (&json!(1), None), "{way:?}");
        assert_eq!(items[1]["id"].as_str(), Some(ids[0].as_str()));
        assert_eq!(socket.ok("history", ask("committed")).await["items"].as_array().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn hold_by_rest_is_confirmed_and_rolled_back_at_every_node() {
    let (_cluster, owner, other) = two_nodes().await;
    for (n, node) in [&owner, &other].into_iter().enumerate() {
        let rest = node.rest().with("roomkeeper-user", "ann");
        let path = |path: &str| format!("/v1/rooms/a/{path}?route=proxy");
        let (publish, ids) = held(1, 60_000);
        let ok = rest.post(&path("messages"), publish).await;
        assert_eq!((&ok.body["held"], &ok.body["offsets"]), (&json!(true), &json!([])), "{ok:?}");
        assert_eq!(node.rest().post(&path("confirm"), of(&ids)).await.code(), "forbidden");
        assert_eq!(rest.post(&path("confirm"), of(&ids)).await.body["offsets"], json!([n + 1]));
        let late = rest.post(&path("rollback"), of(&ids)).await;
        assert_eq!((late.status.as_u16(), late.code()), (409, "too_late"));
        let (publish, ids) = held(1, 60_000);
        rest.post(&path("messages"), publish).await;
        assert_eq!(rest.post(&path("rollback"), of(&ids)).await.status, 200);
        let gone = rest.post(&path("confirm"), of(&ids)).await;
        assert_eq!((gone.status.as_u16(), gone.code()), (410, "gone"));
    }
}

/// One that does not read while more happens than is kept for it: it is sent away, and gets what is open by joining
/// again.
#[tokio::test]
async fn reader_of_what_is_uncommitted_that_is_too_slow_is_sent_away_and_misses_nothing() {
    let (_cluster, owner, _other) = two_nodes().await;
    let mut slow: Client = owner.client("/v1/ws").await;
    slow.ok("join", json!({ "room": "a", "isolation": "uncommitted" })).await;
    let mut writer = owner.client("/v1/ws").await;
    let text = "x".repeat(60_000);
    let mut open = Vec::new();
    for _ in 0..400 {
        let id = uuid();
        let messages = json!([{ "id": id, "data": text }]);
        writer.ok("publish", json!({ "room": "a", "messages": messages, "hold_ms": 600_000 })).await;
        if open.len() < 20 {
            open.push(id);
        } else {
            writer.ok("rollback", json!({ "room": "a", "ids": [id] })).await;
        }
    }
    loop {
        let push = slow.push().await.unwrap();
        if push["moved"].is_object() {
            break;
        }
    }
    slow.ok("join", json!({ "room": "a", "isolation": "uncommitted" })).await;
    for id in &open {
        assert_eq!(ids_of(&slow.push().await.unwrap(), "held"), [id.as_str()]);
    }
}
