//! Where a request's room is served: held while it is served nowhere.

use std::time::{Duration, Instant};

use roomkeeper_types::{Epoch, RoomName, ShardId};

use super::{Ask, Way, decide, find_route};
use crate::edge::Edge;
use crate::host::{Host, Owned, Owner, Route, Tenure};

/// An owner that was asked in vain is asked again after so long, if there is no newer one.
const RETRY_PAUSE: Duration = Duration::from_millis(100);
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
/// owner of the same shard whose epoch is not above that of `stale` was asked and does not own it, or could not be
/// reached.
pub(crate) async fn place(
    edge: &Edge,
    room: &RoomName,
    ask: Ask,
    stale: Option<Tenure>,
    deadline: Instant,
) -> Place {
    match find_route(edge, room, ask.relayed, stale, deadline).await {
        Route::Owned(owned) => Place::Here(owned),
        elsewhere if ask.relayed => Place::Misdirected(elsewhere),
        Route::Elsewhere(owner) => Place::There(owner, decide(ask)),
        Route::Electing(_) => Place::Nowhere,
    }
}

/// The shard's owner, waited for until `deadline`; one whose epoch is above `stale`, or after a pause the same
/// again: an owner that was cut off for a moment has its epoch back.
pub(crate) async fn next_route(
    host: &dyn Host,
    shard: ShardId,
    stale: Option<Epoch>,
    deadline: Instant,
) -> Route {
    if stale.is_some() {
        let pause = deadline.min(Instant::now() + RETRY_PAUSE);
        match host.wait_route(shard, stale, pause).await {
            Route::Electing(_) => {}
            route => return route,
        }
    }
    if Instant::now() >= deadline {
        // Nobody newer came, and the time is up.
        return match host.route(shard) {
            Route::Owned(owned) => Route::Owned(owned),
            route => Route::Electing(route.tenure()),
        };
    }
    host.wait_route(shard, None, deadline).await
}

/// Resolves when the shard is known to have an owner whose epoch is above `epoch`.
pub(crate) async fn route_after(host: &dyn Host, shard: ShardId, epoch: Epoch) {
    loop {
        let found = match host.wait_route(shard, Some(epoch), Instant::now() + WATCH_ROUND).await {
            Route::Owned(owned) => owned.epoch() > epoch,
            Route::Elsewhere(owner) => owner.epoch > epoch,
            Route::Electing(_) => false,
        };
        if found {
            return;
        }
        // A node that stops does not wait for routes any more.
        tokio::time::sleep(RETRY_PAUSE).await;
    }
}
