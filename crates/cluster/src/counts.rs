//! What a node counts, for its operators' monitoring. Plain figures: how they are named and shown is not known here.

use roomkeeper_consensus::Role;
use roomkeeper_storage::SyncTimes;

use crate::Node;
use crate::events::EventKind;
use crate::map::lag;
use crate::node::Shared;

/// Figures of a node: counted since its start, or as they are now.
#[derive(Debug, Clone)]
pub struct Counts {
    /// Shards that this node owns.
    pub shards_owned: usize,
    /// Shards of which it runs a replica.
    pub shards_held: usize,
    /// Shards of which it knows no owner.
    pub shards_without_owner: usize,
    /// Times that it heard of a higher epoch of any shard.
    pub epoch_changes: u64,
    /// What happened to ownership and replicas, as this node saw it, by kind.
    pub events: Vec<(EventKind, u64)>,
    /// Of the replicas here that are furthest from having applied their log: entries that are not.
    pub apply_lag_max: u64,
    /// Of the replicas elsewhere of shards owned here that are furthest behind: entries of the log.
    pub replication_lag_max: u64,
    /// Memory that holds rows which are not on disk yet, of all replicas here, about.
    pub unflushed_bytes: u64,
    /// Nodes of the cluster, this one included.
    pub nodes: usize,
    /// Those of them that were heard within the last 3 s.
    pub nodes_alive: usize,
    /// Writes are refused, as the disk is full.
    pub disk_full: bool,
    /// Synced writes of the raft log.
    pub syncs: SyncTimes,
    /// How long the write that the disk is in has taken so far, in seconds; 0 without one.
    pub sync_stalled_seconds: f64,
}

impl Node {
    /// What the node counts. Costs about as much as [`Node::map`].
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.shared.counts()
    }
}

impl Shared {
    fn counts(&self) -> Counts {
        let held = self.shards.all();
        let (mut apply_lag_max, mut replication_lag_max, mut unflushed_bytes) = (0, 0, 0);
        for local in &held {
            let status = local.group.status();
            let last = status.last.map_or(0, |last| last.get());
            let applied = status.applied.map_or(0, |applied| applied.index.get());
            unflushed_bytes += local.group.store().unflushed_bytes();
            apply_lag_max = apply_lag_max.max(last.saturating_sub(applied));
            if status.role == Role::Leader {
                let lags = status.matched.keys().filter_map(|replica| lag(&status, *replica));
                replication_lag_max = replication_lag_max.max(lags.max().unwrap_or(0));
            }
        }
        let state = self.meta.state();
        let alive = |node| node == self.identity.node || self.pings.is_alive(node);
        let log = &self.dir.log;
        Counts {
            shards_owned: self.table.held().iter().filter(|held| held.is_current()).count(),
            shards_held: held.len(),
            shards_without_owner: self.table.unknown(),
            epoch_changes: self.table.epoch_changes(),
            events: self.events.counts(),
            apply_lag_max,
            replication_lag_max,
            unflushed_bytes,
            nodes: state.nodes.len(),
            nodes_alive: state.nodes.keys().filter(|node| alive(**node)).count(),
            disk_full: self.space.is_full(),
            syncs: log.sync_times(),
            sync_stalled_seconds: log.sync_stalled_for().as_secs_f64(),
        }
    }
}
