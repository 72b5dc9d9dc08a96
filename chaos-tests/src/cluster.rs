//! A cluster on loopback, every node a process of its own.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use roomkeeper_client::{Client, ClientConfig, ClusterMap, ShardEntry};
use roomkeeper_types::{NodeId, RoomName, ShardCount};
use tokio::time::{Instant, sleep};

use crate::ports::{Addresses, Reserved};
use crate::process::{Process, log_tail};
use crate::scratch::Scratch;

/// How long nodes may take to be ready. A debug build on a busy machine needs a few seconds.
pub const READY_LIMIT: Duration = Duration::from_secs(60);
/// How long a node may take to stop after SIGTERM: it waits for its connections for ten.
const STOP_LIMIT: Duration = Duration::from_secs(20);
/// Between two looks at something that is waited for.
const POLL: Duration = Duration::from_millis(50);
/// `roomkeeper serve` says with this exit code that a port is busy.
const PORT_BUSY: i32 = 4;
/// How often a node is started again whose port was busy.
const PORT_RETRIES: u32 = 5;
/// Lines of each log that a failing test shows.
const TAIL: usize = 25;

/// A node: where it is, and its process while it runs.
#[derive(Debug)]
struct Node {
    addresses: Addresses,
    /// Held until the first start.
    reserved: Option<Reserved>,
    data: PathBuf,
    log: PathBuf,
    process: Option<Process>,
    port_retries: u32,
}

/// Nodes 0, 1, 2, … on one machine. Dropping it kills them; a failing test shows the ends of their logs.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<Node>,
    client: Client,
    // After the nodes: removed when they are gone.
    _scratch: Scratch,
}

impl Cluster {
    /// Starts a new cluster and waits until every node is ready.
    ///
    /// # Errors
    /// A node does not start, or is not ready in time; with the end of its log.
    pub async fn start(size: usize) -> Result<Self> {
        let mut cluster = Self::prepare(size)?;
        for k in 0..size {
            cluster.spawn(k)?;
        }
        cluster.wait_ready().await?;
        Ok(cluster)
    }

    fn prepare(size: usize) -> Result<Self> {
        let scratch = Scratch::new()?;
        let node = |k: usize| -> Result<Node> {
            let reserved = Reserved::new()?;
            Ok(Node {
                addresses: reserved.addresses,
                reserved: Some(reserved),
                data: scratch.path().join(format!("node{k}")),
                log: scratch.path().join(format!("node{k}.log")),
                process: None,
                port_retries: 0,
            })
        };
        let nodes = (0..size).map(node).collect::<Result<Vec<_>>>()?;
        let urls = nodes.iter().map(|node| format!("http://{}", node.addresses.client));
        let client = Client::new(ClientConfig::new(urls))?;
        Ok(Self { nodes, client, _scratch: scratch })
    }

    /// Number of nodes, whether they run or not.
    #[must_use]
    pub fn size(&self) -> usize {
        self.nodes.len()
    }

    /// A node's client URL.
    #[must_use]
    pub fn url(&self, k: usize) -> String {
        format!("http://{}", self.nodes[k].addresses.client)
    }

