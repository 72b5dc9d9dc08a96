//! Who takes part in a placement.

use roomkeeper_types::NodeId;

/// A node as placement sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The node.
    pub node: NodeId,
    /// Its share of the load relative to the others', 1 by default: it has 128 points on the ring for each.
    /// 0: it gets no shard (it is being drained). At most [`Member::WEIGHT_MAX`].
    pub weight: u32,
    /// What it fails together with: a rack, a room, a power supply. Copies of a shard are kept in different
    /// zones as far as there are enough of them. A node without a zone is a zone of its own.
    pub zone: Option<String>,
    /// It does not answer now: it keeps the copies that it has, and [`rebalance`](crate::rebalance) gives it no
    /// further ones. [`place`](crate::place), which knows of no copies yet, makes no difference.
    pub silent: bool,
}

impl Member {
    /// The largest weight.
    pub const WEIGHT_MAX: u32 = 100;

    /// A member of weight 1 without a zone, that answers.
    #[must_use]
    pub const fn new(node: NodeId) -> Self {
        Self { node, weight: 1, zone: None, silent: false }
    }
}

/// No placement can be computed. Asking again with the same members does not help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RingError {
    /// No member has a weight above 0.
    #[error("there is no node to place shards on")]
    NoMembers,
    /// Zero copies were asked for.
    #[error("a shard has at least one replica")]
    NoReplicas,
    /// A node is listed twice.
    #[error("node {0} is listed twice")]
    DuplicateNode(NodeId),
    /// A weight is above [`Member::WEIGHT_MAX`].
    #[error("node {node} has weight {weight}, but the largest is {max}", max = Member::WEIGHT_MAX)]
    Weight {
        /// The node.
        node: NodeId,
        /// Its weight.
        weight: u32,
    },
}
