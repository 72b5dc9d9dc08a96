//! How sockets learn who their client is.

use std::time::Duration;

use futures::SinkExt;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::{bearer, master, nodes, nodes_asking_within, now, open, scope, token, token_until};
use crate::common::{Client, uuid};

fn offering(token: &str) -> String {
    format!("roomkeeper.v1.json, roomkeeper.token.{token}")
}

#[tokio::test]
async fn token_is_taken_from_hello_header_or_subprotocol() {
    let (_cluster, owner, other) = nodes().await;
    let exp = now() + 600;
    let ann = token_until("ann", scope("chat", &["publish", "create"]), exp);
    for node in [&owner, &other] {
        for path in ["/v1/ws", "/v1/rooms/chat/ws?route=proxy"] {
            let by_hello = node.client(path).await;
            let by_header = open(node, path, &ann).await;
            let offer = [("sec-websocket-protocol", offering(&ann))];
            let by_offer = Client::open(&node.url, path, &[(offer[0].0, &offer[0].1)]).await;
            for (mut client, fields) in
                [(by_hello, json!({ "token": ann })), (by_header, json!({})), (by_offer, json!({}))]
            {
                // Whatever it says beside.
                let fields = with(fields, "user", "bob");
                let hello = client.ok("hello", fields).await;
                assert_eq!((&hello["user"], &hello["expires"]), (&json!("ann"), &json!(exp * 1_000)));
                client.publish(Some("chat"), json!(1)).await;
            }
        }
    }
    let stored = super::rest(&owner, Some(&master("x"))).get("/v1/rooms/chat/messages").await;
    let from = stored.body["items"].as_array().unwrap().iter().map(|item| &item["from"]);
    assert_eq!(from.collect::<Vec<_>>(), vec![&json!("ann"); 12]);
}

fn with(mut fields: Value, name: &str, value: &str) -> Value {
    fields[name] = value.into();
    fields
}

#[tokio::test]
async fn token_that_is_not_valid_ends_the_handshake_or_the_socket() {
    let (_cluster, owner, other) = nodes().await;
    let bad = token_until("ann", scope("*", &["publish"]), now() - 1);
    for node in [&owner, &other] {
        for path in ["/v1/ws", "/v1/rooms/chat/ws", "/v1/rooms/chat/ws?route=proxy"] {
            let refused = Client::try_open(&node.url, path, &[("authorization", &bearer(&bad))]).await;
            let refused = refused.err().unwrap();
            assert_eq!(refused.status(), 401, "{path}");
            let basic = Client::try_open(&node.url, path, &[("authorization", "Basic YTpi")]).await;
            assert_eq!(basic.err().unwrap().status(), 401, "{path}");
            // A browser hears of it on the socket.
            let offer = offering(&bad);
            let client = Client::open(&node.url, path, &[("sec-websocket-protocol", &offer)]).await;
            let (_, replies, ended) = client.rest().await;
            assert_eq!(replies.len(), 1);
            assert_eq!(
                (&replies[0]["id"], &replies[0]["error"]["code"]),
                (&json!(0), &json!("unauthorized"))
            );
            assert_eq!(ended.0, Some(4500), "{path}");
        }
    }
}

#[tokio::test]
async fn handshake_for_a_room_that_is_out_of_reach_is_refused() {
    let (_cluster, owner, other) = nodes().await;
    let ann = token("ann", scope("chat", &["publish"]));
    for node in [&owner, &other] {
        let path = "/v1/rooms/~bob:notes/ws?route=proxy";
        let refused = Client::try_open(&node.url, path, &[("authorization", &bearer(&ann))]).await;
        assert_eq!(refused.err().unwrap().status(), 403);
        let offer = offering(&ann);
        let client = Client::open(&node.url, path, &[("sec-websocket-protocol", &offer)]).await;
        let (_, replies, ended) = client.rest().await;
        assert_eq!((replies[0]["error"]["code"].as_str(), ended.0), (Some("forbidden"), Some(4501)));
    }
}

