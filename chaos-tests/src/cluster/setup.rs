//! What a cluster is made of.

use crate::disk::DiskKind;

/// What a cluster is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setup {
    /// Nodes to start with.
    pub size: usize,
    /// Whether every node gets a network namespace of its own.
    pub bridged: bool,
    /// What each node keeps its data on.
    pub disk: DiskKind,
}

impl Setup {
    /// On loopback and in plain folders: no root needed.
    #[must_use]
    pub const fn plain(size: usize) -> Self {
        Self { size, bridged: false, disk: DiskKind::Folder }
    }
}
