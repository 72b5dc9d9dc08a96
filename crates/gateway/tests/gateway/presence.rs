//! Presence: who is in a room, by user and device, and what its members are told of each other.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use roomkeeper_gateway::GatewayConfig;
use roomkeeper_room::RoomOptions;
use serde_json::{Value, json};

use crate::common::{Client, Cluster, Served, Way, config, two_nodes};

const QUIET: Duration = Duration::from_millis(450);

fn told() -> Value {
    json!({ "presence": true })
}

fn names(members: &Value) -> BTreeSet<String> {
    let members = members.as_array().unwrap_or_else(|| panic!("no members: {members}"));
    members.iter().map(|member| member["user"].as_str().unwrap().to_owned()).collect()
}

fn set<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
    names.into_iter().map(str::to_owned).collect()
}

/// The next push, which is of presence.
async fn presence(client: &mut Client) -> Value {
    let push = client.push().await.unwrap();
    assert!(push["presence"].is_object(), "{push}");
    push["presence"].clone()
}

/// Who has joined and left by the next pushes, until there are so many members.
async fn changes(client: &mut Client, count: u64) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut joined, mut left) = (BTreeSet::new(), BTreeSet::new());
    loop {
        let push = presence(client).await;
        joined.extend(names(&push["joined"]));
        left.extend(names(&push["left"]));
        if push["count"] == count {
            return (joined, left);
        }
    }
}

async fn members(client: &mut Client) -> Value {
    client.ok("presence", json!({ "room": "a" })).await["members"].clone()
}

/// Two nodes, of which the first owns everything, with these settings.
async fn nodes(config: GatewayConfig) -> (Cluster, Served, Served) {
    let cluster = Cluster::new(4);
    let first = Served::start(&cluster, config.clone()).await;
    let second = Served::start(&cluster, config).await;
    cluster.set_owner_of_all(first.id());
    (cluster, first, second)
}

#[tokio::test]
async fn members_that_come_and_go_are_told_to_who_wants_to_know() {
    for way in Way::ALL {
        let (_cluster, owner, other) = two_nodes().await;
        let (mut ann, joined) = way.join((&owner, &other), "a", "ann", told()).await;
        assert_eq!(joined["members"], 1, "{way:?}");
        let picture = presence(&mut ann).await;
        assert_eq!((names(&picture["members"]), &picture["count"]), (set(["ann"]), &json!(1)), "{way:?}");
        let mut others = Vec::new();
        for (way, user) in Way::ALL.into_iter().zip(["bob", "cat", "dan", "eve", "fay"]) {
            others.push(way.join((&owner, &other), "a", user, json!({})).await.0);
        }
        assert_eq!(
            changes(&mut ann, 6).await,
            (set(["bob", "cat", "dan", "eve", "fay"]), set([])),
            "{way:?}"
        );
        assert_eq!(names(&members(&mut ann).await).len(), 6);
        for client in &mut others[1..] {
            client.ok("leave", json!({ "room": "a" })).await;
        }
        assert_eq!(changes(&mut ann, 2).await, (set([]), set(["cat", "dan", "eve", "fay"])), "{way:?}");
        assert!(others[0].rest_is_quiet().await, "it did not ask");
    }
}

#[tokio::test]
async fn socket_that_is_gone_leaves() {
    for way in Way::ALL {
        let (_cluster, owner, other) = two_nodes().await;
        let (mut ann, _) = Way::Session.join((&owner, &other), "a", "ann", told()).await;
        presence(&mut ann).await;
        let (bob, _) = way.join((&owner, &other), "a", "bob", json!({})).await;
        assert_eq!(changes(&mut ann, 2).await.0, set(["bob"]), "{way:?}");
        let since = Instant::now();
        drop(bob);
        assert_eq!(changes(&mut ann, 1).await.1, set(["bob"]), "{way:?}");
        assert!(since.elapsed() < Duration::from_secs(5), "{way:?}");
    }
}

