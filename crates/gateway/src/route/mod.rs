//! The way of a request to its room's owner.

mod decide;
mod hold;
mod location;
mod spread;
mod whereabouts;

pub(crate) use decide::{Ask, RouteMode, Way, decide};
pub(crate) use hold::{Place, next_route, place, route_after};
pub(crate) use location::{Query, location, relay_path, socket_url};
pub(crate) use spread::spread;
pub(crate) use whereabouts::{Whereabouts, find_route};

use std::time::Duration;

use roomkeeper_protocol::OwnerHint;
use roomkeeper_types::RoomName;

use crate::edge::Edge;
use crate::host::{Route, Tenure};

/// Header of a request that a node relays for a client: the node's number. Such a request is never relayed
/// again.
pub(crate) const RELAY_HEADER: &str = "roomkeeper-relay";
/// A command that the log refused is the first to hear that its owner is none any more; the owner itself hears
/// of it within this time.
pub(crate) const OWNERSHIP_ENDS: Duration = Duration::from_millis(250);
/// How long an owner that was overtaken may take to see through what it had taken on, before who relays to it
/// gives it up: it may be stopped, or gone without a word.
pub(crate) const FAREWELL: Duration = Duration::from_millis(400);

/// What clients are told of a room's owner.
pub(crate) fn owner_hint(edge: &Edge, room: &RoomName, route: &Route) -> OwnerHint {
    let host = edge.host.as_ref();
    let wait = spread(edge.tasks.len()).mul_f64(rand::random());
    let retry_after_ms = u32::try_from(wait.as_millis()).unwrap_or(u32::MAX);
    let (node, url) = match route {
        Route::Owned(_) => {
            let identity = host.identity();
            (Some(identity.node), Some(identity.client_url.clone()))
        }
        Route::Elsewhere(owner) => (Some(owner.node), Some(owner.url.clone())),
        Route::Electing(_) => (None, None),
    };
    let Tenure { shard, epoch } = route.tenure();
    let shard = (shard != host.hash_shard(room)).then_some(shard);
    OwnerHint { room: room.clone(), node, url, epoch, shard, retry_after_ms }
}
