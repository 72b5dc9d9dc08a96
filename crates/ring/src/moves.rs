//! What it takes to get from one placement to another.

use roomkeeper_types::{NodeId, ShardId};

use crate::Placement;

/// What changes for one shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// The shard.
    pub shard: ShardId,
    /// Nodes that get a copy, in the new order of preference.
    pub added: Vec<NodeId>,
    /// Nodes that lose theirs, in the old order of preference.
    pub removed: Vec<NodeId>,
    /// Another preferred owner, if it is another.
    pub owner: Option<OwnerChange>,
}

/// A shard's preferred owner becomes another one. `None`: the shard is not in that placement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnerChange {
    /// The owner so far.
    pub from: Option<NodeId>,
    /// The owner to be.
    pub to: Option<NodeId>,
}

/// The shards whose nodes or preferred owner differ, in the order of their ids. Only the order of the other
/// nodes may differ in those that are left out.
#[must_use]
pub fn moves(from: &Placement, to: &Placement) -> Vec<Move> {
    let shards = from.shards.len().max(to.shards.len());
    let nodes = |placement: &Placement, shard: usize| -> Vec<NodeId> {
        placement.shards.get(shard).map(|replicas| replicas.nodes.clone()).unwrap_or_default()
    };
    let only_in = |these: &[NodeId], others: &[NodeId]| -> Vec<NodeId> {
        these.iter().copied().filter(|node| !others.contains(node)).collect()
    };
    let changes = (0..shards).zip(0..).filter_map(|(index, shard)| {
        let (before, after) = (nodes(from, index), nodes(to, index));
        let owner = OwnerChange { from: before.first().copied(), to: after.first().copied() };
        let change = Move {
            shard: ShardId(shard),
            added: only_in(&after, &before),
            removed: only_in(&before, &after),
            owner: Some(owner).filter(|owner| owner.from != owner.to),
        };
        let changes = !change.added.is_empty() || !change.removed.is_empty() || change.owner.is_some();
        changes.then_some(change)
    });
    changes.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ShardReplicas;

    fn placement(shards: &[&[u32]]) -> Placement {
        let replicas = (0..).zip(shards).map(|(shard, nodes)| ShardReplicas {
            shard: ShardId(shard),
            nodes: nodes.iter().copied().map(NodeId).collect(),
        });
        Placement { shards: replicas.collect() }
    }

    #[test]
    fn moves_between_equal_placements_are_none() {
        let placement = placement(&[&[1, 2, 3], &[2, 3, 1]]);
        assert_eq!(moves(&placement, &placement), []);
    }

    #[test]
    fn moves_name_added_and_removed_nodes_and_a_new_owner() {
        let from = placement(&[&[1, 2, 3], &[2, 3, 1], &[3, 1, 2], &[1, 2, 3]]);
        let to = placement(&[&[1, 4, 3], &[3, 2, 1], &[4, 1, 5], &[1, 3, 2]]);
        let n = NodeId;
        let owner = |from, to| Some(OwnerChange { from: Some(n(from)), to: Some(n(to)) });
        let wanted = [
            Move { shard: ShardId(0), added: vec![n(4)], removed: vec![n(2)], owner: None },
            Move { shard: ShardId(1), added: vec![], removed: vec![], owner: owner(2, 3) },
            Move {
                shard: ShardId(2),
                added: vec![n(4), n(5)],
                removed: vec![n(3), n(2)],
                owner: owner(3, 4),
            },
        ];
        assert_eq!(moves(&from, &to), wanted);
    }

    #[test]
    fn moves_from_nothing_place_every_shard() {
        let to = placement(&[&[1, 2]]);
        let owner = Some(OwnerChange { from: None, to: Some(NodeId(1)) });
        let born = Move { shard: ShardId(0), added: vec![NodeId(1), NodeId(2)], removed: vec![], owner };
        assert_eq!(moves(&Placement { shards: vec![] }, &to), [born]);
    }
}
