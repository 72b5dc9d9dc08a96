//! What a client may have under way, and how long it may be silent.

use std::time::{Duration, Instant};

use futures::SinkExt;
use roomkeeper_gateway::GatewayConfig;
use roomkeeper_protocol::Limits;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

use crate::common::{Client, Cluster, Served, config, one_node, one_node_with, uuid};

/// A client that sends and never reads is held up by its own socket: neither its commands nor their replies pile
/// up in the server. Then it reads, and every command has its reply.
#[tokio::test]
async fn client_that_takes_no_replies_is_not_read_any_more() {
    let (_cluster, node) = one_node().await;
    let filler = "x".repeat(4000);
    for (path, frame) in [
        ("/v1/rooms/a/ws", format!(r#"{{"id": 1, "dance": "{filler}"}}"#)),
        ("/v1/ws", format!(r#"{{"id": 1, "hello": {{"x": "{filler}"}}}}"#)),
    ] {
        let mut socket = node.client(path).await;
        let mut sent = 0;
        let blocked = loop {
            let send = socket.socket.send(Message::text(frame.clone()));
            match tokio::time::timeout(Duration::from_secs(1), send).await {
                Ok(written) => written.unwrap(),
                Err(_) => break true,
            }
            sent += 1;
            if sent * frame.len() > 256 << 20 {
                break false;
            }
        };
        assert!(blocked, "{path}: the server went on reading");
        for _ in 0..sent {
            socket.reply().await;
        }
    }
}

#[tokio::test]
async fn silent_client_is_closed_and_one_that_answers_pings_is_not() {
    let cluster = Cluster::new(1);
    let interval = Duration::from_millis(200);
    let node = Served::start(&cluster, GatewayConfig { ping_interval: interval, ..config() }).await;
    cluster.set_owner_of_all(node.id());
    let mut alive = node.room("a").await;
    alive.ok("join", json!({})).await;
    // Read without the WebSocket protocol, so that no ping is answered.
    let mut silent = node.room("a").await.socket.into_inner();
    let mut bytes = Vec::new();
    let closed = silent.read_to_end(&mut bytes);
    let (closed, pushed) = tokio::join!(tokio::time::timeout(Duration::from_secs(20), closed), async {
        // Reads, and so answers, for longer than a silent one lives.
        let waited = tokio::time::timeout(interval * 8, alive.push()).await;
        assert!(waited.is_err(), "nothing is pushed, and the socket stays: {waited:?}");
        alive.publish(None, json!(1)).await;
        alive.offsets(1).await
    });
    assert!(closed.is_ok(), "the silent client's socket ends");
    assert_eq!(pushed, [1]);
}

#[tokio::test]
async fn session_socket_has_so_many_rooms_and_no_more() {
    let cluster = Cluster::new(4);
    let node = Served::start(&cluster, GatewayConfig { max_rooms_per_socket: 2, ..config() }).await;
    cluster.set_owner_of_all(node.id());
    let mut socket = node.client("/v1/ws").await;
    for room in ["a", "b"] {
        socket.ok("join", json!({ "room": room })).await;
    }
    assert_eq!(socket.code("join", json!({ "room": "c" })).await, "rate_limited");
    assert_eq!(node.scrape().value("limited_total{limit=\"socket_rooms\"}"), 1.0);
    assert_eq!(socket.publish(Some("a"), json!(1)).await, 1);
    socket.ok("leave", json!({ "room": "a" })).await;
    // The room's place is free a moment after the reply.
    while socket.call("join", json!({ "room": "c" })).await.is_err() {
        tokio::task::yield_now().await;
    }
    assert_eq!(socket.publish(Some("c"), json!(1)).await, 1);
}

#[tokio::test]
async fn publish_of_the_largest_size_is_taken_and_delivered() {
    let (_cluster, node) = one_node().await;
    let mut socket = node.room("a").await;
    socket.ok("join", json!({})).await;
    let text = "x".repeat((64 << 10) - 2);
    let messages: Vec<_> = (0..15).map(|_| json!({ "id": uuid(), "data": text })).collect();
    socket.ok("publish", json!({ "messages": messages })).await;
    let items = socket.messages(15).await;
    assert!(items.iter().all(|item| item["data"] == text.as_str()));
    // A history stops at its share of bytes and says where to go on.
    let page = socket.ok("history", json!({ "from": "beginning" })).await;
    let count = page["items"].as_array().unwrap().len();
    assert!((1..15).contains(&count), "{count}");
    assert_eq!(page["next"], count + 1);
}

#[tokio::test]
async fn size_above_its_limit_is_refused_and_counted_by_which_it_was() {
    let (_cluster, node) = one_node_with(|config| {
        config.limits = Limits { max_frame: 4096, max_message: 64, max_batch: 2 };
    })
    .await;
    let message = |data: &str| json!({ "id": uuid(), "data": data });
    let long = json!({ "messages": [message(&"x".repeat(80))] });
    let many = json!({ "messages": [message("1"), message("2"), message("3")] });
    for path in ["/v1/rooms/a/ws", "/v1/ws"] {
        let mut socket = node.client(path).await;
        for refused in [&long, &many] {
            let mut fields = refused.clone();
            fields["room"] = "a".into();
            assert_eq!(socket.code("publish", fields).await, "too_large");
        }
        socket.send_text(&"x".repeat(5_000)).await;
        assert_eq!(socket.rest().await.2.0, Some(4503));
    }
    for body in [&long, &many, &json!("x".repeat(5_000))] {
        let answer = node.rest().post("/v1/rooms/a/messages", body.clone()).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (413, "too_large"));
    }
    let scrape = node.scrape();
    for limit in ["message_bytes", "batch_messages", "frame_bytes"] {
        assert_eq!(scrape.value(&format!("limited_total{{limit=\"{limit}\"}}")), 3.0, "{limit}");
    }
}

/// Clients that send a head byte by byte, or nothing at all.
#[tokio::test]
async fn head_that_is_not_there_in_time_ends_its_connection() {
    let timeout = Duration::from_millis(300);
    let (_cluster, node) = one_node_with(|config| config.head_timeout = timeout).await;
    let address = node.url.strip_prefix("http://").unwrap().to_owned();
    let mut clients = Vec::new();
    for slow in [false, true] {
        let mut tcp = TcpStream::connect(&address).await.unwrap();
        clients.push(tokio::spawn(async move {
            let begun = Instant::now();
            let (mut read, mut write) = tcp.split();
            let dripping = async {
                for byte in b"GET /v1/ws HTTP/1.1\r\nhost: a\r\n".iter().cycle() {
                    if !slow || write.write_all(&[*byte]).await.is_err() {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                std::future::pending::<()>().await;
            };
            let mut bytes = Vec::new();
            let ended = tokio::select! {
                // An answer, a reset: either way it is over.
                _ = read.read_to_end(&mut bytes) => true,
                () = dripping => false,
                () = tokio::time::sleep(Duration::from_secs(20)) => false,
            };
            (ended, begun.elapsed())
        }));
    }
    for client in clients {
        let (ended, after) = client.await.unwrap();
        assert!(ended && after >= timeout && after < Duration::from_secs(10), "{ended} after {after:?}");
    }
    let patience = Instant::now() + Duration::from_secs(20);
    while node.scrape().value("limited_total{limit=\"head_time\"}") < 2.0 {
        assert!(Instant::now() < patience, "each is counted");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn client_that_finds_no_place_waits_and_is_counted() {
    let (_cluster, node) = one_node_with(|config| config.max_connections = 1).await;
    let first = node.room("a").await;
    let waiting = tokio::spawn({
        let url = node.url.clone();
        async move { Client::open(&url, "/v1/rooms/a/ws", &[]).await.publish(None, json!(1)).await }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!waiting.is_finished());
    assert_eq!(node.scrape().value("limited_total{limit=\"connections\"}"), 1.0);
    drop(first);
    assert_eq!(waiting.await.unwrap(), 1);
}
