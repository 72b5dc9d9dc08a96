//! The handle of one room.

use std::sync::Arc;

use roomkeeper_protocol::{
    Command, Create, CreateOk, From, HelloOk, History, HistoryOk, Isolation, NewMessage, Placement, Publish,
    Reply, RoomRef,
};
use roomkeeper_types::{Offset, RoomName};
use tokio::sync::{Semaphore, mpsc};

use crate::handle::{Handle, Op, Waiter};
use crate::{Error, PublishTicket, Subscription};

/// One room: a socket to its owner, wherever that is. Cheap to clone; all clones share the socket, which
/// is opened with the first call and closed when the last clone and the subscription are gone and every
/// call is answered.
///
/// A handle is bound to the life of the room that it joined: after [`Error::Recreated`] open another one.
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
    pub async fn publish(&self, messages: Vec<NewMessage>) -> Result<roomkeeper_protocol::PublishOk, Error> {
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
    ) -> Result<roomkeeper_protocol::PublishOk, Error> {
        self.send(messages, Some(expect)).await?.await
    }

    /// The same as [`Room::publish`], but returns once the messages are on their way, so that the next ones
    /// can follow before the answer. Publishes of one task keep their order, also over reconnects. Waits
    /// while the window is full.
    ///
    /// # Errors
    /// [`Error::Stopped`] if the room's handle was closed.
    pub async fn publish_pipelined(&self, messages: Vec<NewMessage>) -> Result<PublishTicket, Error> {
        self.send(messages, None).await
    }

    /// Receives the room's messages from there on. One subscription per handle at a time.
    ///
    /// # Errors
    /// The server's definite no (`trimmed`, `forbidden`, …), [`Error::Deadline`],
    /// [`Error::AlreadySubscribed`].
    pub async fn subscribe(&self, from: From) -> Result<Subscription, Error> {
        let (events, receiver) = mpsc::channel(self.buffer);
        let (waiter, answer) = Waiter::new(None);
        self.handle.send(Op::Subscribe { from, events, waiter }).await?;
        match answer.await.map_err(|_| Error::Stopped)?? {
            Reply::Join(ok) => Ok(Subscription::new(ok, receiver, self.handle.clone())),
            other => Err(wrong_reply("join", &other)),
        }
    }

    /// Reads a piece of the room's log: at most `limit` messages, 1 to 1,000, from an offset, a range or the
    /// beginning on.
    ///
    /// # Errors
    /// As [`Room::subscribe`].
    pub async fn history(&self, from: From, limit: u32) -> Result<HistoryOk, Error> {
        let history =
            History { room: RoomRef::default(), from, limit: Some(limit), isolation: Isolation::Committed };
        match self.call(Command::History(history)).await? {
            Reply::History(ok) => Ok(ok),
            other => Err(wrong_reply("history", &other)),
        }
    }

    /// Creates the room.
    ///
    /// # Errors
    /// `already_exists`; it may be this very call's work if the first attempt's answer was lost.
    pub async fn create(&self, placement: Option<Placement>) -> Result<CreateOk, Error> {
        match self.call(Command::Create(Create { placement, ..Create::default() })).await? {
            Reply::Create(ok) => Ok(ok),
            other => Err(wrong_reply("create", &other)),
        }
    }

    /// Deletes the room and all its messages.
    ///
    /// # Errors
    /// `not_found`; it may be this very call's work if the first attempt's answer was lost.
    pub async fn delete(&self) -> Result<(), Error> {
        match self.call(Command::Delete(RoomRef::default())).await? {
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

    async fn send(&self, messages: Vec<NewMessage>, expect: Option<Offset>) -> Result<PublishTicket, Error> {
        let permit = self.window.clone().acquire_owned().await.map_err(|_| Error::Stopped)?;
        let (waiter, answer) = Waiter::new(Some(permit));
        let room = RoomRef::default();
        let command = Command::Publish(Publish { room, messages, expect, hold_ms: None, timeout_ms: None });
        self.handle.send(Op::Call { command, waiter }).await?;
        Ok(PublishTicket::new(answer))
    }

    async fn call(&self, command: Command) -> Result<Reply, Error> {
        let (waiter, answer) = Waiter::new(None);
        self.handle.send(Op::Call { command, waiter }).await?;
        answer.await.map_err(|_| Error::Stopped)?
    }
}

pub(crate) fn wrong_reply(command: &str, got: &Reply) -> Error {
    let reason = format!("the reply to {command} is another command's: {got:?}");
    Error::Unreadable { url: "the server".into(), reason }
}
