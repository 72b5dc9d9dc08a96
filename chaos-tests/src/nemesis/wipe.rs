//! Data directories that are empty.

use anyhow::{Context, Result};
use roomkeeper_types::NodeId;

use super::{Done, Field, Nemesis, Target};

/// Kills a node and empties its disk; in the end it joins under its old addresses. It has to be a new node: its
/// old self had voted.
#[derive(Debug, Clone, Copy)]
pub struct Wipe(pub Target);

impl Nemesis for Wipe {
    fn name(&self) -> &'static str {
        "wipe"
    }

    fn target(&self) -> Target {
        self.0
    }

    fn begin<'a>(&'a mut self, field: &'a mut Field, nodes: &'a [usize]) -> Done<'a> {
        Box::pin(async move {
            let node = *nodes.first().context("no node")?;
            field.cluster.wait_whole().await?;
            field.cluster.kill9(node).await?;
            field.recorder.count("kills", 1);
            Ok(String::new())
        })
    }

    fn end<'a>(&'a mut self, field: &'a mut Field, nodes: &'a [usize]) -> Done<'a> {
        Box::pin(async move {
            let node = *nodes.first().context("no node")?;
            let old = start_wiped(field, node).await?;
            Ok(format!("joined again; {old} removed"))
        })
    }
}

/// Starts a node whose data is not what it should be. A node that refuses is wiped and joins as a new one.
pub(super) async fn start_damaged(field: &mut Field, node: usize) -> Result<String> {
    let Err(error) = field.cluster.start_node(node).await else {
        return Ok("started".to_owned());
    };
    if field.cluster.take_ended(node)?.is_none() {
        return Err(error.context("a node with damaged data neither serves nor stops"));
    }
    field.recorder.count("refused_to_start", 1);
    let old = start_wiped(field, node).await?;
    Ok(format!("refused to start; wiped, joined as a new node, {old} removed"))
}

/// Empties a dead node's disk, lets it join as a new node and removes the old one, as an operator does.
async fn start_wiped(field: &mut Field, node: usize) -> Result<NodeId> {
    let old = field.cluster.node_id(node).await?;
    field.cluster.wipe(node)?;
    field.cluster.start_node(node).await.context("cannot join after it was wiped")?;
    field.cluster.remove_node(old, true).await?;
    field.cluster.wait_moved_off(old).await?;
    Ok(old)
}
