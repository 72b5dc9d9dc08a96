//! Commands on rooms whose shard this node owns, whatever way they came in.

mod cursor;
mod hold;
mod list;
mod presence;
mod read;
mod signal;
mod span;
mod write;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use roomkeeper_protocol::Error;
use roomkeeper_room::Refusal;
use roomkeeper_types::{RoomName, ShardId};

use crate::edge::Edge;
use crate::failure;
use crate::host::{Owned, View};

pub(crate) use cursor::{Cursor, cursor_in};
pub(crate) use hold::open_holds;
pub(crate) use list::{Page, merge, own_rooms};
pub(crate) use presence::counting;
pub(crate) use span::Span;

/// A room, there or not, of a shard that this node owns or did own a moment ago: each command finds out.
///
/// While there is no room, the name may be put in another shard. Then rows and log of this one say so, and whatever
/// was asked is `unavailable` here, and not carried out: see [`LocalRoom::is_elsewhere`].
#[derive(Clone)]
pub(crate) struct LocalRoom {
    pub(crate) edge: Arc<Edge>,
    pub(crate) owned: Owned,
    pub(crate) name: RoomName,
    elsewhere: Arc<AtomicBool>,
}

impl LocalRoom {
    /// The room of this name in a shard that holds it, or would hold it.
    pub(crate) fn new(edge: Arc<Edge>, owned: Owned, name: RoomName) -> Self {
        Self { edge, owned, name, elsewhere: Arc::default() }
    }

    /// Whether it is in this shard because it was put there, not by its name's hash.
    pub(crate) fn is_placed(&self) -> bool {
        self.owned.shard() != self.edge.host.hash_shard(&self.name)
    }

    /// Whether it was found out to be in another shard. Which one, the edge has learned.
    pub(crate) fn is_elsewhere(&self) -> bool {
        self.elsewhere.load(Ordering::Acquire)
    }

    /// A definite no of the log.
    pub(crate) fn refused(&self, refusal: &Refusal) -> Error {
        match refusal {
            Refusal::WrongShard(to) if *to != self.edge.host.hash_shard(&self.name) => self.went_to(*to),
            // It was put here, and is not there.
            Refusal::WrongShard(_) => failure::not_found(&self.name),
            refusal => failure::refused(refusal),
        }
    }

    /// The rows, or the log, say that the name is forwarded.
    fn went_to(&self, shard: ShardId) -> Error {
        self.edge.whereabouts.learn_forward(&self.name, shard);
        self.elsewhere.store(true, Ordering::Release);
        failure::no_owner()
    }
}

impl LocalRoom {
    /// Rows that hold everything acked before the call.
    ///
    /// # Errors
    /// `unavailable` without a quorum, `timeout`.
    async fn current_view(&self) -> Result<View, Error> {
        current_view(&self.edge, &self.owned).await
    }
}

/// Rows that hold everything acked before the call.
///
/// # Errors
/// `unavailable` without a quorum, `timeout`.
async fn current_view(edge: &Edge, owned: &Owned) -> Result<View, Error> {
    match tokio::time::timeout(edge.config.command_timeout, owned.read()).await {
        Ok(view) => view.map_err(|error| failure::unsubmitted(&error)),
        Err(_) => Err(failure::timed_out()),
    }
}
