//! Session sockets whose rooms have other owners, while owners and the socket's own node are killed and stopped.
//!
//! The claims: **per room a session sees every message once, in order**, whatever happens to the nodes in between; and
//! **a node that was stopped does not take what waits in its sockets for news**: its clients hear that their room has
//! moved, and nothing of the old epoch after it has woken.

#![allow(clippy::unwrap_used, reason = "allowed in tests; clippy knows only functions with #[test] as such")]

use std::collections::HashMap;
use std::time::{Duration, Instant};

use chaos_tests::cluster::Cluster;
use chaos_tests::probe::{Http, Socket, socket_url};
use roomkeeper_types::{MessageId, RoomName};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// Rooms of one session, over all owners.
const ROOMS: usize = 200;
/// Publishers, each with its share of the rooms.
const PUBLISHERS: usize = 8;
/// Longer than what an owner said last is good for.
const STALE: Duration = Duration::from_secs(3);
/// How long anything may take to go on after the last fault.
const LIMIT: Duration = Duration::from_secs(60);

/// Publishes one message until it is acked, to whichever node answers; its offset.
async fn publish(nodes: &[Http], room: &str) -> u64 {
    let message = json!({ "messages": [{ "id": MessageId::generate().to_string(), "data": room }] });
    let (path, begun) = (format!("/v1/rooms/{room}/messages?route=proxy"), Instant::now());
    for node in nodes.iter().cycle() {
        match node.post(&path, &message).await {
            Ok(answer) if answer.status == 200 => return answer.body["offsets"][0].as_u64().unwrap(),
            other => assert!(begun.elapsed() < LIMIT, "{other:?}"),
        }
        sleep(Duration::from_millis(20)).await;
    }
    unreachable!("a cycle has no end")
}

/// Publishes to its rooms in turn until it is told to stop; the last offset of each.
async fn publisher(
    nodes: Vec<Http>,
    rooms: Vec<String>,
    stop: watch::Receiver<bool>,
) -> HashMap<String, u64> {
    let mut last = HashMap::new();
    while !*stop.borrow() {
        for room in &rooms {
            last.insert(room.clone(), publish(&nodes, room).await);
        }
    }
    last
}

/// A client with a session socket in many rooms, which does what the protocol tells it.
struct Session {
    urls: Vec<String>,
    /// The next offset of each room.
    next: HashMap<String, u64>,
    /// Joins that are not answered yet.
    joining: HashMap<u64, String>,
    number: u64,
    moves: usize,
    sockets: usize,
}

impl Session {
    fn new(urls: Vec<String>, rooms: &[String]) -> Self {
        let next = rooms.iter().map(|room| (room.clone(), 1)).collect();
        Self { urls, next, joining: HashMap::new(), number: 0, moves: 0, sockets: 0 }
    }

    /// Reads on until every room has come so far as `wanted` says, which is known when all is published.
    async fn run(mut self, wanted: watch::Receiver<Option<HashMap<String, u64>>>) -> Self {
        let mut socket = self.open().await;
        while !self.has_all(&wanted) {
            // So that it looks at `wanted` again where nothing comes any more.
            match timeout(Duration::from_millis(500), socket.frame()).await {
                Err(_) => {}
                Ok(Ok(frame)) => {
                    if self.take(&mut socket, &frame).await.is_err() {
                        socket = self.open().await;
                    }
                }
                Ok(Err(_)) => socket = self.open().await,
            }
        }
        self
    }

    fn has_all(&self, wanted: &watch::Receiver<Option<HashMap<String, u64>>>) -> bool {
        wanted
            .borrow()
            .as_ref()
            .is_some_and(|wanted| wanted.iter().all(|(room, last)| self.next[room] > *last))
    }

    /// A socket to whichever node takes it, joined to all rooms.
    async fn open(&mut self) -> Socket {
        let begun = Instant::now();
        self.joining.clear();
        loop {
            let url = socket_url(&self.urls[self.sockets % self.urls.len()], "/v1/ws");
            self.sockets += 1;
            if let Ok(mut socket) = Socket::open(&url, &[]).await {
                let rooms: Vec<String> = self.next.keys().cloned().collect();
                let mut joined = Ok(());
                for room in rooms {
                    if joined.is_ok() {
                        joined = self.join(&mut socket, room).await;
                    }
                }
                if joined.is_ok() {
                    return socket;
                }
            }
            assert!(begun.elapsed() < LIMIT, "no node takes a socket");
            sleep(Duration::from_millis(50)).await;
        }
    }

    async fn join(&mut self, socket: &mut Socket, room: String) -> anyhow::Result<()> {
        self.number += 1;
        let from = json!({ "offset": self.next[&room] });
        let join = json!({ "id": self.number, "join": { "room": room, "from": from } });
        self.joining.insert(self.number, room);
        socket.send_text(&join.to_string()).await
    }

    async fn take(&mut self, socket: &mut Socket, frame: &Value) -> anyhow::Result<()> {
        if let Some(id) = frame["id"].as_u64() {
            let room = self.joining.remove(&id).unwrap();
            if frame["error"].is_object() {
                assert_eq!(frame["error"]["retry"], true, "{frame}");
                self.join(socket, room).await?;
            }
        } else if let Some(room) = frame["moved"]["room"].as_str() {
            self.moves += 1;
            if !self.joining.values().any(|joining| joining == room) {
                self.join(socket, room.to_owned()).await?;
            }
        } else {
            let room = frame["messages"]["room"].as_str().unwrap_or_else(|| panic!("{frame}"));
            let next = self.next.get_mut(room).unwrap();
            for item in frame["messages"]["items"].as_array().unwrap() {
                assert_eq!(item["offset"], *next, "every message of {room} once: {frame}");
                *next += 1;
            }
        }
        Ok(())
    }
}

