//! Who owns what, as far as this node knows: the highest epoch wins.
//!
//! Fed by this node's own groups, by new owners' announcements, by digests, and by what relays were answered.
//! Meta stores preferences, not facts, and has no part in this.

mod announce;
mod gossip;
mod table;

pub(crate) use announce::{Announcer, announce};
pub(crate) use gossip::gossip;
pub(crate) use table::{Known, Table};

use roomkeeper_types::{Epoch, NodeId, ShardId};

use crate::shard::Ownership;

/// Another node that owns a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The shard.
    pub shard: ShardId,
    /// The node.
    pub node: NodeId,
    /// Its client URL.
    pub url: String,
    /// Since which epoch.
    pub epoch: Epoch,
}

/// A node's ownership of a shard. What is said of one says nothing of the next, or of another shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tenure {
    /// The shard.
    pub shard: ShardId,
    /// The epoch.
    pub epoch: Epoch,
}

impl Owner {
    /// Its ownership.
    #[must_use]
    pub fn tenure(&self) -> Tenure {
        Tenure { shard: self.shard, epoch: self.epoch }
    }
}

/// Where a shard's rooms are served.
#[derive(Debug, Clone)]
pub enum Route {
    /// Here.
    Owned(Ownership),
    /// There.
    Elsewhere(Owner),
    /// Nowhere for a moment.
    Electing {
        /// The last epoch known.
        epoch: Epoch,
    },
}
