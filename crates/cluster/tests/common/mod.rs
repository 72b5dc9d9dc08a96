//! Nodes in this process, on loopback, with real disks.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use roomkeeper_cluster::{
    Advertise, Identity, Node, NodeConfig, Observer, Ownership, Route, Start, StartError, SubmitError, Tuning,
};
use roomkeeper_room::{
    Command, Effect, NewMessage, Outcome, Payload, PayloadKind, Publish, RoomOptions, read,
};
use roomkeeper_types::{MessageId, Offset, RoomName, ShardCount, ShardId};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// Long enough for any election here, short enough to be waited for when something hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Counts what was applied.
#[derive(Default)]
pub(crate) struct Seen(pub(crate) Mutex<Vec<(ShardId, usize)>>);

impl Observer for Seen {
    fn applied(&self, shard: ShardId, effects: Vec<Effect>) {
        self.0.lock().push((shard, effects.len()));
    }
}

/// A port that stays free while its node is down: below Linux's ephemeral ports, which outgoing connections are
/// given.
async fn free_port() -> TcpListener {
    for _ in 0..200 {
        if let Ok(listener) = TcpListener::bind(("127.0.0.1", rand::random_range(12_000..31_000))).await {
            return listener;
        }
    }
    panic!("no port is free");
}

/// A data directory and an address, and the node on it while it runs.
pub(crate) struct Site {
    pub(crate) dir: TempDir,
    pub(crate) address: SocketAddr,
    pub(crate) seen: Arc<Seen>,
    /// Dead nodes are replaced, and owners restored, after seconds.
    pub(crate) quick: bool,
    node: Option<Node>,
}

impl Site {
    /// An empty directory and a port of its own.
    pub(crate) async fn new() -> Self {
        let listener = free_port().await;
        let address = listener.local_addr().unwrap();
        let dir = tempfile::tempdir().unwrap();
        Self { dir, address, seen: Arc::default(), quick: false, node: None }
    }

    /// For a node that is not running.
    pub(crate) async fn move_to_another_port(&mut self) {
        let listener = free_port().await;
        self.address = listener.local_addr().unwrap();
    }

    pub(crate) fn config(&self, start: Start) -> NodeConfig {
        NodeConfig {
            data_dir: self.dir.path().join("node"),
            advertise: Advertise {
                peer: self.address.to_string(),
                client_url: format!("http://{}", self.address),
                admin: None,
            },
            zone: None,
            weight: 1,
            secret: Some("test".to_owned()),
            start,
            tuning: self.tuning(),
        }
    }

    fn tuning(&self) -> Tuning {
        let tuning = Tuning { join_timeout: PATIENCE, disk_ballast: 0, ..Tuning::default() };
        if !self.quick {
            return tuning;
        }
        Tuning {
            replace_after: Duration::from_secs(5),
            restore_after: Duration::from_millis(500),
            restore_interval: Duration::from_millis(50),
            ..tuning
        }
    }

    pub(crate) async fn try_start(&mut self, start: Start) -> Result<(), StartError> {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.node = Some(Node::start(self.config(start), listener, self.seen.clone()).await?);
        Ok(())
    }

    pub(crate) async fn start(&mut self, start: Start) {
        self.try_start(start).await.unwrap();
    }

    pub(crate) fn node(&self) -> &Node {
        self.node.as_ref().expect("the node runs")
    }

    pub(crate) fn join(&self) -> Start {
        Start::Join { seeds: vec![self.address.to_string()] }
    }

    /// Joins the cluster of another node.
    pub(crate) fn join_of(&self, other: &Identity) -> Start {
        Start::Join { seeds: vec![other.client_url.trim_start_matches("http://").to_owned()] }
    }

    pub(crate) async fn stop(&mut self) {
        if let Some(node) = self.node.take() {
            node.shutdown().await;
        }
    }
}

pub(crate) fn bootstrap(shards: u32, initial_nodes: u32) -> Start {
    Start::Bootstrap { shards: ShardCount::new(shards).unwrap(), replicas: 3, initial_nodes }
}

