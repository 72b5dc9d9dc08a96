//! The groups that this node has replicas of.

use std::collections::HashMap;
use std::sync::Arc;

use openraft::Raft;
use openraft::async_runtime::watch::WatchReceiver;
use parking_lot::RwLock;
use roomkeeper_storage::ReplicaStore;
use roomkeeper_types::{Epoch, ReplicaId};

use crate::group::members;
use crate::machine::MachineAdapter;
use crate::raft_types::{Types, position};
use crate::standing::Synced;
use crate::{GroupId, Member, Standing};

/// A replica that runs here.
#[derive(Clone)]
pub(crate) struct Local {
    pub(crate) replica: ReplicaId,
    pub(crate) raft: Raft<Types, MachineAdapter>,
    pub(crate) store: ReplicaStore,
    pub(crate) synced: Synced,
}

impl Local {
    /// All members of its group, as it knows them.
    pub(crate) fn members(&self) -> Vec<Member> {
        let metrics = self.raft.metrics();
        let (mut voters, learners) = members(&metrics.borrow_watched().membership_config);
        voters.extend(learners);
        voters
    }

    /// What this replica knows of others: that one which it voted for, and, where it leads, those that took its
    /// entries and with them its vote.
    pub(crate) fn others(&self) -> Vec<(ReplicaId, Standing)> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let standing =
            |last| Standing { term: Epoch(metrics.current_term), elected: true, last: Some(position(last)) };
        let matched = metrics.replication.iter().flatten();
        let matched = matched.filter(|(replica, _)| **replica != self.replica.0);
        let followers =
            matched.filter_map(|(replica, last)| Some((ReplicaId(*replica), standing(last.as_ref()?))));
        let candidate = self.synced.candidate().filter(|(candidate, _)| *candidate != self.replica);
        followers.chain(candidate).collect()
    }
}

/// Replicas by group. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Registry(Arc<RwLock<HashMap<GroupId, Local>>>);

impl Registry {
    pub(crate) fn get(&self, group: GroupId) -> Option<Local> {
        self.0.read().get(&group).cloned()
    }

    pub(crate) fn insert(&self, group: GroupId, local: Local) {
        self.0.write().insert(group, local);
    }

    pub(crate) fn all(&self) -> Vec<Local> {
        self.0.read().values().cloned().collect()
    }

    /// Takes out this replica, if it is the group's.
    pub(crate) fn take_replica(&self, group: GroupId, replica: ReplicaId) -> Option<Local> {
        let mut locals = self.0.write();
        let same = locals.get(&group).is_some_and(|local| local.replica == replica);
        if same { locals.remove(&group) } else { None }
    }

    /// Takes out all, for shutdown.
    pub(crate) fn take(&self) -> Vec<Local> {
        self.0.write().drain().map(|(_, local)| local).collect()
    }
}
