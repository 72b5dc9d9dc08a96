//! What the nodes' processes take of their machines, by the `/metrics` of their admin listeners.

use std::ops::Sub;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures::future::try_join_all;
use roomkeeper_client::ClusterMap;
use roomkeeper_client::types::NodeId;
use serde::Serialize;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

/// Longest wait for a node's figures.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often nodes are asked for their memory.
const PEAK_LOOK: Duration = Duration::from_millis(250);
/// How often a node is asked whether its rows are on disk.
const FLUSH_LOOK: Duration = Duration::from_millis(500);
/// Nodes write out what is older than a minute, and look every five seconds.
const FLUSH_PATIENCE: Duration = Duration::from_secs(180);

/// The cluster's nodes.
pub(crate) struct Nodes {
    http: reqwest::Client,
    /// Where each one tells its figures.
    urls: Vec<(NodeId, String)>,
}

/// Figures of one node.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading {
    pub(crate) node: NodeId,
    pub(crate) at: Instant,
    /// What its process has had of a core so far, in seconds.
    pub(crate) cpu: f64,
    /// Memory of its process, in bytes.
    pub(crate) resident: u64,
    unflushed: u64,
    /// Heartbeats answered so far.
    pub(crate) heartbeats: u64,
    /// Pages of logs read so far for subscribers that were behind.
    pub(crate) log_pages: u64,
    /// Messages handed to sockets so far.
    pub(crate) delivered: u64,
}

impl Nodes {
    /// The nodes of a cluster.
    ///
    /// # Errors
    /// One does not say where its admin listener is.
    pub(crate) fn of(map: &ClusterMap) -> Result<Self> {
        let urls = map.nodes.iter().map(|node| {
            let admin = node.admin.as_ref();
            let admin = admin.with_context(|| format!("node {} tells no admin address", node.node))?;
            Ok((node.node, format!("http://{admin}/metrics")))
        });
        let http = reqwest::Client::builder().timeout(PATIENCE).build()?;
        Ok(Self { http, urls: urls.collect::<Result<_>>()? })
    }

    /// Their figures now, in the order of their ids.
    ///
    /// # Errors
    /// An admin listener cannot be reached (they are on loopback unless told otherwise), or says something else.
    pub(crate) async fn read(&self) -> Result<Vec<Reading>> {
        try_join_all(self.urls.iter().map(|(node, url)| async move {
            let text = async { self.http.get(url).send().await?.error_for_status()?.text().await };
            let text = text.await.with_context(|| format!("node {node} tells no figures"))?;
            reading(*node, &text).with_context(|| format!("the figures in {url}"))
        }))
        .await
    }

    /// The same, once all that they have applied is on disk.
    ///
    /// # Errors
    /// As of [`Nodes::read`]; something writes all the time.
    pub(crate) async fn read_flushed(&self) -> Result<Vec<Reading>> {
        let end = Instant::now() + FLUSH_PATIENCE;
        loop {
            let readings = self.read().await?;
            if readings.iter().all(|reading| reading.unflushed == 0) {
                return Ok(readings);
            }
            if Instant::now() >= end {
                bail!(
                    "the nodes have rows in memory still after {FLUSH_PATIENCE:?}: is the cluster used by others?"
                );
            }
            sleep(FLUSH_LOOK).await;
        }
    }
}

fn reading(node: NodeId, text: &str) -> Result<Reading> {
    let whole = |name| Ok::<_, anyhow::Error>(sample(text, name)? as u64);
    Ok(Reading {
        node,
        at: Instant::now(),
        cpu: sample(text, "process_cpu_seconds_total")?,
        resident: whole("process_resident_memory_bytes")?,
        unflushed: whole("roomkeeper_unflushed_bytes")?,
        heartbeats: whole("roomkeeper_gateway_commands_total{command=\"heartbeat\",code=\"ok\"}")?,
        log_pages: whole("roomkeeper_gateway_log_pages_total")?,
        delivered: whole("roomkeeper_gateway_messages_delivered_total")?,
    })
}

/// The value of a sample in the Prometheus text format.
fn sample(text: &str, name: &str) -> Result<f64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value
        .with_context(|| format!("{name} is missing"))?
        .parse()
        .with_context(|| format!("{name} is no number"))
}

