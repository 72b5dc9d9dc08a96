//! What a node answers to a relayed request for a room that it does not own: `421`, and what it knows.

use bytes::Bytes;
use roomkeeper_protocol::Error;
use roomkeeper_types::{Epoch, NodeId, RoomName, ShardId};
use serde::{Deserialize, Serialize};

use crate::edge::Edge;
use crate::failure;
use crate::host::{Host, Route, Tenure};

/// The body of a `421`: an error body with the owner beside it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Misdirected {
    pub(crate) error: Error,
    pub(crate) owner: Elsewhere,
}

/// Who owns the room instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Elsewhere {
    /// The shard that holds it; left out by nodes that only know hash shards.
    #[serde(default)]
    pub(crate) shard: Option<ShardId>,
    /// `None` while one is being elected.
    pub(crate) node: Option<NodeId>,
    /// Its client URL.
    pub(crate) url: Option<String>,
    /// Its epoch, or the last known.
    pub(crate) epoch: Epoch,
}

impl Misdirected {
    /// What `host` knows of a room that it does not own.
    pub(crate) fn new(host: &dyn Host, route: &Route) -> Self {
        let (node, url) = match route {
            Route::Elsewhere(owner) => (Some(owner.node), Some(owner.url.clone())),
            Route::Owned(_) | Route::Electing(_) => (None, None),
        };
        let Tenure { shard, epoch } = route.tenure();
        let owner = Elsewhere { shard: Some(shard), node, url, epoch };
        Self { error: failure::not_owner(host.identity().node), owner }
    }

    /// Reads the body of a `421`, and learns what it says of the room. A body that says nothing readable teaches
    /// nothing.
    pub(crate) fn learn(edge: &Edge, room: &RoomName, body: &Bytes) {
        match serde_json::from_slice::<Self>(body) {
            Ok(Self { owner: Elsewhere { shard, node, epoch, .. }, .. }) => {
                edge.whereabouts.learn_owner(room, shard, (node, epoch));
            }
            Err(error) => tracing::warn!(%error, "a misdirected answer is unreadable"),
        }
    }
}
