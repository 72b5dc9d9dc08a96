//! A running node: what it is made of, and the handle that the gateway holds.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use roomkeeper_consensus::{Consensus, Role};
use roomkeeper_types::{Epoch, NodeId, RoomName, ShardCount, ShardId};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::Observer;
use crate::config::Tuning;
use crate::datadir::DataDir;
use crate::events::{Events, Recorded};
use crate::failover::Failover;
use crate::identity::{Identity, StoredIdentity};
use crate::load::Loads;
use crate::map::ClusterMap;
use crate::meta::NodeSpec;
use crate::meta::client::Meta;
use crate::peer::Fact;
use crate::pings::{Cause, PingThread, Pings};
use crate::quarantine::Quarantine;
use crate::router::{Announcer, Known, Owner, Route, Table};
use crate::shard::{LocalCopy, Shards};
use crate::space::Space;
use crate::tasks::{Failure, Tasks};

/// How long the peer service may take to end once all groups have stopped: peers may hold streams open.
const SERVE_GRACE: Duration = Duration::from_secs(1);

/// A suspicion younger than this is about to be acted upon by a majority, or to be dropped.
const SUSPICION_NEW: Duration = Duration::from_secs(1);

/// Everything that a node's tasks share.
pub(crate) struct Shared {
    pub(crate) identity: StoredIdentity,
    pub(crate) shown: Identity,
    pub(crate) spec: NodeSpec,
    pub(crate) tuning: Tuning,
    pub(crate) dir: DataDir,
    pub(crate) consensus: Consensus,
    pub(crate) meta: Meta,
    pub(crate) shards: Shards,
    pub(crate) table: Table,
    pub(crate) announcer: Announcer,
    pub(crate) loads: Loads,
    pub(crate) pings: Pings,
    pub(crate) failover: Failover,
    pub(crate) events: Events,
    pub(crate) observer: Arc<dyn Observer>,
    /// Woken when this node becomes the owner of a shard: it may be a shard's first.
    pub(crate) births: Notify,
    pub(crate) quarantine: Quarantine,
    pub(crate) space: Arc<Space>,
    /// The identity as it is on disk now; `identity` is as it was at the start.
    pub(crate) stored: Mutex<StoredIdentity>,
    pub(crate) tasks: Tasks,
    pub(crate) failure: Failure,
    pub(crate) serving: Mutex<Option<JoinHandle<()>>>,
    pub(crate) ping_thread: Mutex<Option<PingThread>>,
}

/// A running node. Cheap to clone. It runs until [`Node::shutdown`], also without a handle.
#[derive(Clone)]
pub struct Node {
    pub(crate) shared: Arc<Shared>,
}

impl Node {
    /// Who this node is.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.shared.shown
    }

    /// Number of shards of the cluster; it never changes.
    #[must_use]
    pub fn shards(&self) -> ShardCount {
        self.shared.identity.shards
    }

    /// The shard that a room's name belongs to.
    #[must_use]
    pub fn shard_of(&self, room: &RoomName) -> ShardId {
        room.hash_shard(self.shards())
    }

    /// Where the shard is served, as far as this node knows now.
    #[must_use]
    pub fn route(&self, shard: ShardId) -> Route {
        self.shared.route(shard, &self.shared.table.known(shard))
    }

    /// The same, but waits until `deadline` while there is no owner, or while the known owner's epoch is not
    /// above `stale` (an owner that answered it is none). At the deadline both are [`Route::Electing`]. This
    /// node's own ownership is never stale.
    pub async fn wait_route(&self, shard: ShardId, stale: Option<Epoch>, deadline: Instant) -> Route {
        let Some(mut changes) = self.shared.table.watch(shard) else {
            return Route::Electing { epoch: Epoch::default() };
        };
        let mut states = self.shared.meta.states();
        let mut health = self.shared.pings.changes();
        let deadline = tokio::time::sleep_until(deadline.into());
        tokio::pin!(deadline);
        loop {
            states.mark_unchanged();
            health.mark_unchanged();
            let known = changes.borrow_and_update().clone();
            match self.shared.route(shard, &known) {
                Route::Elsewhere(owner) if stale.is_some_and(|stale| owner.epoch <= stale) => {}
                // Whoever waits here waits for somebody else's quorum, and does better to ask there.
                route @ Route::Electing { .. } if self.shared.is_cut_off(shard) => return route,
                Route::Electing { .. } => {}
                route => return route,
            }
            let gone = tokio::select! {
                () = &mut deadline => true,
                () = self.shared.tasks.stopping() => true,
                changed = changes.changed() => changed.is_err(),
                // The owner's address may become known.
                changed = states.changed() => changed.is_err(),
                changed = health.changed() => changed.is_err(),
                // A suspicion grows old without a change.
                () = tokio::time::sleep(SUSPICION_NEW) => false,
            };
            if gone {
                return Route::Electing { epoch: known.epoch };
            }
        }
    }

    /// A hint from another node (a relay's answer): taken if its epoch is higher than what is known.
    pub fn learn_owner(&self, shard: ShardId, node: NodeId, epoch: Epoch) {
        self.shared.table.learn(Fact { shard, epoch, owner: node });
    }

    /// This node's copy of the shard, if it has one.
    #[must_use]
    pub fn local(&self, shard: ShardId) -> Option<LocalCopy> {
        self.shared.shards.get(shard).map(|local| local.copy())
    }

    /// Nodes and shards, as this node sees them.
    #[must_use]
    pub fn map(&self) -> ClusterMap {
        self.shared.map()
    }

    /// What happened to ownership and replicas here, after the event of this number (0: all that is kept).
    #[must_use]
    pub fn events(&self, after: u64) -> Vec<Recorded> {
        self.shared.events.after(after)
    }

    /// Ready: meta has a quorum, and an owner is known of every shard.
    ///
    /// # Errors
    /// Why not, in words.
    pub fn ready(&self) -> Result<(), String> {
        self.shared.ready()
    }

    /// Returns when the node cannot go on (a storage error), with the reason: the process must exit.
    pub async fn failed(&self) -> String {
        self.shared.failure.wait().await
    }

    /// Stops the node: ownership ends, what is in flight is answered, groups and databases close. Returns when
    /// everything has. May be called again.
    pub async fn shutdown(&self) {
        self.shared.shutdown().await;
    }
}

