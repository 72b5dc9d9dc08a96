//! The cluster as the gateway sees it.
//!
//! In production that is [`cluster::Node`]. The traits are the seam at which tests put a cluster in memory, to
//! see what no real one does on demand: an outcome that stays unknown, an owner lost between two frames.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use futures::future::BoxFuture;
use roomkeeper_cluster as cluster;
use roomkeeper_room::{Command, Rows, RowsError};
use roomkeeper_types::{Epoch, LogPosition, NodeId, ReplicaId, RoomName, ShardCount, ShardId};

pub use cluster::{ClusterMap, Completion, Identity, LocateError, Owner, SubmitError, Tenure};

/// One node of a cluster. What each method promises is said at [`cluster::Node`].
pub trait Host: Send + Sync + 'static {
    /// Who this node is.
    fn identity(&self) -> &Identity;

    /// Number of shards of the cluster.
    fn shards(&self) -> ShardCount;

    /// Where the shard is served, as far as this node knows now.
    fn route(&self, shard: ShardId) -> Route;

    /// The same, but waits until `deadline` while there is no owner, or only one whose epoch is not above
    /// `stale`.
    fn wait_route(&self, shard: ShardId, stale: Option<Epoch>, deadline: Instant) -> BoxFuture<'_, Route>;

    /// A hint from another node; taken if its epoch is higher than what is known.
    fn learn_owner(&self, shard: ShardId, node: NodeId, epoch: Epoch);

    /// This node's copy of the shard, if it has one.
    fn local(&self, shard: ShardId) -> Option<LocalCopy>;

    /// Nodes and shards, as this node sees them.
    fn map(&self) -> ClusterMap;

    /// Whether the node may serve, else why not.
    ///
    /// # Errors
    /// What is missing, for people.
    fn ready(&self) -> Result<(), String>;

    /// The shard that holds the room or would hold it, by the word of the owner of its name's hash shard.
    fn locate<'a>(&'a self, room: &'a RoomName, deadline: Instant) -> Located<'a>;

    /// Puts a name to which no room belongs so far on a shard with little to do; the shard that it was put on.
    fn place<'a>(&'a self, room: &'a RoomName, deadline: Instant) -> Located<'a>;

    /// The shard whose authority the room's name is. It holds the room, or a forward to the shard that does.
    fn hash_shard(&self, room: &RoomName) -> ShardId {
        room.hash_shard(self.shards())
    }
}

/// The shard that holds a room, on its way.
pub type Located<'a> = BoxFuture<'a, Result<ShardId, LocateError>>;

/// Where a shard's rooms are served.
#[derive(Clone)]
pub enum Route {
    /// Here.
    Owned(Owned),
    /// There.
    Elsewhere(Owner),
    /// Nowhere for a moment; the last ownership known.
    Electing(Tenure),
}

/// A node's ownership of a shard in one epoch. What each method promises is said at [`cluster::Ownership`].
pub trait Ownership: Send + Sync + 'static {
    /// The shard.
    fn shard(&self) -> ShardId;

    /// The epoch.
    fn epoch(&self) -> Epoch;

    /// When it began.
    fn begun(&self) -> Instant;

    /// Shard and epoch.
    fn tenure(&self) -> Tenure {
        Tenure { shard: self.shard(), epoch: self.epoch() }
    }

    /// Whether it lasts, checked now.
    fn is_current(&self) -> bool;

    /// Resolves when it is over.
    fn lost(&self) -> BoxFuture<'static, ()>;

    /// Queues a command for the shard's next entry; waits while the queue is full.
    fn submit(&self, command: Command, done: Completion) -> BoxFuture<'_, ()>;

    /// A view that holds everything acked before the call.
    fn read(&self) -> BoxFuture<'_, Result<View, SubmitError>>;

    /// A view of what is applied here, without a check.
    fn view(&self) -> View;
}

/// A shared [`Ownership`].
pub type Owned = Arc<dyn Ownership>;

/// A consistent view of one shard's rows.
pub struct View(Box<dyn Rows + Send>);

impl View {
    /// A view of rows that do not change any more.
    pub fn new(rows: impl Rows + Send + 'static) -> Self {
        Self(Box::new(rows))
    }
}

impl Rows for View {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, RowsError> {
        self.0.get(key)
    }

    fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Result<(), RowsError> {
        self.0.scan(from, to, visit)
    }
}

/// A node's own copy of a shard, whoever owns it.
pub struct LocalCopy {
    /// Which copy.
    pub replica: ReplicaId,
    /// The last entry applied to it.
    pub applied: Option<LogPosition>,
    /// Its rows.
    pub view: View,
}

impl Host for cluster::Node {
    fn identity(&self) -> &Identity {
        self.identity()
    }

    fn shards(&self) -> ShardCount {
        self.shards()
    }

    fn route(&self, shard: ShardId) -> Route {
        Route::new(shard, self.route(shard))
    }

    fn wait_route(&self, shard: ShardId, stale: Option<Epoch>, deadline: Instant) -> BoxFuture<'_, Route> {
        Box::pin(async move { Route::new(shard, self.wait_route(shard, stale, deadline).await) })
    }

    fn learn_owner(&self, shard: ShardId, node: NodeId, epoch: Epoch) {
        self.learn_owner(shard, node, epoch);
    }

    fn local(&self, shard: ShardId) -> Option<LocalCopy> {
        let copy = self.local(shard)?;
        Some(LocalCopy { replica: copy.replica, applied: copy.applied, view: View::new(copy.store.view()) })
    }

    fn map(&self) -> ClusterMap {
        self.map()
    }

    fn ready(&self) -> Result<(), String> {
        self.ready()
    }

    fn locate<'a>(&'a self, room: &'a RoomName, deadline: Instant) -> Located<'a> {
        Box::pin(self.locate(room, deadline))
    }

    fn place<'a>(&'a self, room: &'a RoomName, deadline: Instant) -> Located<'a> {
        Box::pin(self.place(room, deadline))
    }
}

impl Route {
    fn new(shard: ShardId, route: cluster::Route) -> Self {
        match route {
            cluster::Route::Owned(ownership) => Self::Owned(Arc::new(ownership)),
            cluster::Route::Elsewhere(owner) => Self::Elsewhere(owner),
            cluster::Route::Electing { epoch } => Self::Electing(Tenure { shard, epoch }),
        }
    }

    /// The ownership that it leads to, or the last one known.
    #[must_use]
    pub fn tenure(&self) -> Tenure {
        match self {
            Self::Owned(owned) => owned.tenure(),
            Self::Elsewhere(owner) => owner.tenure(),
            Self::Electing(last) => *last,
        }
    }
}

impl Ownership for cluster::Ownership {
    fn shard(&self) -> ShardId {
        self.shard()
    }

    fn epoch(&self) -> Epoch {
        self.epoch()
    }

    fn begun(&self) -> Instant {
        self.begun()
    }

    fn is_current(&self) -> bool {
        self.is_current()
    }

    fn lost(&self) -> BoxFuture<'static, ()> {
        let ownership = self.clone();
        Box::pin(async move { ownership.lost().await })
    }

    fn submit(&self, command: Command, done: Completion) -> BoxFuture<'_, ()> {
        Box::pin(self.submit(command, done))
    }

    fn read(&self) -> BoxFuture<'_, Result<View, SubmitError>> {
        Box::pin(async move { Ok(View::new(self.read().await?.view())) })
    }

    fn view(&self) -> View {
        View::new(self.store().view())
    }
}
