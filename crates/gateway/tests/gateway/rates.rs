//! How often a client may ask for something: who exceeds a limit is told which one and when to come back, and nobody
//! else feels it.

use std::time::{Duration, Instant};

use http::StatusCode;
use roomkeeper_gateway::GatewayConfig;
use serde_json::{Value, json};

use crate::common::{Client, Cluster, Log, Served, config, one_node_with, sharing_a_secret, uuid};

/// A publish of so many messages.
fn batch(room: Option<&str>, count: usize) -> Value {
    let messages: Vec<_> = (0..count).map(|n| json!({ "id": uuid(), "data": n })).collect();
    json!({ "room": room, "messages": messages })
}

/// The milliseconds that a refusal asks to wait, if it is one for a rate.
fn wait_of(error: &Value) -> Duration {
    assert_eq!((&error["code"], &error["retry"]), (&json!("rate_limited"), &json!(true)), "{error}");
    let text = error["message"].as_str().unwrap();
    let ms = error["retry_after_ms"].as_u64().unwrap_or_else(|| panic!("{error}"));
    assert!(text.ends_with(&format!("; try again in {ms} ms")), "{error}");
    Duration::from_millis(ms)
}

/// The codes of the next so many replies, `ok` of those without an error, in the order of their commands.
async fn outcomes(socket: &mut Client, count: usize) -> Vec<String> {
    let mut codes = Vec::new();
    for _ in 0..count {
        let reply = socket.reply().await;
        let code = reply["error"]["code"].as_str().unwrap_or("ok").to_owned();
        codes.push((reply["id"].as_u64(), code));
    }
    codes.sort();
    codes.into_iter().map(|(_, code)| code).collect()
}

fn limited(node: &Served, limit: &str) -> f64 {
    node.scrape().value(&format!("limited_total{{limit=\"{limit}\"}}"))
}

#[tokio::test]
async fn publish_above_a_rooms_rate_is_refused_and_taken_after_the_wait_it_was_told() {
    let (_cluster, node) = one_node_with(|config| config.rates.messages_per_room = 20).await;
    for (path, room) in [("/v1/rooms/a/ws", None), ("/v1/ws", Some("b"))] {
        let mut socket = node.client(path).await;
        socket.ok("publish", batch(room, 20)).await;
        let refused = socket.call("publish", batch(room, 2)).await.unwrap_err();
        assert!(
            refused["message"].as_str().unwrap().starts_with("messages per second to one room: at most 20;")
        );
        let wait = wait_of(&refused);
        assert!(wait > Duration::ZERO && wait <= Duration::from_millis(100), "{wait:?}");
        tokio::time::sleep(wait).await;
        assert_eq!(socket.ok("publish", batch(room, 2)).await["offsets"], json!([21, 22]));
    }
    assert_eq!(limited(&node, "room_messages"), 2.0);
    assert_eq!(node.scrape().value("commands_total{command=\"publish\",code=\"rate_limited\"}"), 2.0);
}

#[tokio::test]
async fn rate_of_a_room_is_shared_by_all_who_publish_to_it_and_no_other_room_feels_it() {
    let (_cluster, node) = one_node_with(|config| config.rates.messages_per_room = 10).await;
    let (mut one, mut two) = (node.room("a").await, node.client("/v1/ws").await);
    one.ok("publish", batch(None, 6)).await;
    assert_eq!(two.code("publish", batch(Some("a"), 6)).await, "rate_limited");
    two.ok("publish", batch(Some("b"), 6)).await;
    let answer = node.rest().post("/v1/rooms/a/messages", batch(None, 6)).await;
    assert_eq!((answer.status, answer.code()), (StatusCode::TOO_MANY_REQUESTS, "rate_limited"));
    assert_eq!(answer.header("retry-after"), "1");
}

