//! A socket to another node: commands go over it under numbers of its own, replies and pushes come back.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use parking_lot::Mutex;
use roomkeeper_auth::Behalf;
use roomkeeper_protocol::{
    Codec, Command, CommandId, CommandKind, Error, ErrorCode, Frame, Hello, Push, Reply, Request, ServerFrame,
};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_util::sync::CancellationToken;

use super::{DialError, Dialled, Errand, dial};
use crate::edge::Edge;
use crate::host::Owner;
use crate::hub::to_message;

/// Commands that wait to be written; who sends more waits.
const CALLS_MAX: usize = 64;
/// The other node hears of this one at least this often, also while it is not read: more often than it gives up who
/// is silent.
const PONG_EVERY: Duration = Duration::from_secs(3);
/// Between two looks at a node that is to give signs of life; it is asked for one each time.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// A node that gives none for so many looks is given up: it is stopped or cut off.
const LOOKS_MAX: u32 = 3;

/// What is done with a command's reply. Called once.
pub(super) type Done = Box<dyn FnOnce(Result<Reply, Error>) + Send>;

/// Who is told of what comes over a wire besides replies.
pub(super) trait Listener: Send + Sync + 'static {
    /// A push and the frame that it came in. The socket is not read while it waits.
    fn push(&self, push: Push, frame: Bytes) -> impl Future<Output = ()> + Send;

    /// The other node has answered something that was sent at that time: it was there since.
    fn answered(&self, _sent: Instant) {}

    /// Whether the other node is to give signs of life though it owes no answer.
    fn watches(&self) -> bool {
        false
    }

    /// The wire is gone. The last call.
    fn end(&self);
}

/// A socket to another node. Ends when nobody holds it any more, or the node is gone.
pub(super) struct Wire {
    calls: mpsc::Sender<Call>,
    /// Cancelled when the socket is over.
    gone: CancellationToken,
}

struct Call {
    command: Command,
    done: Done,
}

impl Wire {
    /// Opens a session socket to a node, which hears that it is a relay's, and in whose name; `hello` is the first
    /// command.
    ///
    /// # Errors
    /// No socket.
    pub(super) async fn open(
        edge: &Edge,
        owner: &Owner,
        behalf: Behalf,
        hello: Hello,
        listener: Arc<impl Listener>,
    ) -> Result<Self, DialError> {
        let errand = Errand { path: "/v1/ws", codec: Codec::Proto, behalf, authorization: None };
        let socket = dial(edge, owner, errand).await?;
        let (calls, queue) = mpsc::channel(CALLS_MAX);
        let wire = Self { calls, gone: CancellationToken::new() };
        let task = Task {
            listener,
            calls: Mutex::default(),
            opened: Instant::now(),
            silent: AtomicU32::new(0),
            deaf: AtomicBool::new(false),
        };
        let hello = Call { command: Command::Hello(hello), done: Box::new(drop) };
        let gone = wire.gone.clone();
        edge.tasks.spawn(async move { task.run(socket, hello, queue, gone).await });
        Ok(wire)
    }

    /// Sends a command; `done` gets its reply, or `unavailable` when the socket ends before. Waits while too
    /// many commands wait already.
    pub(super) async fn call(&self, command: Command, done: Done) {
        if let Err(mpsc::error::SendError(call)) = self.calls.send(Call { command, done }).await {
            (call.done)(Err(lost()));
        }
    }

    /// Whether the socket is over.
    pub(super) fn is_gone(&self) -> bool {
        self.gone.is_cancelled()
    }

    /// Resolves when the socket is over.
    pub(super) async fn gone(&self) {
        self.gone.cancelled().await;
    }
}

/// The owner, or the way to it, is gone.
fn lost() -> Error {
    Error::new(ErrorCode::Unavailable, "the room's owner is gone; try again")
}

struct Task<L> {
    listener: Arc<L>,
    /// Sent and not answered. Bounded by who sends: the units of a client's socket, the rooms of a link.
    calls: Mutex<HashMap<CommandId, Sent>>,
    opened: Instant,
    /// Looks since the node last gave a sign of life.
    silent: AtomicU32,
    /// The listener has enough for now, so the node is not listened to.
    deaf: AtomicBool,
}

struct Sent {
    kind: CommandKind,
    done: Done,
    at: Instant,
}

/// Why a wire ends.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error(transparent)]
    Socket(#[from] tungstenite::Error),
    #[error("the node gives no sign of life")]
    Silent,
}

