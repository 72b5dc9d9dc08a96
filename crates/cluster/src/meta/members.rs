//! How nodes leave, and come back.

use roomkeeper_types::{NodeId, ReplicaId};

use super::{MetaReply, MetaState, NodeRecord, NodeState, Refusal};

impl MetaState {
    pub(super) fn drain(&mut self, node: NodeId) -> Result<MetaReply, Refusal> {
        self.node(node)?;
        self.check_others(node)?;
        self.node(node)?.state = NodeState::Draining;
        Ok(MetaReply::Done)
    }

    pub(super) fn undrain(&mut self, node: NodeId) -> Result<MetaReply, Refusal> {
        let record = self.node(node)?;
        if record.state == NodeState::Draining {
            record.state = NodeState::Active;
        }
        Ok(MetaReply::Done)
    }

    pub(super) fn lose(&mut self, node: NodeId) -> Result<MetaReply, Refusal> {
        let record = self.node(node)?;
        // What drains is moved off anyway.
        if record.state == NodeState::Active {
            record.state = NodeState::Lost;
        }
        Ok(MetaReply::Done)
    }

    pub(super) fn find(&mut self, node: NodeId) -> Result<MetaReply, Refusal> {
        let record = self.node(node)?;
        if record.state == NodeState::Lost {
            record.state = NodeState::Active;
        }
        Ok(MetaReply::Done)
    }

    pub(super) fn remove(&mut self, node: NodeId, force: bool) -> Result<MetaReply, Refusal> {
        if self.was_removed(node) {
            return Ok(MetaReply::Done);
        }
        self.node(node)?;
        self.check_others(node)?;
        let replicas = self.replicas_on(node);
        if replicas > 0 && !force {
            return Err(Refusal::StillHolds { node, replicas });
        }
        // Its replicas stay in the shards' records until plans have replaced them.
        self.nodes.remove(&node);
        Ok(MetaReply::Done)
    }

    /// How many replicas of shards the node has, or is to have.
    pub(crate) fn replicas_on(&self, node: NodeId) -> u32 {
        let held = self.shards.iter().filter(|record| record.on(node).is_some()).count();
        u32::try_from(held).unwrap_or(u32::MAX)
    }

    /// The node of a replica, of a shard or of meta.
    pub(crate) fn node_of(&self, replica: ReplicaId) -> Option<NodeId> {
        let of_meta = self.nodes.iter().find(|(_, record)| record.has_meta(replica)).map(|(node, _)| *node);
        let mut members = self.shards.iter().flat_map(|record| &record.replicas);
        of_meta.or_else(|| members.find(|member| member.replica == replica).map(|member| member.node))
    }

    /// Somebody else may hold shards.
    fn check_others(&self, node: NodeId) -> Result<(), Refusal> {
        let may_hold = |record: &NodeRecord| record.state == NodeState::Active && record.spec.weight > 0;
        let other = self.nodes.iter().any(|(other, record)| *other != node && may_hold(record));
        if other { Ok(()) } else { Err(Refusal::LastNode(node)) }
    }

    fn node(&mut self, node: NodeId) -> Result<&mut NodeRecord, Refusal> {
        self.nodes.get_mut(&node).ok_or(Refusal::UnknownNode(node))
    }
}
