//! Rooms that ask for a place where there is the least to do, on real nodes.
//!
//! The claims: **a new room goes to a node with little to do**, and to all nodes in turn where nobody knows how much they have
//! to do; **once it is put somewhere, everybody finds it there for ever**, also when nodes are restarted or killed, the owner
//! of the room as well as that of the shard that its name hashes to.

#![allow(clippy::unwrap_used, reason = "allowed in tests; clippy knows only functions with #[test] as such")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use chaos_tests::cluster::{Cluster, Setup};
use chaos_tests::probe::{Answer, Http, Socket, socket_url};
use reqwest::Method;
use roomkeeper_types::{MessageId, RoomName};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// How long anything may take to go on after a fault.
const LIMIT: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(50);
/// What makes a node busy: far more than counts as equal.
const BUSY_PER_S: u64 = 200;

fn http(cluster: &Cluster, k: usize) -> Http {
    Http::new(cluster.url(k)).unwrap()
}

fn running(cluster: &Cluster) -> Vec<usize> {
    (0..cluster.size()).filter(|k| cluster.runs(*k)).collect()
}

fn batch(count: usize) -> Value {
    let message = || json!({ "id": MessageId::generate().to_string(), "data": "x".repeat(100) });
    json!({ "messages": (0..count).map(|_| message()).collect::<Vec<_>>() })
}

/// Which of the nodes that is to the cluster.
async fn index_of(cluster: &Cluster, node: &Value) -> usize {
    let map = http(cluster, running(cluster)[0]).get("/v1/cluster").await.unwrap().body;
    let entry = map["nodes"].as_array().unwrap().iter().find(|entry| entry["node"] == *node).unwrap();
    (0..cluster.size()).find(|k| entry["url"] == cluster.url(*k)).unwrap()
}

/// A request that is repeated while nobody owns what it is about.
async fn answered(cluster: &Cluster, k: usize, method: Method, path: &str, body: &str) -> Answer {
    let begun = Instant::now();
    loop {
        let answer = http(cluster, k).send(method.clone(), path, body.to_owned()).await.unwrap();
        if answer.status != 503 {
            return answer;
        }
        assert!(begun.elapsed() < LIMIT, "{method} {path} at node {k}: {answer:?}");
        sleep(PAUSE).await;
    }
}

/// Creates a room at one node, wherever there is the least to do; the node that owns it, and its shard.
async fn create(cluster: &Cluster, k: usize, room: &str) -> (usize, u64) {
    let body = json!({ "placement": "least_loaded" }).to_string();
    let created = answered(cluster, k, Method::PUT, &format!("/v1/rooms/{room}?route=proxy"), &body).await;
    assert_eq!(created.status, 201, "{room}: {created:?}");
    let shown = show(cluster, k, room).await;
    assert_eq!(shown["owner"], created.body["owner"], "{shown}");
    (index_of(cluster, &shown["owner"]).await, shown["shard"].as_u64().unwrap())
}

/// What a node says of a room.
async fn show(cluster: &Cluster, k: usize, room: &str) -> Value {
    let shown = answered(cluster, k, Method::GET, &format!("/v1/rooms/{room}?route=proxy"), "").await;
    assert_eq!(shown.status, 200, "{room} at node {k}: {shown:?}");
    shown.body
}

/// Publishes one message to a room at one node; its offset.
async fn publish(cluster: &Cluster, k: usize, room: &str) -> u64 {
    let path = format!("/v1/rooms/{room}/messages?route=proxy");
    let published = answered(cluster, k, Method::POST, &path, &batch(1).to_string()).await;
    assert_eq!(published.status, 200, "{room} at node {k}: {published:?}");
    published.body["offsets"][0].as_u64().unwrap()
}

/// A node that is kept busy with a room of its own.
struct Busy {
    node: usize,
    stop: oneshot::Sender<()>,
    work: JoinHandle<u64>,
}

impl Busy {
    /// Keeps a node busy, and waits until everybody has heard of it.
    async fn begin(cluster: &Cluster, node: usize) -> Self {
        let room = name_owned_by(cluster, node, "busy").await;
        let mut socket = Socket::open(&socket_url(&cluster.url(node), &format!("/v1/rooms/{room}/ws")), &[])
            .await
            .unwrap();
        let (stop, mut stopped) = oneshot::channel();
        let work = tokio::spawn(async move {
            let mut batches = 0;
            while stopped.try_recv() == Err(TryRecvError::Empty) {
                socket.ok("publish", batch(20)).await.unwrap();
                batches += 1;
                sleep(Duration::from_millis(20)).await;
            }
            batches
        });
        let begun = Instant::now();
        let url = cluster.url(node);
        for k in running(cluster) {
            loop {
                let map = http(cluster, k).get("/v1/cluster").await.unwrap().body;
                let nodes = map["nodes"].as_array().unwrap();
                let rate = |entry: &Value| entry["load"]["messages_per_s"].as_u64();
                let busy = nodes.iter().find(|entry| entry["url"] == url).and_then(rate);
                if busy >= Some(BUSY_PER_S) && nodes.iter().all(|entry| rate(entry).is_some()) {
                    break;
                }
                assert!(begun.elapsed() < LIMIT, "node {k} does not hear of the load of node {node}: {map}");
                sleep(PAUSE).await;
            }
        }
        Self { node, stop, work }
    }

    async fn end(self) {
        drop(self.stop);
        assert!(self.work.await.unwrap() > 0);
    }
}

/// A name whose hash shard that node owns.
async fn name_owned_by(cluster: &Cluster, node: usize, prefix: &str) -> RoomName {
    for n in 0..1_000 {
        let room: RoomName = format!("{prefix}-{n}").parse().unwrap();
        if cluster.owner_of(&room).await.unwrap() == node {
            return room;
        }
    }
    panic!("node {node} owns nothing")
}

