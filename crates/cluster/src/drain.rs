//! A node that stops gives away what it owns first.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use futures::StreamExt;
use roomkeeper_consensus::{Role, Status};
use roomkeeper_types::{NodeId, ShardId};
use tokio::time::sleep;

use crate::Node;
use crate::handover::{HandOverError, lag};
use crate::node::Shared;

/// Shards that are handed over at the same time.
const AT_ONCE: usize = 4;
/// What could not be given away is tried again after so long.
const RETRY: Duration = Duration::from_millis(100);

/// What [`Node::drain`] came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drained {
    /// Shards that others own now.
    pub handed_over: usize,
    /// Shards that this node still owns, and why: no other replica can take them.
    pub left: Vec<(ShardId, String)>,
}

impl Node {
    /// Gives all shards that this node owns, and meta's leadership, to other nodes, and takes none any more. To be
    /// called before [`Node::shutdown`]; clients are still served, and told where to go. A shard that no other
    /// replica can take stays until the deadline, or less long if no other node is there.
    pub async fn drain(&self, deadline: Instant) -> Drained {
        self.shared.drain(deadline).await
    }
}

impl Shared {
    async fn drain(&self, deadline: Instant) -> Drained {
        self.pings.set_leaving();
        let mut handed_over = BTreeSet::new();
        loop {
            let owned: Vec<ShardId> = self.table.held().iter().map(|held| held.shard()).collect();
            let mut owners = self.owned_by_others();
            let plan: Vec<(ShardId, Option<NodeId>)> =
                owned.iter().map(|shard| (*shard, self.heir(*shard, &mut owners))).collect();
            let moves = plan.into_iter().map(|(shard, heir)| async move {
                match heir {
                    Some(to) => (shard, self.hand_over(shard, to, "this node stops").await),
                    None => (shard, Err(HandOverError::NoHeir)),
                }
            });
            let results: Vec<_> = futures::stream::iter(moves).buffer_unordered(AT_ONCE).collect().await;
            let mut left = Vec::new();
            for (shard, result) in results {
                match result {
                    Ok(()) => drop(handed_over.insert(shard)),
                    Err(error) => left.push((shard, error.to_string())),
                }
            }
            let leads_meta = self.meta.leads() && !self.leave_meta().await;
            let done = left.is_empty() && !leads_meta;
            if done || self.nobody_stays() || Instant::now() + RETRY >= deadline {
                return Drained { handed_over: handed_over.len(), left };
            }
            sleep(RETRY).await;
        }
    }

    /// Whether there is no other node that is there and goes on: it is the only one, or all stop together.
    fn nobody_stays(&self) -> bool {
        let stays = |node: &NodeId| self.pings.is_alive(*node) && !self.pings.is_leaving(*node);
        !self.other_nodes().iter().any(stays)
    }

    /// How many shards every other node owns.
    fn owned_by_others(&self) -> BTreeMap<NodeId, usize> {
        let mut owners: BTreeMap<NodeId, usize> =
            self.other_nodes().into_iter().map(|node| (node, 0)).collect();
        for fact in self.table.facts() {
            if let Some(count) = owners.get_mut(&fact.owner) {
                *count += 1;
            }
        }
        owners
    }

    /// Who should own the shard instead: the ring's choice, else who owns least.
    fn heir(&self, shard: ShardId, owners: &mut BTreeMap<NodeId, usize>) -> Option<NodeId> {
        let status = self.shards.get(shard)?.group.status();
        let fit = self.fit_voters(&status);
        let preferred = self.meta.state().shard(shard).map(|record| record.preferred);
        let heir = preferred.filter(|node| fit.contains(node)).or_else(|| {
            fit.iter().copied().min_by_key(|node| (owners.get(node).copied().unwrap_or_default(), *node))
        })?;
        *owners.entry(heir).or_default() += 1;
        Some(heir)
    }

    /// Nodes of other voters that may be given leadership, the least behind first where it matters.
    fn fit_voters(&self, status: &Status) -> Vec<NodeId> {
        let me = self.identity.node;
        let mut fit: Vec<_> = status
            .voters
            .iter()
            .filter(|voter| voter.node != me && self.not_fit(voter.node).is_none())
            .map(|voter| (lag(status, *voter), voter.node))
            .collect();
        fit.sort_unstable();
        fit.into_iter().map(|(_, node)| node).collect()
    }

    /// Whether another node leads meta now, or can be left to.
    async fn leave_meta(&self) -> bool {
        let Some(group) = self.meta.group() else { return true };
        let status = group.status();
        if status.role != Role::Leader {
            return true;
        }
        let Some(heir) = self.fit_voters(&status).first().copied() else { return status.voters.len() <= 1 };
        match self.hand_over_meta(heir, "this node stops").await {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(%error, "meta's leadership is not handed over yet");
                false
            }
        }
    }
}
