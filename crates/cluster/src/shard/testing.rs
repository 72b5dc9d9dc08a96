//! Parts that several tests here use.

use std::collections::BTreeMap;
use std::time::Instant;

use roomkeeper_consensus::{Member, Role, Status};
use roomkeeper_types::{Epoch, NodeId, ReplicaId};

pub(crate) fn member(number: u32) -> Member {
    Member { replica: ReplicaId(u64::from(number) * 10), node: NodeId(number) }
}

/// The status of an owner: replica 10 on node 1, of three.
pub(crate) fn leader_status(epoch: u64, quorum_acked: Instant) -> Status {
    Status {
        role: Role::Leader,
        epoch: Epoch(epoch),
        leader: Some(member(1)),
        term_applied: true,
        quorum_acked: Some(quorum_acked),
        last: None,
        applied: None,
        voters: vec![member(1), member(2), member(3)],
        learners: vec![],
        matched: BTreeMap::new(),
        stopped: None,
    }
}
