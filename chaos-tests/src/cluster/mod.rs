//! A cluster on this machine, every node a process of its own.
//!
//! Here: how it starts, stops and is waited for. [`ask`]: what its nodes say of it. [`hurt`]: what is done to it;
//! [`operator`]: what is done by an operator's commands.

mod ask;
mod hurt;
mod operator;
mod setup;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use roomkeeper_client::Client;
use tokio::time::{Instant, sleep};

use crate::disk::Disk;
use crate::net::{Bridged, Net};
use crate::ports::{Addresses, Reserved};
use crate::process::{Launch, Process, log_tail};
use crate::scratch::Scratch;

pub use setup::Setup;

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
    // Before the disk, which cannot be unmounted under it.
    process: Option<Process>,
    addresses: Addresses,
    /// Held until the first start.
    reserved: Option<Reserved>,
    disk: Disk,
    namespace: Option<String>,
    log: PathBuf,
    port_retries: u32,
    /// Node 0 of a new cluster founds it; any other joins.
    founds: bool,
    /// Gone for good: not started again with the others.
    is_retired: bool,
}

/// Nodes 0, 1, 2, … on one machine. Dropping it kills them; a failing test shows the ends of their logs.
#[derive(Debug)]
pub struct Cluster {
    // In the order in which they have to go: a process holds its disk, which lies in the scratch folder.
    nodes: Vec<Node>,
    net: Net,
    client: Client,
    setup: Setup,
    /// What the nodes ask of each other off loopback.
    secret: String,
    /// Environment of every node.
    settings: Vec<(String, String)>,
    logs: PathBuf,
    scratch: Scratch,
}

impl Cluster {
    /// Starts a new cluster on loopback and waits until every node is ready.
    ///
    /// # Errors
    /// A node does not start, or is not ready in time; with the end of its log.
    pub async fn start(size: usize) -> Result<Self> {
        Self::start_with(Setup::plain(size)).await
    }

    /// Starts a new cluster of this kind and waits until every node is ready.
    ///
    /// # Errors
    /// As [`Cluster::start`]; the network or the disks cannot be made.
    pub async fn start_with(setup: Setup) -> Result<Self> {
        Self::start_with_settings(setup, &[]).await
    }

    /// The same with settings of the nodes: names of environment variables, and values.
    ///
    /// # Errors
    /// As [`Cluster::start_with`].
    pub async fn start_with_settings(setup: Setup, settings: &[(&str, &str)]) -> Result<Self> {
        Self::start_prepared(Self::prepare(setup, None)?, settings).await
    }

    /// The same with the nodes' logs, `node0.log` and so on, in a folder that stays.
    ///
    /// # Errors
    /// As [`Cluster::start_with`].
    pub async fn start_logging_to(logs: &Path, setup: Setup, settings: &[(&str, &str)]) -> Result<Self> {
        Self::start_prepared(Self::prepare(setup, Some(logs))?, settings).await
    }

