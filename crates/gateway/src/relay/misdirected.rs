//! What a node answers to a relayed request for a room that it does not own: `421`, and what it knows.

use bytes::Bytes;
use roomkeeper_protocol::Error;
use roomkeeper_types::{Epoch, NodeId, ShardId};
use serde::{Deserialize, Serialize};

use crate::failure;
use crate::host::{Host, Route};

/// The body of a `421`: an error body with the owner beside it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Misdirected {
    pub(crate) error: Error,
    pub(crate) owner: Elsewhere,
}

/// Who owns the room instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Elsewhere {
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
        let owner = match route {
            Route::Owned(owned) => Elsewhere { node: None, url: None, epoch: owned.epoch() },
            Route::Elsewhere(owner) => {
                Elsewhere { node: Some(owner.node), url: Some(owner.url.clone()), epoch: owner.epoch }
            }
            Route::Electing { epoch } => Elsewhere { node: None, url: None, epoch: *epoch },
        };
        Self { error: failure::not_owner(host.identity().node), owner }
    }

    /// Reads the body of a `421`, and lets `host` know what it says of the shard. A body that says nothing
    /// readable teaches nothing.
    pub(crate) fn learn(host: &dyn Host, shard: ShardId, body: &Bytes) {
        match serde_json::from_slice::<Self>(body) {
            Ok(Self { owner: Elsewhere { node: Some(node), epoch, .. }, .. }) => {
                host.learn_owner(shard, node, epoch);
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "a misdirected answer is unreadable"),
        }
    }
}