#[tokio::test]
async fn rate_of_a_user_is_shared_by_its_sockets_and_requests_and_no_other_user_feels_it() {
    let (_cluster, node) = one_node_with(|config| config.rates.messages_per_user = 10).await;
    let mut one = node.client("/v1/rooms/a/ws?user=ann").await;
    let mut two = node.client("/v1/ws").await;
    two.ok("hello", json!({ "user": "ann" })).await;
    one.ok("publish", batch(None, 6)).await;
    let refused = two.call("publish", batch(Some("b"), 6)).await.unwrap_err();
    assert!(refused["message"].as_str().unwrap().contains("of one user"));
    let rest = node.rest().with("roomkeeper-user", "ann");
    assert_eq!(rest.post("/v1/rooms/c/messages", batch(None, 6)).await.code(), "rate_limited");
    let mut bob = node.client("/v1/rooms/a/ws?user=bob").await;
    bob.ok("publish", batch(None, 10)).await;
    assert_eq!(limited(&node, "user_messages"), 2.0);
}

#[tokio::test]
async fn connection_above_its_rates_is_refused_and_stays_open() {
    let (_cluster, node) = one_node_with(|config| {
        config.rates.commands_per_connection = 10;
        config.rates.bytes_per_connection = 8_000;
        config.rates.messages_per_connection = 20;
    })
    .await;
    for path in ["/v1/rooms/a/ws", "/v1/ws"] {
        let room = (path == "/v1/ws").then_some("a");
        let mut socket = node.client(path).await;
        for _ in 0..10 {
            socket.ok("hello", json!({})).await;
        }
        wait_of(&socket.call("hello", json!({})).await.unwrap_err());

        let mut socket = node.client(path).await;
        socket.ok("publish", batch(room, 15)).await;
        wait_of(&socket.call("publish", batch(room, 15)).await.unwrap_err());

        let mut socket = node.client(path).await;
        let large = json!({ "room": room, "messages": [{ "id": uuid(), "data": "x".repeat(6_000) }] });
        socket.ok("publish", large).await;
        let large = json!({ "room": room, "messages": [{ "id": uuid(), "data": "x".repeat(6_000) }] });
        let wait = wait_of(&socket.call("publish", large.clone()).await.unwrap_err());
        assert!(wait > Duration::from_millis(400), "{wait:?}");
        tokio::time::sleep(wait).await;
        socket.ok("publish", large).await;
    }
    for limit in ["connection_commands", "connection_messages", "connection_bytes"] {
        assert_eq!(limited(&node, limit), 2.0, "{limit}");
    }
}

