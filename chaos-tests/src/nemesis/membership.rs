//! Nodes that come for good and go for good.

use anyhow::Context;

use super::{Done, Field, Nemesis, Target};

/// A node joins; in the end it is drained, stopped and removed.
#[derive(Debug, Default)]
pub struct JoinAndLeave {
    joined: Option<usize>,
}

impl Nemesis for JoinAndLeave {
    fn name(&self) -> &'static str {
        "join_and_leave"
    }

    fn target(&self) -> Target {
        Target::Nobody
    }

    fn begin<'a>(&'a mut self, field: &'a mut Field, _: &'a [usize]) -> Done<'a> {
        Box::pin(async move {
            let node = field.cluster.add_node().await?;
            self.joined = Some(node);
            field.recorder.count("membership_changes", 1);
            Ok(format!("node {node} has joined"))
        })
    }

    fn end<'a>(&'a mut self, field: &'a mut Field, _: &'a [usize]) -> Done<'a> {
        Box::pin(async move {
            let node = self.joined.take().context("no node has joined")?;
            let id = field.cluster.node_id(node).await?;
            field.cluster.drain_node(id).await?;
            field.cluster.retire(node).await?;
            field.cluster.remove_node(id, false).await?;
            field.recorder.count("membership_changes", 1);
            Ok(format!("node {node} was drained and removed"))
        })
    }
}

/// A node dies for good: another one joins, and the dead one is removed.
#[derive(Debug, Clone, Copy)]
pub struct Replace(pub Target);

impl Nemesis for Replace {
    fn name(&self) -> &'static str {
        "replace"
    }

    fn target(&self) -> Target {
        self.0
    }

    fn begin<'a>(&'a mut self, field: &'a mut Field, nodes: &'a [usize]) -> Done<'a> {
        Box::pin(async move {
            field.cluster.wait_whole().await?;
            field.cluster.kill9_at_once(nodes).await?;
            field.recorder.count("kills", nodes.len() as u64);
            Ok(String::new())
        })
    }

    fn end<'a>(&'a mut self, field: &'a mut Field, nodes: &'a [usize]) -> Done<'a> {
        Box::pin(async move {
            for node in nodes {
                let dead = field.cluster.node_id(*node).await?;
                field.cluster.retire(*node).await?;
                let new = field.cluster.add_node().await?;
                field.cluster.remove_node(dead, true).await?;
                field.cluster.wait_moved_off(dead).await?;
                field.say(format!("node {new} instead of node {node}"));
                field.recorder.count("membership_changes", 2);
            }
            Ok("replaced".to_owned())
        })
    }
}
