//! A fresh token that allows less, on a socket that is joined: what it does not allow any more ends at once.

use std::time::Duration;

use serde_json::{Value, json};

use super::{EVERYTHING, master, nodes, scope, token};
use crate::common::{Client, Cluster, Log, Served, uuid};

const QUIET: Duration = Duration::from_millis(300);

/// A way to be connected: at the owner or not, for one room or many, by protobuf or not.
#[derive(Debug, Clone, Copy)]
struct Way {
    far: bool,
    path: &'static str,
    proto: bool,
}

impl Way {
    /// All of them, in which these paths are for one room and for many.
    fn all() -> impl Iterator<Item = Self> {
        let paths = [(false, "/v1/rooms/chat/ws"), (true, "/v1/rooms/chat/ws?route=proxy")];
        let paths = paths.into_iter().chain([(false, "/v1/ws"), (true, "/v1/ws")]);
        paths.flat_map(|(far, path)| [false, true].map(|proto| Self { far, path, proto }))
    }

    fn sessions() -> impl Iterator<Item = Self> {
        Self::all().filter(|way| way.path == "/v1/ws")
    }

    async fn open(self, (owner, other): (&Served, &Served), token: &str) -> Client {
        let node = if self.far { other } else { owner };
        let mut client = match self.proto {
            true => Client::open_proto(&node.url, self.path).await,
            false => node.client(self.path).await,
        };
        client.ok("hello", json!({ "token": token })).await;
        client
    }
}

/// What a token may name of a room without being subscribed to it.
const NARROWER: [&str; 5] = ["publish", "history", "create", "delete", "presence"];

fn narrower() -> String {
    let scopes = json!([
        { "rooms": "chat*", "actions": NARROWER },
        { "rooms": "open", "actions": EVERYTHING },
    ]);
    token("ann", scopes)
}

/// Bob says something in the room in every way that a subscriber hears of.
async fn speak(cluster: &Cluster, bob: &mut Client) {
    cluster.append(cluster.shard_of("chat"), "chat", json!("not for ann"));
    bob.ok("signal", json!({ "room": "chat", "data": "not for ann" })).await;
    let held =
        json!({ "room": "chat", "hold_ms": 60_000, "messages": [{ "id": uuid(), "data": "not for ann" }] });
    bob.ok("publish", held).await;
}

fn joined(isolation: &str) -> Value {
    json!({ "room": "chat", "isolation": isolation, "presence": true })
}

/// Whether a push is of the room that is forbidden, and not the word that it is.
fn is_of_chat(push: &Value) -> bool {
    push.as_object().unwrap().iter().any(|(kind, fields)| kind != "moved" && fields["room"] == "chat")
}

/// Waits for the presence push by which Ann has `joined` or `left`.
async fn until_ann(bob: &mut Client, has: &str) {
    loop {
        let push = bob.push().await.unwrap();
        let members = push["presence"][has].as_array();
        if members.is_some_and(|members| members.iter().any(|member| member["user"] == "ann")) {
            return;
        }
    }
}