impl Shared {
    fn route(&self, shard: ShardId, known: &Known) -> Route {
        if let Some(held) = known.held.as_ref().filter(|held| held.is_current()) {
            return Route::Owned(held.clone());
        }
        let epoch = known.epoch;
        // The known owner may be this node: then it leads, but does not own yet or any more.
        let other =
            known.owner.filter(|owner| *owner != self.identity.node && !self.is_being_replaced(*owner));
        match other.and_then(|node| Some((node, self.client_url(node)?))) {
            Some((node, url)) => Route::Elsewhere(Owner { shard, node, url, epoch }),
            None => Route::Electing { epoch },
        }
    }

    /// Whether the owner is gone, or was found silent just now: nobody is sent there, the next owner is a moment
    /// away. One that is silent for longer and still the owner is heard by others, and may be reached by clients.
    fn is_being_replaced(&self, owner: NodeId) -> bool {
        self.pings.suspicion(owner).is_some_and(|suspicion| match suspicion.cause {
            Cause::Refused => true,
            Cause::Silent => suspicion.since.elapsed() < SUSPICION_NEW,
            Cause::Restarted | Cause::Unfit => false,
        })
    }

    /// Whether this node hears too few of the shard's replicas for any of them to be an owner that it hears of.
    fn is_cut_off(&self, shard: ShardId) -> bool {
        let state = self.meta.state();
        state.shard(shard).is_some_and(|record| {
            let heard = record.replicas.iter().filter(|member| !self.pings.is_gone(member.node));
            heard.count() * 2 <= record.replicas.len()
        })
    }

    fn client_url(&self, node: NodeId) -> Option<String> {
        self.meta.state().nodes.get(&node).map(|record| record.spec.client_url.clone())
    }

    /// The peer address of a node: as meta says, or as it was when this node joined.
    pub(crate) fn address(&self, node: NodeId) -> Option<String> {
        let state = self.meta.state();
        let at_join = || self.identity.peers.iter().find(|(known, _)| *known == node);
        match state.nodes.get(&node) {
            Some(record) => Some(record.spec.peer.clone()),
            None => at_join().map(|(_, address)| address.clone()),
        }
    }

    /// All nodes but this one, in order.
    pub(crate) fn other_nodes(&self) -> Vec<NodeId> {
        let state = self.meta.state();
        state.nodes.keys().copied().filter(|node| *node != self.identity.node).collect()
    }

    /// Whether a node can be relied on: it is heard, fit to lead and not about to stop.
    pub(crate) fn is_well(&self, node: NodeId) -> bool {
        if node == self.identity.node {
            return !self.pings.is_unfit_here() && !self.pings.is_leaving_here();
        }
        self.not_fit(node).is_none()
    }

    fn ready(&self) -> Result<(), String> {
        if let Some(reason) = self.failure.known() {
            return Err(reason);
        }
        self.meta_has_quorum()?;
        let state = self.meta.state();
        if state.shards.is_empty() {
            let expected = state.founded.map_or(1, |founded| founded.initial_nodes);
            return Err(format!("{} of {expected} nodes have joined", state.nodes.len()));
        }
        match self.table.first_unknown() {
            Some(shard) => Err(format!("{shard} has no owner that this node knows of")),
            None => Ok(()),
        }
    }

    fn meta_has_quorum(&self) -> Result<(), String> {
        let Some(group) = self.meta.group() else { return Err("the node is starting".to_owned()) };
        let status = group.status();
        let Some(leader) = status.leader else { return Err("meta has no leader".to_owned()) };
        let well = match status.role {
            Role::Leader => status.quorum_acked.is_some_and(|at| at.elapsed() < self.tuning.quorum_age_max),
            // A leader that is not heard of is none.
            _ => self.pings.is_alive(leader.node),
        };
        if well { Ok(()) } else { Err(format!("meta's leader {} has no quorum or is silent", leader.node)) }
    }

    pub(crate) async fn shutdown(&self) {
        self.tasks.stop().await;
        self.consensus.shutdown().await;
        self.pings.stop();
        let pinging = self.ping_thread.lock().take();
        if let Some(thread) = pinging
            && let Err(error) = tokio::task::spawn_blocking(|| thread.join()).await
        {
            tracing::warn!(%error, "the ping thread was not waited for");
        }
        let serving = self.serving.lock().take();
        if let Some(mut serving) = serving
            && tokio::time::timeout(SERVE_GRACE, &mut serving).await.is_err()
        {
            tracing::debug!("peers still hold connections to the stopped node");
            serving.abort();
        }
        self.dir.unlock();
    }
}
