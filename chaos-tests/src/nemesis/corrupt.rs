//! Files of a node that are not what it wrote.

use anyhow::Context;

use super::wipe::start_damaged;
use super::{Done, Field, Nemesis, Target};
use crate::disk::wreck::{Damage, Part, damage};

/// Kills a node, damages one of its files, and starts it again in the end. It has to notice: to refuse, or to
/// give the replica up and get another one from its peers. Where it refuses to start, it is wiped and joins as a
/// new node, as an operator would do.
#[derive(Debug, Clone, Copy)]
pub struct Corrupt {
    /// Which node.
    pub target: Target,
    /// Which file.
    pub part: Part,
    /// What is done to it.
    pub damage: Damage,
}

impl Nemesis for Corrupt {
    fn name(&self) -> &'static str {
        "corrupt"
    }

    fn target(&self) -> Target {
        self.target
    }

    fn begin<'a>(&'a mut self, field: &'a mut Field, nodes: &'a [usize]) -> Done<'a> {
        Box::pin(async move {
            let node = *nodes.first().context("no node")?;
            field.cluster.kill9(node).await?;
            let data = field.cluster.data_dir(node);
            let file = damage(&data, self.part, self.damage, &mut field.rng)?;
            let shown = file.strip_prefix(&data).unwrap_or(&file);
            Ok(format!("{:?} of {}", self.damage, shown.display()))
        })
    }

    fn end<'a>(&'a mut self, field: &'a mut Field, nodes: &'a [usize]) -> Done<'a> {
        Box::pin(async move {
            let node = *nodes.first().context("no node")?;
            start_damaged(field, node).await
        })
    }
}
