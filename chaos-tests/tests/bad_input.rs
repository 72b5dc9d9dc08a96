//! Bad input on real nodes: each frame and request gets exactly one answer with the named error, the connection
//! lives on where the contract says so, and nothing reaches the log of any replica.

#![allow(clippy::unwrap_used, reason = "allowed in tests; clippy knows only functions with #[test] as such")]

mod bad_input_table;

use bad_input_table::{Bad, Fixture, json_frames, proto_frames, proto_hello, requests};
use bytes::Bytes;
use chaos_tests::cluster::Cluster;
use chaos_tests::probe::{Answer, End, Http, Socket, socket_url};
use chaos_tests::shared::SharedCluster;
use roomkeeper_protocol::{Codec, CommandKind, Error, Frame, ServerFrame};
use roomkeeper_types::{MessageId, RoomName};
use serde_json::{Value, json};

static CLUSTER: SharedCluster = SharedCluster::of(3);

const PROTO: [(&str, &str); 1] = [("sec-websocket-protocol", "roomkeeper.v1.proto")];

/// A room in its second life with the messages 1, 2 and 3 of user `ann`.
async fn fixture(cluster: &Cluster, name: &str) -> Fixture {
    let room: RoomName = name.parse().unwrap();
    let owner = cluster.owner_of(&room).await.unwrap();
    let url = socket_url(&cluster.url(owner), &format!("/v1/rooms/{room}/ws"));
    let mut first = Socket::open(&url, &[]).await.unwrap();
    let former_life = first.ok("join", json!({})).await.unwrap()["life"].as_str().unwrap().to_owned();
    first.ok("delete", json!({})).await.unwrap();
    let mut socket = Socket::open(&url, &[]).await.unwrap();
    socket.ok("hello", json!({ "user": "ann" })).await.unwrap();
    let ids: Vec<String> = (0..3).map(|_| MessageId::generate().to_string()).collect();
    let messages: Vec<Value> = ids.iter().map(|id| json!({ "id": id, "data": "as stored" })).collect();
    let published = socket.ok("publish", json!({ "messages": messages })).await.unwrap();
    assert_eq!(published["offsets"], json!([1, 2, 3]));
    let mut other = Socket::open(&url, &[]).await.unwrap();
    other.ok("hello", json!({ "user": "bob" })).await.unwrap();
    let holds = [(); 4].map(|()| MessageId::generate().to_string());
    hold(&mut socket, &holds[..2]).await;
    hold(&mut socket, &holds[2..3]).await;
    hold(&mut other, &holds[3..]).await;
    socket.ok("rollback", json!({ "ids": [holds[2]] })).await.unwrap();
    Fixture { room, former_life, ids, holds }
}

/// Holds messages with these ids, all day.
async fn hold(socket: &mut Socket, ids: &[String]) {
    let messages: Vec<Value> = ids.iter().map(|id| json!({ "id": id, "data": "held" })).collect();
    let hold = json!({ "messages": messages, "hold_ms": 3_600_000 });
    assert_eq!(socket.ok("publish", hold).await.unwrap()["held"], true);
}

/// What every node says of its own copy, once each has the same head.
async fn copies(cluster: &Cluster, room: &RoomName, next: u64) -> Vec<(Value, Value)> {
    let limit = tokio::time::Instant::now() + chaos_tests::probe::LIMIT;
    let mut copies = Vec::new();
    for node in 0..cluster.size() {
        let http = Http::new(cluster.url(node)).unwrap();
        loop {
            let copy = http.get(&format!("/v1/rooms/{room}?replica=local")).await.unwrap();
            if copy.body["next"] == next || tokio::time::Instant::now() > limit {
                copies.push((copy.body["next"].clone(), copy.body["hash"].clone()));
                break;
            }
        }
    }
    copies
}

/// Runs what must leave a room as it is.
async fn unchanged(cluster: &Cluster, room: &RoomName, test: impl AsyncFnOnce()) {
    let before = copies(cluster, room, 4).await;
    assert!(before.iter().all(|copy| *copy == before[0] && copy.0 == 4), "{before:?}");
    test().await;
    let info = cluster.client().room_info(room).await.unwrap();
    assert_eq!(info.next.get(), 4, "something reached the log of room {room}");
    assert_eq!(copies(cluster, room, 4).await, before, "a copy of room {room} changed");
}

