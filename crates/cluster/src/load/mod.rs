//! How much each node has to do, so that a room can be put where there is the least.
//!
//! Every node measures itself once a second ([`meter`]) and tells all others with its digests ([`report`]). What it
//! hears is good for `load_age_max`. Nothing here moves anything: it answers where a new room would be well placed
//! ([`choose`]).

mod choose;
mod figures;
mod meter;
mod report;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use roomkeeper_types::{NodeId, ShardId};
use serde::Serialize;

use self::choose::{Candidate, choose};
pub use self::figures::Load;
pub(crate) use self::meter::{Traffic, measure_load};
pub(crate) use self::report::Report;
use crate::meta::NodeState;
use crate::node::{Node, Shared};

/// What a node has to do, as it said itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct NodeLoad {
    /// All of it, rooms of other nodes that it fans out included.
    #[serde(flatten)]
    pub load: Load,
    /// Milliseconds since it said so.
    pub age_ms: u64,
}

/// What this node knows of every node's load, its own included.
#[derive(Default)]
pub(crate) struct Loads {
    reports: Mutex<BTreeMap<NodeId, (Report, Instant)>>,
    /// Counts placements: those that are equally good take turns.
    turn: AtomicU64,
}

impl Loads {
    /// A node told what it has to do.
    pub(crate) fn learn(&self, node: NodeId, report: Report) {
        self.reports.lock().insert(node, (report, Instant::now()));
    }

    /// What a node said last.
    pub(crate) fn report(&self, node: NodeId) -> Option<Report> {
        self.reports.lock().get(&node).map(|(report, _)| report.clone())
    }

    /// What a node has to do.
    pub(crate) fn load(&self, node: NodeId) -> Option<NodeLoad> {
        let reports = self.reports.lock();
        let (report, at) = reports.get(&node)?;
        let age_ms = u64::try_from(at.elapsed().as_millis()).unwrap_or(u64::MAX);
        Some(NodeLoad { load: report.total, age_ms })
    }

    /// Forgets nodes that are not of the cluster any more.
    pub(crate) fn retain(&self, is_member: impl Fn(NodeId) -> bool) {
        self.reports.lock().retain(|node, _| is_member(*node));
    }

    /// A node with these shards, as something to choose from. What it said before `age_max` does not count.
    fn candidate(&self, node: NodeId, weight: u32, shards: &[ShardId], age_max: Duration) -> Candidate {
        let reports = self.reports.lock();
        let report = reports.get(&node).filter(|(_, at)| at.elapsed() <= age_max).map(|(report, _)| report);
        let of_shard = |shard: &ShardId| {
            let known = report.and_then(|report| report.shards.get(shard));
            (*shard, known.copied().unwrap_or_default())
        };
        Candidate {
            weight,
            total: report.map(|report| report.total),
            shards: shards.iter().map(of_shard).collect(),
        }
    }
}

impl Node {
    /// What every node has to do, as far as this one heard of it.
    #[must_use]
    pub fn loads(&self) -> BTreeMap<NodeId, NodeLoad> {
        let nodes = self.shared.meta.state();
        nodes.nodes.keys().filter_map(|node| Some((*node, self.shared.loads.load(*node)?))).collect()
    }

    /// A shard for a new room: of the least loaded node the least loaded one, among equals each in turn. All nodes
    /// count as equal while the figures of any of them are older than `load_age_max`. Nodes that are silent, stop or
    /// drain get none. `None`: no node is known to own a shard.
    #[must_use]
    pub fn least_loaded_shard(&self) -> Option<ShardId> {
        self.shared.least_loaded_shard()
    }
}

impl Shared {
    pub(crate) fn least_loaded_shard(&self) -> Option<ShardId> {
        let mut owned: BTreeMap<NodeId, Vec<ShardId>> = BTreeMap::new();
        for (shard, owner) in self.table.owners(self.identity.node) {
            owned.entry(owner).or_default().push(shard);
        }
        let state = self.meta.state();
        let candidates: Vec<Candidate> = owned
            .iter()
            .filter_map(|(node, shards)| {
                let record = state.nodes.get(node)?;
                let fit = record.state == NodeState::Active && self.is_well(*node);
                let age_max = self.tuning.load_age_max;
                fit.then(|| self.loads.candidate(*node, record.spec.weight, shards, age_max))
            })
            .collect();
        choose(&candidates, self.loads.turn.fetch_add(1, Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_that_are_too_old_are_unknown() {
        let (loads, node) = (Loads::default(), NodeId(1));
        let load = Load { subscribers: 3, ..Load::default() };
        let shards = [ShardId(0), ShardId(1)];
        let owned = std::collections::BTreeSet::from([ShardId(0)]);
        let candidate = |age_max| loads.candidate(node, 1, &shards, age_max);
        assert_eq!(candidate(Duration::MAX).total, None);
        loads.learn(node, Report::new(BTreeMap::from([(ShardId(0), load)]), &owned));
        assert_eq!(candidate(Duration::MAX).total, Some(load));
        assert_eq!(candidate(Duration::MAX).shards, [(ShardId(0), load), (ShardId(1), Load::default())]);
        std::thread::sleep(Duration::from_millis(2));
        assert_eq!(candidate(Duration::from_millis(1)).total, None);
        loads.retain(|_| false);
        assert_eq!(loads.load(node), None);
    }
}