    async fn start_prepared(mut cluster: Self, settings: &[(&str, &str)]) -> Result<Self> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        cluster.settings = settings.iter().map(owned).collect();
        for k in 0..cluster.size() {
            cluster.spawn(k)?;
        }
        cluster.wait_ready().await?;
        Ok(cluster)
    }

    fn prepare(setup: Setup, logs: Option<&Path>) -> Result<Self> {
        let scratch = Scratch::new()?;
        let logs = logs.unwrap_or(scratch.path()).to_owned();
        let net = if setup.bridged { Net::Bridged(Bridged::new()?) } else { Net::Loopback };
        let secret = format!("{:032x}", rand::random::<u128>());
        // A client needs an address; replaced below, when there are some.
        let client = Client::new(crate::admission::config(["http://127.0.0.1:1"]))?;
        let nodes = Vec::new();
        let settings = Vec::new();
        let mut cluster = Self { nodes, net, client, setup, secret, settings, logs, scratch };
        for _ in 0..setup.size {
            cluster.place_node()?;
        }
        Ok(cluster)
    }

    /// Makes room for one more node, and does not start it.
    fn place_node(&mut self) -> Result<usize> {
        let k = self.nodes.len();
        let place = self.net.add_node(k)?;
        self.nodes.push(Node {
            addresses: place.addresses,
            reserved: place.reserved,
            namespace: place.namespace,
            disk: Disk::new(self.setup.disk, self.scratch.path(), &format!("node{k}"))?,
            log: self.logs.join(format!("node{k}.log")),
            process: None,
            port_retries: 0,
            founds: k == 0,
            is_retired: false,
        });
        self.client = Client::new(crate::admission::config(self.urls()))?;
        Ok(k)
    }

    /// Starts one more node, which joins, and waits until it is ready.
    ///
    /// # Errors
    /// As [`Cluster::start_node`]; there is no place for it.
    pub async fn add_node(&mut self) -> Result<usize> {
        let k = self.place_node()?;
        self.start_node(k).await?;
        Ok(k)
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

    /// What its nodes have to know of each other.
    #[must_use]
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// A node's addresses.
    #[must_use]
    pub fn addresses(&self, k: usize) -> Addresses {
        self.nodes[k].addresses
    }

    /// A node's data directory.
    #[must_use]
    pub fn data_dir(&self, k: usize) -> PathBuf {
        self.nodes[k].disk.data()
    }

    /// A node's log.
    #[must_use]
    pub fn log(&self, k: usize) -> &Path {
        &self.nodes[k].log
    }

    /// A node's disk.
    #[must_use]
    pub fn disk(&self, k: usize) -> &Disk {
        &self.nodes[k].disk
    }

    /// The network between the nodes.
    #[must_use]
    pub fn net(&self) -> &Net {
        &self.net
    }

    /// A folder for whatever has to be put aside; it goes with the cluster.
    #[must_use]
    pub fn aside(&self) -> &Path {
        self.scratch.path()
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

    /// The same, without waiting: for a node that cannot be ready yet.
    ///
    /// # Errors
    /// It runs already, or does not start.
    pub fn start_unready(&mut self, k: usize) -> Result<()> {
        self.spawn(k)
    }

    /// [`Cluster::start_node`] for all nodes that do not run: at once, as nodes without a quorum are not ready.
    ///
    /// # Errors
    /// As [`Cluster::start_node`].
    pub async fn start_all(&mut self) -> Result<()> {
        for k in 0..self.size() {
            if self.nodes[k].process.is_none() && !self.nodes[k].is_retired {
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
        let mut env = self.settings.clone();
        env.push(("ROOMKEEPER_CLUSTER_SECRET".to_owned(), self.secret.clone()));
        if self.setup.bridged {
            env.extend(crate::admission::of_node());
        }
        let launch = Launch { args, namespace: node.namespace.clone(), env };
        node.process = Some(Process::start(&launch, &node.log)?);
        Ok(())
    }

    fn arguments(&self, k: usize) -> Vec<String> {
        let Addresses { client, peer, admin } = self.nodes[k].addresses;
        let mut args = vec![
            "serve".to_owned(),
            "--until-stdin-closes".to_owned(),
            format!("--data-dir={}", self.data_dir(k).display()),
            format!("--listen={client}"),
            format!("--listen-peer={peer}"),
            format!("--listen-admin={admin}"),
            format!("--zone=node{k}"),
        ];
        if self.nodes[k].founds {
            args.push("--bootstrap".to_owned());
            args.push(format!("--initial-nodes={}", self.setup.size));
        } else {
            let seeds = self.nodes.iter().map(|node| node.addresses.peer.to_string());
            let others: Vec<String> =
                seeds.enumerate().filter(|(n, _)| *n != k).map(|(_, seed)| seed).collect();
            args.push(format!("--join={}", others.join(",")));
        }
        args
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
                self.see_that_all_run().await?;
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

    /// Sees that no node has ended by itself.
    ///
    /// # Errors
    /// One has; with the end of its log.
    pub async fn see_that_all_run(&mut self) -> Result<()> {
        for k in 0..self.size() {
            self.see_that_it_runs(k).await?;
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