    /// All nodes' client URLs.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        (0..self.size()).map(|k| self.url(k)).collect()
    }

    /// A node's addresses.
    #[must_use]
    pub fn addresses(&self, k: usize) -> Addresses {
        self.nodes[k].addresses
    }

    /// A node's data directory.
    #[must_use]
    pub fn data_dir(&self, k: usize) -> PathBuf {
        self.nodes[k].data.clone()
    }

    /// A client that knows all nodes.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Starts a node on the data and ports that it had before, and waits until it is ready.
    ///
    /// # Errors
    /// It runs already, does not start, or is not ready in time.
    pub async fn start_node(&mut self, k: usize) -> Result<()> {
        self.spawn(k)?;
        self.wait_ready().await
    }

    /// The same for all nodes that do not run: at once, as nodes without a quorum are not ready.
    ///
    /// # Errors
    /// As [`Cluster::start_node`].
    pub async fn start_all(&mut self) -> Result<()> {
        for k in 0..self.size() {
            if self.nodes[k].process.is_none() {
                self.spawn(k)?;
            }
        }
        self.wait_ready().await
    }

    fn spawn(&mut self, k: usize) -> Result<()> {
        ensure!(self.nodes[k].process.is_none(), "node {k} runs already");
        let args = self.arguments(k);
        let node = &mut self.nodes[k];
        // Just before the node takes the ports itself.
        node.reserved = None;
        node.process = Some(Process::start(args, &node.log)?);
        Ok(())
    }

    fn arguments(&self, k: usize) -> Vec<String> {
        let Addresses { client, peer, admin } = self.nodes[k].addresses;
        let mut args = vec![
            "serve".to_owned(),
            "--until-stdin-closes".to_owned(),
            format!("--data-dir={}", self.nodes[k].data.display()),
            format!("--listen={client}"),
            format!("--listen-peer={peer}"),
            format!("--listen-admin={admin}"),
            format!("--zone=node{k}"),
        ];
        if k == 0 {
            args.push("--bootstrap".to_owned());
            args.push(format!("--initial-nodes={}", self.size()));
        } else {
            let seeds = self.nodes.iter().map(|node| node.addresses.peer.to_string());
            let others: Vec<String> =
                seeds.enumerate().filter(|(n, _)| *n != k).map(|(_, seed)| seed).collect();
            args.push(format!("--join={}", others.join(",")));
        }
        args
    }

    /// `kill -9`, and waits until the process is gone.
    ///
    /// # Errors
    /// The node does not run.
    pub async fn kill9(&mut self, k: usize) -> Result<()> {
        self.kill9_at_once(&[k]).await
    }

    /// `kill -9` of several nodes, before any of them is waited for.
    ///
    /// # Errors
    /// One of them does not run.
    pub async fn kill9_at_once(&mut self, nodes: &[usize]) -> Result<()> {
        let mut ending = Vec::new();
        for k in nodes {
            let process = self.nodes[*k].process.take();
            ending.push(process.with_context(|| format!("node {k} does not run"))?);
        }
        for process in &mut ending {
            process.kill9()?;
        }
        for process in &mut ending {
            process.wait(STOP_LIMIT).await?;
        }
        Ok(())
    }

    /// SIGTERM, and waits for the end.
    ///
    /// # Errors
    /// The node does not run, does not end in time, or ends with another code than 0.
    pub async fn stop(&mut self, k: usize) -> Result<()> {
        let process = self.nodes[k].process.take();
        let mut process = process.with_context(|| format!("node {k} does not run"))?;
        process.terminate()?;
        let status = process.wait(STOP_LIMIT).await?;
        ensure!(
            status.success(),
            "node {k} stopped with {status}; its log ends:\n{}",
            process.log_tail(TAIL)
        );
        Ok(())
    }

    /// Whether a node was started and neither killed nor stopped.
    #[must_use]
    pub fn runs(&self, k: usize) -> bool {
        self.nodes[k].process.is_some()
    }

    /// Waits until every running node says at `/readyz` that it is ready.
    ///
    /// # Errors
    /// One ended by itself, or is not ready after [`READY_LIMIT`]; with the end of its log.
    pub async fn wait_ready(&mut self) -> Result<()> {
        let end = Instant::now() + READY_LIMIT;
        for k in 0..self.size() {
            while self.runs(k) {
                // All of them: one may be waiting for another that has ended.
                for other in 0..self.size() {
                    self.see_that_it_runs(other).await?;
                }
                let Err(reason) = self.client.ready(&self.url(k)).await else { break };
                if Instant::now() >= end {
                    let tail = log_tail(&self.nodes[k].log, TAIL);
                    bail!("node {k} is not ready after {READY_LIMIT:?}: {reason}; its log ends:\n{tail}");
                }
                sleep(POLL).await;
            }
        }
        Ok(())
    }

    /// Fails when a node ended by itself; one whose port was busy is started again.
    async fn see_that_it_runs(&mut self, k: usize) -> Result<()> {
        let node = &mut self.nodes[k];
        let Some(process) = &mut node.process else { return Ok(()) };
        let Some(status) = process.ended()? else { return Ok(()) };
        if status.code() != Some(PORT_BUSY) || node.port_retries == PORT_RETRIES {
            bail!("node {k} ended by itself ({status}); its log ends:\n{}", process.log_tail(TAIL));
        }
        node.port_retries += 1;
        node.process = None;
        sleep(POLL * 4).await;
        self.spawn(k)
    }

    /// Nodes and shards, as that node sees them.
    ///
    /// # Errors
    /// The node does not answer.
    pub async fn map(&self, k: usize) -> Result<ClusterMap> {
        Ok(self.client.cluster_map_of(&self.url(k)).await?)
    }

    /// The running node that owns a room, whether the room exists or not, as the first running node knows it.
    /// Waits while none does.
    ///
    /// # Errors
    /// None is known in time.
    pub async fn owner_of(&self, room: &RoomName) -> Result<usize> {
        let end = Instant::now() + READY_LIMIT;
        loop {
            if let Some(owner) = self.known_owner_of(room).await? {
                return Ok(owner);
            }
            ensure!(Instant::now() < end, "room {room} has no owner after {READY_LIMIT:?}");
            sleep(POLL).await;
        }
    }

    async fn known_owner_of(&self, room: &RoomName) -> Result<Option<usize>> {
        let (map, shard) = self.shard_of(room).await?;
        let owner = shard.owner.and_then(|owner| self.index_of(&map, owner));
        Ok(owner.filter(|k| self.runs(*k)))
    }

    /// The nodes that keep a copy of a room, whether they run or not, as the first running node knows it.
    ///
    /// # Errors
    /// No node answers.
    pub async fn replicas_of(&self, room: &RoomName) -> Result<Vec<usize>> {
        let (map, shard) = self.shard_of(room).await?;
        Ok(shard.replicas.iter().filter_map(|replica| self.index_of(&map, replica.node)).collect())
    }

    async fn shard_of(&self, room: &RoomName) -> Result<(ClusterMap, ShardEntry)> {
        let asked = (0..self.size()).find(|k| self.runs(*k)).context("no node runs")?;
        let map = self.map(asked).await?;
        let count = u32::try_from(map.shards.len()).ok().and_then(ShardCount::new);
        let shard = room.hash_shard(count.context("the map has no shards")?);
        let entry = map.shards.iter().find(|entry| entry.shard == shard).cloned();
        let entry = entry.with_context(|| format!("the map lacks {shard}"))?;
        Ok((map, entry))
    }

    /// Which of the nodes that is to the cluster.
    fn index_of(&self, map: &ClusterMap, node: NodeId) -> Option<usize> {
        let url = &map.nodes.iter().find(|entry| entry.node == node)?.url;
        (0..self.size()).find(|k| self.url(*k) == *url)
    }

    /// A running node that does not own a room.
    ///
    /// # Errors
    /// As [`Cluster::owner_of`]; there is no other node.
    pub async fn other_than_owner_of(&self, room: &RoomName) -> Result<usize> {
        let owner = self.owner_of(room).await?;
        (0..self.size()).find(|k| *k != owner && self.runs(*k)).context("no other node runs")
    }

    /// Shows the ends of all logs.
    pub fn show_logs(&self) {
        for (k, node) in self.nodes.iter().enumerate() {
            eprintln!("── log of node {k} ({}) ──\n{}", node.addresses.client, log_tail(&node.log, TAIL));
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.show_logs();
        }
    }
}
