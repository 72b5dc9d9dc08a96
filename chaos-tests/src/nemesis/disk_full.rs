//! Disks without a free block.

use std::fs;
use std::time::Duration;

use tokio::time::sleep;

use super::{Done, ENDED, Field, Nemesis, Target};
use crate::guard::Guard;

/// Fills the disks of nodes; frees them in the end. Nodes have to recover by themselves then.
#[derive(Debug)]
pub struct DiskFull {
    target: Target,
    fillers: Vec<Guard>,
    /// Lengths of the nodes' logs at the beginning.
    logs: Vec<u64>,
}

/// A node that does not survive its full disk has ended by then.
const STOP_WITHIN: Duration = Duration::from_secs(2);

/// What a node says that refuses writes.
const NOTICED: &str = "the disk is full: ";

impl DiskFull {
    /// Of these nodes.
    #[must_use]
    pub const fn new(target: Target) -> Self {
        Self { target, fillers: Vec::new(), logs: Vec::new() }
    }
}

impl Nemesis for DiskFull {
    fn name(&self) -> &'static str {
        "disk_full"
    }

    fn target(&self) -> Target {
        self.target
    }

    fn begin<'a>(&'a mut self, field: &'a mut Field, nodes: &'a [usize]) -> Done<'a> {
        Box::pin(async move {
            for k in nodes {
                self.logs.push(fs::metadata(field.cluster.log(*k))?.len());
                self.fillers.push(field.cluster.disk(*k).image()?.fill()?);
            }
            Ok(String::new())
        })
    }

    fn end<'a>(&'a mut self, field: &'a mut Field, nodes: &'a [usize]) -> Done<'a> {
        Box::pin(async move {
            // A database has room set aside, and may get through the whole fault on it: that shows nothing.
            let mut noticed = 0;
            for (k, begun) in nodes.iter().zip(self.logs.drain(..)) {
                let log = fs::read(field.cluster.log(*k))?;
                let new = log.get(usize::try_from(begun)?..).unwrap_or_default();
                noticed += u64::from(String::from_utf8_lossy(new).contains(NOTICED));
            }
            field.recorder.count("disk_full_noticed", noticed);
            self.fillers.drain(..).try_for_each(Guard::undo)?;
            // They should have stayed; what stops because of the fault does so within a moment.
            sleep(STOP_WITHIN).await;
            let ended = field.ended(nodes)?;
            if !ended.is_empty() {
                field.recorder.count(ENDED, ended.len() as u64);
                field.restart().await?;
            }
            Ok(format!("noticed by {noticed}; there is room again; ended by themselves: {ended:?}"))
        })
    }
}
