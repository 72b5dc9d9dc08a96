//! This node's replicas of shards: opened, and removed for good, as meta says.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use parking_lot::RwLock;
use roomkeeper_consensus::{Group, GroupId, Member, OpenError};
use roomkeeper_storage::ReplicaStore;
use roomkeeper_types::{LogPosition, ReplicaId, ShardCount, ShardId};
use tokio_util::sync::CancellationToken;

use super::machine::ShardMachine;
use super::stamps::Stamps;
use super::watch_ownership;
use crate::load::Traffic;
use crate::meta::MetaState;
use crate::node::Shared;
use crate::placement::initialise_shards;
use crate::quarantine::{Candidate, Verdict};

/// Replicas that are opened at the same time.
const OPEN_AT_ONCE: usize = 8;
/// Before peers that did not answer are asked again.
const ADMISSION_PAUSE: Duration = Duration::from_millis(100);

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
    pub(crate) traffic: Arc<Traffic>,
    /// The replica is about to be removed: that it stops is no failure.
    pub(crate) leaving: CancellationToken,
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

    /// Takes the replica out, if it is still this one.
    pub(crate) fn take(&self, local: &LocalShard) {
        if let Some(slot) = self.slots.get(local.shard.0 as usize) {
            slot.write().take_if(|held| held.group.replica() == local.group.replica());
        }
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

/// Opens every replica that meta puts on this node, now and later, and removes those that it does not, until the
/// node stops.
pub(crate) async fn open_shards(shared: Arc<Shared>) {
    let mut states = shared.meta.states();
    loop {
        let state = states.borrow_and_update().clone();
        remove_dropped(&shared, &state).await;
        let missing: Vec<(ShardId, Member)> = state
            .shards()
            .filter_map(|(shard, record)| Some((shard, record.on(shared.identity.node)?)))
            .filter(|(shard, member)| {
                shared.shards.get(*shard).is_none() && !shared.quarantine.holds(member.replica)
            })
            .collect();
        let admitted = admit(&shared, &state, &missing).await;
        let waiting = admitted.len() < missing.len();
        if !admitted.is_empty() {
            let opening = admitted.into_iter().map(|(shard, member)| open(shared.clone(), shard, member));
            futures::stream::iter(opening).buffer_unordered(OPEN_AT_ONCE).collect::<()>().await;
            shared.tasks.spawn_loop(initialise_shards(shared.clone()));
        }
        tokio::select! {
            () = shared.tasks.stopping() => return,
            changed = states.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(ADMISSION_PAUSE), if waiting => {}
        }
    }
}

/// Those that may be opened now. What is less than it was goes into quarantine; for the others too few of their
/// peers have answered.
async fn admit(
    shared: &Arc<Shared>,
    state: &MetaState,
    missing: &[(ShardId, Member)],
) -> Vec<(ShardId, Member)> {
    let nodes = |shard| state.shard(shard).map(|record| record.replicas.iter().map(|member| member.node));
    let candidate = |(shard, member): &(ShardId, Member)| Candidate {
        group: GroupId::Shard(*shard),
        replica: member.replica,
        nodes: nodes(*shard).into_iter().flatten().collect(),
    };
    let candidates: Vec<Candidate> = missing.iter().map(candidate).collect();
    let verdicts = shared.judge(&candidates).await;
    let mut admitted = Vec::with_capacity(missing.len());
    for ((shard, member), verdict) in missing.iter().zip(verdicts) {
        match verdict {
            Ok(Verdict::Admitted) => admitted.push((*shard, *member)),
            Ok(Verdict::Waits) => tracing::debug!(%shard, "too few peers say what they remember"),
            Ok(Verdict::Refused(reason)) => {
                shared.quarantine_shard(GroupId::Shard(*shard), member.replica, &reason);
            }
            Err(error) => refuse(shared, *shard, error),
        }
    }
    admitted
}

fn refuse(shared: &Arc<Shared>, shard: ShardId, error: OpenError) {
    match error {
        OpenError::Quarantined { replica, reason } => {
            shared.quarantine_shard(GroupId::Shard(shard), replica, &reason);
        }
        // What this node knows of meta is older than its disk: it left this node already.
        OpenError::Removed(replica) => tracing::debug!(%shard, %replica, "replica was removed before"),
        OpenError::Failed(why) => {
            shared.failure.report(format!("the replica of {shard} cannot be opened: {why}"))
        }
    }
}

async fn open(shared: Arc<Shared>, shard: ShardId, member: Member) {
    let stamps = Arc::<Stamps>::default();
    let traffic = Arc::<Traffic>::default();
    let observer = shared.observer.clone();
    let machine = ShardMachine::new(shard, shared.identity.shards, stamps.clone(), traffic.clone(), observer);
    let timing = shared.tuning.shard;
    match shared.consensus.open(GroupId::Shard(shard), member.replica, timing, machine).await {
        Ok(group) => {
            let local =
                Arc::new(LocalShard { shard, group, stamps, traffic, leaving: CancellationToken::new() });
            shared.shards.put(local.clone());
            shared.tasks.spawn(watch_ownership(shared.clone(), local));
        }
        Err(error) => refuse(&shared, shard, error),
    }
}

/// Removes the replicas that have left their groups, and those whose place on this node a newer one takes: what runs
/// first, then what is only on disk.
async fn remove_dropped(shared: &Shared, state: &MetaState) {
    let me = shared.identity.node;
    if state.was_removed(me) {
        return;
    }
    for local in shared.shards.all() {
        let replica = local.group.replica();
        let here = state.shard(local.shard).and_then(|record| record.on(me));
        if here.is_none_or(|here| here.replica > replica) {
            local.leaving.cancel();
            shared.shards.take(&local);
            remove(shared, GroupId::Shard(local.shard), replica).await;
        }
    }
    let logs = match shared.dir.log.replicas() {
        Ok(logs) => logs,
        Err(error) => return shared.failure.report(format!("the raft log cannot be read: {error}")),
    };
    let on_disk: BTreeSet<ReplicaId> = shared.dir.data.replicas().into_iter().chain(logs).collect();
    let meta = shared.meta.group().map(|group| group.replica());
    for replica in on_disk {
        // Its meta replica is this node's for as long as it runs.
        if state.was_dropped(replica) && Some(replica) != meta {
            // The group only matters for a replica that runs.
            remove(shared, GroupId::Meta, replica).await;
        }
    }
}

async fn remove(shared: &Shared, group: GroupId, replica: ReplicaId) {
    match shared.consensus.remove(group, replica).await {
        Ok(()) => tracing::info!(%group, %replica, "replica removed: it has left this node"),
        // The disk failed: nothing on it can be relied on any more.
        Err(error) => shared.failure.report(format!("{replica} cannot be removed: {error}")),
    }
}
