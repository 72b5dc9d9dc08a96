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

use roomkeeper_protocol::Error;
use roomkeeper_types::RoomName;

use crate::edge::Edge;
use crate::failure;
use crate::host::{Owned, View};

pub(crate) use cursor::cursor_in;
pub(crate) use hold::open_holds;
pub(crate) use list::{Page, merge, own_rooms};
pub(crate) use span::Span;
pub(crate) use write::{publish_command, published};

/// A room, there or not, of a shard that this node owns or did own a moment ago: each command finds out.
#[derive(Clone)]
pub(crate) struct LocalRoom {
    pub(crate) edge: Arc<Edge>,
    pub(crate) owned: Owned,
    pub(crate) name: RoomName,
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
