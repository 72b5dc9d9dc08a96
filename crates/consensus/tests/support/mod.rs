//! Nodes of one process, with real disks and a real transport on loopback.

#![allow(clippy::unwrap_used, reason = "what a test cannot set up fails it")]

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use parking_lot::RwLock;
use roomkeeper_consensus::{
    Committed, Consensus, Group, GroupId, Machine, Member, OpenError, PeerHandler, PeerIdentity, Reply, Role,
    Run, Settings, Timing,
};
use roomkeeper_room::{RowsError, Write};
use roomkeeper_storage::{DataStore, LogEngine, ReplicaStore};
use roomkeeper_types::{ClusterId, NodeId, ReplicaId};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tonic::transport::server::TcpIncoming;

pub(crate) const TIMING: Timing = Timing {
    heartbeat: Duration::from_millis(50),
    election_min: Duration::from_millis(150),
    election_max: Duration::from_millis(300),
};

/// A table of counters: every entry is a key, and its reply says how often it was applied.
pub(crate) struct Counters;

impl Machine for Counters {
    fn restore(&mut self, _: &ReplicaStore) -> Result<(), RowsError> {
        Ok(())
    }

    fn apply(&mut self, store: &ReplicaStore, entries: &[Committed]) -> Result<Run, RowsError> {
        let mut counts: HashMap<Bytes, u64> = HashMap::new();
        let mut replies = Vec::new();
        for entry in entries {
            let Some(name) = &entry.payload else {
                replies.push(Reply::None);
                continue;
            };
            let key = key(name);
            let known = match counts.get(&key) {
                Some(count) => *count,
                None => count(store, name)?,
            };
            counts.insert(key, known + 1);
            replies.push(Reply::Bytes(Bytes::copy_from_slice(&(known + 1).to_be_bytes())));
        }
        let mut writes: Vec<Write> = counts
            .into_iter()
            .map(|(key, count)| Write::Put(key, Bytes::copy_from_slice(&count.to_be_bytes())))
            .collect();
        writes.sort_by(|a, b| format!("{a:?}").cmp(&format!("{b:?}")));
        Ok(Run { writes, replies, after: None })
    }
}

fn key(name: &[u8]) -> Bytes {
    [&[1], name].concat().into()
}

pub(crate) fn count(store: &ReplicaStore, name: &[u8]) -> Result<u64, RowsError> {
    use roomkeeper_room::Rows;
    let row = store.get(&key(name))?;
    Ok(row.map_or(0, |row| u64::from_be_bytes(row.as_ref().try_into().unwrap())))
}

#[derive(Default)]
pub(crate) struct Directory {
    pub(crate) addresses: RwLock<HashMap<NodeId, String>>,
    pub(crate) born: RwLock<bool>,
    pub(crate) held: Held,
}

/// Requests that say "hold", which are not answered until they are let go.
#[derive(Default)]
pub(crate) struct Held {
    pub(crate) count: AtomicUsize,
    pub(crate) let_go: watch::Sender<bool>,
}

impl Held {
    async fn hold(&self) {
        self.count.fetch_add(1, Ordering::SeqCst);
        let mut let_go = self.let_go.subscribe();
        let_go.wait_for(|let_go| *let_go).await.unwrap();
    }
}

struct Handler(Arc<Directory>);

impl PeerHandler for Handler {
    fn handle(&self, from: Option<NodeId>, body: Bytes) -> BoxFuture<'static, Result<Bytes, String>> {
        let directory = self.0.clone();
        Box::pin(async move {
            match body.as_ref() {
                b"hold" => {
                    directory.held.hold().await;
                    Ok(body)
                }
                b"refuse" => Err("as asked".to_owned()),
                body => Ok(format!("{from:?} said {}", String::from_utf8_lossy(body)).into()),
            }
        })
    }

    fn address(&self, node: NodeId) -> Option<String> {
        self.0.addresses.read().get(&node).cloned()
    }

    fn is_born(&self, _: GroupId) -> bool {
        *self.0.born.read()
    }
}

