//! The handle of one room.

use std::sync::Arc;
use std::time::Duration;

use roomkeeper_protocol::{
    Command, Commit, Create, CreateOk, Data, HelloOk, History, HistoryOk, HoldOk, HoldRef, Isolation, Member,
    NewMessage, Placement, Publish, PublishOk, Reply, RoomOptions, RoomRef, Signal,
};
use roomkeeper_types::{ConsumerId, MessageId, Offset, RoomName};
use tokio::sync::{Semaphore, mpsc, watch};

use crate::flow::Flow;
use crate::handle::{Handle, Op, Waiter};
use crate::outlet::Way;
use crate::{Error, PublishTicket, SubscribeOptions, Subscription};

/// One room: a socket to its owner, wherever that is. Cheap to clone; all clones share the socket, which
/// is opened with the first call and closed when the last clone and the subscription are gone and every
/// call is answered.
///
/// A handle is bound to the life of the room that it joined: after [`Error::Recreated`] open another one.
///
/// What all calls do about failures: an answer that leaves the outcome open, and a connection that ends, have
/// the same command sent again, with the same ids, until the deadline; `rate_limited` has it sent again after
/// a pause; a definite no is returned.
#[derive(Debug, Clone)]
pub struct Room {
    name: RoomName,
    handle: Handle,
    window: Arc<Semaphore>,
    buffer: usize,
}

impl Room {
    pub(crate) fn new(name: RoomName, handle: Handle, window: usize, buffer: usize) -> Self {
        let window = Arc::new(Semaphore::new(window));
        Self { name, handle, window, buffer }
    }

    /// The room's name.
    #[must_use]
    pub fn name(&self) -> &RoomName {
        &self.name
    }

    /// Appends messages, all or none, and waits until they are on the disks of a majority of replicas.
    ///
    /// # Errors
    /// The server's definite no, or [`Error::Deadline`] where the outcome is not known: publish the same
    /// messages (with their ids) again. After a reconnect within the call `duplicates` may say `true` for
    /// messages that this very call stored.
    pub async fn publish(&self, messages: Vec<NewMessage>) -> Result<PublishOk, Error> {
        self.publish_pipelined(messages).await?.await
    }

    /// Appends messages only if the room's next offset is `expect`.
    ///
    /// # Errors
    /// As [`Room::publish`]; `conflict` that names the next offset if it is another one.
    pub async fn publish_expecting(
        &self,
        messages: Vec<NewMessage>,
        expect: Offset,
    ) -> Result<PublishOk, Error> {
        self.send(messages, Some(expect), None).await?.await
    }

    /// The same as [`Room::publish`], but returns once the messages are on their way, so that the next ones
    /// can follow before the answer. Publishes of one task keep their order, also over reconnects. Waits
    /// while the window is full.
    ///
    /// # Errors
    /// [`Error::Stopped`] if the room's handle was closed.
    pub async fn publish_pipelined(&self, messages: Vec<NewMessage>) -> Result<PublishTicket, Error> {
        self.send(messages, None, None).await
    }

    /// Stores messages without offsets, for [`Room::confirm`] to append or [`Room::rollback`] to drop, both with
    /// all their ids. They are dropped too when neither has come after `time`, at most a day.
    ///
    /// # Errors
    /// As [`Room::publish`].
    pub async fn hold(&self, messages: Vec<NewMessage>, time: Duration) -> Result<PublishOk, Error> {
        self.send(messages, None, Some(millis(time))).await?.await
    }

    /// Appends what was held, in one piece. Doing it again returns the same offsets.
    ///
    /// # Errors
    /// `gone`: it was dropped; `not_found`, [`Error::Deadline`].
    pub async fn confirm(&self, ids: Vec<MessageId>) -> Result<HoldOk, Error> {
        match self.handle.call(Command::Confirm(HoldRef { room: RoomRef::default(), ids })).await? {
            Reply::Confirm(ok) => Ok(ok),
            other => Err(wrong_reply("confirm", &other)),
        }
    }

    /// Drops what was held. Doing it again changes nothing.
    ///
    /// # Errors
    /// `too_late`: it was confirmed; `not_found`, [`Error::Deadline`].
    pub async fn rollback(&self, ids: Vec<MessageId>) -> Result<(), Error> {
        match self.handle.call(Command::Rollback(HoldRef { room: RoomRef::default(), ids })).await? {
            Reply::Rollback => Ok(()),
            other => Err(wrong_reply("rollback", &other)),
        }
    }

    /// Tells those who are in the room now, once at most: it is not stored, and not sent again.
    ///
    /// # Errors
    /// The server's definite no; [`Error::Disconnected`] and the like: nobody knows whether anybody was told.
    pub async fn signal(&self, data: Data) -> Result<(), Error> {
        match self.handle.call(Command::Signal(Signal { room: RoomRef::default(), data })).await? {
            Reply::Signal => Ok(()),
            other => Err(wrong_reply("signal", &other)),
        }
    }

