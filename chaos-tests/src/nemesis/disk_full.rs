//! Disks without a free block.

use super::{Done, Field, Nemesis, Target};
use crate::guard::Guard;

/// Fills the disks of nodes; frees them in the end. Nodes have to recover by themselves then.
#[derive(Debug)]
pub struct DiskFull {
    target: Target,
    fillers: Vec<Guard>,
}

impl DiskFull {
    /// Of these nodes.
    #[must_use]
    pub const fn new(target: Target) -> Self {
        Self { target, fillers: Vec::new() }
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
                self.fillers.push(field.cluster.disk(*k).image()?.fill()?);
            }
            Ok(String::new())
        })
    }

    fn end<'a>(&'a mut self, field: &'a mut Field, nodes: &'a [usize]) -> Done<'a> {
        Box::pin(async move {
            self.fillers.drain(..).try_for_each(Guard::undo)?;
            let ended = field.ended(nodes)?;
            if ended.is_empty() {
                return Ok("there is room again".to_owned());
            }
            // It had to stay and recover unaided: the count is a gate's.
            field.recorder.count("ended_by_themselves", ended.len() as u64);
            field.restart().await?;
            Ok(format!("there is room again; {ended:?} had ended by themselves and were started again"))
        })
    }
}