/// A room that was put somewhere.
#[derive(Debug)]
struct Placed {
    room: String,
    shard: u64,
    /// Messages in it.
    stored: u64,
}

/// Every running node finds each room where it was put, with all its messages and one more.
async fn see_that_all_are_found(cluster: &Cluster, rooms: &mut [Placed]) {
    for placed in &mut *rooms {
        for k in running(cluster) {
            let shown = show(cluster, k, &placed.room).await;
            assert_eq!(shown["shard"], placed.shard, "{shown}");
            assert_eq!(shown["next"], placed.stored + 1, "{shown}");
            placed.stored += 1;
            assert_eq!(publish(cluster, k, &placed.room).await, placed.stored, "{placed:?}");
        }
    }
    for k in running(cluster) {
        let listed = answered(cluster, k, Method::GET, "/v1/rooms?prefix=placed-", "").await;
        let listed: Vec<&str> = listed.body["rooms"]
            .as_array()
            .unwrap()
            .iter()
            .map(|room| room["room"].as_str().unwrap())
            .collect();
        assert_eq!(listed, rooms.iter().map(|placed| placed.room.as_str()).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rooms_are_put_off_the_busy_node_and_found_through_restarts_and_kills() {
    let mut cluster = Cluster::start(3).await.unwrap();
    let busy = Busy::begin(&cluster, 0).await;
    let mut rooms = Vec::new();
    let mut owners = BTreeMap::<usize, u32>::new();
    for n in 0..12 {
        let room = format!("placed-{n:02}");
        let (owner, shard) = create(&cluster, n % 3, &room).await;
        assert_ne!(owner, busy.node, "{room} was put on the busy node");
        *owners.entry(owner).or_default() += 1;
        rooms.push(Placed { room, shard, stored: 0 });
    }
    busy.end().await;
    // Equals take turns.
    assert_eq!(owners.len(), 2, "{owners:?}");
    let mut forwarded = Vec::new();
    for placed in &rooms {
        let shown = show(&cluster, 0, &placed.room).await;
        if shown["placed"] == true {
            forwarded.push(placed.room.parse::<RoomName>().unwrap());
            let other = (index_of(&cluster, &shown["owner"]).await + 1) % 3;
            let path = format!("/v1/rooms/{}", placed.room);
            let redirect = http(&cluster, other).get(&path).await.unwrap();
            assert_eq!(
                (redirect.status, &redirect.body["shard"]),
                (307, &json!(placed.shard)),
                "{redirect:?}"
            );
        }
    }
    assert!(forwarded.len() > 3, "{rooms:?}");
    see_that_all_are_found(&cluster, &mut rooms).await;

    for k in 0..3 {
        cluster.stop(k).await.unwrap();
        see_that_all_are_found(&cluster, &mut rooms).await;
        cluster.start_node(k).await.unwrap();
        see_that_all_are_found(&cluster, &mut rooms).await;
    }

    // The owner of a room, then the owner of the shard that a room's name hashes to.
    let owner = show(&cluster, 0, forwarded[0].as_str()).await["owner"].take();
    let owner = index_of(&cluster, &owner).await;
    let hash_owner = async |cluster: &Cluster| cluster.owner_of(&forwarded[0]).await.unwrap();
    cluster.kill9(owner).await.unwrap();
    see_that_all_are_found(&cluster, &mut rooms).await;
    let more = format!("placed-{}", rooms.len());
    let (put_on, shard) = create(&cluster, (owner + 1) % 3, &more).await;
    assert_ne!(put_on, owner, "it is dead");
    rooms.push(Placed { room: more, shard, stored: 0 });
    cluster.start_node(owner).await.unwrap();
    see_that_all_are_found(&cluster, &mut rooms).await;
    let owner = hash_owner(&cluster).await;
    cluster.kill9(owner).await.unwrap();
    see_that_all_are_found(&cluster, &mut rooms).await;
    cluster.start_node(owner).await.unwrap();
    see_that_all_are_found(&cluster, &mut rooms).await;

    // Deleted and made again without asking for a place, it is where it was.
    let again = rooms.iter_mut().find(|placed| placed.room == forwarded[0].as_str()).unwrap();
    for (k, method, status) in [(0, Method::DELETE, 200), (1, Method::PUT, 201)] {
        let path = format!("/v1/rooms/{}?route=proxy", again.room);
        let answer = answered(&cluster, k, method, &path, "").await;
        assert_eq!(answer.status, status, "{answer:?}");
    }
    again.stored = 0;
    see_that_all_are_found(&cluster, &mut rooms).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_fresh_figures_rooms_go_to_all_nodes_in_turn() {
    // Nodes tell their load once a second, so that it is never known here.
    let settings = [("ROOMKEEPER_PLACEMENT_LOAD_AGE_MAX", "10ms")];
    let cluster = Cluster::start_with_settings(Setup::plain(3), &settings).await.unwrap();
    let busy = Busy::begin(&cluster, 0).await;
    let mut owners = BTreeMap::<usize, u32>::new();
    // Turns are kept by the owner of the shard that a name hashes to.
    for n in 0..12 {
        let room = name_owned_by(&cluster, 1, &format!("turn-{n}")).await;
        let (owner, _) = create(&cluster, 2, room.as_str()).await;
        *owners.entry(owner).or_default() += 1;
    }
    assert_eq!(owners, BTreeMap::from([(0, 4), (1, 4), (2, 4)]), "the busy one has its turn, too");
    busy.end().await;
}