#[tokio::test]
async fn session_gets_nothing_more_of_a_room_that_its_fresh_token_does_not_allow() {
    let (cluster, owner, other) = nodes().await;
    let mut bob = super::open(&owner, "/v1/ws", &master("bob")).await;
    bob.ok("join", json!({ "room": "chat", "presence": true })).await;
    for (way, isolation) in
        Way::sessions().flat_map(|way| ["committed", "uncommitted"].map(|isolation| (way, isolation)))
    {
        let mut ann = way.open((&owner, &other), &master("ann")).await;
        ann.ok("join", joined(isolation)).await;
        until_ann(&mut bob, "joined").await;
        ann.ok("join", json!({ "room": "open" })).await;
        speak(&cluster, &mut bob).await;
        while !ann.push().await.unwrap().to_string().contains("not for ann") {}

        ann.ok("hello", json!({ "token": narrower() })).await;
        let so_far = ann.so_far();
        speak(&cluster, &mut bob).await;
        until_ann(&mut bob, "left").await;
        speak(&cluster, &mut bob).await;
        cluster.append(cluster.shard_of("open"), "open", json!("for ann"));
        let mut pushes = Vec::new();
        while !pushes.last().is_some_and(|push: &Value| push["messages"]["room"] == "open") {
            pushes.push(ann.push().await.unwrap());
        }
        assert!(ann.is_quiet_for(QUIET).await, "{way:?} {isolation}");
        assert!(!pushes.iter().any(is_of_chat), "{way:?} {isolation}: {pushes:?}");
        let told = so_far.iter().chain(&pushes).filter(|push| push["moved"]["room"] == "chat").count();
        assert_eq!(told, 1, "{way:?} {isolation}: {so_far:?} {pushes:?}");
        assert_eq!(ann.code("join", json!({ "room": "chat" })).await, "forbidden");
        assert_eq!(
            ann.code("commit", json!({ "room": "chat", "consumer": "c", "offset": 0 })).await,
            "forbidden"
        );
        // What is still allowed goes on.
        ann.publish(Some("chat"), json!("not for ann")).await;
        ann.publish(Some("open"), json!("for ann")).await;
        ann.messages(1).await;
    }
}

#[tokio::test]
async fn room_socket_whose_fresh_token_does_not_allow_to_be_subscribed_is_closed() {
    let (cluster, owner, other) = nodes().await;
    let mut bob = super::open(&owner, "/v1/ws", &master("bob")).await;
    bob.ok("join", json!({ "room": "chat", "presence": true })).await;
    for way in Way::all().filter(|way| way.path != "/v1/ws") {
        let mut ann = way.open((&owner, &other), &master("ann")).await;
        ann.ok("join", joined("uncommitted")).await;
        until_ann(&mut bob, "joined").await;
        ann.ok("hello", json!({ "token": narrower() })).await;
        speak(&cluster, &mut bob).await;
        until_ann(&mut bob, "left").await;
        ann.so_far();
        let (pushes, _, ended) = ann.rest().await;
        assert_eq!((&pushes[..], ended.0), (&[][..], Some(4501)), "{way:?}");
    }
}

