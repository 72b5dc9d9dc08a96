//! What is done to a cluster's nodes.

use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::time::sleep;

use super::{Cluster, STOP_LIMIT};
use crate::disk::PowerCut;

/// From SIGSTOP to the power cut: calls into the kernel that are under way come to their end.
const SETTLE: Duration = Duration::from_millis(30);

impl Cluster {
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

    /// SIGSTOP: the node's sockets stay open and nobody answers on them.
    ///
    /// # Errors
    /// The node does not run.
    pub fn pause(&mut self, k: usize) -> Result<()> {
        self.process(k)?.pause()
    }

    /// SIGCONT.
    ///
    /// # Errors
    /// The node does not run.
    pub fn resume(&mut self, k: usize) -> Result<()> {
        self.process(k)?.resume()
    }

    /// SIGTERM, without waiting for the end.
    ///
    /// # Errors
    /// The node does not run.
    pub fn terminate(&mut self, k: usize) -> Result<()> {
        self.process(k)?.terminate()
    }

    /// Waits until a node that was told to stop has ended.
    ///
    /// # Errors
    /// It does not end in time, or with another code than 0.
    pub async fn wait_stopped(&mut self, k: usize) -> Result<()> {
        let status = self.process(k)?.wait(STOP_LIMIT).await?;
        self.nodes[k].process = None;
        ensure!(status.success(), "node {k} stopped with {status}");
        Ok(())
    }

    /// Stops a node for good, if it still runs: it is not started again with the others.
    ///
    /// # Errors
    /// As [`Cluster::stop`].
    pub async fn retire(&mut self, k: usize) -> Result<()> {
        self.nodes[k].is_retired = true;
        if self.runs(k) { self.stop(k).await } else { Ok(()) }
    }

    /// How a node ended by itself, if it did; it can be started again then.
    ///
    /// # Errors
    /// The system does not say.
    pub fn take_ended(&mut self, k: usize) -> Result<Option<ExitStatus>> {
        let Some(process) = &mut self.nodes[k].process else { return Ok(None) };
        let ended = process.ended()?;
        if ended.is_some() {
            self.nodes[k].process = None;
        }
        Ok(ended)
    }

    /// The number of a node's process.
    ///
    /// # Errors
    /// The node does not run.
    pub fn pid(&mut self, k: usize) -> Result<i32> {
        Ok(self.process(k)?.pid().as_raw())
    }

    /// Cuts the power of some nodes at once: what they had not synced is lost. Their disks are mounted again,
    /// and the nodes stay down. Each has to run on an image.
    ///
    /// The order is what makes it honest: stopped, then the disk, then killed. A node that runs while its disk
    /// goes sees syncs fail or succeed that no real power cut would have let it answer.
    ///
    /// # Errors
    /// A node does not run or has no disk of its own, or a disk lost nothing at all.
    pub async fn cut_power(&mut self, nodes: &[usize]) -> Result<PowerCut> {
        for k in nodes {
            self.pause(*k)?;
        }
        sleep(SETTLE).await;
        let mut before = Vec::new();
        for k in nodes {
            before.push(self.nodes[*k].disk.image()?.cut()?);
        }
        self.kill9_at_once(nodes).await?;
        let mut bytes_dropped = 0;
        for (k, before) in nodes.iter().zip(before) {
            bytes_dropped += self.nodes[*k].disk.image_mut()?.power_on(before)?.bytes_dropped;
        }
        Ok(PowerCut { bytes_dropped })
    }

    /// Empties a stopped node's disk. It will join as a new node.
    ///
    /// # Errors
    /// The node runs.
    pub fn wipe(&mut self, k: usize) -> Result<()> {
        ensure!(!self.runs(k), "node {k} runs");
        self.nodes[k].disk.wipe()?;
        self.nodes[k].founds = false;
        Ok(())
    }

    fn process(&mut self, k: usize) -> Result<&mut crate::process::Process> {
        self.nodes[k].process.as_mut().with_context(|| format!("node {k} does not run"))
    }
}
