//! Cursors, heartbeats and holds on real nodes, also when the owner is killed.
//!
//! The claims: **a consumer that commits what it has processed sees each message once and skips none**, however often it is
//! cut off, and is never sent more than its credit; **a heartbeat brings back exactly what it leaves out**; **a hold is what
//! its sender made of it**, for readers of either isolation.

#![allow(clippy::unwrap_used, reason = "allowed in tests; clippy knows only functions with #[test] as such")]

use std::time::{Duration, Instant};

use chaos_tests::cluster::Cluster;
use chaos_tests::probe::{Http, Socket, socket_url};
use roomkeeper_types::{MessageId, RoomName};
use serde_json::{Value, json};
use tokio::time::sleep;

/// Messages that arrive while the consumer is cut off again and again.
const MESSAGES: u64 = 10_000;
const CUTS: u64 = 50;
const CREDIT: u64 = 40;
/// How long anything may take to go on after a fault.
const LIMIT: Duration = Duration::from_secs(30);

fn new_id() -> String {
    MessageId::generate().to_string()
}

fn batch(count: u64) -> Value {
    let messages: Vec<Value> = (0..count).map(|n| json!({ "id": new_id(), "data": n })).collect();
    json!({ "messages": messages })
}

/// A room socket that has joined, at whichever node lets it.
async fn joined(cluster: &Cluster, room: &str, hello: Value, join: Value) -> (Socket, Value) {
    let begun = Instant::now();
    for k in (0..cluster.size()).cycle() {
        if cluster.runs(k) {
            let url = socket_url(&cluster.url(k), &format!("/v1/rooms/{room}/ws?route=proxy"));
            if let Ok(mut socket) = Socket::open(&url, &[]).await
                && socket.ok("hello", hello.clone()).await.is_ok()
                && let Ok(ok) = socket.ok("join", join.clone()).await
            {
                return (socket, ok);
            }
        }
        assert!(begun.elapsed() < LIMIT, "nobody lets us into {room}");
        sleep(Duration::from_millis(20)).await;
    }
    unreachable!("a cycle has no end")
}

async fn publish(cluster: &Cluster, room: &str, body: &Value) -> Value {
    let begun = Instant::now();
    let path = format!("/v1/rooms/{room}/messages?route=proxy&user=ann");
    for k in (0..cluster.size()).cycle() {
        if cluster.runs(k)
            && let Ok(answer) = Http::new(cluster.url(k)).unwrap().post(&path, body).await
            && answer.status == 200
        {
            return answer.body;
        }
        assert!(begun.elapsed() < LIMIT, "nobody takes a publish");
        sleep(Duration::from_millis(20)).await;
    }
    unreachable!("a cycle has no end")
}

