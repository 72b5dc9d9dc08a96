//! Parts that several tests here use.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::BoxFuture;
use roomkeeper_consensus::{GroupError, Member, ProposeError, Reply, Role, Status};
use roomkeeper_storage::DataStore;
use roomkeeper_types::{Epoch, LogPosition, NodeId, ReplicaId, ShardId};
use tempfile::TempDir;

use super::Ownership;
use super::batcher::ShardGroup;
use crate::config::Tuning;

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
        members_at: None,
        joint: false,
        matched: BTreeMap::new(),
        stopped: None,
    }
}

/// A group that leads nothing.
struct NoGroup;

impl ShardGroup for NoGroup {
    fn propose(&self, _: Epoch, _: Bytes) -> BoxFuture<'_, Result<(LogPosition, Reply), ProposeError>> {
        Box::pin(async { Err(ProposeError::NotLeader) })
    }

    fn read_index(&self) -> BoxFuture<'_, Result<(), GroupError>> {
        Box::pin(async { Err(GroupError("no group".to_owned())) })
    }
}

/// Ownerships over a store that is there and a group that is not.
pub(crate) struct Ownerships {
    data: DataStore,
    _dir: TempDir,
}

impl Ownerships {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { data: DataStore::open(dir.path()).unwrap(), _dir: dir }
    }

    /// Removes the store that they are over.
    pub(crate) fn remove(&self) {
        self.data.remove(ReplicaId(1)).unwrap();
    }

    /// One that holds for a minute unless it is ended.
    pub(crate) fn begin(&self, shard: u32, epoch: u64) -> Ownership {
        let claim = (Epoch(epoch), Instant::now() + Duration::from_secs(60));
        let store = self.data.replica(ReplicaId(1)).unwrap();
        let tuning = Tuning::default();
        Ownership::begin(
            ShardId(shard),
            claim,
            Arc::new(NoGroup),
            store,
            Arc::default(),
            &tuning,
            Arc::default(),
        )
        .0
    }
}
