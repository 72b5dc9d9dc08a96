//! What an operator's monitoring reads.

use std::collections::BTreeMap;
use std::time::Duration;

use http::StatusCode;
use roomkeeper_gateway::GatewayConfig;
use serde_json::json;

use crate::common::{Client, Cluster, Served, config, one_node, two_nodes, uuid};

/// Every metric of docs/operations.md, with its type.
const DOCUMENTED: [(&str, &str); 15] = [
    ("commands_total", "counter"),
    ("connections", "gauge"),
    ("connections_max", "gauge"),
    ("feeds", "gauge"),
    ("limited_total", "counter"),
    ("log_pages_total", "counter"),
    ("messages_delivered_total", "counter"),
    ("messages_published_total", "counter"),
    ("publish_duration_seconds", "histogram"),
    ("redirects_total", "counter"),
    ("relays_total", "counter"),
    ("sockets_closed_total", "counter"),
    ("sockets_received_bytes_total", "counter"),
    ("sockets_sent_bytes_total", "counter"),
    ("subscriptions", "gauge"),
];

/// Waits until a sample has a value: what is counted when a task ends is counted a moment later.
pub(crate) async fn until(node: &Served, sample: &str, value: f64) {
    let patience = tokio::time::Instant::now() + Duration::from_secs(20);
    loop {
        let found = node.scrape().value(sample);
        if found == value {
            return;
        }
        assert!(tokio::time::Instant::now() < patience, "{sample} is {found}, not {value}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn every_documented_metric_is_there_before_anything_happens() {
    let (_cluster, node) = one_node().await;
    let scrape = node.scrape();
    assert_eq!(scrape.types(), BTreeMap::from(DOCUMENTED));
    assert_eq!(scrape.value("connections_max"), 65_536.0);
    let operations = include_str!("../../../../docs/operations.md");
    for (name, _) in DOCUMENTED {
        assert!(operations.contains(&format!("`roomkeeper_gateway_{name}")), "{name} is documented");
    }
}

#[tokio::test]
async fn connections_and_subscriptions_are_counted_while_they_last() {
    let (_cluster, node) = one_node().await;
    let mut room = node.room("a").await;
    room.ok("join", json!({})).await;
    let mut session = node.client("/v1/ws").await;
    for name in ["a", "b"] {
        session.ok("join", json!({ "room": name })).await;
    }
    let mut relay = Client::open(&node.url, "/v1/ws", &[("roomkeeper-relay", "9")]).await;
    relay.ok("hello", json!({})).await;
    let scrape = node.scrape();
    for kind in ["room", "session", "relay"] {
        assert_eq!(scrape.value(&format!("connections{{kind=\"{kind}\"}}")), 1.0, "{kind}");
    }
    assert_eq!((scrape.value("feeds"), scrape.value("subscriptions")), (2.0, 3.0));
    drop((room, session, relay));
    for kind in ["http", "room", "session", "relay"] {
        until(&node, &format!("connections{{kind=\"{kind}\"}}"), 0.0).await;
    }
    until(&node, "subscriptions", 0.0).await;
    assert_eq!(node.scrape().value("feeds"), 0.0);
    until(&node, "sockets_closed_total{code=\"gone\"}", 3.0).await;
}

#[tokio::test]
async fn commands_are_counted_by_their_outcome_over_sockets_and_http() {
    let (_cluster, node) = one_node().await;
    let mut socket = node.room("a").await;
    let id = uuid();
    let batch = json!({ "messages": [{ "id": id, "data": 1 }, { "id": uuid(), "data": 2 }] });
    socket.ok("publish", batch.clone()).await;
    socket.ok("publish", batch.clone()).await;
    let reused = json!({ "messages": [{ "id": id, "data": 3 }] });
    assert_eq!(socket.code("publish", reused).await, "conflict");
    assert_eq!(socket.code("history", json!({ "from": { "offset": 9 } })).await, "bad_request");
    socket.send_text("nonsense").await;
    socket.reply().await;
    let rest = node.rest();
    rest.post("/v1/rooms/a/messages", batch).await;
    rest.get("/v1/rooms/a/messages").await;
    rest.get("/v1/rooms/a").await;
    rest.get("/v1/rooms/b").await;
    rest.get("/healthz").await;
    let scrape = node.scrape();
    let commands = [
        ("publish", "ok", 3.0),
        ("publish", "conflict", 1.0),
        ("history", "ok", 1.0),
        ("history", "bad_request", 1.0),
        ("unreadable", "bad_request", 1.0),
        ("room", "ok", 1.0),
        ("room", "not_found", 1.0),
        ("hello", "ok", 0.0),
    ];
    for (command, code, count) in commands {
        let sample = format!("commands_total{{command=\"{command}\",code=\"{code}\"}}");
        assert_eq!(scrape.value(&sample), count, "{sample}");
    }
    assert_eq!(scrape.value("messages_published_total"), 2.0, "those known are not stored again");
    assert_eq!(scrape.value("publish_duration_seconds_count"), 4.0);
    assert_eq!(scrape.value("publish_duration_seconds_bucket{le=\"+Inf\"}"), 4.0);
    assert!(scrape.value("publish_duration_seconds_sum") > 0.0);
    assert!(scrape.value("sockets_received_bytes_total") > 300.0);
    assert!(scrape.value("sockets_sent_bytes_total") > 200.0);
}

#[tokio::test]
async fn messages_delivered_are_counted_whether_from_memory_or_from_the_log() {
    let (_cluster, node) = one_node().await;
    let mut writer = node.room("a").await;
    for n in 0..3 {
        writer.publish(None, json!(n)).await;
    }
    let mut reader = node.room("a").await;
    reader.ok("join", json!({ "from": "beginning" })).await;
    reader.offsets(3).await;
    let scrape = node.scrape();
    assert_eq!((scrape.value("messages_delivered_total"), scrape.value("log_pages_total")), (3.0, 1.0));
    writer.publish(None, json!(3)).await;
    reader.offsets(1).await;
    let scrape = node.scrape();
    assert_eq!((scrape.value("messages_delivered_total"), scrape.value("log_pages_total")), (4.0, 1.0));
}

#[tokio::test]
async fn redirects_and_relays_are_counted_by_their_way() {
    let (_cluster, owner, other) = two_nodes().await;
    assert_eq!(other.rest().get("/v1/rooms/a").await.status, StatusCode::TEMPORARY_REDIRECT);
    let proxied = other.rest().put("/v1/rooms/a?route=proxy").await;
    assert_eq!(proxied.status, StatusCode::CREATED);
    let again = other.rest().put("/v1/rooms/a?route=proxy").await;
    assert_eq!(again.code(), "already_exists");
    assert!(Client::try_open(&other.url, "/v1/rooms/a/ws", &[]).await.is_err());
    let framed = other.client("/v1/rooms/a/ws?route=frame").await;
    framed.rest().await;
    let mut piped = other.client("/v1/rooms/a/ws?route=proxy").await;
    piped.publish(None, json!(1)).await;
    let mut session = other.client("/v1/ws").await;
    session.publish(Some("a"), json!(2)).await;
    let scrape = other.scrape();
    let counts = [
        ("redirects_total{kind=\"http\"}", 2.0),
        ("redirects_total{kind=\"frame\"}", 1.0),
        ("relays_total{kind=\"http\"}", 2.0),
        ("relays_total{kind=\"room\"}", 1.0),
        ("relays_total{kind=\"session\"}", 1.0),
        ("connections{kind=\"proxied\"}", 1.0),
        ("commands_total{command=\"room\",code=\"redirected\"}", 1.0),
        ("commands_total{command=\"create\",code=\"ok\"}", 1.0),
        ("commands_total{command=\"create\",code=\"refused_there\"}", 1.0),
        ("messages_published_total", 0.0),
    ];
    for (sample, count) in counts {
        assert_eq!(scrape.value(sample), count, "{sample}");
    }
    until(&other, "sockets_closed_total{code=\"4300\"}", 1.0).await;
    let at_owner = owner.scrape();
    assert_eq!(at_owner.value("commands_total{command=\"create\",code=\"already_exists\"}"), 1.0);
    assert_eq!(at_owner.value("connections{kind=\"relay\"}"), 2.0);
    assert_eq!(at_owner.value("messages_published_total"), 2.0);
}

#[tokio::test]
async fn socket_that_ends_is_counted_by_its_close_code_or_why_it_had_none() {
    let cluster = Cluster::new(1);
    let interval = Duration::from_millis(100);
    let node = Served::start(&cluster, GatewayConfig { ping_interval: interval, ..config() }).await;
    cluster.set_owner_of_all(node.id());
    let mut large = node.room("a").await;
    large.send_text(&"x".repeat(2 << 20)).await;
    large.rest().await;
    until(&node, "sockets_closed_total{code=\"4503\"}", 1.0).await;
    // It answers no ping, as nobody reads it.
    let silent = node.room("a").await;
    until(&node, "sockets_closed_total{code=\"silent\"}", 1.0).await;
    drop(silent);
}