/// Sends every frame of the table; after each, a good command shows that the socket lives and that there was
/// no second reply.
async fn assert_each_is_refused(socket: &mut Socket, fixture: &Fixture) {
    socket.ok("hello", json!({ "user": "ann" })).await.unwrap();
    let mut wrong = Vec::new();
    for Bad { what, frame, id, code } in json_frames(fixture) {
        socket.send_text(&frame).await.unwrap();
        let reply = socket.reply().await.unwrap();
        let shown: String = reply.to_string().chars().take(300).collect();
        let has_words = reply["error"]["message"].as_str().is_some_and(|text| !text.is_empty());
        let is_right = reply["id"] == id && reply["error"]["code"] == code;
        if !is_right || reply["error"]["retry"] != false || !has_words {
            wrong.push(format!("{what}: expected {id} {code}: {shown}"));
        }
        let history = json!({ "room": fixture.room, "from": "beginning", "limit": 1 });
        let good = socket.ok("history", history).await;
        assert_eq!(good.unwrap()["items"][0]["id"], fixture.ids[0].as_str(), "after: {what}");
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn bad_frame_on_a_room_socket_is_refused_by_name_and_the_socket_lives_on() {
    CLUSTER.run(async |cluster| {
        let fixture = fixture(cluster, "bad-room").await;
        let room = &fixture.room;
        let owner = cluster.owner_of(room).await.unwrap();
        let other = cluster.other_than_owner_of(room).await.unwrap();
        unchanged(cluster, room, async || {
            for (node, query) in [(owner, ""), (other, "?route=proxy")] {
                let url = socket_url(&cluster.url(node), &format!("/v1/rooms/{room}/ws{query}"));
                let mut socket = Socket::open(&url, &[]).await.unwrap();
                assert_each_is_refused(&mut socket, &fixture).await;
                let elsewhere = socket.call("join", json!({ "room": "another" })).await.unwrap();
                assert_eq!(elsewhere.unwrap_err()["code"], "bad_request", "bound to one room");
            }
        })
        .await;
    });
}

#[test]
fn bad_frame_on_a_session_socket_is_refused_by_name_and_the_socket_lives_on() {
    CLUSTER.run(async |cluster| {
        let fixture = fixture(cluster, "bad-session").await;
        unchanged(cluster, &fixture.room, async || {
            // One of them owns the room, the others relay.
            for node in 0..cluster.size() {
                let mut socket = Socket::open(&socket_url(&cluster.url(node), "/v1/ws"), &[]).await.unwrap();
                assert_each_is_refused(&mut socket, &fixture).await;
                for command in ["join", "leave", "delete"] {
                    let roomless = socket.call(command, json!({})).await.unwrap();
                    assert_eq!(roomless.unwrap_err()["code"], "bad_request", "{command} of no room");
                }
            }
        })
        .await;
    });
}

#[test]
fn binary_frame_on_a_json_socket_is_refused_and_the_socket_lives_on() {
    CLUSTER.run(async |cluster| {
        let mut socket = Socket::open(&socket_url(&cluster.url(0), "/v1/ws"), &[]).await.unwrap();
        socket.send_binary(Bytes::from_static(br#"{"id": 7, "leave": {"room": "a"}}"#)).await.unwrap();
        let reply = socket.reply().await.unwrap();
        assert_eq!((&reply["id"], &reply["error"]["code"]), (&json!(0), &json!("bad_request")));
        socket.ok("hello", json!({})).await.unwrap();
    });
}

/// The reply's number, and its error if it is one.
async fn proto_reply(socket: &mut Socket) -> (u32, Result<(), Error>) {
    let frame = Frame::Binary(socket.binary().await.unwrap());
    match Codec::Proto.decode_server(&frame, |_| Some(CommandKind::History)).unwrap() {
        Some(ServerFrame::Reply(id, result)) => (id, result.map(drop)),
        other => panic!("expected a reply, got {other:?}"),
    }
}

#[test]
fn bad_frame_on_a_protobuf_socket_is_refused_by_name_and_the_socket_lives_on() {
    CLUSTER.run(async |cluster| {
        let fixture = fixture(cluster, "bad-proto").await;
        let room = &fixture.room;
        let owner = cluster.owner_of(room).await.unwrap();
        unchanged(cluster, room, async || {
            for path in [format!("/v1/rooms/{room}/ws"), "/v1/ws".to_owned()] {
                let mut socket = Socket::open(&socket_url(&cluster.url(owner), &path), &PROTO).await.unwrap();
                let (frames, good) = proto_frames(&fixture);
                let mut wrong = Vec::new();
                socket.send_binary(proto_hello("ann")).await.unwrap();
                let hello = Frame::Binary(socket.binary().await.unwrap());
                let hello = Codec::Proto.decode_server(&hello, |_| Some(CommandKind::Hello)).unwrap();
                assert!(matches!(hello, Some(ServerFrame::Reply(1, Ok(_)))), "{hello:?}");
                for Bad { what, frame, id, code } in frames {
                    socket.send_binary(frame).await.unwrap();
                    let (got, error) = proto_reply(&mut socket).await;
                    if !error.as_ref().is_err_and(|error| (got, error.code.name()) == (id, code)) {
                        wrong.push(format!("{what}: expected {id} {code}: {got} {error:?}"));
                    }
                    socket.send_binary(good.clone()).await.unwrap();
                    let (got, answer) = proto_reply(&mut socket).await;
                    assert!(got == 99 && answer.is_ok(), "{path}: after {what}: {got} {answer:?}");
                }
                assert!(wrong.is_empty(), "{path}: {wrong:#?}");
                socket.send_text("{}").await.unwrap();
                let (got, error) = proto_reply(&mut socket).await;
                assert_eq!((got, error.unwrap_err().code.name()), (0, "bad_request"), "a text frame");
            }
        })
        .await;
    });
}

#[test]
fn frame_of_max_frame_is_taken_and_a_longer_one_is_too_large_and_closes() {
    CLUSTER.run(async |cluster| {
        let fixture = fixture(cluster, "bad-frame").await;
        let room = &fixture.room;
        let owner = cluster.owner_of(room).await.unwrap();
        let frame = |bytes: usize| {
            let (head, tail) = (format!(r#"{{"id": 7, "leave": {{"room": "{room}", "x": ""#), r#""}}"#);
            format!("{head}{}{tail}", "x".repeat(bytes - head.len() - tail.len()))
        };
        unchanged(cluster, room, async || {
            for path in [format!("/v1/rooms/{room}/ws"), "/v1/ws".to_owned()] {
                let mut socket = Socket::open(&socket_url(&cluster.url(owner), &path), &[]).await.unwrap();
                socket.send_text(&frame(1 << 20)).await.unwrap();
                assert!(socket.reply().await.unwrap().get("ok").is_some(), "{path}");
                socket.send_text(&frame((1 << 20) + 1)).await.unwrap();
                let (frames, end) = socket.rest().await.unwrap();
                assert_eq!(frames.len(), 1, "{path}: {frames:?}");
                let reply = (&frames[0]["id"], &frames[0]["error"]["code"]);
                assert_eq!(reply, (&json!(0), &json!("too_large")), "{path}");
                assert_eq!(end, End::Code(4503), "{path}");
            }
        })
        .await;
    });
}

#[test]
fn message_and_batch_at_their_limits_are_stored() {
    CLUSTER.run(async |cluster| {
        let mut socket = Socket::open(&socket_url(&cluster.url(0), "/v1/ws"), &[]).await.unwrap();
        let message = |data: String| json!({ "id": MessageId::generate().to_string(), "data": data });
        // The quotes count.
        let longest = json!({ "room": "limits", "messages": [message("x".repeat((64 << 10) - 2))] });
        assert_eq!(socket.ok("publish", longest).await.unwrap()["offsets"], json!([1]));
        let most: Vec<Value> = (0..1_000).map(|n| message(n.to_string())).collect();
        let published = socket.ok("publish", json!({ "room": "limits", "messages": most })).await.unwrap();
        assert_eq!(published["offsets"], json!((2..=1_001).collect::<Vec<_>>()));
    });
}

#[test]
fn known_id_from_another_sender_is_a_conflict() {
    CLUSTER.run(async |cluster| {
        let fixture = fixture(cluster, "bad-sender").await;
        let publish =
            json!({ "room": fixture.room, "messages": [{ "id": fixture.ids[0], "data": "as stored" }] });
        unchanged(cluster, &fixture.room, async || {
            for (user, expected) in [("ann", Ok(json!([1]))), ("bob", Err(json!("conflict")))] {
                let mut socket = Socket::open(&socket_url(&cluster.url(0), "/v1/ws"), &[]).await.unwrap();
                socket.ok("hello", json!({ "user": user })).await.unwrap();
                let answer = socket.call("publish", publish.clone()).await.unwrap();
                let seen = answer.map(|ok| ok["offsets"].clone()).map_err(|error| error["code"].clone());
                assert_eq!(seen, expected, "{user}");
            }
        })
        .await;
    });
}

#[test]
fn bad_request_over_http_has_the_status_and_body_of_its_error() {
    CLUSTER.run(async |cluster| {
        let fixture = fixture(cluster, "bad-http").await;
        let owner = cluster.owner_of(&fixture.room).await.unwrap();
        let other = cluster.other_than_owner_of(&fixture.room).await.unwrap();
        unchanged(cluster, &fixture.room, async || {
            for (node, route) in [(owner, None), (other, Some("route=proxy"))] {
                let http = Http::new(cluster.url(node)).unwrap().with("roomkeeper-user", "ann");
                let mut wrong = Vec::new();
                for (method, path, body, status, code) in requests(&fixture) {
                    let separator = if path.contains('?') { '&' } else { '?' };
                    let path = route.map_or(path.clone(), |route| format!("{path}{separator}{route}"));
                    let answer = http.send(method.clone(), &path, body).await.unwrap();
                    if (answer.status, answer.code()) != (status, code) {
                        let Answer { status: got, body, .. } = answer;
                        wrong.push(format!("{method} {path}: expected {status} {code}: {got} {body}"));
                    }
                }
                assert!(wrong.is_empty(), "{wrong:#?}");
            }
        })
        .await;
    });
}

#[test]
fn handshake_that_is_none_or_not_ours_is_refused() {
    CLUSTER.run(async |cluster| {
        let url = cluster.url(0);
        let offer = [("sec-websocket-protocol", "graphql-ws")];
        for (path, headers) in
            [("/v1/ws", &offer[..]), ("/v1/rooms/a%20b/ws", &[]), ("/v1/ws?token=abc", &[])]
        {
            let refused = Socket::try_open(&socket_url(&url, path), headers).await.unwrap();
            assert_eq!(refused.map(drop).unwrap_err().status, 400, "{path}");
        }
        assert_eq!(Http::new(url).unwrap().get("/v1/ws").await.unwrap().status, 426);
    });
}