    /// Receives the room's messages, and what else happens there. One subscription per handle at a time.
    ///
    /// ```no_run
    /// # use futures::StreamExt;
    /// # use roomkeeper_client::{Error, Event, Room, SubscribeOptions};
    /// # fn bill(_: &roomkeeper_client::protocol::Item) {}
    /// # async fn example(room: Room) -> Result<(), Error> {
    /// // Behind what any process called "billing" has committed, at most 100 messages ahead of it.
    /// let options = SubscribeOptions {
    ///     credit: Some(100),
    ///     ..SubscribeOptions::consumer("billing".parse().expect("a consumer's name"))
    /// };
    /// let mut orders = room.subscribe(options).await?;
    /// while let Some(event) = orders.next().await.transpose()? {
    ///     if let Event::Items(items) = event {
    ///         for item in items {
    ///             bill(&item);
    ///             orders.commit(item.offset).await?;
    ///         }
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The server's definite no (`trimmed`, `forbidden`, …), [`Error::Deadline`],
    /// [`Error::AlreadySubscribed`].
    pub async fn subscribe(&self, options: impl Into<SubscribeOptions>) -> Result<Subscription, Error> {
        let options = options.into();
        let (events, receiver) = mpsc::channel(self.buffer);
        let flow = Flow::new(&options);
        let (tell_read, read) = flow.needs_reads().then(|| watch::channel(Offset(0))).unzip();
        let way = Way { events, read, window: flow.window() };
        let consumer = options.consumer.clone();
        let (waiter, answer) = Waiter::new(None);
        self.handle.send(Op::Subscribe { options, way, waiter }).await?;
        match answer.await.map_err(|_| Error::Stopped)?? {
            Reply::Join(ok) => Ok(Subscription::new(ok, receiver, tell_read, consumer, self.handle.clone())),
            other => Err(wrong_reply("join", &other)),
        }
    }

    /// Moves a consumer's durable cursor to that offset, and returns the cursor. Offsets below it change
    /// nothing.
    ///
    /// # Errors
    /// `bad_request`: there is no such message yet; `forbidden`, [`Error::Deadline`].
    pub async fn commit(&self, consumer: ConsumerId, offset: Offset) -> Result<Offset, Error> {
        commit(&self.handle, Commit { room: RoomRef::default(), consumer, offset }).await
    }

    /// A consumer's durable cursor: the last message that counts as processed; 0 where it has committed
    /// none.
    ///
    /// # Errors
    /// As [`Room::commit`].
    pub async fn cursor(&self, consumer: ConsumerId) -> Result<Offset, Error> {
        self.commit(consumer, Offset(0)).await
    }

    /// Who is in the room, one for each user and device. [`SubscribeOptions::presence`] follows it.
    ///
    /// # Errors
    /// `not_found`, `forbidden`, [`Error::Deadline`].
    pub async fn presence(&self) -> Result<Vec<Member>, Error> {
        match self.handle.call(Command::Presence(RoomRef::default())).await? {
            Reply::Presence(ok) => Ok(ok.members),
            other => Err(wrong_reply("presence", &other)),
        }
    }

    /// Reads a piece of the room's log: at most `limit` messages, 1 to 1,000, from an offset, a range or the
    /// beginning on.
    ///
    /// # Errors
    /// As [`Room::subscribe`].
    pub async fn history(&self, from: roomkeeper_protocol::From, limit: u32) -> Result<HistoryOk, Error> {
        let history =
            History { room: RoomRef::default(), from, limit: Some(limit), isolation: Isolation::Committed };
        match self.handle.call(Command::History(history)).await? {
            Reply::History(ok) => Ok(ok),
            other => Err(wrong_reply("history", &other)),
        }
    }

    /// Creates the room with these options, where nothing is said with the cluster's, and put where `placement` says:
    /// by its name's hash without one.
    ///
    /// # Errors
    /// `already_exists`; it may be this very call's work if the first attempt's answer was lost.
    pub async fn create(
        &self,
        options: RoomOptions,
        placement: Option<Placement>,
    ) -> Result<CreateOk, Error> {
        match self.handle.call(Command::Create(Create { room: None, options, placement })).await? {
            Reply::Create(ok) => Ok(ok),
            other => Err(wrong_reply("create", &other)),
        }
    }

    /// Deletes the room and all its messages.
    ///
    /// # Errors
    /// `not_found`; it may be this very call's work if the first attempt's answer was lost.
    pub async fn delete(&self) -> Result<(), Error> {
        match self.handle.call(Command::Delete(RoomRef::default())).await? {
            Reply::Delete => Ok(()),
            other => Err(wrong_reply("delete", &other)),
        }
    }

    /// Opens the socket now instead of with the first call, and tells which node it leads to.
    ///
    /// # Errors
    /// [`Error::Deadline`] with the reason, or the server's definite no.
    pub async fn connect(&self) -> Result<HelloOk, Error> {
        let (waiter, answer) = Waiter::new(None);
        self.handle.send(Op::Connect { waiter }).await?;
        match answer.await.map_err(|_| Error::Stopped)?? {
            Reply::Hello(ok) => Ok(ok),
            other => Err(wrong_reply("hello", &other)),
        }
    }

    async fn send(
        &self,
        messages: Vec<NewMessage>,
        expect: Option<Offset>,
        hold_ms: Option<u64>,
    ) -> Result<PublishTicket, Error> {
        let permit = self.window.clone().acquire_owned().await.map_err(|_| Error::Stopped)?;
        let (waiter, answer) = Waiter::new(Some(permit));
        let room = RoomRef::default();
        let command = Command::Publish(Publish { room, messages, expect, hold_ms, timeout_ms: None });
        self.handle.send(Op::Call { command, waiter }).await?;
        Ok(PublishTicket::new(answer))
    }
}

/// Commits over a room's socket.
pub(crate) async fn commit(room: &Handle, commit: Commit) -> Result<Offset, Error> {
    match room.call(Command::Commit(commit)).await? {
        Reply::Commit(ok) => Ok(ok.committed),
        other => Err(wrong_reply("commit", &other)),
    }
}

/// Whole milliseconds, at least one: 0 would be another command.
pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1)
}

pub(crate) fn wrong_reply(command: &str, got: &Reply) -> Error {
    let reason = format!("the reply to {command} is another command's: {got:?}");
    Error::Unreadable { url: "the server".into(), reason }
}