#[tokio::test]
async fn plain_requests_above_a_connections_rate_are_refused_and_those_of_relays_are_not() {
    let cluster = Cluster::new(4);
    let mut settings = config();
    settings.rates.commands_per_connection = 5;
    let owner = Served::guarded(&cluster, settings, sharing_a_secret()).await;
    let other = Served::guarded(&cluster, config(), sharing_a_secret()).await;
    cluster.set_owner_of_all(owner.id());
    let rest = owner.rest();
    rest.put("/v1/rooms/a").await;
    let mut codes = Vec::new();
    for _ in 0..8 {
        let answer = rest.get("/v1/rooms/a").await;
        codes.push(answer.code().to_owned());
        // Not a command.
        assert_eq!(rest.get("/healthz").await.status, StatusCode::OK);
    }
    assert_eq!(codes[..4], ["", "", "", ""]);
    assert!(codes[4..].contains(&"rate_limited".to_owned()), "{codes:?}");
    assert!(limited(&owner, "connection_commands") >= 1.0);
    let relayed = other.rest();
    for _ in 0..20 {
        assert_eq!(relayed.get("/v1/rooms/a?route=proxy").await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn user_with_as_many_sockets_as_it_may_have_is_refused_the_handshake() {
    let (_cluster, node) = one_node_with(|config| config.max_connections_per_user = 2).await;
    let one = node.client("/v1/rooms/a/ws?user=ann").await;
    let _two = node.client("/v1/ws?user=ann").await;
    for path in ["/v1/ws?user=ann", "/v1/rooms/b/ws?user=ann"] {
        let refused = Client::try_open(&node.url, path, &[]).await.err().unwrap();
        assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
        let body: Value = serde_json::from_slice(refused.body().as_ref().unwrap()).unwrap();
        assert_eq!((&body["error"]["code"], &body["error"]["retry"]), (&json!("rate_limited"), &json!(true)));
        assert!(body["error"]["message"].as_str().unwrap().contains("at most 2; close another one first"));
    }
    assert_eq!(limited(&node, "user_connections"), 2.0);
    // Others have their own, and who says nothing is nobody.
    let _bob = node.client("/v1/ws?user=bob").await;
    let _nobody = [node.client("/v1/ws").await, node.client("/v1/ws").await, node.client("/v1/ws").await];
    drop(one);
    let patience = Instant::now() + Duration::from_secs(20);
    while Client::try_open(&node.url, "/v1/ws?user=ann", &[]).await.is_err() {
        assert!(Instant::now() < patience, "a socket that has gone makes room");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn user_known_by_hello_with_too_many_sockets_is_told_and_closed_for_good() {
    let (_cluster, node) = one_node_with(|config| config.max_connections_per_user = 1).await;
    let mut first = node.client("/v1/ws").await;
    for _ in 0..3 {
        first.ok("hello", json!({ "user": "ann" })).await;
    }
    for path in ["/v1/ws", "/v1/rooms/a/ws"] {
        let mut second = node.client(path).await;
        let refused = second.call("hello", json!({ "user": "ann" })).await.unwrap_err();
        assert_eq!(refused["code"], "rate_limited");
        let (_, _, ended) = second.rest().await;
        assert_eq!(ended.0, Some(4504));
    }
    // Another user on the first socket makes room.
    first.ok("hello", json!({ "user": "bob" })).await;
    let mut third = node.client("/v1/ws").await;
    third.ok("hello", json!({ "user": "ann" })).await;
    third.ok("hello", json!({})).await;
    assert_eq!(node.scrape().value("sockets_closed_total{code=\"4504\"}"), 2.0);
}

#[tokio::test]
async fn client_of_a_relay_is_measured_once_and_its_room_at_the_owner() {
    let cluster = Cluster::new(4);
    let mut settings = config();
    settings.rates.messages_per_connection = 8;
    settings.rates.messages_per_user = 12;
    settings.rates.messages_per_room = 16;
    settings.max_connections_per_user = 1;
    let owner = Served::guarded(&cluster, settings.clone(), sharing_a_secret()).await;
    let other = Served::guarded(&cluster, settings, sharing_a_secret()).await;
    cluster.set_owner_of_all(owner.id());
    let mut session = other.client("/v1/ws?user=ann").await;
    session.ok("publish", batch(Some("a"), 6)).await;
    session.ok("publish", batch(Some("b"), 2)).await;
    wait_of(&session.call("publish", batch(Some("a"), 6)).await.unwrap_err());
    // Its room socket is relayed unread: the owner measures it, as that user's first socket there.
    let mut proxied = other.client("/v1/rooms/a/ws?route=proxy&user=ann").await;
    proxied.ok("publish", batch(None, 8)).await;
    wait_of(&proxied.call("publish", batch(None, 4)).await.unwrap_err());
    let refused = Client::try_open(&owner.url, "/v1/ws?user=ann", &[]).await.err().unwrap();
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    let mut bob = other.client("/v1/ws?user=bob").await;
    let refused = bob.call("publish", batch(Some("a"), 7)).await.unwrap_err();
    assert!(refused["message"].as_str().unwrap().contains("one room"), "{refused}");
    assert_eq!((limited(&other, "connection_messages"), limited(&owner, "connection_messages")), (1.0, 1.0));
    assert_eq!((limited(&other, "room_messages"), limited(&owner, "room_messages")), (0.0, 1.0));
}

#[tokio::test]
async fn signals_count_as_messages_of_their_connection_user_and_room() {
    type Change = fn(&mut GatewayConfig);
    let limits: [(&str, Change); 3] = [
        ("connection_messages", |config| config.rates.messages_per_connection = 2),
        ("user_messages", |config| config.rates.messages_per_user = 2),
        ("room_messages", |config| config.rates.messages_per_room = 2),
    ];
    for (limit, change) in limits {
        let (_cluster, node) = one_node_with(change).await;
        for (path, room) in [("/v1/rooms/a/ws?user=ann", None), ("/v1/ws?user=bob", Some("b"))] {
            let signal = json!({ "room": room, "data": "is typing" });
            let mut socket = node.client(path).await;
            socket.ok("publish", batch(room, 1)).await;
            socket.ok("signal", signal.clone()).await;
            let wait = wait_of(&socket.call("signal", signal.clone()).await.unwrap_err());
            assert!(wait > Duration::ZERO && wait <= Duration::from_millis(500), "{limit}: {wait:?}");
            tokio::time::sleep(wait).await;
            socket.ok("signal", signal).await;
        }
        assert_eq!(limited(&node, limit), 2.0, "{limit}");
        if limit != "connection_messages" {
            let rest = node.rest().with("roomkeeper-user", "cat");
            rest.put("/v1/rooms/c").await;
            let mut codes = Vec::new();
            for _ in 0..3 {
                let answer = rest.post("/v1/rooms/c/signal", json!({ "data": 1 })).await;
                codes.push(answer.code().to_owned());
            }
            assert_eq!(codes, ["", "", "rate_limited"], "{limit}");
        }
    }
}

#[tokio::test]
async fn smaller_publish_behind_a_refused_one_does_not_overtake_it() {
    let (_cluster, node) = one_node_with(|config| config.rates.messages_per_room = 10).await;
    for path in ["/v1/rooms/a/ws", "/v1/ws"] {
        let room = (path == "/v1/ws").then_some("b");
        let mut socket = node.client(path).await;
        for count in [6, 8, 1, 1] {
            socket.send("publish", batch(room, count)).await;
        }
        assert_eq!(outcomes(&mut socket, 4).await, ["ok", "rate_limited", "rate_limited", "rate_limited"]);
        // In another room, or on another socket, nothing is held up by it.
        node.room(room.unwrap_or("a")).await.ok("publish", batch(None, 1)).await;
        tokio::time::sleep(Duration::from_millis(600)).await;
        socket.ok("publish", batch(room, 8)).await;
    }
}

/// The next owner may have had the room for less than a second, and its limit be used up by others. What the former
/// owner was handed may be stored all the same: that is not to be denied.
#[tokio::test]
async fn publish_handed_to_a_next_owner_that_limits_it_ends_unknown_and_not_refused() {
    let cluster = Cluster::new(4);
    let former = Served::start(&cluster, config()).await;
    let mut settings = config();
    settings.rates.messages_per_room = 2;
    let next = Served::start(&cluster, settings).await;
    let relay = Served::start(&cluster, config()).await;
    cluster.set_owner_of_all(former.id());
    let shard = cluster.shard_of("a");
    let mut socket = relay.client("/v1/ws").await;
    socket.ok("publish", batch(Some("a"), 1)).await;
    cluster.set_log(shard, Log::Stalls);
    let before = cluster.submissions(shard);
    for _ in 0..4 {
        socket.send("publish", batch(Some("a"), 1)).await;
    }
    cluster.submitted(shard, before + 4).await;
    cluster.set_owner(shard, Some(next.id()));
    cluster.set_log(shard, Log::Works);
    let codes = outcomes(&mut socket, 4).await;
    assert!(codes.iter().all(|code| code == "ok" || code == "unavailable"), "{codes:?}");
    assert!(codes.contains(&"unavailable".to_owned()), "{codes:?}");
    assert!(limited(&next, "room_messages") >= 1.0);
}

#[tokio::test]
async fn publishes_handed_to_the_clients_own_node_are_not_limited_again() {
    let cluster = Cluster::new(4);
    let former = Served::start(&cluster, config()).await;
    let mut settings = config();
    settings.rates.messages_per_room = 2;
    let next = Served::start(&cluster, settings).await;
    cluster.set_owner_of_all(former.id());
    let shard = cluster.shard_of("a");
    let mut socket = next.client("/v1/ws").await;
    socket.ok("publish", batch(Some("a"), 1)).await;
    cluster.set_log(shard, Log::Stalls);
    let before = cluster.submissions(shard);
    for _ in 0..4 {
        socket.send("publish", batch(Some("a"), 1)).await;
    }
    cluster.submitted(shard, before + 4).await;
    cluster.set_owner(shard, Some(next.id()));
    cluster.set_log(shard, Log::Works);
    for n in 2..6 {
        assert_eq!(socket.reply().await["ok"]["offsets"], json!([n]));
    }
}

/// Over HTTP as well: the first owner stored it, its answer was lost with it, and the next one limits.
#[tokio::test]
async fn post_whose_first_answer_was_lost_is_never_told_that_it_was_refused() {
    let cluster = Cluster::new(4);
    let former = Served::start(&cluster, config()).await;
    let mut settings = config();
    settings.rates.messages_per_room = 1;
    let next = Served::start(&cluster, settings).await;
    cluster.set_owner_of_all(former.id());
    let shard = cluster.shard_of("a");
    let body = batch(None, 1);
    // Used up by somebody else.
    cluster.set_owner(shard, Some(next.id()));
    next.room("a").await.ok("publish", batch(None, 1)).await;
    cluster.set_owner(shard, Some(former.id()));
    cluster.set_log(shard, Log::LosesOwner(next.id()));
    // `Authorization`: it is relayed, not redirected.
    let rest = former.rest().with("authorization", "none");
    let answer = rest.post("/v1/rooms/a/messages", body.clone()).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{answer:?}");
    tokio::time::sleep(Duration::from_secs(1)).await;
    let again = rest.post("/v1/rooms/a/messages", body).await;
    assert_eq!(again.body["duplicates"], json!([true]), "it was stored");
    // The same through the next owner, which asks the former one first.
    cluster.set_owner(shard, Some(former.id()));
    cluster.set_log(shard, Log::LosesOwner(next.id()));
    let rest = next.rest().with("authorization", "none");
    let answer = rest.post("/v1/rooms/a/messages", batch(None, 1)).await;
    assert_eq!((answer.status, &answer.body["duplicates"]), (StatusCode::OK, &json!([true])), "{answer:?}");
}

#[tokio::test]
async fn rate_holds_within_a_tenth_over_seconds() {
    let (_cluster, node) = one_node_with(|config| config.rates.messages_per_room = 200).await;
    let mut socket = node.room("a").await;
    let begun = Instant::now();
    let mut stored = 0.0;
    while begun.elapsed() < Duration::from_secs(3) {
        match socket.call("publish", batch(None, 5)).await {
            Ok(_) => stored += 5.0,
            Err(refused) => tokio::time::sleep(wait_of(&refused)).await,
        }
    }
    let allowed = 200.0 * (begun.elapsed().as_secs_f64() + 1.0);
    assert!(stored <= allowed * 1.01 && stored >= allowed * 0.9, "{stored} of {allowed}");
}

#[tokio::test]
async fn settings_of_zero_limit_nothing() {
    let (_cluster, node) = one_node_with(|config: &mut GatewayConfig| {
        assert_eq!((config.rates.messages_per_room, config.max_connections_per_user), (0, 0));
    })
    .await;
    let mut socket = node.client("/v1/rooms/a/ws?user=ann").await;
    for _ in 0..20 {
        socket.ok("publish", batch(None, 1_000)).await;
    }
}