/// What a node's process took of a core between two readings.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct CpuShare {
    node: NodeId,
    percent_of_a_core: f64,
}

/// What each node took of a core between two readings of all.
pub(crate) fn cpu_shares(before: &[Reading], after: &[Reading]) -> Vec<CpuShare> {
    let share = |(before, after): (&Reading, &Reading)| {
        let (cpu, time) = (after.cpu - before.cpu, (after.at - before.at).as_secs_f64());
        CpuShare { node: after.node, percent_of_a_core: 100.0 * cpu / time }
    };
    before.iter().zip(after).map(share).collect()
}

/// All nodes' shares together.
pub(crate) fn sum(shares: &[CpuShare]) -> f64 {
    shares.iter().map(|share| share.percent_of_a_core).sum()
}

/// Shares in words.
pub(crate) fn tell(shares: &[CpuShare]) -> String {
    let each = shares.iter().map(|share| format!("{} {:.2} %", share.node, share.percent_of_a_core));
    format!("{:.2} % of a core ({})", sum(shares), each.collect::<Vec<_>>().join(", "))
}

/// How far something that nodes count went on between two readings, over all of them.
pub(crate) fn grown<T>(before: &[Reading], after: &[Reading], count: impl Fn(&Reading) -> T) -> T
where
    T: Sub<Output = T> + std::iter::Sum,
{
    after.iter().map(&count).sum::<T>() - before.iter().map(&count).sum::<T>()
}

/// Watches how much memory the nodes take.
pub(crate) struct Peak {
    enough: oneshot::Sender<()>,
    watching: JoinHandle<Result<u64>>,
}

impl Peak {
    pub(crate) fn watch(nodes: Arc<Nodes>) -> Self {
        let (enough, mut stop) = oneshot::channel();
        let watching = tokio::spawn(async move {
            let mut peak = 0;
            loop {
                let most = nodes.read().await?.iter().map(|reading| reading.resident).max();
                peak = most.unwrap_or_default().max(peak);
                tokio::select! {
                    () = sleep(PEAK_LOOK) => {}
                    _ = &mut stop => return Ok(peak),
                }
            }
        });
        Self { enough, watching }
    }

    /// The most that one of them took at any look.
    ///
    /// # Errors
    /// One did not say.
    pub(crate) async fn end(self) -> Result<u64> {
        drop(self.enough);
        self.watching.await?
    }
}

/// Bytes as MiB.
pub(crate) fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    const METRICS: &str = "\
        # HELP process_cpu_seconds_total Time\n\
        process_cpu_seconds_total 12.5\n\
        process_resident_memory_bytes 2097152\n\
        roomkeeper_unflushed_bytes 0\n\
        roomkeeper_gateway_log_pages_total 7\n\
        roomkeeper_gateway_messages_delivered_total 900\n\
        roomkeeper_gateway_commands_total{command=\"heartbeat\",code=\"bad_request\"} 1\n\
        roomkeeper_gateway_commands_total{command=\"heartbeat\",code=\"ok\"} 40\n";

    #[test]
    fn reading_of_a_node_has_its_figures() {
        let found = reading(NodeId(1), METRICS).unwrap();
        assert_eq!((found.resident, found.unflushed), (2 << 20, 0));
        assert_eq!((found.heartbeats, found.log_pages, found.delivered), (40, 7, 900));
        assert!(reading(NodeId(1), &METRICS.replace("process_cpu", "other")).is_err());
    }

    #[test]
    fn cpu_share_is_of_the_time_between_the_readings() {
        let before = reading(NodeId(1), METRICS).unwrap();
        let after = Reading { cpu: 13.0, at: before.at + Duration::from_secs(10), heartbeats: 50, ..before };
        let shares = cpu_shares(&[before], &[after]);
        assert!((sum(&shares) - 5.0).abs() < 1e-9);
        assert_eq!(tell(&shares), format!("5.00 % of a core ({} 5.00 %)", NodeId(1)));
        assert_eq!(grown(&[before], &[after], |reading| reading.heartbeats), 10);
    }
}
