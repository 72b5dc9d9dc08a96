//! The writing half of a socket: replies, pushes and subscriptions, many per flush.

use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::{FutureExt, Sink, SinkExt};
use roomkeeper_protocol::{CloseCode, OwnerHint, Push};
use roomkeeper_types::RoomName;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{self, Message, Utf8Bytes};

use super::conn::{Conn, Outgoing};
use super::patience::Patience;
use super::subscription::{Subscription, Turn};
use crate::clock;
use crate::hub::{SubscriptionId, to_message};

/// Bytes after which the socket is flushed although there is more to send.
const FLUSH_BYTES: usize = 256 << 10;
/// A subscription whose ownership does not stand is looked at again after so long. Mostly the ownership is over,
/// and the subscription's end is on its way.
const SUSPENDED_CHECK: Duration = Duration::from_millis(100);
/// A client that was written so much since its last sign of life may still have it to read, and a ping behind it: it
/// is slow, and not taken for dead.
pub(crate) const BACKLOG_BYTES: usize = 64 << 10;
/// A client is given up that was silent at more looks than these, in a row.
pub(crate) const SILENT_LOOKS: u32 = 2;

/// Looks at clients are this part of the ping interval late, at most.
const LOOKS_TOGETHER: u32 = 16;

/// Writing cannot go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    /// The socket failed.
    #[error(transparent)]
    Socket(#[from] tungstenite::Error),
    /// The client took nothing for too long.
    #[error("the client takes nothing any more")]
    Stalled,
    /// The client answers no ping.
    #[error("the client is silent")]
    Silent,
}

/// The writing half of a socket.
pub(crate) struct Writer<S> {
    sink: S,
    conn: Arc<Conn>,
    queue: UnboundedReceiver<Outgoing>,
    subscriptions: HashMap<SubscriptionId, Subscription>,
    rooms: HashMap<RoomName, SubscriptionId>,
    /// Subscriptions that have a turn, in order.
    due: VecDeque<SubscriptionId>,
    woken: Vec<SubscriptionId>,
    /// Those of an ownership that does not stand now.
    suspended: Vec<SubscriptionId>,
    unflushed: usize,
    /// The close frame is on its way.
    closing: Option<CloseCode>,
    /// The client's last sign of life that was seen here, and bytes written since.
    alive_ms: u64,
    unanswered: usize,
    /// Looks at the client in a row that found it silent.
    silent_looks: u32,
}

/// Whether there is more to write.
#[derive(PartialEq, Eq)]
enum Progress {
    More,
    Closed,
}