/// Waits until a condition holds; the last reason why not is told when it never does.
pub(crate) async fn until(mut condition: impl FnMut() -> Result<(), String>) {
    let begun = Instant::now();
    loop {
        match condition() {
            Ok(()) => return,
            Err(why) if begun.elapsed() > PATIENCE => panic!("still not: {why}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

/// A cluster of three, placed and owned.
pub(crate) async fn three(shards: u32) -> [Site; 3] {
    let [mut a, mut b, mut c] = [Site::new().await, Site::new().await, Site::new().await];
    a.start(bootstrap(shards, 3)).await;
    let seed = a.join();
    let (b_up, c_up) = tokio::join!(b.try_start(seed.clone()), c.try_start(seed));
    b_up.unwrap();
    c_up.unwrap();
    until_ready(&[a.node(), b.node(), c.node()]).await;
    until_owned(&[a.node(), b.node(), c.node()]).await;
    [a, b, c]
}

pub(crate) async fn stop_all(sites: [Site; 3]) {
    for mut site in sites {
        site.stop().await;
    }
}

pub(crate) async fn until_ready(nodes: &[&Node]) {
    for node in nodes {
        until(|| node.ready()).await;
    }
}

/// The node that owns the shard; exactly one may.
pub(crate) fn owner(nodes: &[&Node], shard: ShardId) -> Result<Ownership, String> {
    let mut owners = nodes.iter().filter_map(|node| match node.route(shard) {
        Route::Owned(ownership) => Some(ownership),
        Route::Elsewhere(_) | Route::Electing { .. } => None,
    });
    let first = owners.next().ok_or_else(|| format!("{shard} has no owner"))?;
    match owners.next() {
        // During a change of owner both may answer for a moment, but never in the same epoch.
        Some(second) if second.epoch() == first.epoch() => panic!("{shard} has two owners"),
        Some(_) => Err(format!("{shard} is changing its owner")),
        None => Ok(first),
    }
}

pub(crate) async fn until_owned(nodes: &[&Node]) {
    for shard in nodes[0].shards().iter() {
        until(|| owner(nodes, shard).map(drop)).await;
    }
}

pub(crate) fn message(text: &str) -> NewMessage {
    let payload = Payload { kind: PayloadKind::Json, bytes: Bytes::from(format!("\"{text}\"")) };
    NewMessage { id: MessageId::generate(), sent: None, payload }
}

pub(crate) fn publish(room: &RoomName, message: NewMessage) -> Command {
    Command::Publish(Publish {
        room: room.clone(),
        life: None,
        from: "ann".parse().unwrap(),
        messages: vec![message],
        expect: None,
        create: Some(RoomOptions::default()),
        placed: false,
    })
}

pub(crate) async fn submit(ownership: &Ownership, command: Command) -> Result<Outcome, SubmitError> {
    let (done, outcome) = oneshot::channel();
    ownership.submit(command, Box::new(move |result| drop(done.send(result)))).await;
    tokio::time::timeout(PATIENCE, outcome).await.expect("an answer in time").expect("an answer")
}

/// Publishes through whoever owns the room, with the same id until there is an outcome.
pub(crate) async fn publish_for_sure(nodes: &[&Node], room: &RoomName, text: &str) -> Offset {
    let message = message(text);
    let shard = nodes[0].shard_of(room);
    let begun = Instant::now();
    loop {
        if let Ok(ownership) = owner(nodes, shard) {
            match submit(&ownership, publish(room, message.clone())).await {
                Ok(Outcome::Published { offsets, .. }) => return offsets[0],
                Ok(other) => panic!("publish came to {other:?}"),
                Err(_) => {}
            }
        }
        assert!(begun.elapsed() < PATIENCE, "no owner took the message");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// What a node's own copy says of a room: next offset and rolling hash.
pub(crate) fn copy_of(node: &Node, room: &RoomName) -> Option<(Offset, String)> {
    let local = node.local(node.shard_of(room))?;
    let info = read::room(&local.store, room).unwrap()?;
    Some((info.next, format!("{:?}", info.hash)))
}

pub(crate) fn rooms(count: usize) -> Vec<RoomName> {
    (0..count).map(|number| format!("room-{number}").parse().unwrap()).collect()
}
