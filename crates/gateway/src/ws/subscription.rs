//! One subscription of a socket: a position in a room's log, and what stands there.

use std::sync::Arc;

use roomkeeper_protocol::{Codec, Error};
use roomkeeper_room::read;
use roomkeeper_types::{Offset, RoomName};
use tokio_tungstenite::tungstenite::Message;

use crate::edge::Edge;
use crate::host::Owned;
use crate::hub::{Step, Subscriber, SubscriptionId, Waiter, to_message, to_protocol};
use crate::local::Span;

/// Most items of a page of the log.
const PAGE_ITEMS: usize = 256;
/// Data bytes from which a page takes no further item. A slow client has one page on its way at most.
const PAGE_BYTES: usize = 128 << 10;

/// A position in a room's log.
pub(crate) struct Subscription {
    pub(crate) id: SubscriptionId,
    subscriber: Subscriber,
    waiter: Arc<Waiter>,
    /// Whose rows are read when the feed does not reach back far enough.
    owned: Owned,
    /// The offset that is sent next.
    position: Offset,
    /// The last offset to send, if there is one.
    to: Option<Offset>,
}

/// What a subscription has for its client.
pub(crate) enum Turn {
    /// These messages; there may be more.
    Message(Message),
    /// Nothing for now.
    Wait,
    /// Nothing while the ownership does not stand: to be asked again soon. It may be over, or have been held up.
    Suspended,
    /// Nothing any more.
    Ended,
}

/// The log does not have what the subscription needs next.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LogGap {
    /// The rows could not be read.
    #[error("{0}")]
    Unreadable(Error),
    /// It was trimmed meanwhile.
    #[error("offset {wanted} is not in the log any more, it goes on at {found}")]
    Trimmed { wanted: Offset, found: Offset },
}

impl Subscription {
    pub(crate) fn new(
        id: SubscriptionId,
        subscriber: Subscriber,
        waiter: Arc<Waiter>,
        owned: Owned,
        span: Span,
    ) -> Self {
        Self { id, subscriber, waiter, owned, position: span.from, to: span.to }
    }

    /// The room.
    pub(crate) fn room(&self) -> &RoomName {
        self.subscriber.room()
    }

    /// Puts it on its connection's list of those that have something.
    pub(crate) fn wake(&self) {
        self.waiter.wake();
    }

    /// Takes what stands at the position and moves on behind it: a shared frame of the feed where there is
    /// one, else a page of the log.
    ///
    /// # Errors
    /// The subscription cannot go on; nothing is skipped.
    pub(crate) async fn turn(&mut self, edge: &Edge, codec: Codec) -> Result<Turn, LogGap> {
        if !self.owned.is_current() {
            return Ok(Turn::Suspended);
        }
        self.waiter.taken();
        if self.to.is_some_and(|to| self.position > to) {
            return Ok(Turn::Ended);
        }
        match self.subscriber.at(self.position) {
            Step::Wait => Ok(Turn::Wait),
            Step::Ended => Ok(Turn::Ended),
            Step::Log(kept_to) => self.page(edge, codec, kept_to).await,
            Step::Frame(frame) => {
                let (from, last) = (self.position, frame.last());
                let to = self.to.map_or(last, |to| to.min(last));
                self.position = to.next();
                let room = self.subscriber.room();
                Ok(Turn::Message(if from == frame.first() && to == last {
                    frame.message(codec, room)
                } else {
                    frame.part(codec, room, from, to)
                }))
            }
        }
    }

    async fn page(&mut self, edge: &Edge, codec: Codec, kept_to: Offset) -> Result<Turn, LogGap> {
        let (life, from) = (self.subscriber.life(), self.position);
        let to = self.to.map_or(kept_to, |to| to.min(kept_to));
        let view = self.owned.view();
        let read = move || read::history(&view, life, from, to, PAGE_ITEMS, PAGE_BYTES);
        let items: Vec<_> =
            edge.read_rows(read).await.map_err(LogGap::Unreadable)?.into_iter().map(to_protocol).collect();
        if !self.owned.is_current() {
            // Lost while it was read, perhaps for long.
            return Ok(Turn::Suspended);
        }
        match (items.first(), items.last()) {
            (Some(first), Some(last)) if first.offset == from => {
                self.position = last.offset.next();
                Ok(Turn::Message(to_message(codec.encode_messages(self.subscriber.room(), &items))))
            }
            (Some(first), _) => Err(LogGap::Trimmed { wanted: from, found: first.offset }),
            // The life is over: its rows are gone.
            _ => Ok(Turn::Ended),
        }
    }
}