impl<S> Writer<S>
where
    S: Sink<Message, Error = tungstenite::Error> + Unpin,
{
    pub(crate) fn new(sink: S, conn: Arc<Conn>, queue: UnboundedReceiver<Outgoing>) -> Self {
        Self {
            sink,
            conn,
            queue,
            subscriptions: HashMap::new(),
            rooms: HashMap::new(),
            due: VecDeque::new(),
            woken: Vec::new(),
            suspended: Vec::new(),
            unflushed: 0,
            closing: None,
            alive_ms: 0,
            unanswered: 0,
            silent_looks: 0,
        }
    }

    /// Writes until the close frame is out or the socket fails, and gives the sink back.
    pub(crate) async fn run(mut self) -> (S, Result<(), WriteError>) {
        let ended = self.write().await;
        (self.sink, ended)
    }

    async fn write(&mut self) -> Result<(), WriteError> {
        let conn = self.conn.clone();
        let mut look = pin!(tokio::time::sleep(conn.patience().quiet));
        loop {
            let first = tokio::select! {
                biased;
                first = self.queue.recv() => first,
                () = conn.ready.notified() => None,
                () = tokio::time::sleep(SUSPENDED_CHECK), if !self.suspended.is_empty() => {
                    self.due.extend(self.suspended.drain(..));
                    None
                }
                () = &mut look => {
                    let pause = self.keep_alive().await?;
                    look.as_mut().reset(Instant::now() + together(pause, conn.edge.config.ping_interval));
                    None
                }
            };
            let progress = match first {
                Some(first) => self.put(first).await?,
                None => Progress::More,
            };
            if progress == Progress::Closed || self.drain().await? == Progress::Closed {
                self.flush().await?;
                if let Some(code) = self.closing {
                    conn.edge.metrics.closed(code);
                }
                return Ok(());
            }
            self.flush().await?;
        }
    }

    /// Writes all there is: what is queued, and a turn of each subscription that has something, by turns.
    async fn drain(&mut self) -> Result<Progress, WriteError> {
        loop {
            let mut idle = true;
            while let Ok(outgoing) = self.queue.try_recv() {
                idle = false;
                if self.put(outgoing).await? == Progress::Closed {
                    return Ok(Progress::Closed);
                }
            }
            self.conn.ready.take(&mut self.woken);
            self.due.extend(self.woken.drain(..));
            for _ in 0..self.due.len() {
                idle = false;
                if let Some(id) = self.due.pop_front() {
                    self.turn(id).await?;
                }
            }
            if idle {
                return Ok(Progress::More);
            }
        }
    }

    async fn put(&mut self, outgoing: Outgoing) -> Result<Progress, WriteError> {
        match outgoing {
            Outgoing::Reply(id, result, permit) => {
                self.feed(to_message(self.conn.codec.encode_reply(id, &result))).await?;
                drop(permit);
            }
            Outgoing::Push(_) if self.conn.is_cut_off() => {}
            Outgoing::Push(push) => self.feed(to_message(self.conn.codec.encode_push(&push))).await?,
            Outgoing::Relayed(push, permit) => {
                let (room, message) = *push;
                if !self.conn.is_cut_off() && self.conn.may_receive(&room) {
                    self.feed(message).await?;
                }
                drop(permit);
            }
            // A join that was under way when a fresh token forbade it: its lane is about to hear of that.
            Outgoing::Subscribe(it) if !self.conn.may_receive(it.room()) => self.unsubscribe(it.room()),
            Outgoing::Subscribe(subscription) => {
                self.unsubscribe(subscription.room());
                self.rooms.insert(subscription.room().clone(), subscription.id);
                subscription.wake();
                self.subscriptions.insert(subscription.id, *subscription);
            }
            Outgoing::Done(permit) => drop(permit),
            Outgoing::Unsubscribe(room) => self.unsubscribe(&room),
            Outgoing::Recheck => self.recheck(),
            Outgoing::Grant(room, grant) => self.with_subscription(&room, |it| it.grant(&grant)),
            Outgoing::Beat(room, seen) => {
                let resumed = self.conn.resumed();
                // A room that the client is not subscribed to has nothing to be missing.
                self.with_subscription(&room, |it| it.beat(*seen, resumed));
            }
            Outgoing::Close(code, reason) => {
                self.closing = Some(code);
                self.feed(close_message(code, reason)).await?;
                return Ok(Progress::Closed);
            }
        }
        Ok(Progress::More)
    }

    /// Tells a room's subscription something, and gives it a turn.
    fn with_subscription(&mut self, room: &RoomName, tell: impl FnOnce(&mut Subscription)) {
        let Some(id) = self.rooms.get(room) else { return };
        if let Some(subscription) = self.subscriptions.get_mut(id) {
            tell(subscription);
            self.due.push_back(*id);
        }
    }

    fn unsubscribe(&mut self, room: &RoomName) {
        if let Some(id) = self.rooms.remove(room) {
            self.subscriptions.remove(&id);
        }
    }

    /// Ends the subscriptions that the client may not have any more; their lanes tell it.
    fn recheck(&mut self) {
        let conn = &self.conn;
        self.subscriptions.retain(|_, subscription| conn.may_receive(subscription.room()));
        self.rooms.retain(|_, id| self.subscriptions.contains_key(id));
    }

    async fn turn(&mut self, id: SubscriptionId) -> Result<(), WriteError> {
        if self.conn.is_cut_off() {
            return Ok(());
        }
        // One that is gone may still be on the list.
        let Some(subscription) = self.subscriptions.get_mut(&id) else { return Ok(()) };
        match subscription.turn(&self.conn.edge, self.conn.codec).await {
            Ok(Turn::Message(message)) => {
                self.due.push_back(id);
                self.feed(message).await
            }
            Ok(Turn::Wait) => Ok(()),
            Ok(Turn::Suspended) => {
                self.suspended.push(id);
                Ok(())
            }
            Ok(Turn::Ended) => {
                self.forget(id);
                Ok(())
            }
            Err(gap) => {
                let room = subscription.room().clone();
                tracing::warn!(%room, %gap, "a subscription cannot go on");
                self.forget(id);
                self.send_away(room).await
            }
        }
    }

    fn forget(&mut self, id: SubscriptionId) {
        if let Some(subscription) = self.subscriptions.remove(&id) {
            self.rooms.remove(subscription.room());
        }
    }

    /// The client has to join again: it then learns what is wrong, and skips nothing without knowing.
    async fn send_away(&mut self, room: RoomName) -> Result<(), WriteError> {
        let hint = OwnerHint::unknown(room);
        self.feed(to_message(self.conn.codec.encode_push(&Push::Moved(hint)))).await?;
        if self.conn.single {
            self.conn.send(Outgoing::Close(CloseCode::Moved, "join again"));
        }
        Ok(())
    }

    /// Pings a client that was silent for too long; gives one up that does not answer. Returns when to look again: not
    /// before it could have been silent for too long, as most clients are idle, and there are many.
    async fn keep_alive(&mut self) -> Result<Duration, WriteError> {
        let Patience { quiet, answer } = self.conn.patience();
        let silent = self.conn.silent_for();
        if silent < quiet {
            self.silent_looks = 0;
            return Ok(quiet - silent);
        }
        self.silent_looks += 1;
        let longest =
            if self.unanswered < BACKLOG_BYTES { quiet + answer } else { self.conn.edge.config.write_stall };
        // One look says nothing: this node may have been stopped itself, and not have read what came meanwhile.
        if silent >= longest && self.silent_looks > SILENT_LOOKS {
            return Err(WriteError::Silent);
        }
        self.feed(Message::Ping(Bytes::new())).await?;
        Ok(answer / SILENT_LOOKS)
    }

    async fn feed(&mut self, message: Message) -> Result<(), WriteError> {
        self.unflushed += message.len();
        let alive_ms = self.conn.alive_ms();
        if alive_ms != self.alive_ms {
            (self.alive_ms, self.unanswered) = (alive_ms, 0);
        }
        self.unanswered += message.len();
        match poll_fn(|cx| self.sink.poll_ready_unpin(cx)).now_or_never() {
            Some(ready) => ready?,
            None => self.blocked(|sink, cx| sink.poll_ready_unpin(cx)).await?,
        }
        self.sink.start_send_unpin(message)?;
        if self.unflushed >= FLUSH_BYTES {
            self.flush().await?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), WriteError> {
        let sent = std::mem::take(&mut self.unflushed);
        self.conn.edge.metrics.bytes_sent.inc_by(sent as u64);
        match poll_fn(|cx| self.sink.poll_flush_unpin(cx)).now_or_never() {
            Some(flushed) => Ok(flushed?),
            None => self.blocked(|sink, cx| sink.poll_flush_unpin(cx)).await,
        }
    }

    /// Waits until the client takes something. That it does is a sign of life: a slow client's pongs come late,
    /// behind all that it has not read yet.
    async fn blocked(
        &mut self,
        mut poll: impl FnMut(&mut S, &mut Context<'_>) -> Poll<Result<(), tungstenite::Error>>,
    ) -> Result<(), WriteError> {
        let stall = self.conn.edge.config.write_stall;
        match tokio::time::timeout(stall, poll_fn(|cx| poll(&mut self.sink, cx))).await {
            Ok(written) => written?,
            Err(_) => return Err(WriteError::Stalled),
        }
        self.conn.note_alive();
        Ok(())
    }
}

/// A pause until many sockets look at their clients, so that a core that sleeps is woken for all of them once.
fn together(pause: Duration, ping_interval: Duration) -> Duration {
    let step = (ping_interval / LOOKS_TOGETHER).as_millis().max(1);
    let end = u128::from(clock::now().millis()) + pause.as_millis();
    let more = u64::try_from(step - end % step).unwrap_or_default();
    pause + Duration::from_millis(more)
}

/// A close frame of the protocol.
pub(crate) fn close_message(code: CloseCode, reason: &'static str) -> Message {
    Message::Close(Some(CloseFrame { code: code.number().into(), reason: Utf8Bytes::from_static(reason) }))
}
