//! Rooms of other nodes that clients of this one are subscribed to.
//!
//! A node has one link to each owner it needs. Over it each room is joined once, however many clients want it, and
//! what comes is put into a feed of this node, from which they are served like those of an own room: a message
//! crosses between two nodes once. Who is further behind than the feed reaches reads pages of the owner's log by the
//! same link.
//!
//! The link takes all that the owner sends: a feed that is full drops its oldest frames. So a slow client holds up
//! neither the link nor the owner, and costs a position here.
//!
//! Where a subscriber begins, the owner has said in its answer to the client's own join; the link's position is
//! never the answer. That the owner is still there the link knows by question and answer only, and for a short time
//! only: a node that was stopped for a while finds its sockets full of what is not true any more.

mod followed;
mod link;
mod pages;
mod pulse;
mod rooms;
#[cfg(test)]
mod rooms_tests;

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use roomkeeper_protocol::JoinOk;
use roomkeeper_types::NodeId;

use crate::edge::Edge;
use crate::host::Owner;
use crate::hub::{Subscriber, Waiter};

pub(crate) use followed::{Followed, Reading};
use link::Link;

/// This node's links to other owners.
#[derive(Default)]
pub(crate) struct NodeLinks {
    nodes: Mutex<HashMap<NodeId, Arc<Link>>>,
}

impl NodeLinks {
    /// Follows a room for a subscriber whose join its owner has answered with `ok`. From here on it misses
    /// nothing, beginning with the offset that the owner named.
    pub(crate) fn follow(
        &self,
        edge: &Arc<Edge>,
        owner: &Owner,
        ok: &JoinOk,
        waiter: &Arc<Waiter>,
    ) -> (Followed, Subscriber) {
        let mut nodes = self.nodes.lock();
        loop {
            let link = nodes.entry(owner.node).or_insert_with(|| Link::open(edge, owner.clone()));
            if let Some(followed) = link.follow(ok, waiter.clone()) {
                return followed;
            }
            // It ended; another one takes its place.
            nodes.remove(&owner.node);
        }
    }
}
