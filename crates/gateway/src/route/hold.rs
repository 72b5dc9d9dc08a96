//! Where a request's room is served: held while it is served nowhere.

use std::time::{Duration, Instant};

use roomkeeper_types::{Epoch, RoomName, ShardId};

use super::{Ask, Way, decide};
use crate::edge::Edge;
use crate::host::{Host, Owned, Owner, Route};

/// A route that is watched is asked for anew after so long without a change.
const WATCH_ROUND: Duration = Duration::from_secs(60);

/// What to do with a request for a room.
pub(crate) enum Place {
    /// Serve it.
    Here(Owned),
    /// Its owner is another node: go this way. Never [`Way::Misdirected`].
    There(Owner, Way),
    /// It was relayed to this node, which does not own the room: this is what it knows.
    Misdirected(Route),
    /// There was no owner in time.
    Nowhere,
}

/// Finds out what to do with a request for a room; waits until `deadline` while the room has no owner. An
/// owner whose epoch is not above `stale` is none: it was asked, or could not be.
pub(crate) async fn place(
    edge: &Edge,
    room: &RoomName,
    ask: Ask,
    stale: Option<Epoch>,
    deadline: Instant,
) -> Place {
    let shard = edge.host.shard_of(room);
    if ask.relayed {
        // The relay waits, and asks again.
        return match edge.host.route(shard) {
            Route::Owned(owned) => Place::Here(owned),
            other => Place::Misdirected(other),
        };
    }
    match edge.host.wait_route(shard, stale, deadline).await {
        Route::Owned(owned) => Place::Here(owned),
        Route::Elsewhere(owner) if stale.is_some_and(|stale| owner.epoch <= stale) => Place::Nowhere,
        Route::Elsewhere(owner) => Place::There(owner, decide(ask)),
        Route::Electing { .. } => Place::Nowhere,
    }
}

/// Resolves when the shard is known to have an owner whose epoch is above `epoch`.
pub(crate) async fn route_after(host: &dyn Host, shard: ShardId, epoch: Epoch) {
    loop {
        let found = match host.wait_route(shard, Some(epoch), Instant::now() + WATCH_ROUND).await {
            Route::Owned(owned) => owned.epoch() > epoch,
            Route::Elsewhere(owner) => owner.epoch > epoch,
            Route::Electing { .. } => false,
        };
        if found {
            return;
        }
    }
}