#[tokio::test]
async fn silent_client_leaves_within_two_and_a_half_ping_intervals() {
    const INTERVAL: Duration = Duration::from_millis(400);
    for way in [Way::Room, Way::ProxiedRoom, Way::Session, Way::FarSession] {
        let config = GatewayConfig { ping_interval: INTERVAL, ..config() };
        let (_cluster, owner, other) = nodes(config).await;
        let (mut ann, _) = Way::Session.join((&owner, &other), "a", "ann", told()).await;
        presence(&mut ann).await;
        let (bob, _) = way.join((&owner, &other), "a", "bob", json!({})).await;
        // Open, and nothing is read or answered any more.
        let (since, _silent) = (Instant::now(), bob.socket);
        assert_eq!(changes(&mut ann, 2).await.0, set(["bob"]), "{way:?}");
        assert_eq!(changes(&mut ann, 1).await.1, set(["bob"]), "{way:?}");
        let lived = since.elapsed();
        assert!((INTERVAL..INTERVAL * 10).contains(&lived), "{way:?}: {lived:?}");
    }
}

#[tokio::test]
async fn user_with_two_sockets_is_one_member_until_the_last_is_gone() {
    for way in Way::ALL {
        let (_cluster, owner, other) = two_nodes().await;
        let (mut ann, _) = Way::Session.join((&owner, &other), "a", "ann", told()).await;
        presence(&mut ann).await;
        let (first, _) = way.join((&owner, &other), "a", "bob", json!({})).await;
        assert_eq!(changes(&mut ann, 2).await.0, set(["bob"]), "{way:?}");
        let (second, _) = Way::FarSession.join((&owner, &other), "a", "bob", json!({})).await;
        drop(first);
        assert!(ann.is_quiet_for(QUIET).await, "{way:?}");
        assert_eq!(members(&mut ann).await.as_array().unwrap().len(), 2, "{way:?}");
        drop(second);
        assert_eq!(changes(&mut ann, 1).await.1, set(["bob"]), "{way:?}");
    }
}

#[tokio::test]
async fn devices_of_a_user_are_members_with_names() {
    for way in Way::ALL {
        let (_cluster, owner, other) = two_nodes().await;
        let mut sockets = Vec::new();
        for device in ["phone", "tablet"] {
            let mut socket = way.open(&owner, &other, "a", "ann").await;
            socket.ok("hello", json!({ "user": "ann", "device": device })).await;
            socket.ok("join", json!({ "room": "a" })).await;
            sockets.push(socket);
        }
        let members = members(&mut sockets[0]).await;
        let devices: Vec<_> = members.as_array().unwrap().iter().map(|member| &member["device"]).collect();
        assert_eq!(devices, ["phone", "tablet"], "{way:?}");
        assert!(members[0]["since"].as_u64().unwrap() > 1_600_000_000_000, "{members}");
    }
}

#[tokio::test]
async fn client_that_wants_no_presence_is_not_counted() {
    for way in Way::ALL {
        let (_cluster, owner, other) = two_nodes().await;
        let (mut ann, _) = Way::Session.join((&owner, &other), "a", "ann", told()).await;
        presence(&mut ann).await;
        let (mut bob, joined) = way.join((&owner, &other), "a", "bob", json!({ "presence": false })).await;
        assert_eq!(joined["members"], 1, "{way:?}");
        assert!(ann.is_quiet_for(QUIET).await, "{way:?}");
        assert_eq!(names(&members(&mut bob).await), set(["ann"]), "{way:?}");
        assert!(bob.rest_is_quiet().await);
    }
}

