//! The groups that this node has replicas of.

use std::collections::HashMap;
use std::sync::Arc;

use openraft::Raft;
use parking_lot::RwLock;
use roomkeeper_storage::ReplicaStore;
use roomkeeper_types::ReplicaId;

use crate::GroupId;
use crate::machine::MachineAdapter;
use crate::raft_types::Types;

/// A replica that runs here.
#[derive(Clone)]
pub(crate) struct Local {
    pub(crate) replica: ReplicaId,
    pub(crate) raft: Raft<Types, MachineAdapter>,
    pub(crate) store: ReplicaStore,
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
