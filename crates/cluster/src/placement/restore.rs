//! At a shard's owner: the shard goes back to the node that should own it, once that one is well and stays so. One
//! after the other, with pauses, so that a node that comes back is not handed everything at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use roomkeeper_types::{NodeId, ShardId};

use super::steps::has_caught_up;
use crate::meta::{MetaState, NodeState, ShardRecord};
use crate::node::Shared;

/// How often an owner looks whether others should own its shards.
const TICK: Duration = Duration::from_millis(250);
/// First and longest pause after a shard was given back, or could not be: it doubles whenever it has to be given
/// again soon, so that a node that is only well for a while does not flap owners.
const AGAIN_MIN: Duration = Duration::from_secs(5);
const AGAIN_MAX: Duration = Duration::from_secs(600);

/// Gives shards back to the nodes that should own them.
pub(crate) async fn restore_owners(shared: Arc<Shared>) {
    let mut well_since: BTreeMap<NodeId, Instant> = BTreeMap::new();
    let mut patience = Patience::default();
    loop {
        let state = shared.meta.state();
        let now = Instant::now();
        for node in state.nodes.keys() {
            if shared.is_well(*node) {
                well_since.entry(*node).or_insert(now);
            } else {
                well_since.remove(node);
            }
        }
        let is_ready = |node: NodeId| {
            well_since.get(&node).is_some_and(|since| now - *since >= shared.tuning.restore_after)
        };
        let mut pause = TICK;
        if let Some((shard, to)) =
            next(&shared, &state, |shard, node| is_ready(node) && patience.allows(shard, now))
        {
            patience.used(shard, now);
            // Its event tells how it went.
            let done = shared.hand_over(shard, to, "the ring's choice is well again").await;
            tracing::debug!(%shard, %to, ?done, "given back");
            pause = shared.tuning.restore_interval;
        }
        tokio::time::sleep(pause).await;
    }
}

/// The first shard that can be given back now, and to whom.
fn next(
    shared: &Shared,
    state: &MetaState,
    may: impl Fn(ShardId, NodeId) -> bool,
) -> Option<(ShardId, NodeId)> {
    let me = shared.identity.node;
    shared.table.held().into_iter().map(|held| held.shard()).find_map(|shard| {
        let record = state.shard(shard).filter(|record| is_restorable(state, record, me))?;
        let to = record.preferred;
        let status = shared.shards.get(shard)?.group.status();
        let heir = status.voters.iter().find(|voter| voter.node == to)?;
        (has_caught_up(heir, &status) && may(shard, to)).then_some((shard, to))
    })
}

/// Whether another node should own the shard, and it is not on its way anyway.
fn is_restorable(state: &MetaState, record: &ShardRecord, me: NodeId) -> bool {
    let active = state.nodes.get(&record.preferred).is_some_and(|node| node.state == NodeState::Active);
    record.preferred != me && record.plan.is_none() && active
}

/// When each shard may be given back next.
#[derive(Debug, Default)]
struct Patience {
    shards: BTreeMap<ShardId, (Instant, Duration)>,
}

impl Patience {
    fn allows(&self, shard: ShardId, now: Instant) -> bool {
        self.shards.get(&shard).is_none_or(|(used, pause)| now >= *used + *pause)
    }

    fn used(&mut self, shard: ShardId, now: Instant) {
        let pause = match self.shards.get(&shard) {
            Some((used, pause)) if now < *used + *pause * 4 => (*pause * 2).min(AGAIN_MAX),
            _ => AGAIN_MIN,
        };
        self.shards.insert(shard, (now, pause));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shard_that_comes_back_soon_waits_longer_each_time() {
        let (mut patience, start, shard) = (Patience::default(), Instant::now(), ShardId(3));
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(patience.allows(shard, start));
        patience.used(shard, start);
        assert!(!patience.allows(shard, at(4)) && patience.allows(shard, at(5)));
        patience.used(shard, at(6));
        assert!(!patience.allows(shard, at(15)) && patience.allows(shard, at(16)));
        assert!(patience.allows(ShardId(4), at(7)), "others do not wait for it");
        // Long after that it begins anew.
        patience.used(shard, at(100));
        assert!(patience.allows(shard, at(105)));
    }
}