#[tokio::test]
async fn room_without_presence_has_no_members() {
    for way in Way::ALL {
        let (cluster, owner, other) = two_nodes().await;
        cluster.create("a", RoomOptions { presence: false, ..RoomOptions::default() });
        let (mut ann, joined) = way.join((&owner, &other), "a", "ann", told()).await;
        assert!(joined.get("members").is_none(), "{way:?}: {joined}");
        assert_eq!(members(&mut ann).await, json!([]), "{way:?}");
        let shown = owner.rest().get("/v1/rooms/a").await.body;
        assert!(shown.get("members").is_none(), "{shown}");
        assert!(ann.is_quiet_for(QUIET).await, "{way:?}");
    }
}

#[tokio::test]
async fn room_that_is_full_takes_no_further_member() {
    for way in Way::ALL {
        let (cluster, owner, other) = two_nodes().await;
        cluster.create("a", RoomOptions { max_members: Some(2), ..RoomOptions::default() });
        let (_ann, _) = way.join((&owner, &other), "a", "ann", json!({})).await;
        let (bob, _) = way.join((&owner, &other), "a", "bob", json!({})).await;
        let mut cat = way.open(&owner, &other, "a", "cat").await;
        let join = json!({ "room": "a" });
        assert_eq!(cat.code("join", join.clone()).await, "rate_limited", "{way:?}");
        // Who is a member may have another socket, and who is none may read.
        let (_again, _) = way.join((&owner, &other), "a", "ann", json!({})).await;
        let (_reader, _) = way.join((&owner, &other), "a", "dan", json!({ "presence": false })).await;
        drop(bob);
        while cat.call("join", join.clone()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(names(&members(&mut cat).await), set(["ann", "cat"]), "{way:?}");
    }
}

#[tokio::test]
async fn room_of_more_than_a_hundred_members_tells_their_number_only() {
    let (_cluster, owner, other) = two_nodes().await;
    let mut sockets = Vec::new();
    for n in 0..101 {
        let way = if n % 2 == 0 { Way::Session } else { Way::FarSession };
        sockets.push(way.join((&owner, &other), "a", &format!("user{n}"), json!({})).await.0);
    }
    let (mut ann, joined) = Way::FarSession.join((&owner, &other), "a", "ann", told()).await;
    assert_eq!(joined["members"], 102);
    let picture = presence(&mut ann).await;
    assert_eq!((&picture["count"], picture.get("members")), (&json!(102), None), "{picture}");
    sockets.pop();
    let change = presence(&mut ann).await;
    assert_eq!((&change["count"], &change["left"]), (&json!(101), &json!([])), "{change}");
    assert_eq!(members(&mut ann).await.as_array().unwrap().len(), 101, "all of them for who asks");
}

#[tokio::test]
async fn client_that_says_it_is_away_leaves_until_it_is_back() {
    for way in Way::ALL {
        let (_cluster, owner, other) = two_nodes().await;
        let (mut ann, _) = Way::Session.join((&owner, &other), "a", "ann", told()).await;
        presence(&mut ann).await;
        let (mut bob, _) = way.join((&owner, &other), "a", "bob", json!({})).await;
        assert_eq!(changes(&mut ann, 2).await.0, set(["bob"]), "{way:?}");
        let beat = |here: bool| json!({ "rooms": { "a": { "here": here, "seen": [] } } });
        for _ in 0..2 {
            bob.ok("heartbeat", beat(true)).await;
            bob.ok("heartbeat", beat(false)).await;
            assert_eq!(changes(&mut ann, 1).await.1, set(["bob"]), "{way:?}");
            bob.ok("heartbeat", beat(true)).await;
            assert_eq!(changes(&mut ann, 2).await.0, set(["bob"]), "{way:?}");
        }
        // Away or not, it reads.
        bob.ok("heartbeat", beat(false)).await;
        bob.publish(Some("a"), json!(1)).await;
        assert_eq!(bob.offsets(1).await, [1], "{way:?}");
    }
}

#[tokio::test]
async fn members_are_shown_wherever_a_room_is() {
    let (_cluster, owner, other) = two_nodes().await;
    let mut sockets = Vec::new();
    for (way, user) in [(Way::Room, "ann"), (Way::FarSession, "bob")] {
        sockets.push(way.join((&owner, &other), "a", user, json!({})).await.0);
    }
    for node in [&owner, &other] {
        let rest = node.rest();
        let listed = rest.get("/v1/rooms").await.body;
        assert_eq!(listed["rooms"][0]["members"], 2, "{listed}");
        assert_eq!(rest.get("/v1/rooms/a?route=proxy").await.body["members"], 2);
        let shown = rest.get("/v1/rooms/a/presence?route=proxy").await.body;
        assert_eq!(names(&shown["members"]), set(["ann", "bob"]));
        assert_eq!(rest.get("/v1/rooms/none/presence?route=proxy").await.code(), "not_found");
    }
    for socket in &mut sockets {
        assert_eq!(
            socket.ok("join", json!({ "room": "a" })).await["members"],
            2,
            "joined anew, and counted once"
        );
    }
}

/// A new owner knows nobody: nobody is said to have left before those who were there had time to come back.
#[tokio::test]
async fn members_after_a_change_of_owner_are_told_once_they_had_time_to_come_back() {
    let settling = Duration::from_millis(1_500);
    for way in Way::ALL {
        let config = GatewayConfig { presence_settling: settling, ..config() };
        let (cluster, first, second) = nodes(config).await;
        let mut gone = Vec::new();
        for user in ["ann", "bob", "cat"] {
            gone.push(way.join((&first, &second), "a", user, json!({})).await.0);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        let since = Instant::now();
        cluster.set_owner(cluster.shard_of("a"), Some(second.id()));
        drop(gone);
        let mut rest = second.rest().get("/v1/rooms/a/presence").await;
        assert_eq!((rest.status.as_u16(), rest.code()), (503, "unavailable"), "{way:?}");
        let (mut ann, joined) = way.join((&second, &first), "a", "ann", told()).await;
        assert!(joined.get("members").is_none(), "not known yet: {way:?}");
        let unsettled = presence(&mut ann).await;
        assert_eq!((&unsettled["settled"], unsettled.get("members")), (&json!(false), None), "{unsettled}");
        let (mut bob, _) = way.join((&second, &first), "a", "bob", json!({})).await;
        assert_eq!(bob.code("presence", json!({ "room": "a" })).await, "unavailable", "{way:?}");
        let picture = presence(&mut ann).await;
        assert!(since.elapsed() >= settling, "{way:?}");
        assert_eq!(names(&picture["members"]), set(["ann", "bob"]), "{way:?}");
        assert_eq!((&picture["left"], &picture["count"]), (&json!([]), &json!(2)), "{picture}");
        rest = second.rest().get("/v1/rooms/a/presence").await;
        assert_eq!(names(&rest.body["members"]), set(["ann", "bob"]), "{way:?}");
        drop(bob);
        assert_eq!(changes(&mut ann, 1).await.1, set(["bob"]), "{way:?}");
    }
}

#[tokio::test]
async fn members_of_an_owner_that_comes_again_are_those_who_came_again() {
    let config = GatewayConfig { presence_settling: Duration::from_millis(300), ..config() };
    let (cluster, first, second) = nodes(config).await;
    let shard = cluster.shard_of("a");
    let (mut ann, _) = Way::Session.join((&first, &second), "a", "ann", told()).await;
    let (_bob, _) = Way::FarSession.join((&first, &second), "a", "bob", json!({})).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    cluster.set_owner(shard, Some(second.id()));
    cluster.set_owner(shard, Some(first.id()));
    while ann.push().await.unwrap()["moved"].is_null() {}
    ann.ok("join", json!({ "room": "a", "presence": true })).await;
    let mut push = presence(&mut ann).await;
    if push["settled"] == false {
        push = presence(&mut ann).await;
    }
    assert_eq!(names(&push["members"]), set(["ann"]), "{push}");
}
