//! Which shard holds a room: its name's hash shard, or the one that this forwards to.
//!
//! A forward stays for ever, so that a node may remember one as long as it likes, and believe any copy of the hash
//! shard that has one. That there is none only the hash shard's owner knows. So a room is looked for in this order:
//! what is remembered, this node's copy of the hash shard, its owner, if that is another node. The owner's word may be
//! outdated a moment later; then the room's log says so, see [`LocalRoom`](crate::local::LocalRoom).

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lru::LruCache;
use parking_lot::Mutex;
use roomkeeper_protocol::{Error, ErrorCode, OwnerHint};
use roomkeeper_room::read;
use roomkeeper_room::row::NameRow;
use roomkeeper_types::{Epoch, NodeId, RoomName, ShardId};

use super::next_route;
use crate::edge::Edge;
use crate::host::{Host, Route, Tenure};

/// Forwards that are remembered, at some 200 bytes each. The longest unused goes.
const REMEMBERED: NonZeroUsize = NonZeroUsize::MIN.saturating_add(16_383);
/// How long the owner of a hash shard is asked where a room is, before the client is sent there to find out.
const ASK_TIMEOUT: Duration = Duration::from_secs(1);

/// Which shards hold which rooms, as far as this node knows.
pub(crate) struct Whereabouts {
    host: Arc<dyn Host>,
    forwards: Mutex<LruCache<RoomName, ShardId>>,
}

/// The shard that holds a room, as far as this node knows by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) shard: ShardId,
    /// Nothing but a name's hash speaks for the shard.
    pub(crate) by_hash_only: bool,
}

impl Whereabouts {
    pub(crate) fn new(host: Arc<dyn Host>) -> Self {
        Self { host, forwards: Mutex::new(LruCache::new(REMEMBERED)) }
    }

    /// The shard that holds the room, as far as this node knows by itself. One get at most.
    pub(crate) fn find(&self, room: &RoomName) -> Found {
        let known = |shard| Found { shard, by_hash_only: false };
        if let Some(shard) = self.forwards.lock().get(room) {
            return known(*shard);
        }
        let hash = self.host.hash_shard(room);
        let row = self.host.local(hash).map(|copy| read::name_row(&copy.view, room));
        match row {
            Some(Ok(Some(NameRow::Forward { shard, .. }))) => {
                self.learn_forward(room, shard);
                known(shard)
            }
            Some(Ok(Some(NameRow::Life(_)))) => known(hash),
            Some(Ok(None)) | None => Found { shard: hash, by_hash_only: true },
            Some(Err(error)) => {
                tracing::error!(%room, %error, "cannot read where a room is");
                Found { shard: hash, by_hash_only: true }
            }
        }
    }

    /// The same, by the word of the owner of the room's hash shard where this node knows nothing.
    pub(crate) async fn locate(&self, room: &RoomName, deadline: Instant) -> ShardId {
        let found = self.find(room);
        if found.by_hash_only { self.ask(room, deadline).await } else { found.shard }
    }

    /// The shard that holds the room, by the word of its hash shard's owner, if it says so in time.
    pub(super) async fn ask(&self, room: &RoomName, deadline: Instant) -> ShardId {
        let deadline = deadline.min(Instant::now() + ASK_TIMEOUT);
        match self.host.locate(room, deadline).await {
            Ok(shard) => {
                self.learn_forward(room, shard);
                shard
            }
            Err(error) => {
                tracing::debug!(%room, %error, "cannot ask where a room is");
                self.host.hash_shard(room)
            }
        }
    }

    /// Puts the room on a shard with little to do, unless it is settled. Returns the shard that is to hold it.
    ///
    /// # Errors
    /// `unavailable`: its hash shard's owner did not answer. It may be put somewhere.
    pub(crate) async fn place(&self, room: &RoomName, deadline: Instant) -> Result<ShardId, Error> {
        let found = self.find(room);
        if !found.by_hash_only {
            return Ok(found.shard);
        }
        match self.host.place(room, deadline).await {
            Ok(shard) => {
                self.learn_forward(room, shard);
                Ok(shard)
            }
            Err(error) => Err(Error::new(ErrorCode::Unavailable, error.to_string())),
        }
    }

    /// The room's hash shard forwards to this one. To be believed of rows and of other nodes only.
    pub(crate) fn learn_forward(&self, room: &RoomName, shard: ShardId) {
        if shard != self.host.hash_shard(room) && shard.0 < self.host.shards().get() {
            self.forwards.lock().put(room.clone(), shard);
        }
    }

    /// What another node says of the room's owner: that of `shard`, or without one of the name's hash shard.
    pub(crate) fn learn_owner(
        &self,
        room: &RoomName,
        shard: Option<ShardId>,
        (node, epoch): (Option<NodeId>, Epoch),
    ) {
        let shard = shard.unwrap_or_else(|| self.host.hash_shard(room));
        self.learn_forward(room, shard);
        if let Some(node) = node {
            self.host.learn_owner(shard, node, epoch);
        }
    }

    /// The same of a hint.
    pub(crate) fn learn_hint(&self, hint: &OwnerHint) {
        self.learn_owner(&hint.room, hint.shard, (hint.node, hint.epoch));
    }
}

/// Where the room is served; waits until `deadline` while that is nowhere, or only where `stale` says it is not any
/// more. For a relay the word of this moment is enough: it waits, and asks again.
pub(crate) async fn find_route(
    edge: &Edge,
    room: &RoomName,
    relayed: bool,
    stale: Option<Tenure>,
    deadline: Instant,
) -> Route {
    let host = edge.host.as_ref();
    let mut found = edge.whereabouts.find(room);
    loop {
        let shard = found.shard;
        let route = if relayed {
            host.route(shard)
        } else {
            let stale = stale.filter(|stale| stale.shard == shard).map(|stale| stale.epoch);
            next_route(host, shard, stale, deadline).await
        };
        if !found.by_hash_only {
            return route;
        }
        let shard = match &route {
            // Its copy is the authority, if it was not before it was waited for.
            Route::Owned(_) => edge.whereabouts.find(room).shard,
            Route::Elsewhere(_) => edge.whereabouts.ask(room, deadline).await,
            Route::Electing(_) => shard,
        };
        if shard == found.shard {
            return route;
        }
        found = Found { shard, by_hash_only: false };
    }
}
