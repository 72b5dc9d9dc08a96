//! What nodes relay for clients, and what only looks so.

use std::time::{SystemTime, UNIX_EPOCH};

use http::StatusCode;
use roomkeeper_auth::{Behalf, Identity, Vouching};
use roomkeeper_types::{NodeId, Timestamp};
use serde_json::json;

use super::{SECRET, master, nodes, rest, scope, token};
use crate::common::{Client, Served, uuid};

const MARK: &str = "roomkeeper-relay";

/// A mark as the second node makes it for the first one.
fn mark(secret: &str, request: &str, behalf: &Behalf) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let now = Timestamp(u64::try_from(now).unwrap());
    Vouching::new(secret).unwrap().vouch(NodeId(2), NodeId(1), request, behalf, now).unwrap()
}

fn bob() -> Behalf {
    Behalf::Of(Identity::at_its_word("bob".parse().unwrap()))
}

/// Marks that nobody vouches for.
fn forged() -> Vec<String> {
    vec![
        "9".to_owned(),
        String::new(),
        master("bob"),
        mark("another secret", "GET /v1/rooms", &bob()),
        mark("another secret", "GET /v1/ws", &bob()),
        // By a node, for another request.
        mark(SECRET, "GET /v1/rooms/chat", &bob()),
    ]
}

#[tokio::test]
async fn relay_mark_that_is_not_a_nodes_makes_nobody_of_a_client() {
    let (cluster, owner, _) = nodes().await;
    cluster.append(cluster.shard_of("chat"), "chat", json!(1));
    for mark in forged() {
        let marked = |node: &Served| node.rest().with(MARK, &mark);
        assert_eq!(marked(&owner).get("/v1/rooms?shards=0,1,2,3").await.status, 401, "{mark}");
        assert_eq!(marked(&owner).get("/v1/rooms/chat/messages").await.status, 401, "{mark}");
        let mut socket = Client::open(&owner.url, "/v1/ws", &[(MARK, &mark)]).await;
        assert_eq!(socket.code("hello", json!({ "user": "bob" })).await, "unauthorized", "{mark}");
        let publish = json!({ "room": "chat", "messages": [{ "id": uuid(), "data": 1 }] });
        assert_eq!(socket.code("publish", publish).await, "unauthorized", "{mark}");
    }
}

#[tokio::test]
async fn client_with_a_token_and_a_forged_mark_is_a_client_that_is_not_relayed_on() {
    let (cluster, owner, other) = nodes().await;
    cluster.append(cluster.shard_of("chat"), "chat", json!(1));
    let ann = token("ann", scope("chat", &["history"]));
    for mark in forged() {
        let answer = rest(&owner, Some(&ann)).with(MARK, &mark).get("/v1/rooms/chat/messages").await;
        assert_eq!(answer.status, 200, "{mark}");
        // Neither `421`, as to a node, nor relayed.
        let answer = rest(&other, Some(&ann)).with(MARK, &mark).get("/v1/rooms/chat/messages").await;
        assert_eq!(answer.status, StatusCode::TEMPORARY_REDIRECT, "{mark}");
    }
}

#[tokio::test]
async fn node_of_the_cluster_is_believed_whom_it_relays_for() {
    let (cluster, owner, _) = nodes().await;
    for room in ["chat", "~bob:notes", "~ann:notes"] {
        cluster.append(cluster.shard_of(room), room, json!(1));
    }
    let path = "/v1/rooms?shards=0,1,2,3";
    let listed = owner.rest().with(MARK, mark(SECRET, &format!("GET {path}"), &bob())).get(path).await;
    let rooms = listed.body["rooms"].as_array().unwrap().iter().map(|room| room["room"].as_str().unwrap());
    assert_eq!(rooms.collect::<Vec<_>>(), ["chat", "~bob:notes"]);
    let session = mark(SECRET, "GET /v1/ws", &bob());
    let mut socket = Client::open(&owner.url, "/v1/ws", &[(MARK, &session)]).await;
    assert_eq!(socket.ok("hello", json!({ "user": "ann" })).await["user"], "bob");
    socket.publish(Some("~bob:notes"), json!(2)).await;
    assert_eq!(socket.code("join", json!({ "room": "~ann:notes" })).await, "forbidden");
    // Nor does it become somebody else by a client's token.
    assert_eq!(socket.code("hello", json!({ "token": master("ann") })).await, "unauthorized");
}

/// The owner asks whoever comes through a pipe, as it asks anybody.
#[tokio::test]
async fn client_behind_a_pipe_proves_itself_to_the_owner() {
    let (_cluster, owner, _) = nodes().await;
    let path = "/v1/rooms/chat/ws";
    let pipe = mark(SECRET, &format!("GET {path}"), &Behalf::Client);
    let mut socket = Client::open(&owner.url, path, &[(MARK, &pipe)]).await;
    let publish = json!({ "messages": [{ "id": uuid(), "data": 1 }] });
    assert_eq!(socket.code("publish", publish.clone()).await, "unauthorized");
    socket.ok("hello", json!({ "token": token("ann", scope("chat", &["publish"])) })).await;
    // She may not create it.
    assert_eq!(socket.code("publish", publish).await, "not_found");
}

#[tokio::test]
async fn room_is_created_by_the_way_only_by_who_may_create_it() {
    let (_cluster, owner, other) = nodes().await;
    let mut number = 0;
    for node in [&owner, &other] {
        for (action, command) in [("publish", "publish"), ("subscribe", "join")] {
            for path in ["/v1/ws", "/v1/rooms/ROOM/ws?route=proxy"] {
                number += 1;
                let room = format!("new{number}");
                let path = path.replace("ROOM", &room);
                let fields = match command {
                    "join" => json!({ "room": room }),
                    _ => json!({ "room": room, "messages": [{ "id": uuid(), "data": 1 }] }),
                };
                let mut may_not = super::open(node, &path, &token("ann", scope("new*", &[action]))).await;
                assert_eq!(may_not.code(command, fields.clone()).await, "not_found", "{path}");
                let mut may =
                    super::open(node, &path, &token("ann", scope("new*", &[action, "create"]))).await;
                may.ok(command, fields).await;
            }
        }
        number += 1;
        let path = format!("/v1/rooms/new{number}/messages");
        let body = json!({ "messages": [{ "id": uuid(), "data": 1 }] });
        let may_not = token("ann", scope("new*", &["publish"]));
        assert_eq!(rest(node, Some(&may_not)).post(&path, body.clone()).await.code(), "not_found");
        let may = token("ann", scope("new*", &["publish", "create"]));
        assert_eq!(rest(node, Some(&may)).post(&path, body).await.status, 200);
    }
}
