//! The best known owner of every shard.

use std::sync::atomic::{AtomicU64, Ordering};

use roomkeeper_types::{Epoch, NodeId, ShardCount, ShardId};
use tokio::sync::watch;

use crate::peer::Fact;
use crate::shard::Ownership;

/// The best known owner of every shard. Each shard can be watched by itself.
pub(crate) struct Table {
    cells: Vec<watch::Sender<Known>>,
    /// Times that the epoch of a cell rose.
    raised: AtomicU64,
}

/// What is known of one shard.
///
/// - `epoch` never falls.
/// - Within an epoch the owner is learned once and never changes.
/// - `held` is of this epoch.
#[derive(Clone, Default)]
pub(crate) struct Known {
    /// The highest epoch heard of.
    pub(crate) epoch: Epoch,
    /// Its owner; `None` while it has none, or before this node heard of it.
    pub(crate) owner: Option<NodeId>,
    /// This node's ownership, where it is the owner.
    pub(crate) held: Option<Ownership>,
}

impl Table {
    pub(crate) fn new(shards: ShardCount) -> Self {
        Self { cells: shards.iter().map(|_| watch::Sender::default()).collect(), raised: AtomicU64::new(0) }
    }

    /// What is known of a shard, now.
    pub(crate) fn known(&self, shard: ShardId) -> Known {
        self.cell(shard).map(|cell| cell.borrow().clone()).unwrap_or_default()
    }

    /// Follows what is known of a shard; `None` if there is no such shard.
    pub(crate) fn watch(&self, shard: ShardId) -> Option<watch::Receiver<Known>> {
        self.cell(shard).map(watch::Sender::subscribe)
    }

    /// Takes an owner over if the epoch is higher than what is known, or had no owner so far. An ownership
    /// that this node held in a lower epoch is over. Returns whether it was news.
    pub(crate) fn learn(&self, fact: Fact) -> bool {
        let Fact { shard, epoch, owner } = fact;
        self.change(shard, |known| {
            let news = epoch > known.epoch || (epoch == known.epoch && known.owner.is_none());
            if news {
                known.raise(epoch);
                known.owner = Some(owner);
            } else if epoch == known.epoch && known.owner != Some(owner) {
                let known = known.owner;
                tracing::error!(%shard, %epoch, %owner, ?known, "an epoch has two owners");
            }
            news
        })
    }

    /// This node's own replica knows that a higher epoch began and nobody leads in it yet.
    pub(crate) fn leaderless(&self, shard: ShardId, epoch: Epoch) -> bool {
        self.change(shard, |known| {
            let news = epoch > known.epoch;
            if news {
                known.raise(epoch);
                known.owner = None;
            }
            news
        })
    }

    /// This node owns the shard now. `false`: a higher epoch is known, or the epoch is another node's.
    pub(crate) fn hold(&self, me: NodeId, ownership: Ownership) -> bool {
        let epoch = ownership.epoch();
        self.change(ownership.shard(), |known| {
            let anothers = epoch == known.epoch && known.owner.is_some_and(|owner| owner != me);
            let holds = epoch >= known.epoch && !anothers;
            if holds {
                known.raise(epoch);
                known.owner = Some(me);
                known.held = Some(ownership);
            }
            holds
        })
    }

    /// This node's ownership in the epoch is over. Who owned the epoch stays known.
    pub(crate) fn release(&self, shard: ShardId, epoch: Epoch) {
        self.change(shard, |known| known.held.take_if(|held| held.epoch() == epoch).is_some());
    }

    /// All owners known, for a digest.
    pub(crate) fn facts(&self) -> Vec<Fact> {
        self.known_facts().collect()
    }

    /// What is known here of a higher epoch than there, or not at all there.
    pub(crate) fn better_than(&self, theirs: &[Fact]) -> Vec<Fact> {
        let mut epochs = vec![Epoch(0); self.cells.len()];
        for fact in theirs {
            if let Some(epoch) = epochs.get_mut(fact.shard.0 as usize) {
                *epoch = fact.epoch.max(*epoch);
            }
        }
        self.known_facts().filter(|fact| fact.epoch > epochs[fact.shard.0 as usize]).collect()
    }

    /// The shards that have an owner now, as far as this node, `me`, knows.
    pub(crate) fn owners(&self, me: NodeId) -> impl Iterator<Item = (ShardId, NodeId)> {
        self.each().filter_map(move |(shard, cell)| Some((shard, cell.borrow().owner(me)?)))
    }

    /// The first shard without a known owner, if there is one.
    pub(crate) fn first_unknown(&self) -> Option<ShardId> {
        self.each().find(|(_, cell)| cell.borrow().owner.is_none()).map(|(shard, _)| shard)
    }

    /// How many shards are without a known owner.
    pub(crate) fn unknown(&self) -> usize {
        self.cells.iter().filter(|cell| cell.borrow().owner.is_none()).count()
    }

    /// How often a higher epoch of a shard was heard of.
    pub(crate) fn epoch_changes(&self) -> u64 {
        self.raised.load(Ordering::Relaxed)
    }

    /// Shards that this node holds.
    pub(crate) fn held(&self) -> Vec<Ownership> {
        self.cells.iter().filter_map(|cell| cell.borrow().held.clone()).collect()
    }

    fn known_facts(&self) -> impl Iterator<Item = Fact> {
        self.each().filter_map(|(shard, cell)| {
            let known = cell.borrow();
            Some(Fact { shard, epoch: known.epoch, owner: known.owner? })
        })
    }

    fn each(&self) -> impl Iterator<Item = (ShardId, &watch::Sender<Known>)> {
        (0..).map(ShardId).zip(&self.cells)
    }

    fn cell(&self, shard: ShardId) -> Option<&watch::Sender<Known>> {
        self.cells.get(shard.0 as usize)
    }

    fn change(&self, shard: ShardId, change: impl FnOnce(&mut Known) -> bool) -> bool {
        self.cell(shard).is_some_and(|cell| {
            cell.send_if_modified(|known| {
                let before = known.epoch;
                let changed = change(known);
                if known.epoch > before {
                    self.raised.fetch_add(1, Ordering::Relaxed);
                }
                changed
            })
        })
    }
}

impl Known {
    /// Whether this node owns the shard just now.
    pub(crate) fn holds(&self) -> bool {
        self.held.as_ref().is_some_and(Ownership::is_current)
    }

    /// Who owns the shard now, as far as this node, `me`, knows. That it leads is not enough to own.
    pub(crate) fn owner(&self, me: NodeId) -> Option<NodeId> {
        self.owner.filter(|owner| *owner != me || self.holds())
    }

    /// Goes on to an epoch that is not lower. What this node held before is over.
    fn raise(&mut self, epoch: Epoch) {
        self.epoch = epoch;
        if let Some(held) = self.held.take() {
            held.end();
        }
    }
}

#[cfg(test)]
#[path = "table_test.rs"]
mod tests;
