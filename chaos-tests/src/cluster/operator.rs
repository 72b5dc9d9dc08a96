//! What an operator does to the cluster, by the commands an operator has.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use roomkeeper_client::ShardEntry;
use roomkeeper_types::NodeId;
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};

use super::Cluster;
use crate::binary;
use crate::guard::{marker, processes::MARKER};

/// How long moving everything off a node may take.
const DRAIN_LIMIT: Duration = Duration::from_secs(90);
/// How long replicas may take to be built anew and to catch up.
const WHOLE_LIMIT: Duration = Duration::from_secs(60);
const REMOVE_LIMIT: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(200);

impl Cluster {
    /// What the cluster calls node `k`: of several that ever had its address, the newest.
    ///
    /// # Errors
    /// No other node answers, or none knows it.
    pub async fn node_id(&self, k: usize) -> Result<NodeId> {
        let (mut newest, url) = (None, self.url(k));
        for asked in (0..self.size()).filter(|asked| self.runs(*asked)) {
            let Ok(map) = self.map(asked).await else { continue };
            newest = map.nodes.iter().filter(|node| node.url == url).map(|node| node.node).max().max(newest);
        }
        newest.with_context(|| format!("no node knows node {k}"))
    }

    /// Moves everything off a running node: `roomkeeper node drain --wait`.
    ///
    /// # Errors
    /// It is refused, or takes too long.
    pub async fn drain_node(&self, node: NodeId) -> Result<()> {
        self.command(&["node", "drain", &node.0.to_string(), "--wait"], DRAIN_LIMIT).await
    }

    /// Takes a node out of the cluster for good: `roomkeeper node remove`. `force` gives up what it still holds.
    ///
    /// # Errors
    /// It is refused.
    pub async fn remove_node(&self, node: NodeId, force: bool) -> Result<()> {
        let (node, mut args) = (node.0.to_string(), vec!["node", "remove"]);
        args.push(&node);
        args.extend(force.then_some("--force"));
        self.command(&args, REMOVE_LIMIT).await
    }

    /// Waits until no shard has a replica on a node any more: removing it only begins that.
    ///
    /// # Errors
    /// Some still have.
    pub async fn wait_moved_off(&self, node: NodeId) -> Result<()> {
        let end = Instant::now() + DRAIN_LIMIT;
        loop {
            let map = self.any_map().await?;
            let holds = |shard: &&ShardEntry| shard.replicas.iter().any(|replica| replica.node == node);
            let left = map.shards.iter().filter(holds).count();
            if left == 0 {
                return Ok(());
            }
            ensure!(
                Instant::now() < end,
                "{left} shards still have a replica on {node} after {DRAIN_LIMIT:?}"
            );
            sleep(LOOK).await;
        }
    }

    /// Waits until `roomkeeper status` calls the cluster healthy: every shard has its owner, and every replica is
    /// there and has caught up. What takes a node's data away for good has to wait for this, or it may be the
    /// second copy of something that is lost.
    ///
    /// # Errors
    /// It is still not; what `status` says last.
    pub async fn wait_whole(&self) -> Result<()> {
        let end = Instant::now() + WHOLE_LIMIT;
        loop {
            match self.command(&["status"], REMOVE_LIMIT).await {
                Ok(()) => return Ok(()),
                Err(error) if Instant::now() >= end => {
                    return Err(error.context(format!("the cluster is not whole after {WHOLE_LIMIT:?}")));
                }
                Err(_) => sleep(LOOK).await,
            }
        }
    }

    async fn command(&self, args: &[&str], limit: Duration) -> Result<()> {
        let running = (0..self.size()).filter(|k| self.runs(*k)).map(|k| self.url(k));
        let mut command = Command::new(binary::roomkeeper()?);
        command.args(args).arg(format!("--url={}", running.collect::<Vec<_>>().join(",")));
        command.env("ROOMKEEPER_TOKEN", crate::admission::token()?);
        command.env(MARKER, marker()?).stdin(Stdio::null()).kill_on_drop(true);
        let shown = format!("roomkeeper {}", args.join(" "));
        let output = timeout(limit, command.output());
        let output = output.await.with_context(|| format!("`{shown}` takes longer than {limit:?}"))??;
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        ensure!(
            output.status.success(),
            "`{shown}`: {}: {} {}",
            output.status,
            said(&output.stdout),
            said(&output.stderr)
        );
        Ok(())
    }
}