/// The items of the pushes that came, and of the next one if none did.
async fn items(socket: &mut Socket) -> Vec<Value> {
    let mut pushes = socket.take_pushes();
    if pushes.is_empty() {
        pushes.push(socket.push().await.unwrap());
    }
    let of = |push: &Value| push["messages"]["items"].as_array().unwrap().clone();
    pushes.iter().flat_map(of).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consumer_cut_off_fifty_times_processes_each_message_once_within_its_credit() {
    let cluster = Cluster::start(3).await.unwrap();
    let room = "durable";
    let join = json!({ "from": "committed", "consumer": "worker", "credit": CREDIT });
    publish(&cluster, room, &batch(1)).await;
    let mut published = 1;
    let (mut next, mut cuts) = (1, 0);
    while next <= MESSAGES {
        let (mut socket, ok) = joined(&cluster, room, json!({ "user": "worker" }), join.clone()).await;
        assert_eq!(
            (&ok["from"], &ok["committed"]),
            (&json!(next), &json!(next - 1)),
            "it goes on where it was"
        );
        let until = if cuts < CUTS { next + MESSAGES / (CUTS + 1) } else { MESSAGES + 1 };
        let mut received = Vec::new();
        let mut highest = next - 1;
        while next < until.min(MESSAGES + 1) {
            // Others publish meanwhile.
            while published < MESSAGES && published < next + 3 * CREDIT {
                let count = 100.min(MESSAGES - published);
                publish(&cluster, room, &batch(count)).await;
                published += count;
            }
            if received.is_empty() {
                received = items(&mut socket).await;
                highest = received.last().unwrap()["offset"].as_u64().unwrap();
            }
            assert!(highest < next + CREDIT, "sent {highest} with {} committed", next - 1);
            let item = received.remove(0);
            assert_eq!(item["offset"], json!(next), "one after the other, each once");
            let ok = socket.ok("commit", json!({ "consumer": "worker", "offset": next })).await.unwrap();
            assert_eq!(ok["committed"], json!(next));
            next += 1;
        }
        // Cut off between two messages, with others on their way.
        drop(socket);
        cuts += 1;
    }
    assert!(cuts > CUTS, "{cuts}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heartbeat_brings_back_what_it_leaves_out_also_when_the_owner_was_killed() {
    let mut cluster = Cluster::start(3).await.unwrap();
    let room: RoomName = "beats".parse().unwrap();
    publish(&cluster, "beats", &batch(20)).await;
    let hello = json!({ "user": "ann" });
    let (mut socket, _) = joined(&cluster, "beats", hello.clone(), json!({ "from": "beginning" })).await;
    let mut held: Vec<Value> = Vec::new();
    while held.len() < 20 {
        held.extend(items(&mut socket).await);
    }
    let ids: Vec<&Value> = held.iter().map(|item| &item["id"]).collect();
    let seen_but = |left_out: &[usize]| -> Vec<&Value> {
        ids.iter().enumerate().filter(|(at, _)| !left_out.contains(at)).map(|(_, id)| *id).collect()
    };
    let beat = |seen: Vec<&Value>| json!({ "rooms": { "beats": { "here": true, "seen": seen } } });
    let left_out = [3, 4, 17];
    let expected: Vec<&Value> = left_out.iter().map(|at| &held[*at]).collect();

    for _ in 0..2 {
        socket.ok("heartbeat", beat(seen_but(&[]))).await.unwrap();
    }
    socket.ok("heartbeat", beat(seen_but(&left_out))).await.unwrap();
    assert_eq!(synced(&mut socket, 3).await.iter().collect::<Vec<_>>(), expected);

    let owner = cluster.owner_of(&room).await.unwrap();
    cluster.kill9(owner).await.unwrap();
    let again = json!({ "user": "ann", "session": "the one before" });
    let (mut socket, ok) = joined(&cluster, "beats", again, json!({ "from": { "offset": 21 } })).await;
    assert_eq!(ok["next"], json!(21));
    socket.ok("heartbeat", beat(seen_but(&[]))).await.unwrap();
    socket.ok("heartbeat", beat(seen_but(&left_out))).await.unwrap();
    assert_eq!(synced(&mut socket, 3).await.iter().collect::<Vec<_>>(), expected);
    socket.ok("heartbeat", beat(seen_but(&[]))).await.unwrap();
    // What is published next is the next thing that comes: all that was listed was not missing.
    publish(&cluster, "beats", &batch(1)).await;
    assert_eq!(items(&mut socket).await[0]["offset"], json!(21));
}

/// So many items of `sync` pushes.
async fn synced(socket: &mut Socket, count: usize) -> Vec<Value> {
    let mut found: Vec<Value> = Vec::new();
    while found.len() < count {
        let mut pushes = socket.take_pushes();
        if pushes.is_empty() {
            pushes.push(socket.push().await.unwrap());
        }
        for push in pushes {
            found.extend(push["sync"]["items"].as_array().unwrap_or_else(|| panic!("{push}")).clone());
        }
    }
    assert_eq!(found.len(), count, "{found:?}");
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn holds_confirmed_rolled_back_expired_and_open_outlive_their_owner() {
    let mut cluster = Cluster::start(3).await.unwrap();
    let room: RoomName = "holds".parse().unwrap();
    publish(&cluster, "holds", &batch(1)).await;
    let names = ["confirmed", "rolled back", "expired", "open"];
    let mut ids = Vec::new();
    for name in names {
        let id = new_id();
        let hold_ms = if name == "expired" { 3_000 } else { 600_000 };
        let body = json!({ "messages": [{ "id": id, "data": name }], "hold_ms": hold_ms });
        assert_eq!(publish(&cluster, "holds", &body).await["held"], json!(true));
        ids.push(id);
    }
    let owner = cluster.owner_of(&room).await.unwrap();
    cluster.kill9(owner).await.unwrap();

    let reader = json!({ "user": "bob" });
    let uncommitted = json!({ "from": "beginning", "isolation": "uncommitted" });
    let (mut sees, _) = joined(&cluster, "holds", reader.clone(), uncommitted).await;
    let (mut plain, _) = joined(&cluster, "holds", reader, json!({ "from": "beginning" })).await;
    let (mut sender, _) = joined(&cluster, "holds", json!({ "user": "ann" }), json!({})).await;
    let confirmed = sender.ok("confirm", json!({ "ids": [ids[0]] })).await.unwrap();
    assert_eq!(confirmed["offsets"], json!([2]));
    assert_eq!(sender.ok("confirm", json!({ "ids": [ids[0]] })).await.unwrap(), confirmed, "again");
    sender.ok("rollback", json!({ "ids": [ids[1]] })).await.unwrap();

    // Reader of what is held: all that were open, then what became of each.
    let (mut held, mut stored, mut dropped) = (Vec::new(), Vec::new(), Vec::new());
    let begun = Instant::now();
    while dropped.len() < 2 {
        assert!(begun.elapsed() < LIMIT, "{held:?} {stored:?} {dropped:?}");
        let push = sees.push().await.unwrap();
        let datas = |items: &Value| -> Vec<Value> {
            items.as_array().into_iter().flatten().map(|item| item["data"].clone()).collect()
        };
        held.extend(datas(&push["held"]["items"]));
        stored.extend(datas(&push["messages"]["items"]));
        dropped.extend(push["rolled_back"]["ids"].as_array().into_iter().flatten().cloned());
    }
    held.sort_by_key(ToString::to_string);
    assert_eq!(json!(held), json!(["confirmed", "expired", "open", "rolled back"]));
    assert_eq!(json!(stored), json!([0, "confirmed"]));
    assert_eq!(json!(dropped), json!([ids[1], ids[2]]));
    let late = sender.call("confirm", json!({ "ids": [ids[2]] })).await.unwrap().unwrap_err();
    assert_eq!(late["code"], json!("gone"));

    let mut read = Vec::new();
    while read.len() < 2 {
        read.extend(items(&mut plain).await.iter().map(|item| item["data"].clone()));
    }
    assert_eq!(json!(read), json!([0, "confirmed"]), "who reads what is committed sees no more");
    let opened = sender.ok("confirm", json!({ "ids": [ids[3]] })).await.unwrap();
    assert_eq!(opened["offsets"], json!([3]));
}
