//! What a subscriber sees of a room.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures::Stream;
use roomkeeper_protocol::{Item, JoinOk, OwnerHint};
use tokio::sync::mpsc;

use crate::Error;

/// Something a subscriber is told.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Messages. Over all of a subscription's events: every offset once, in order.
    Items(Vec<Item>),
    /// The connection was lost and is there again, maybe at another owner. Nothing is missing: the next
    /// items follow the ones before.
    Reconnected(JoinOk),
    /// The room has moved to another owner, or is about to get one. For information: the client goes there.
    Moved(OwnerHint),
}

/// A stream of a room's messages. It ends after an error that no retry helps against (`Recreated`,
/// `Trimmed`, `Gap`, …), and after the last offset of a range. Dropping it leaves the room.
///
/// Its buffer is bounded: while it is full the socket is not read, so that a slow reader holds up the
/// answers to this room handle's publishes too. Readers that may be slow get a room handle of their own.
#[derive(Debug)]
pub struct Subscription {
    joined: JoinOk,
    events: mpsc::Receiver<Result<Event, Error>>,
    /// Keeps the room's task alive for as long as the subscription.
    _room: crate::handle::Handle,
}

impl Subscription {
    pub(crate) fn new(
        joined: JoinOk,
        events: mpsc::Receiver<Result<Event, Error>>,
        room: crate::handle::Handle,
    ) -> Self {
        Self { joined, events, _room: room }
    }

    /// Where the subscription started.
    #[must_use]
    pub fn joined(&self) -> &JoinOk {
        &self.joined
    }
}

impl Stream for Subscription {
    type Item = Result<Event, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.events.poll_recv(cx)
    }
}
