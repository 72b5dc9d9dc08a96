//! What meta keeps of one shard.

use std::collections::BTreeSet;
use std::fmt;

use roomkeeper_consensus::Member;
use roomkeeper_types::{NodeId, ReplicaId};
use serde::{Deserialize, Serialize};

/// Counts the plans that a shard has had. Whoever changes or reports one names the version that it looked at.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub(crate) struct PlanVersion(pub(crate) u64);

/// One shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ShardRecord {
    /// Its replicas. Without a plan: exactly those of its group, in order of preference. With one: all that the
    /// group may have now, and those that it is to have. A node may have two, the newer one in the place of one
    /// that is lost.
    pub(crate) replicas: Vec<Member>,
    /// The node that should own it.
    pub(crate) preferred: NodeId,
    /// Its group has had an owner: nobody may initialise it again.
    pub(crate) born: bool,
    /// The version of its plan, or of the last one that it had.
    pub(crate) version: PlanVersion,
    /// Where it is moving, if it is.
    pub(crate) plan: Option<Plan>,
    /// Those of its replicas that are lost: they are never wanted again.
    pub(crate) lost: BTreeSet<ReplicaId>,
}

/// Which replicas a shard's group is to have. Its owner brings that about; what it has to do next follows from the
/// group's present members, so that any owner can go on where another one was cut off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// The replicas that the group had when it was last known to have exactly those of its record.
    pub(crate) from: Vec<Member>,
    /// In order of preference; the first one's node should own the shard.
    pub(crate) target: Vec<Member>,
}

impl ShardRecord {
    /// As it is placed.
    pub(crate) fn unborn(replicas: Vec<Member>, preferred: NodeId) -> Self {
        Self {
            replicas,
            preferred,
            born: false,
            version: PlanVersion::default(),
            plan: None,
            lost: BTreeSet::new(),
        }
    }

    /// The replica on this node, if it has one. Of two the newer one: the other one is lost.
    pub(crate) fn on(&self, node: NodeId) -> Option<Member> {
        let here = self.replicas.iter().filter(|member| member.node == node);
        here.max_by_key(|member| member.replica).copied()
    }

    pub(crate) fn has(&self, replica: ReplicaId) -> bool {
        self.replicas.iter().any(|member| member.replica == replica)
    }

    /// The replicas that the group is to have, in order of preference.
    pub(crate) fn wanted(&self) -> &[Member] {
        self.plan.as_ref().map_or(&self.replicas, |plan| &plan.target)
    }
}

/// Those of a group's replicas that vote: an odd number of them, in order of preference. With two replicas one votes
/// and the other learns: two voters would fail twice as often as one.
pub(crate) fn voters<T>(replicas: &[T]) -> &[T] {
    let count = replicas.len();
    let odd = if count.is_multiple_of(2) { count.saturating_sub(1) } else { count };
    &replicas[..odd]
}

impl fmt::Display for PlanVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}", self.0)
    }
}
