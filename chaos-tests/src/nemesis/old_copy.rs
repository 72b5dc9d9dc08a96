//! Data directories from the past.

use std::fs;
use std::path::PathBuf;

use anyhow::Context;

use super::wipe::start_damaged;
use super::{Done, Field, Nemesis, Target};
use crate::disk::wreck::copy_folder;

/// Puts a node's data aside at the beginning and back in its place in the end: what it voted for and acked in
/// between it has forgotten, and every file is sound.
#[derive(Debug)]
pub struct OldCopy {
    target: Target,
    copy: Option<PathBuf>,
}

impl OldCopy {
    /// Of one node.
    #[must_use]
    pub const fn new(target: Target) -> Self {
        Self { target, copy: None }
    }
}

impl Nemesis for OldCopy {
    fn name(&self) -> &'static str {
        "old_copy"
    }

    fn target(&self) -> Target {
        self.target
    }

    fn begin<'a>(&'a mut self, field: &'a mut Field, nodes: &'a [usize]) -> Done<'a> {
        Box::pin(async move {
            let node = *nodes.first().context("no node")?;
            let copy = field.cluster.aside().join(format!("old{node}"));
            if copy.exists() {
                fs::remove_dir_all(&copy)?;
            }
            // Files of a running database change while they are copied.
            field.cluster.kill9(node).await?;
            copy_folder(&field.cluster.data_dir(node), &copy)?;
            field.cluster.start_node(node).await?;
            self.copy = Some(copy);
            Ok("put aside".to_owned())
        })
    }

    fn end<'a>(&'a mut self, field: &'a mut Field, nodes: &'a [usize]) -> Done<'a> {
        Box::pin(async move {
            let node = *nodes.first().context("no node")?;
            let copy = self.copy.take().context("nothing was put aside")?;
            field.cluster.kill9(node).await?;
            field.cluster.disk(node).wipe()?;
            copy_folder(&copy, &field.cluster.data_dir(node))?;
            fs::remove_dir_all(&copy)?;
            start_damaged(field, node).await
        })
    }
}
