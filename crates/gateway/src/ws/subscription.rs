//! One subscription of a socket: a position in a room's log, and what stands there.
//!
//! What a client is to see lives here and is the same whoever owns the room: where it stands, where it ends, how far
//! its credit reaches. Where messages come from, and whether they may be handed out at the moment, its [`Source`] knows.

use std::sync::Arc;

use roomkeeper_protocol::{Codec, Error};
use roomkeeper_types::{Offset, RoomName};
use tokio_tungstenite::tungstenite::Message;

use super::source::{Page, PageAsk, Source, Standing};
use crate::edge::Edge;
use crate::hub::{FeedFrame, Step, Subscriber, SubscriptionId, Waiter};
use crate::local::Span;

/// A position in a room's log.
pub(crate) struct Subscription {
    pub(crate) id: SubscriptionId,
    subscriber: Subscriber,
    waiter: Arc<Waiter>,
    source: Source,
    /// The offset that is sent next.
    position: Offset,
    /// The last offset to send, if there is one.
    to: Option<Offset>,
    /// The last offset that the client's credit reaches; `None`: it needs none.
    limit: Option<Offset>,
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
    /// It could not be read.
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
        source: Source,
        span: Span,
        credit: Option<u64>,
    ) -> Self {
        let limit = credit.map(|credit| Offset((span.from.get() - 1).saturating_add(credit)));
        Self { id, subscriber, waiter, source, position: span.from, to: span.to, limit }
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
        if self.source.standing() == Standing::Doubtful {
            return Ok(Turn::Suspended);
        }
        if self.to.is_some_and(|to| self.position > to) {
            return Ok(Turn::Ended);
        }
        if self.limit.is_some_and(|limit| self.position > limit) {
            // It stays on the list, so that no message wakes a client that may not have it.
            return Ok(Turn::Wait);
        }
        self.waiter.taken();
        // Looked at behind that, as what comes next wakes it.
        match self.source.standing() {
            Standing::Stands => {}
            Standing::NotYet => return Ok(Turn::Wait),
            Standing::Doubtful => return Ok(Turn::Suspended),
        }
        match self.subscriber.at(self.position) {
            Step::Wait => Ok(Turn::Wait),
            Step::Ended => Ok(Turn::Ended),
            Step::Frame(frame) => Ok(Turn::Message(self.take(&frame, codec))),
            Step::Log(kept_to) => self.page(edge, codec, kept_to).await,
        }
    }

    /// Reads the log at the position, up to `kept_to`.
    async fn page(&mut self, edge: &Edge, codec: Codec, kept_to: Offset) -> Result<Turn, LogGap> {
        let wanted = self.position;
        let to = self.until(kept_to);
        let ask = PageAsk { life: self.subscriber.life(), from: wanted, to };
        match self.source.page(edge, ask, &self.waiter).await.map_err(LogGap::Unreadable)? {
            Page::Here(frame) if frame.first() == wanted => Ok(Turn::Message(self.take(&frame, codec))),
            Page::Here(frame) => Err(LogGap::Trimmed { wanted, found: frame.first() }),
            Page::NotYet => Ok(Turn::Wait),
            Page::Gone => Ok(Turn::Ended),
            Page::Doubtful => Ok(Turn::Suspended),
        }
    }

    /// What of the frame is for this client. The position is in it, and moves on behind it.
    fn take(&mut self, frame: &FeedFrame, codec: Codec) -> Message {
        let (from, last) = (self.position, frame.last());
        let to = self.until(last);
        self.position = to.next();
        let room = self.subscriber.room();
        if from == frame.first() && to == last {
            frame.message(codec, room)
        } else {
            frame.part(codec, room, from, to)
        }
    }

    /// How far the client may be sent what reaches to `last`.
    fn until(&self, last: Offset) -> Offset {
        [self.to, self.limit].into_iter().flatten().fold(last, Offset::min)
    }
}
