//! Cursors and credit: how far a consumer has come, and how far it may be sent messages.

use std::time::Duration;

use roomkeeper_room::RoomOptions;
use serde_json::{Value, json};

use crate::common::{Client, Way, two_nodes, uuid};

/// Nothing that is on its way takes longer.
const QUIET: Duration = Duration::from_millis(80);

async fn fill(writer: &mut Client, room: &str, count: usize) {
    let messages: Vec<_> = (1..=count).map(|n| json!({ "id": uuid(), "data": n })).collect();
    writer.ok("publish", json!({ "room": room, "messages": messages })).await;
}

fn commit(offset: u64) -> Value {
    json!({ "room": "a", "consumer": "c", "offset": offset })
}

#[tokio::test]
async fn commit_never_goes_back_and_0_reads() {
    for way in Way::ALL {
        let (_cluster, owner, other) = two_nodes().await;
        let mut socket = way.open(&owner, &other, "a", "ann").await;
        assert_eq!(socket.code("commit", commit(1)).await, "not_found", "{way:?}");
        fill(&mut socket, "a", 10).await;
        for (offset, committed) in [(0, 0), (4, 4), (2, 4), (0, 4), (10, 10)] {
            assert_eq!(
                socket.ok("commit", commit(offset)).await,
                json!({ "committed": committed }),
                "{way:?}"
            );
        }
        let error = socket.call("commit", commit(11)).await.unwrap_err();
        assert_eq!((&error["code"], &error["next"]), (&json!("bad_request"), &json!(11)), "{way:?}");
    }
}

#[tokio::test]
async fn commit_in_a_former_life_is_recreated_and_the_new_one_begins_at_0() {
    for way in Way::ALL {
        let (_cluster, owner, other) = two_nodes().await;
        let (mut socket, joined) = way.join((&owner, &other), "a", "ann", json!({})).await;
        let mut writer = owner.client("/v1/ws").await;
        fill(&mut writer, "a", 3).await;
        socket.ok("commit", commit(3)).await;
        writer.ok("delete", json!({ "room": "a" })).await;
        fill(&mut writer, "a", 5).await;
        assert_eq!(socket.code("commit", commit(3)).await, "recreated", "{way:?}");
        let mut named = commit(1);
        named["life"] = joined["life"].clone();
        assert_eq!(writer.code("commit", named).await, "recreated");
        assert_eq!(writer.ok("commit", commit(0)).await["committed"], 0);
    }
}

#[tokio::test]
async fn join_from_committed_goes_on_behind_it_and_says_what_is_unread() {
    for way in Way::ALL {
        let (_cluster, owner, other) = two_nodes().await;
        let mut writer = owner.client("/v1/ws").await;
        fill(&mut writer, "a", 10).await;
        let from = json!({ "from": "committed", "consumer": "c" });
        let (mut first, ok) = way.join((&owner, &other), "a", "ann", from.clone()).await;
        assert_eq!(
            (&ok["from"], &ok["committed"], &ok["unread"]),
            (&json!(1), &json!(0), &json!(10)),
            "{way:?}"
        );
        assert_eq!(first.offsets(10).await, (1..=10).collect::<Vec<_>>());
        first.ok("commit", commit(4)).await;
        drop(first);
        // What it had and did not commit comes again.
        let (mut second, ok) = way.join((&owner, &other), "a", "ann", from).await;
        assert_eq!(
            (&ok["from"], &ok["committed"], &ok["unread"]),
            (&json!(5), &json!(4), &json!(6)),
            "{way:?}"
        );
        assert_eq!(second.offsets(6).await, (5..=10).collect::<Vec<_>>());
        assert!(second.rest_is_quiet().await);
    }
}

#[tokio::test]
async fn join_from_committed_below_what_is_kept_is_trimmed_and_names_the_first() {
    for way in Way::ALL {
        let (cluster, owner, other) = two_nodes().await;
        cluster.create("a", RoomOptions { retain_messages: Some(4), ..RoomOptions::default() });
        let mut writer = owner.client("/v1/ws").await;
        fill(&mut writer, "a", 4).await;
        writer.ok("commit", commit(2)).await;
        for _ in 0..6 {
            writer.publish(Some("a"), json!(1)).await;
        }
        let mut socket = way.open(&owner, &other, "a", "ann").await;
        let from = json!({ "room": "a", "from": "committed", "consumer": "c" });
        let error = socket.call("join", from).await.unwrap_err();
        assert_eq!((&error["code"], &error["first"]), (&json!("trimmed"), &json!(7)), "{way:?}");
        let beginning = json!({ "room": "a", "from": "beginning", "consumer": "c" });
        let ok = socket.ok("join", beginning).await;
        assert_eq!((&ok["committed"], &ok["unread"]), (&json!(2), &json!(4)), "{way:?}");
    }
}

