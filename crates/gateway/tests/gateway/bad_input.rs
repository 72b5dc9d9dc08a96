//! Bad input on sockets: each gets the named error, the socket lives on where the protocol says so, and nothing
//! reaches the log.

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use roomkeeper_protocol::{Codec, ErrorCode, Frame, ServerFrame};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::common::{Client, Served, one_node, uuid};

/// Frames, the number and the code of the error they get.
fn table() -> Vec<(String, u64, &'static str)> {
    let publish =
        |messages: Value| json!({ "id": 7, "publish": { "room": "a", "messages": messages } }).to_string();
    let one = |data: Value| json!([{ "id": uuid(), "data": data }]);
    let many: Vec<_> = (0..1001).map(|_| json!({ "id": uuid(), "data": 1 })).collect();
    let same = uuid();
    vec![
        // Not readable as a frame.
        ("nonsense".into(), 0, "bad_request"),
        (String::new(), 0, "bad_request"),
        ("[]".into(), 0, "bad_request"),
        ("{".into(), 0, "bad_request"),
        (r#"{"join": {"room": "a"}}"#.into(), 0, "bad_request"),
        (r#"{"id": 0, "join": {"room": "a"}}"#.into(), 0, "bad_request"),
        (r#"{"id": 4294967296, "join": {"room": "a"}}"#.into(), 0, "bad_request"),
        (r#"{"id": "7", "join": {"room": "a"}}"#.into(), 0, "bad_request"),
        // Unknown commands, and known ones that are not there yet.
        (r#"{"id": 7}"#.into(), 7, "bad_request"),
        (r#"{"id": 7, "dance": {}}"#.into(), 7, "bad_request"),
        (r#"{"id": 7, "join": {"room": "a"}, "leave": {"room": "a"}}"#.into(), 7, "bad_request"),
        (r#"{"id": 7, "signal": {"room": "a", "data": 1}}"#.into(), 7, "not_found"),
        (r#"{"id": 7, "presence": {"room": "a"}}"#.into(), 7, "not_found"),
        (r#"{"id": 7, "commit": {"room": "a", "consumer": "c", "offset": 1}}"#.into(), 7, "not_found"),
        // Fields that are missing, of another type, or out of range.
        (r#"{"id": 7, "join": "a"}"#.into(), 7, "bad_request"),
        (r#"{"id": 7, "join": {"room": 5}}"#.into(), 7, "bad_request"),
        (r#"{"id": 7, "join": {"room": "a", "from": "yesterday"}}"#.into(), 7, "bad_request"),
        (r#"{"id": 7, "join": {"room": "a", "from": {"offset": -1}}}"#.into(), 7, "bad_request"),
        (
            r#"{"id": 7, "join": {"room": "a", "from": {"offset": 9007199254740992}}}"#.into(),
            7,
            "bad_request",
        ),
        (r#"{"id": 7, "join": {"room": "a", "from": {"range": [5, 2]}}}"#.into(), 7, "bad_request"),
        (r#"{"id": 7, "join": {"room": "a", "from": "committed"}}"#.into(), 7, "bad_request"),
        (r#"{"id": 7, "join": {"room": "a", "credit": -5}}"#.into(), 7, "bad_request"),
        (r#"{"id": 7, "join": {"room": "a", "life": "nonsense"}}"#.into(), 7, "bad_request"),
        (r#"{"id": 7, "history": {"room": "a"}}"#.into(), 7, "bad_request"),
        (r#"{"id": 7, "history": {"room": "a", "from": "latest"}}"#.into(), 7, "bad_request"),
        (
            r#"{"id": 7, "history": {"room": "a", "from": "beginning", "limit": 1001}}"#.into(),
            7,
            "bad_request",
        ),
        (r#"{"id": 7, "rooms": {"limit": 0}}"#.into(), 7, "bad_request"),
        (r#"{"id": 7, "create": {"room": "a", "placement": "anywhere"}}"#.into(), 7, "bad_request"),
        (r#"{"id": 7, "hello": {"user": ""}}"#.into(), 7, "bad_request"),
        // Rooms outside the grammar.
        (r##"{"id": 7, "join": {"room": "#general"}}"##.into(), 7, "bad_request"),
        (r#"{"id": 7, "create": {"room": ""}}"#.into(), 7, "bad_request"),
        (json!({ "id": 7, "create": { "room": "a".repeat(129) } }).to_string(), 7, "bad_request"),
        (r#"{"id": 7, "create": {"room": "~ann"}}"#.into(), 7, "bad_request"),
        // Publishes.
        (r#"{"id": 7, "publish": {"room": "a"}}"#.into(), 7, "bad_request"),
        (publish(json!([])), 7, "bad_request"),
        (publish(json!([{ "id": "no uuid", "data": 1 }])), 7, "bad_request"),
        (publish(json!([{ "data": 1 }])), 7, "bad_request"),
        (publish(json!([{ "id": uuid() }])), 7, "bad_request"),
        (publish(json!([{ "id": uuid(), "data_b64": "***" }])), 7, "bad_request"),
        (publish(json!([{ "id": same, "data": 1 }, { "id": same, "data": 2 }])), 7, "bad_request"),
        (publish(one(json!("x".repeat(70_000)))), 7, "too_large"),
        (publish(json!(many)), 7, "too_large"),
        (
            json!({ "id": 7, "publish": { "room": "a", "messages": one(json!(1)), "expect": 0 } })
                .to_string(),
            7,
            "bad_request",
        ),
        (
            json!({ "id": 7, "publish": { "room": "a", "messages": one(json!(1)), "hold_ms": 0 } })
                .to_string(),
            7,
            "bad_request",
        ),
    ]
}

async fn assert_each_is_refused(socket: &mut Client) {
    for (frame, id, code) in table() {
        socket.send_text(&frame).await;
        let reply = socket.reply().await;
        let frame: String = frame.chars().take(80).collect();
        assert_eq!((&reply["id"], &reply["error"]["code"]), (&json!(id), &json!(code)), "{frame}: {reply}");
        assert_eq!(reply["error"]["retry"], false, "{frame}");
    }
}

async fn assert_log_is_empty(node: &Served) {
    assert_eq!(node.rest().get("/v1/rooms").await.body["rooms"], json!([]), "nothing reached the log");
}

#[tokio::test]
async fn bad_frame_on_a_room_socket_is_refused_and_the_socket_lives_on() {
    let (_cluster, node) = one_node().await;
    let mut socket = node.room("a").await;
    assert_each_is_refused(&mut socket).await;
    let elsewhere = socket.code("join", json!({ "room": "b" })).await;
    assert_eq!(elsewhere, "bad_request");
    assert_log_is_empty(&node).await;
    assert_eq!(socket.publish(None, json!(1)).await, 1);
}

#[tokio::test]
async fn bad_frame_on_a_session_socket_is_refused_and_the_socket_lives_on() {
    let (_cluster, node) = one_node().await;
    let mut socket = node.client("/v1/ws").await;
    assert_each_is_refused(&mut socket).await;
    assert_eq!(socket.code("join", json!({})).await, "bad_request");
    assert_eq!(socket.code("history", json!({ "room": "none", "from": "beginning" })).await, "not_found");
    assert_eq!(socket.code("delete", json!({ "room": "none" })).await, "not_found");
    assert_log_is_empty(&node).await;
    assert_eq!(socket.publish(Some("a"), json!(1)).await, 1);
}

#[tokio::test]
async fn hello_after_a_command_cannot_change_the_user() {
    let (_cluster, node) = one_node().await;
    let mut socket = node.room("a").await;
    socket.ok("hello", json!({ "user": "ann" })).await;
    socket.publish(None, json!(1)).await;
    assert_eq!(socket.code("hello", json!({ "user": "bob" })).await, "bad_request");
    assert_eq!(socket.ok("hello", json!({ "user": "ann" })).await["user"], "ann");
}

#[tokio::test]
async fn frame_over_the_limit_is_too_large_and_closes() {
    let (_cluster, node) = one_node().await;
    for path in ["/v1/rooms/a/ws", "/v1/ws"] {
        let mut socket = node.client(path).await;
        let frame = format!(r#"{{"id": 7, "leave": {{"room": "a", "x": "{}"}}}}"#, "x".repeat(3 << 20));
        // The server may close before it has read all of it.
        let _ = socket.socket.send(Message::text(frame)).await;
        let (_, replies, ended) = socket.rest().await;
        assert_eq!(
            (&replies[0]["id"], &replies[0]["error"]["code"]),
            (&json!(0), &json!("too_large")),
            "{path}"
        );
        assert_eq!(ended.0, Some(4503), "{path}");
    }
    assert_log_is_empty(&node).await;
}

#[tokio::test]
async fn frame_that_is_not_utf8_closes_as_a_protocol_error() {
    use tokio_tungstenite::tungstenite::protocol::frame::Frame as RawFrame;
    use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

    let (_cluster, node) = one_node().await;
    let mut socket = node.room("a").await;
    let raw = RawFrame::message(Bytes::from_static(b"{\"id\": 7, \xff}"), OpCode::Data(Data::Text), true);
    socket.socket.send(Message::Frame(raw)).await.unwrap();
    let (_, replies, ended) = socket.rest().await;
    assert_eq!((&replies[0]["id"], &replies[0]["error"]["code"]), (&json!(0), &json!("bad_request")));
    assert_eq!(ended.0, Some(4502));
}

#[tokio::test]
async fn binary_frame_on_a_json_socket_is_refused_and_the_socket_lives_on() {
    let (_cluster, node) = one_node().await;
    let mut socket = node.room("a").await;
    socket.socket.send(Message::binary(vec![8, 7])).await.unwrap();
    let reply = socket.reply().await;
    assert_eq!((&reply["id"], &reply["error"]["code"]), (&json!(0), &json!("bad_request")));
    assert_eq!(socket.publish(None, json!(1)).await, 1);
}

#[tokio::test]
async fn bytes_that_are_no_protobuf_are_refused_and_the_socket_lives_on() {
    let (_cluster, node) = one_node().await;
    let offer = [("sec-websocket-protocol", Codec::Proto.subprotocol())];
    let mut socket = Client::open(&node.url, "/v1/rooms/a/ws", &offer).await;
    for bytes in [&b""[..], b"\xff\xff\xff\xff", b"\x08", &[0; 64]] {
        socket.socket.send(Message::binary(bytes.to_vec())).await.unwrap();
        let Some(Ok(Message::Binary(reply))) = socket.socket.next().await else { panic!("a reply") };
        match Codec::Proto.decode_server(&Frame::Binary(reply), |_| None) {
            Ok(Some(ServerFrame::Reply(0, Err(error)))) => assert_eq!(error.code, ErrorCode::BadRequest),
            other => panic!("{bytes:?}: {other:?}"),
        }
    }
    assert_log_is_empty(&node).await;
}

#[tokio::test]
async fn handshake_with_an_unknown_subprotocol_is_refused() {
    let (_cluster, node) = one_node().await;
    let offer = [("sec-websocket-protocol", "graphql-ws")];
    let refused = Client::try_open(&node.url, "/v1/rooms/a/ws", &offer).await.err().expect("a refusal");
    assert_eq!(refused.status(), 400);
    let refused = Client::try_open(&node.url, "/v1/rooms/a%20b/ws", &[]).await.err().expect("a refusal");
    assert_eq!(refused.status(), 400);
}