impl<L: Listener> Task<L> {
    async fn run(self, socket: Dialled, hello: Call, queue: mpsc::Receiver<Call>, gone: CancellationToken) {
        let (sink, stream) = socket.split();
        // Both at once: the node may not read before it was read.
        let ended = tokio::select! {
            ended = self.send(sink, hello, queue) => ended,
            ended = self.receive(stream) => ended,
        };
        if let Err(error) = ended {
            tracing::info!(%error, "the socket to an owner ended");
        }
        gone.cancel();
        let unanswered: Vec<_> = self.calls.lock().drain().map(|(_, sent)| sent.done).collect();
        for done in unanswered {
            done(Err(lost()));
        }
        self.listener.end();
    }

    async fn send(
        &self,
        mut sink: SplitSink<Dialled, Message>,
        hello: Call,
        mut queue: mpsc::Receiver<Call>,
    ) -> Result<(), Ended> {
        let mut number: CommandId = 0;
        let mut pong = tokio::time::interval(PONG_EVERY);
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut next = Some(hello);
        loop {
            while let Some(call) = next {
                number = number.checked_add(1).unwrap_or(1);
                sink.feed(self.enter(number, call)).await?;
                next = queue.try_recv().ok();
            }
            sink.flush().await?;
            tokio::select! {
                call = queue.recv() => match call {
                    Some(call) => next = Some(call),
                    None => return Ok(sink.close().await?),
                },
                // Only while one is expected: a wire that is idle costs nothing.
                _ = look.tick(), if self.expects_life() => {
                    if self.silent.fetch_add(1, Ordering::Relaxed) >= LOOKS_MAX {
                        return Err(Ended::Silent);
                    }
                    sink.feed(Message::Ping(self.question())).await?;
                    next = None;
                }
                _ = pong.tick() => {
                    sink.feed(Message::Pong(Bytes::new())).await?;
                    next = None;
                }
            }
        }
    }

    fn enter(&self, id: CommandId, Call { command, done }: Call) -> Message {
        let sent = Sent { kind: command.kind(), done, at: Instant::now() };
        let forgotten = self.calls.lock().insert(id, sent);
        // A number comes round after 2^32 commands; who then still has it was never answered.
        if let Some(forgotten) = forgotten {
            (forgotten.done)(Err(lost()));
        }
        to_message(Codec::Proto.encode_request(&Request { id, command }))
    }

    /// Whether a sign of life would be heard, and is due.
    fn expects_life(&self) -> bool {
        let owes = || self.listener.watches() || !self.calls.lock().is_empty();
        let expects = !self.deaf.load(Ordering::Relaxed) && owes();
        if !expects {
            self.silent.store(0, Ordering::Relaxed);
        }
        expects
    }

    /// A ping's payload: when it is sent, microseconds after the wire was opened, big-endian.
    fn question(&self) -> Bytes {
        let sent = u64::try_from(self.opened.elapsed().as_micros()).unwrap_or(u64::MAX);
        Bytes::copy_from_slice(&sent.to_be_bytes())
    }

    async fn receive(&self, mut stream: SplitStream<Dialled>) -> Result<(), Ended> {
        while let Some(message) = stream.next().await {
            self.silent.store(0, Ordering::Relaxed);
            match message? {
                Message::Binary(bytes) => self.take(bytes).await,
                Message::Pong(payload) => {
                    if let Ok(sent) = <[u8; 8]>::try_from(&payload[..]) {
                        let sent = Duration::from_micros(u64::from_be_bytes(sent));
                        let sent = self.opened.checked_add(sent).filter(|sent| *sent <= Instant::now());
                        if let Some(sent) = sent {
                            self.listener.answered(sent);
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    async fn take(&self, frame: Bytes) {
        let kind = |id| self.calls.lock().get(&id).map(|sent| sent.kind);
        match Codec::Proto.decode_server(&Frame::Binary(frame.clone()), kind) {
            Ok(Some(ServerFrame::Reply(id, result))) => self.reply(id, result),
            Ok(Some(ServerFrame::Push(push))) => {
                self.deaf.store(true, Ordering::Relaxed);
                self.listener.push(push, frame).await;
                self.deaf.store(false, Ordering::Relaxed);
            }
            Ok(None) => {}
            Err(error) => {
                tracing::error!(%error, "an owner's frame is unreadable");
                let unreadable = Error::new(ErrorCode::Internal, "the owner's reply is unreadable");
                self.reply(error.id, Err(unreadable));
            }
        }
    }

    fn reply(&self, id: CommandId, result: Result<Reply, Error>) {
        let sent = self.calls.lock().remove(&id);
        if let Some(Sent { done, at, .. }) = sent {
            self.listener.answered(at);
            done(result);
        }
    }
}