#[tokio::test]
async fn cursor_by_rest_is_the_same_at_every_node() {
    let (_cluster, owner, other) = two_nodes().await;
    let mut writer = owner.client("/v1/ws").await;
    fill(&mut writer, "a", 10).await;
    for (node, offset) in [(&owner, 3), (&other, 5)] {
        let rest = node.rest();
        let path = |path: &str| format!("/v1/rooms/a{path}?route=proxy");
        let body = json!({ "consumer": "c", "offset": offset });
        assert_eq!(rest.post(&path("/cursors"), body).await.body, json!({ "committed": offset }));
        let back = rest.post(&path("/cursors"), json!({ "consumer": "c", "offset": 1 })).await;
        assert_eq!(back.body, json!({ "committed": offset }));
        let read = rest.get(&path("/cursors/c")).await;
        assert_eq!(read.body, json!({ "committed": offset, "unread": 10 - offset }));
        assert_eq!(rest.get(&path("/cursors/d")).await.body, json!({ "committed": 0, "unread": 10 }));
        let beyond = rest.post(&path("/cursors"), json!({ "consumer": "c", "offset": 11 })).await;
        assert_eq!((beyond.status.as_u16(), beyond.code()), (400, "bad_request"));
        assert_eq!(rest.get("/v1/rooms/none/cursors/c?route=proxy").await.code(), "not_found");
        let none = rest.post(&path("/cursors"), json!({ "consumer": "c" })).await;
        assert_eq!((none.status.as_u16(), none.code()), (400, "bad_request"));
    }
}

#[tokio::test]
async fn credit_is_never_exceeded_and_raised_by_commit_and_credit() {
    for way in Way::ALL {
        let (_cluster, owner, other) = two_nodes().await;
        let mut writer = owner.client("/v1/ws").await;
        fill(&mut writer, "a", 30).await;
        let fields = json!({ "from": { "offset": 5 }, "consumer": "c", "credit": 3 });
        let (mut socket, _) = way.join((&owner, &other), "a", "ann", fields).await;
        assert_eq!(socket.offsets(3).await, [5, 6, 7], "{way:?}");
        assert!(socket.is_quiet_for(QUIET).await, "{way:?}");
        // max(7, 6 + 3)
        socket.ok("commit", commit(6)).await;
        assert_eq!(socket.offsets(2).await, [8, 9], "{way:?}");
        // max(9, 6 + 3): one below the cursor comes to the cursor.
        socket.ok("commit", commit(2)).await;
        socket.ok("commit", json!({ "room": "a", "consumer": "d", "offset": 20 })).await;
        assert!(socket.is_quiet_for(QUIET).await, "another consumer's says nothing of this one: {way:?}");
        socket.ok("credit", json!({ "room": "a", "more": 2 })).await;
        assert_eq!(socket.offsets(2).await, [10, 11], "{way:?}");
        fill(&mut writer, "a", 3).await;
        assert!(socket.is_quiet_for(QUIET).await, "{way:?}");
        socket.ok("commit", commit(33)).await;
        assert_eq!(socket.offsets(22).await, (12..=33).collect::<Vec<_>>(), "{way:?}");
        assert!(socket.rest_is_quiet().await);
    }
}

#[tokio::test]
async fn credit_of_0_gets_nothing_until_it_is_granted() {
    for way in Way::ALL {
        let (_cluster, owner, other) = two_nodes().await;
        let mut writer = owner.client("/v1/ws").await;
        fill(&mut writer, "a", 3).await;
        let fields = json!({ "from": "beginning", "credit": 0 });
        let (mut socket, _) = way.join((&owner, &other), "a", "ann", fields).await;
        fill(&mut writer, "a", 3).await;
        assert!(socket.is_quiet_for(QUIET).await, "{way:?}");
        for n in 1..=6 {
            socket.ok("credit", json!({ "room": "a", "more": 1 })).await;
            assert_eq!(socket.offsets(1).await, [n], "{way:?}");
        }
    }
}

#[tokio::test]
async fn credit_without_a_join_that_has_some_is_bad_request() {
    for way in Way::ALL {
        let (_cluster, owner, other) = two_nodes().await;
        let mut socket = way.open(&owner, &other, "a", "ann").await;
        let more = json!({ "room": "a", "more": 1 });
        assert_eq!(socket.code("credit", more.clone()).await, "bad_request", "not joined: {way:?}");
        socket.ok("join", json!({ "room": "a" })).await;
        assert_eq!(socket.code("credit", more.clone()).await, "bad_request", "without credit: {way:?}");
        socket.ok("join", json!({ "room": "a", "credit": 1 })).await;
        socket.ok("credit", more.clone()).await;
        socket.ok("leave", json!({ "room": "a" })).await;
        assert_eq!(socket.code("credit", more).await, "bad_request", "left: {way:?}");
    }
}
