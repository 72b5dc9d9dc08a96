//! openraft's type configuration, and names for what it yields.

use std::fmt;

use bytes::Bytes;
use openraft::impls::leader_id_std;
use openraft::vote::RaftLeaderId;
use roomkeeper_types::{Epoch, LogIndex, LogPosition, NodeId};

use crate::Reply;

/// A group's command, opaque to Raft.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Payload(pub(crate) Bytes);

impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

/// Where a replica lives. Its address is looked up in meta, so that an address may change without a
/// membership change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Home(pub(crate) NodeId);

openraft::declare_raft_types!(
    /// Raft node ids are replica ids. Leader ids are the standard ones: one leader per term, so that an
    /// epoch has at most one owner.
    pub(crate) Types:
        D = Payload,
        R = Reply,
        NodeId = u64,
        Node = Home,
        LeaderId = leader_id_std::LeaderId<u64, u64>,
);

pub(crate) type Entry = openraft::alias::EntryOf<Types>;
type LeaderId = leader_id_std::LeaderId<u64, u64>;
pub(crate) type LogId = openraft::alias::LogIdOf<Types>;
pub(crate) type Vote = openraft::alias::VoteOf<Types>;
pub(crate) type Membership = openraft::Membership<u64, Home>;
pub(crate) type StoredMembership = openraft::alias::StoredMembershipOf<Types>;
pub(crate) type SnapshotMeta = openraft::alias::SnapshotMetaOf<Types>;

/// The leader of a term, as log ids name it.
pub(crate) fn committed_leader(term: u64) -> openraft::alias::CommittedLeaderIdOf<Types> {
    // With standard leader ids a committed leader is its term: the node id plays no part.
    LeaderId::new(term, 0).to_committed()
}

/// A log id of this term and index.
pub(crate) fn log_id(term: u64, index: u64) -> LogId {
    LogId { leader_id: committed_leader(term), index }
}

/// A log id as the rest of Roomkeeper names it.
pub(crate) fn position(id: &LogId) -> LogPosition {
    LogPosition { epoch: Epoch(id.leader_id.term), index: LogIndex(id.index) }
}