#[tokio::test]
async fn token_in_a_url_is_refused_and_not_repeated() {
    let (_cluster, owner, other) = nodes().await;
    let ann = master("ann");
    for node in [&owner, &other] {
        for path in ["/v1/rooms/chat/ws", "/v1/ws", "/v1/rooms/chat/messages", "/v1/rooms"] {
            for name in ["token", "access_token"] {
                let answer = super::rest(node, Some(&ann)).get(&format!("{path}?{name}={ann}")).await;
                assert!(!answer.status.is_success() && !answer.status.is_redirection(), "{path}");
                assert!(!format!("{answer:?}").contains(&ann), "{answer:?}");
            }
        }
    }
}

#[tokio::test]
async fn commands_before_a_valid_hello_are_each_unauthorized_and_nothing_is_done() {
    let (_cluster, owner, _) = nodes().await;
    for path in ["/v1/ws", "/v1/rooms/chat/ws"] {
        let mut client = owner.client(path).await;
        assert_eq!(client.code("hello", json!({ "user": "ann" })).await, "unauthorized");
        for (command, fields) in [
            ("create", json!({ "room": "chat" })),
            ("join", json!({ "room": "chat" })),
            ("publish", json!({ "room": "chat", "messages": [{ "id": uuid(), "data": 1 }] })),
            ("leave", json!({ "room": "chat" })),
            ("rooms", json!({})),
            ("heartbeat", json!({ "rooms": { "chat": { "here": true, "seen": [] } } })),
        ] {
            assert_eq!(client.code(command, fields).await, "unauthorized", "{command}");
        }
        assert_eq!(super::rest(&owner, Some(&master("x"))).get("/v1/rooms/chat").await.status, 404);
        client.ok("hello", json!({ "token": master("ann") })).await;
        assert_eq!(client.code("delete", json!({ "room": "chat" })).await, "not_found");
    }
}

#[tokio::test]
async fn socket_whose_client_does_not_say_who_it_is_is_closed() {
    let (_cluster, owner, other) = nodes_asking_within(Duration::from_millis(300)).await;
    for (node, path) in
        [(&owner, "/v1/ws"), (&owner, "/v1/rooms/chat/ws"), (&other, "/v1/rooms/chat/ws?route=proxy")]
    {
        let mut busy = node.client(path).await;
        let quiet = node.client(path).await;
        // Nor does it help to be busy.
        assert_eq!(busy.code("rooms", json!({})).await, "unauthorized");
        drop(busy.socket.send(Message::Ping(bytes::Bytes::new())).await);
        for client in [busy, quiet] {
            let closed = tokio::time::timeout(Duration::from_secs(5), client.rest()).await;
            assert_eq!(closed.expect("closed in time").2.0, Some(4500), "{path}");
        }
    }
}

#[tokio::test]
async fn user_cannot_change_after_a_command() {
    let (_cluster, owner, _) = nodes().await;
    let mut client = owner.client("/v1/ws").await;
    client.ok("hello", json!({ "token": master("ann") })).await;
    // Nothing was done for her yet.
    client.ok("hello", json!({ "token": master("bob") })).await;
    client.publish(Some("chat"), json!(1)).await;
    assert_eq!(client.code("hello", json!({ "token": master("ann") })).await, "bad_request");
    assert_eq!(client.ok("hello", json!({ "token": master("bob") })).await["user"], "bob");
}

#[tokio::test]
async fn service_map_and_rooms_ask_for_a_token_and_health_does_not() {
    let (_cluster, owner, _) = nodes().await;
    for path in ["/v1/cluster", "/v1/rooms"] {
        assert_eq!(super::rest(&owner, None).get(path).await.status, 401, "{path}");
        assert_eq!(super::rest(&owner, Some(&token("ann", json!([])))).get(path).await.status, 200, "{path}");
    }
    for path in ["/healthz", "/readyz"] {
        assert_eq!(super::rest(&owner, None).get(path).await.status, 200, "{path}");
    }
}
