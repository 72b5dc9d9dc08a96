//! This node's replicas of shards: opened as meta says.

use std::sync::Arc;

use futures::StreamExt;
use parking_lot::RwLock;
use roomkeeper_consensus::{Group, GroupId, Member};
use roomkeeper_storage::ReplicaStore;
use roomkeeper_types::{LogPosition, ReplicaId, ShardCount, ShardId};

use super::machine::ShardMachine;
use super::stamps::Stamps;
use super::watch_ownership;
use crate::node::Shared;
use crate::placement::initialise_shards;

/// Replicas that are opened at the same time.
const OPEN_AT_ONCE: usize = 8;

/// This node's own copy of a shard, whoever owns it.
pub struct LocalCopy {
    /// Which replica.
    pub replica: ReplicaId,
    /// The last entry applied to it.
    pub applied: Option<LogPosition>,
    /// Its rows.
    pub store: ReplicaStore,
}

/// A replica that runs here.
pub(crate) struct LocalShard {
    pub(crate) shard: ShardId,
    pub(crate) group: Group,
    pub(crate) stamps: Arc<Stamps>,
}

/// All replicas that run here.
pub(crate) struct Shards {
    slots: Vec<RwLock<Option<Arc<LocalShard>>>>,
}

impl Shards {
    pub(crate) fn new(shards: ShardCount) -> Self {
        Self { slots: shards.iter().map(|_| RwLock::default()).collect() }
    }

    pub(crate) fn get(&self, shard: ShardId) -> Option<Arc<LocalShard>> {
        self.slots.get(shard.0 as usize)?.read().clone()
    }

    /// Every replica that runs here.
    pub(crate) fn all(&self) -> Vec<Arc<LocalShard>> {
        self.slots.iter().filter_map(|slot| slot.read().clone()).collect()
    }

    fn put(&self, local: Arc<LocalShard>) {
        if let Some(slot) = self.slots.get(local.shard.0 as usize) {
            *slot.write() = Some(local);
        }
    }
}

impl LocalShard {
    pub(crate) fn copy(&self) -> LocalCopy {
        LocalCopy {
            replica: self.group.replica(),
            applied: self.group.status().applied,
            store: self.group.store().clone(),
        }
    }
}

/// Opens every replica that meta puts on this node, now and later, until the node stops.
pub(crate) async fn open_shards(shared: Arc<Shared>) {
    let mut states = shared.meta.states();
    loop {
        let state = states.borrow_and_update().clone();
        let missing: Vec<(ShardId, Member)> = state
            .shards()
            .filter_map(|(shard, record)| Some((shard, record.on(shared.identity.node)?)))
            .filter(|(shard, _)| shared.shards.get(*shard).is_none())
            .collect();
        if !missing.is_empty() {
            let opening = missing.into_iter().map(|(shard, member)| open(shared.clone(), shard, member));
            futures::stream::iter(opening).buffer_unordered(OPEN_AT_ONCE).collect::<()>().await;
            shared.tasks.spawn_loop(initialise_shards(shared.clone()));
        }
        tokio::select! {
            () = shared.tasks.stopping() => return,
            changed = states.changed() => if changed.is_err() { return },
        }
    }
}

async fn open(shared: Arc<Shared>, shard: ShardId, member: Member) {
    let stamps = Arc::<Stamps>::default();
    let machine = ShardMachine::new(shard, shared.identity.shards, stamps.clone(), shared.observer.clone());
    let timing = shared.tuning.shard;
    match shared.consensus.open(GroupId::Shard(shard), member.replica, timing, machine).await {
        Ok(group) => {
            let local = Arc::new(LocalShard { shard, group, stamps });
            shared.shards.put(local.clone());
            shared.tasks.spawn(watch_ownership(shared.clone(), local));
        }
        // What is on disk cannot be read: this does not pass.
        Err(error) => shared.failure.report(format!("the replica of {shard} cannot be opened: {error}")),
    }
}
