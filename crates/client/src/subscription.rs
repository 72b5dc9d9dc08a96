//! What a subscriber sees of a room.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::Stream;
use roomkeeper_protocol::{Commit, Data, Item, JoinOk, Member, OwnerHint, RoomRef};
use roomkeeper_types::{ConsumerId, MessageId, Offset, Timestamp, UserId};
use tokio::sync::{mpsc, watch};

use crate::handle::Handle;
use crate::{Error, room};

/// Something a subscriber is told.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// Messages. Over all of a subscription's events: every offset once, in order.
    Items(Vec<Item>),
    /// Who came and went; only with [`SubscribeOptions::presence`](crate::SubscribeOptions::presence).
    Presence(Presence),
    /// A signal: at most once. One that finds the subscription's buffer full is dropped.
    Signal {
        /// Its sender.
        from: UserId,
        /// Its content.
        data: Data,
    },
    /// An open hold; only where uncommitted messages were asked for. It comes again in [`Event::Items`] when it is
    /// confirmed. After [`Event::Reconnected`] every hold that is still open is told once more; the others are
    /// no more.
    Held {
        /// Its messages in the sender's order, with offset 0: they have none yet.
        items: Vec<Item>,
        /// When it runs out.
        expires: Timestamp,
    },
    /// A hold was dropped: these messages will not be stored.
    RolledBack(Vec<MessageId>),
    /// The connection was lost and is there again, maybe at another owner. Nothing is missing: the next
    /// items follow the ones before.
    Reconnected(JoinOk),
    /// The room has moved to another owner, or is about to get one. For information: the client goes there.
    Moved(OwnerHint),
}

/// Who came and went, and who is there now. Over all of a subscription's events, `members` is what `joined` and
/// `left` make of it, whatever happened to connections and owners meanwhile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presence {
    /// Who came.
    pub joined: Vec<Member>,
    /// Who went.
    pub left: Vec<Member>,
    /// Members, as the server counts them. More than are known where a room is so large that it names nobody.
    pub count: u64,
    /// `false` while a new owner gathers who is there: meanwhile nobody counts as gone who did not say so.
    pub settled: bool,
    /// Who is there, in the order of users and devices.
    pub members: Arc<Vec<Member>>,
}

/// A stream of a room's messages, and of what else happens there. It ends after an error that no retry helps
/// against (`Recreated`, `Trimmed`, `Gap`, …), and after the last offset of a range. Dropping it leaves the
/// room.
///
/// Its buffer is bounded. With a consumer or credit the server sends no more than may wait there. Without:
/// while it is full the socket is not read, so that a slow reader holds up the answers to this room handle's
/// calls too; readers that may be slow get a room handle of their own.
#[derive(Debug)]
pub struct Subscription {
    joined: JoinOk,
    events: mpsc::Receiver<Result<Event, Error>>,
    /// Tells the room's task how far the subscriber has read, where that makes room for more.
    read: Option<watch::Sender<Offset>>,
    consumer: Option<ConsumerId>,
    /// Keeps the room's task alive for as long as the subscription.
    room: Handle,
}

impl Subscription {
    pub(crate) fn new(
        joined: JoinOk,
        events: mpsc::Receiver<Result<Event, Error>>,
        read: Option<watch::Sender<Offset>>,
        consumer: Option<ConsumerId>,
        room: Handle,
    ) -> Self {
        Self { joined, events, read, consumer, room }
    }

    /// Where the subscription started.
    #[must_use]
    pub fn joined(&self) -> &JoinOk {
        &self.joined
    }

    /// Says that every message up to that one was processed, and returns the cursor, which is then on the
    /// disks of a majority of replicas: no process that reads on under the consumer's name gets them again.
    /// Offsets below the cursor change nothing.
    ///
    /// # Errors
    /// [`Error::NoConsumer`], or as for [`Room::commit`](crate::Room::commit).
    pub async fn commit(&self, offset: Offset) -> Result<Offset, Error> {
        let consumer = self.consumer.clone().ok_or(Error::NoConsumer)?;
        room::commit(&self.room, Commit { room: RoomRef::default(), consumer, offset }).await
    }
}

impl Stream for Subscription {
    type Item = Result<Event, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = self.events.poll_recv(cx);
        if let (Poll::Ready(Some(Ok(Event::Items(items)))), Some(read)) = (&polled, &self.read)
            && let Some(last) = items.last()
        {
            read.send_replace(last.offset);
        }
        polled
    }
}