/// A room, its owner and another node.
struct Relayed {
    cluster: Cluster,
    room: RoomName,
    owner: usize,
    relay: usize,
    nodes: Vec<Http>,
}

impl Relayed {
    async fn start() -> Self {
        let cluster = Cluster::start(3).await.unwrap();
        let room = "relayed".parse().unwrap();
        let owner = cluster.owner_of(&room).await.unwrap();
        let relay = (0..3).find(|k| *k != owner).unwrap();
        let nodes = https(&cluster);
        Self { cluster, room, owner, relay, nodes }
    }
}

fn https(cluster: &Cluster) -> Vec<Http> {
    cluster.urls().into_iter().map(|url| Http::new(url).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn session_in_rooms_of_all_owners_sees_every_message_once_while_each_node_is_killed() {
    let mut cluster = Cluster::start(3).await.unwrap();
    let rooms: Vec<String> = (0..ROOMS).map(|n| format!("relayed-{n}")).collect();
    let (stop, stopped) = watch::channel(false);
    let shares = rooms.chunks(ROOMS / PUBLISHERS).map(<[String]>::to_vec);
    let publishers: Vec<JoinHandle<_>> =
        shares.map(|share| tokio::spawn(publisher(https(&cluster), share, stopped.clone()))).collect();
    let (wanted, wanting) = watch::channel(None);
    let session = tokio::spawn(Session::new(cluster.urls(), &rooms).run(wanting));
    sleep(Duration::from_secs(3)).await;
    for k in 0..3 {
        cluster.kill9(k).await.unwrap();
        sleep(Duration::from_secs(3)).await;
        cluster.start_node(k).await.unwrap();
        cluster.wait_ready().await.unwrap();
        sleep(Duration::from_secs(3)).await;
    }
    stop.send_replace(true);
    let mut last = HashMap::new();
    for publisher in publishers {
        last.extend(publisher.await.unwrap());
    }
    let published: u64 = last.values().sum();
    wanted.send_replace(Some(last));
    let session = timeout(LIMIT, session).await.expect("the session sees the last messages").unwrap();
    println!("{published} messages, moved {} times, {} sockets", session.moves, session.sockets);
    assert!(session.moves > 0 && session.sockets > 1, "its rooms' owners and its own node were killed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn relay_that_was_stopped_does_not_take_what_waits_for_it_for_news() {
    let Relayed { mut cluster, room, owner, relay, nodes } = Relayed::start().await;
    let mut socket = Socket::open(&socket_url(&cluster.url(relay), "/v1/ws"), &[]).await.unwrap();
    let first = socket.ok("join", json!({ "room": room })).await.unwrap();
    assert_eq!(publish(&nodes[owner..=owner], room.as_str()).await, 1);
    assert_eq!(socket.messages(room.as_str(), 1).await.unwrap()[0]["offset"], 1);

    cluster.pause(relay).unwrap();
    let paused = Instant::now();
    // Waits in the relay's sockets, with the word that the room has moved behind it: it was true when it was sent.
    assert_eq!(publish(&nodes[owner..=owner], room.as_str()).await, 2);
    cluster.terminate(owner).unwrap();
    cluster.wait_stopped(owner).await.unwrap();
    sleep(STALE.saturating_sub(paused.elapsed())).await;
    cluster.resume(relay).unwrap();

    let moved = socket.push().await.unwrap();
    assert_eq!(moved["moved"]["room"], room.as_str(), "{moved}");
    let begun = Instant::now();
    let again = loop {
        match socket.call("join", json!({ "room": room, "from": { "offset": 2 } })).await.unwrap() {
            Ok(ok) => break ok,
            Err(error) => assert!(error["retry"] == true && begun.elapsed() < LIMIT, "{error}"),
        }
    };
    assert!(again["epoch"].as_u64() > first["epoch"].as_u64(), "{again}");
    assert_eq!(publish(&nodes[relay..=relay], room.as_str()).await, 3);
    let items = socket.messages(room.as_str(), 2).await.unwrap();
    assert_eq!((&items[0]["offset"], &items[1]["offset"]), (&json!(2), &json!(3)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn session_whose_owner_is_stopped_hears_of_it_and_goes_on_at_the_next_one() {
    let Relayed { mut cluster, room, owner, relay, nodes } = Relayed::start().await;
    let mut socket = Socket::open(&socket_url(&cluster.url(relay), "/v1/ws"), &[]).await.unwrap();
    socket.ok("join", json!({ "room": room })).await.unwrap();
    assert_eq!(publish(&nodes[relay..=relay], room.as_str()).await, 1);
    assert_eq!(socket.messages(room.as_str(), 1).await.unwrap()[0]["offset"], 1);

    let paused = Instant::now();
    cluster.pause(owner).unwrap();
    let moved = socket.push().await.unwrap();
    println!("moved {:?} after the stop", paused.elapsed());
    assert_eq!(moved["moved"]["room"], room.as_str(), "{moved}");
    assert_eq!(publish(&nodes[relay..=relay], room.as_str()).await, 2);
    socket.ok("join", json!({ "room": room, "from": { "offset": 2 } })).await.unwrap();
    assert_eq!(socket.messages(room.as_str(), 1).await.unwrap()[0]["offset"], 2);
    cluster.resume(owner).unwrap();
    assert_eq!(publish(&nodes[owner..=owner], room.as_str()).await, 3);
    assert_eq!(socket.messages(room.as_str(), 1).await.unwrap()[0]["offset"], 3);
}
