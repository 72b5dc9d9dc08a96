//! The way of a request to its room's owner.

mod decide;
mod hold;
mod location;

pub(crate) use decide::{Ask, RouteMode, Way, decide};
pub(crate) use hold::{Place, next_route, place, route_after};
pub(crate) use location::{Query, location, relay_path, socket_url};

use roomkeeper_protocol::OwnerHint;
use roomkeeper_types::RoomName;

use crate::host::{Host, Route};

/// Header of a request that a node relays for a client: the node's number. Such a request is never relayed
/// again.
pub(crate) const RELAY_HEADER: &str = "roomkeeper-relay";
/// Clients that lose their socket together come back spread over this time, milliseconds.
const SPREAD_MS: u32 = 50;

/// What clients are told of a room's owner.
pub(crate) fn owner_hint(host: &dyn Host, room: &RoomName, route: &Route) -> OwnerHint {
    let retry_after_ms = rand::random_range(0..SPREAD_MS);
    let (node, url, epoch) = match route {
        Route::Owned(owned) => {
            let identity = host.identity();
            (Some(identity.node), Some(identity.client_url.clone()), owned.epoch())
        }
        Route::Elsewhere(owner) => (Some(owner.node), Some(owner.url.clone()), owner.epoch),
        Route::Electing { epoch } => (None, None, *epoch),
    };
    OwnerHint { room: room.clone(), node, url, epoch, retry_after_ms }
}
