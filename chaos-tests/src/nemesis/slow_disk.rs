//! Disks that are slow, and disks that hang.

use super::{Done, Field, Nemesis, Target};
use crate::disk::{Frozen, Slowed};

/// Limits the writes of nodes' disks: at 10 a second one sync takes about 110 ms.
#[derive(Debug)]
pub struct SlowDisk {
    target: Target,
    writes_per_second: u32,
    slowed: Vec<Slowed>,
}

impl SlowDisk {
    /// So many writes a second.
    #[must_use]
    pub const fn new(target: Target, writes_per_second: u32) -> Self {
        Self { target, writes_per_second, slowed: Vec::new() }
    }
}

impl Nemesis for SlowDisk {
    fn name(&self) -> &'static str {
        "slow_disk"
    }

    fn target(&self) -> Target {
        self.target
    }

    fn begin<'a>(&'a mut self, field: &'a mut Field, nodes: &'a [usize]) -> Done<'a> {
        Box::pin(async move {
            for k in nodes {
                self.slowed.push(Slowed::new(field.cluster.disk(*k).image()?, self.writes_per_second)?);
            }
            Ok(format!("{} writes/s", self.writes_per_second))
        })
    }

    fn end<'a>(&'a mut self, field: &'a mut Field, nodes: &'a [usize]) -> Done<'a> {
        Box::pin(async move {
            self.slowed.drain(..).try_for_each(Slowed::lift)?;
            back(field, nodes).await
        })
    }
}

/// Freezes nodes' disks: every write waits until the end, and so does `kill -9`.
#[derive(Debug)]
pub struct FrozenDisk {
    target: Target,
    frozen: Vec<Frozen>,
}

impl FrozenDisk {
    /// Of these nodes.
    #[must_use]
    pub const fn new(target: Target) -> Self {
        Self { target, frozen: Vec::new() }
    }
}

impl Nemesis for FrozenDisk {
    fn name(&self) -> &'static str {
        "frozen_disk"
    }

    fn target(&self) -> Target {
        self.target
    }

    fn begin<'a>(&'a mut self, field: &'a mut Field, nodes: &'a [usize]) -> Done<'a> {
        Box::pin(async move {
            for k in nodes {
                self.frozen.push(Frozen::new(field.cluster.disk(*k).image()?)?);
            }
            Ok(String::new())
        })
    }

    fn end<'a>(&'a mut self, field: &'a mut Field, nodes: &'a [usize]) -> Done<'a> {
        Box::pin(async move {
            self.frozen.drain(..).try_for_each(Frozen::thaw)?;
            back(field, nodes).await
        })
    }
}

/// A node may rather stop than go on with a disk like that; it is started again then.
async fn back(field: &mut Field, nodes: &[usize]) -> anyhow::Result<String> {
    let ended = field.ended(nodes)?;
    if ended.is_empty() {
        return Ok("fast again".to_owned());
    }
    field.restart().await?;
    Ok(format!("fast again; {ended:?} had ended by themselves and were started again"))
}