#[tokio::test]
async fn stream_of_messages_ends_before_the_reply_to_the_token_that_forbids_it() {
    let (cluster, owner, other) = nodes().await;
    for way in Way::all() {
        let mut ann = way.open((&owner, &other), &master("ann")).await;
        ann.ok("join", json!({ "room": "chat" })).await;
        let (speaking, shard) = (cluster.clone(), cluster.shard_of("chat"));
        let speaker = tokio::spawn(async move {
            loop {
                speaking.append(shard, "chat", json!("not for ann"));
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        ann.messages_at_least(20).await;
        ann.ok("hello", json!({ "token": narrower() })).await;
        ann.so_far();
        if way.path == "/v1/ws" {
            // Read as far as the reply of a later command, and a little longer.
            for _ in 0..20 {
                ann.ok("rooms", json!({ "prefix": "none" })).await;
            }
            tokio::time::sleep(QUIET).await;
            ann.ok("rooms", json!({ "prefix": "none" })).await;
            assert!(!ann.so_far().iter().any(is_of_chat), "{way:?}");
        } else {
            let (pushes, _, ended) = ann.rest().await;
            assert_eq!((pushes.len(), ended.0), (0, Some(4501)), "{way:?}");
        }
        speaker.abort();
    }
}

/// The room's lane, which is to let go of the room, waits for the outcome of a command.
#[tokio::test]
async fn room_ends_at_once_also_where_its_commands_are_held_up() {
    let (cluster, owner, other) = nodes().await;
    let shard = cluster.shard_of("chat");
    for way in Way::sessions().filter(|way| !way.far) {
        let mut ann = way.open((&owner, &other), &master("ann")).await;
        ann.ok("join", json!({ "room": "chat" })).await;
        cluster.append(shard, "chat", json!("for ann"));
        ann.messages(1).await;
        cluster.set_log(shard, Log::Stalls);
        let before = cluster.submissions(shard);
        let consumer = format!("c{}", way.proto);
        let commit = ann.send("commit", json!({ "room": "chat", "consumer": consumer, "offset": 1 })).await;
        cluster.submitted(shard, before + 1).await;
        ann.ok("hello", json!({ "token": narrower() })).await;
        cluster.append(shard, "chat", json!("not for ann"));
        assert!(ann.is_quiet_for(QUIET).await, "{way:?}");
        cluster.set_log(shard, Log::Works);
        assert_eq!(ann.reply().await["id"], commit, "{way:?}");
        assert_eq!(ann.push().await.unwrap()["moved"]["room"], "chat", "{way:?}");
    }
}

/// It was allowed when it was sent, so it is answered; what it would bring is not allowed any more.
#[tokio::test]
async fn join_under_way_when_the_fresh_token_comes_brings_no_messages() {
    let (cluster, owner, other) = nodes().await;
    for (number, way) in Way::sessions().enumerate() {
        let room = format!("chat{number}");
        let shard = cluster.shard_of(&room);
        let mut ann = way.open((&owner, &other), &master("ann")).await;
        cluster.set_log(shard, Log::Stalls);
        let before = cluster.submissions(shard);
        let join = ann.send("join", json!({ "room": room })).await;
        cluster.submitted(shard, before + 1).await;
        ann.ok("hello", json!({ "token": narrower() })).await;
        cluster.set_log(shard, Log::Works);
        assert_eq!(ann.reply().await["id"], join, "{way:?}");
        cluster.append(shard, &room, json!("not for ann"));
        assert_eq!(ann.push().await.unwrap()["moved"]["room"], room.as_str(), "{way:?}");
        cluster.append(shard, &room, json!("not for ann"));
        assert!(ann.is_quiet_for(QUIET).await, "{way:?}");
    }
}

#[tokio::test]
async fn room_that_a_still_fresher_token_allows_again_is_joined_again() {
    let (cluster, owner, other) = nodes().await;
    for way in Way::sessions() {
        let mut ann = way.open((&owner, &other), &master("ann")).await;
        ann.ok("join", json!({ "room": "chat" })).await;
        for round in 0..5 {
            ann.ok("hello", json!({ "token": narrower() })).await;
            ann.ok("hello", json!({ "token": master("ann") })).await;
            ann.ok("join", json!({ "room": "chat" })).await;
            cluster.append(cluster.shard_of("chat"), "chat", json!(round));
            let mut pushes = Vec::new();
            while !pushes.last().is_some_and(|push: &Value| push["messages"]["items"][0]["data"] == round) {
                pushes.push(ann.push().await.unwrap());
            }
            assert_eq!(pushes.len(), 2, "{way:?}: {pushes:?}");
            assert_eq!(pushes[0]["moved"]["room"], "chat", "{way:?}: {pushes:?}");
        }
    }
}

#[tokio::test]
async fn wider_token_leaves_what_is_joined_alone() {
    let (cluster, owner, other) = nodes().await;
    for way in Way::all() {
        let mut ann =
            way.open((&owner, &other), &token("ann", scope("chat", &["subscribe", "create"]))).await;
        ann.ok("join", json!({ "room": "chat" })).await;
        for scopes in [scope("*", &EVERYTHING), scope("ch*", &["subscribe"])] {
            ann.ok("hello", json!({ "token": token("ann", scopes) })).await;
            cluster.append(cluster.shard_of("chat"), "chat", json!("for ann"));
            assert_eq!(ann.messages(1).await[0]["data"], "for ann", "{way:?}");
        }
    }
}