pub(crate) struct Cluster {
    pub(crate) dir: TempDir,
    pub(crate) cluster: ClusterId,
    pub(crate) directory: Arc<Directory>,
}

pub(crate) struct TestNode {
    pub(crate) consensus: Consensus,
    pub(crate) group: Group,
    pub(crate) member: Member,
    serving: tokio::task::JoinHandle<()>,
}

impl Cluster {
    pub(crate) fn new() -> Self {
        Self { dir: TempDir::new().unwrap(), cluster: ClusterId::generate(), directory: Arc::default() }
    }

    pub(crate) fn data_dir(&self, node: u32) -> PathBuf {
        self.dir.path().join(node.to_string())
    }

    pub(crate) async fn start(&self, node: u32, replica: u64) -> TestNode {
        self.start_in(&self.data_dir(node), node, replica).await
    }

    /// Starts a node, on what is in its folder.
    pub(crate) async fn start_in(&self, dir: &Path, node: u32, replica: u64) -> TestNode {
        self.try_start(dir, node, replica).await.unwrap()
    }

    pub(crate) async fn try_start(&self, dir: &Path, node: u32, replica: u64) -> Result<TestNode, OpenError> {
        let member = Member { replica: ReplicaId(replica), node: NodeId(node) };
        std::fs::create_dir_all(dir).unwrap();
        let log = LogEngine::open(&dir.join("log")).unwrap();
        let data = DataStore::open(&dir.join("data")).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        self.directory.addresses.write().insert(member.node, address);
        let identity =
            PeerIdentity { cluster: self.cluster, node: member.node, secret: Some("secret".to_owned()) };
        let settings = Settings { identity, scratch: dir.join("scratch") };
        let handler = Arc::new(Handler(self.directory.clone()));
        let consensus = Consensus::new(settings, log, data, handler).await.unwrap();
        let serving = tokio::spawn({
            let consensus = consensus.clone();
            async move { consensus.serve(TcpIncoming::from(listener).with_nodelay(Some(true))).await.unwrap() }
        });
        let group = consensus.open(GroupId::Meta, member.replica, TIMING, Counters).await?;
        Ok(TestNode { consensus, group, member, serving })
    }

    /// Three nodes, of which the first initialised the group.
    pub(crate) async fn three() -> (Self, Vec<TestNode>) {
        let cluster = Self::new();
        let mut nodes = Vec::new();
        for node in 1..=3 {
            nodes.push(cluster.start(node, u64::from(node) * 10).await);
        }
        let members: Vec<Member> = nodes.iter().map(|node| node.member).collect();
        nodes[0].group.initialize(&members).await.unwrap();
        (cluster, nodes)
    }
}

impl TestNode {
    pub(crate) async fn stop(self) {
        self.consensus.shutdown().await;
        self.serving.await.unwrap();
    }
}

/// Waits for a leader that has applied an entry of its term; returns its place among the nodes.
pub(crate) async fn leader(nodes: &[TestNode]) -> usize {
    eventually("a leader", || {
        nodes.iter().position(|node| {
            let status = node.group.status();
            status.role == Role::Leader && status.term_applied && status.quorum_acked.is_some()
        })
    })
    .await
}

/// Waits until the condition yields something, at most 20 s.
pub(crate) async fn eventually<T>(what: &str, condition: impl Fn() -> Option<T>) -> T {
    let polling = async {
        loop {
            if let Some(found) = condition() {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    match tokio::time::timeout(Duration::from_secs(20), polling).await {
        Ok(found) => found,
        Err(_) => panic!("waited 20 s for {what}"),
    }
}

/// Waits until a node has applied a name so often.
pub(crate) async fn counted(node: &TestNode, name: &'static [u8], expected: u64) {
    let count_now = || count(node.group.store(), name).unwrap();
    eventually("a count", || (count_now() == expected).then_some(())).await;
}
