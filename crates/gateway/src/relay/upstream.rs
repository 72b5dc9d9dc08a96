//! A session socket's socket to one owner: the commands of all its rooms there go over it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use parking_lot::Mutex;
use roomkeeper_protocol::{
    Codec, Command, CommandId, CommandKind, Error, ErrorCode, Frame, Hello, OwnerHint, Push, Reply, Request,
    ServerFrame,
};
use roomkeeper_types::{NodeId, RoomName};
use tokio::sync::{OnceCell, Semaphore, mpsc, watch};
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_util::sync::CancellationToken;

use super::remote_seat::{Link, RemoteSeat};
use super::{Dialled, dial};
use crate::host::Owner;
use crate::hub::to_message;
use crate::ws::{Conn, Outgoing};

/// Commands that wait to be written to the owner; their lanes wait while it is full.
const CALLS_MAX: usize = 64;
/// Pushes of the owner that wait to be written to the client. When so many do, the owner's socket is not read,
/// and the owner goes on from its log.
const PUSHES_MAX: usize = 64;
/// The owner hears of the relay at least this often, also while it is not read.
const PONG_EVERY: Duration = Duration::from_secs(10);
/// Between two looks at an owner that owes answers; it is asked for a sign of life each time.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// An owner that owes answers and gives no sign of life for so many looks is given up: it is stopped or cut off.
const LOOKS_MAX: u32 = 3;

/// What is done with a command's reply. Called once.
pub(super) type Done = Box<dyn FnOnce(Result<Reply, Error>) + Send>;

/// A session socket's sockets to other owners: one to each node it needs.
pub(crate) struct Upstreams {
    conn: Arc<Conn>,
    nodes: Mutex<HashMap<NodeId, Arc<OnceCell<Arc<Upstream>>>>>,
}

impl Upstreams {
    pub(crate) fn new(conn: Arc<Conn>) -> Arc<Self> {
        Arc::new(Self { conn, nodes: Mutex::default() })
    }

    /// A place in a room at its owner.
    ///
    /// # Errors
    /// `unavailable`: the owner cannot be reached.
    pub(crate) async fn seat(&self, room: &RoomName, owner: Owner) -> Result<RemoteSeat, Error> {
        let cell = self.cell(owner.node);
        let opened = cell.get_or_try_init(|| Upstream::open(&self.conn, &owner)).await;
        let upstream = opened.map_err(|error| {
            tracing::info!(node = owner.node.0, %error, "cannot relay");
            Error::new(ErrorCode::Unavailable, "the room's owner cannot be reached; try again")
        })?;
        Ok(RemoteSeat::new(self.conn.edge.host.clone(), upstream.clone(), room.clone(), &owner))
    }

    /// The node's socket, or the place for it; a dead one makes way.
    fn cell(&self, node: NodeId) -> Arc<OnceCell<Arc<Upstream>>> {
        let mut nodes = self.nodes.lock();
        let cell = nodes.entry(node).or_default();
        if cell.get().is_some_and(|upstream| upstream.gone.is_cancelled()) {
            *cell = Arc::default();
        }
        cell.clone()
    }
}

/// A socket to an owner. Ends when nobody holds it any more, or the owner is gone.
pub(super) struct Upstream {
    calls: mpsc::Sender<Call>,
    pub(super) links: Arc<Links>,
    /// Cancelled when the socket is over.
    pub(super) gone: CancellationToken,
}

struct Call {
    command: Command,
    done: Done,
}

/// The rooms that have a seat over the socket.
#[derive(Default)]
pub(super) struct Links {
    rooms: Mutex<HashMap<RoomName, watch::Sender<Link>>>,
}

impl Upstream {
    async fn open(conn: &Arc<Conn>, owner: &Owner) -> Result<Arc<Self>, super::DialError> {
        let socket = dial(&conn.edge, &owner.url, "/v1/ws", Codec::Proto).await?;
        let (calls, queue) = mpsc::channel(CALLS_MAX);
        let upstream = Self { calls, links: Arc::default(), gone: CancellationToken::new() };
        let task = Task {
            conn: conn.clone(),
            links: upstream.links.clone(),
            calls: Mutex::default(),
            pushes: Arc::new(Semaphore::new(PUSHES_MAX)),
            silent: AtomicU32::new(0),
            deaf: AtomicBool::new(false),
        };
        // The first command: the owner knows this client by the name it has here.
        let user = Some(conn.user());
        let hello =
            Call { command: Command::Hello(Hello { user, ..Hello::default() }), done: Box::new(drop) };
        let gone = upstream.gone.clone();
        conn.edge.tasks.spawn(async move { task.run(socket, hello, queue, gone).await });
        Ok(Arc::new(upstream))
    }

    /// Sends a command; `done` gets its reply, or `unavailable` when the socket ends before. Waits while too
    /// many commands wait already.
    pub(super) async fn call(&self, command: Command, done: Done) {
        if let Err(mpsc::error::SendError(call)) = self.calls.send(Call { command, done }).await {
            (call.done)(Err(lost()));
        }
    }
}

impl Links {
    /// The room has a seat from now on, in place of an earlier one.
    pub(super) fn add(&self, room: &RoomName) -> watch::Receiver<Link> {
        let (sender, receiver) = watch::channel(Link::Idle);
        self.rooms.lock().insert(room.clone(), sender);
        receiver
    }

    /// Tells the room's seat, if there is one.
    pub(super) fn set(&self, room: &RoomName, link: Link) {
        if let Some(sender) = self.rooms.lock().get(room) {
            sender.send_replace(link);
        }
    }

    /// The seat is given up. Returns whether the client was subscribed through it.
    pub(super) fn remove(&self, room: &RoomName) -> bool {
        let link = self.rooms.lock().remove(room);
        link.is_some_and(|link| matches!(*link.borrow(), Link::Joined))
    }

    fn is_joined(&self, room: &RoomName) -> bool {
        self.rooms.lock().get(room).is_some_and(|link| matches!(*link.borrow(), Link::Joined))
    }
}

/// The owner, or the way to it, is gone.
fn lost() -> Error {
    Error::new(ErrorCode::Unavailable, "the room's owner is gone; try again")
}

struct Task {
    conn: Arc<Conn>,
    links: Arc<Links>,
    /// Sent and not answered. Bounded by the client socket's units.
    calls: Mutex<HashMap<CommandId, (CommandKind, Done)>>,
    pushes: Arc<Semaphore>,
    /// Looks since the owner last gave a sign of life.
    silent: AtomicU32,
    /// The client is slow, so the owner is not listened to.
    deaf: AtomicBool,
}

/// Why a socket to an owner ends.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error(transparent)]
    Socket(#[from] tungstenite::Error),
    #[error("the owner owes answers and gives no sign of life")]
    Silent,
}

impl Task {
    async fn run(self, socket: Dialled, hello: Call, queue: mpsc::Receiver<Call>, gone: CancellationToken) {
        let (sink, stream) = socket.split();
        // Both at once: the owner may not read before it was read.
        let ended = tokio::select! {
            ended = self.send(sink, hello, queue) => ended,
            ended = self.receive(stream) => ended,
        };
        if let Err(error) = ended {
            tracing::info!(%error, "the socket to an owner ended");
        }
        gone.cancel();
        for (_, (_, done)) in self.calls.lock().drain() {
            done(Err(lost()));
        }
        // The senders go, which tells the seats.
        self.links.rooms.lock().clear();
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
                // Only while it owes answers: one that is idle costs nothing.
                _ = look.tick(), if self.owes() => {
                    if self.silent.fetch_add(1, Ordering::Relaxed) >= LOOKS_MAX {
                        return Err(Ended::Silent);
                    }
                    sink.feed(Message::Ping(Bytes::new())).await?;
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
        let kind = command.kind();
        // A number comes round after 2^32 commands; who then still has it was never answered.
        if let Some((_, forgotten)) = self.calls.lock().insert(id, (kind, done)) {
            forgotten(Err(lost()));
        }
        to_message(Codec::Proto.encode_request(&Request { id, command }))
    }

    /// Whether commands wait for an answer, which would be heard.
    fn owes(&self) -> bool {
        let owes = !self.deaf.load(Ordering::Relaxed) && !self.calls.lock().is_empty();
        if !owes {
            self.silent.store(0, Ordering::Relaxed);
        }
        owes
    }

    async fn receive(&self, mut stream: SplitStream<Dialled>) -> Result<(), Ended> {
        while let Some(message) = stream.next().await {
            self.silent.store(0, Ordering::Relaxed);
            let Message::Binary(bytes) = message? else { continue };
            let kind = |id| self.calls.lock().get(&id).map(|(kind, _)| *kind);
            match Codec::Proto.decode_server(&Frame::Binary(bytes.clone()), kind) {
                Ok(Some(ServerFrame::Reply(id, result))) => self.reply(id, result),
                Ok(Some(ServerFrame::Push(push))) => self.push(push, bytes).await,
                Ok(None) => {}
                Err(error) => {
                    tracing::error!(%error, "an owner's frame is unreadable");
                    self.reply(
                        error.id,
                        Err(Error::new(ErrorCode::Internal, "the owner's reply is unreadable")),
                    );
                }
            }
        }
        Ok(())
    }

    fn reply(&self, id: CommandId, result: Result<Reply, Error>) {
        let call = self.calls.lock().remove(&id);
        if let Some((_, done)) = call {
            done(result);
        }
    }

    async fn push(&self, push: Push, frame: Bytes) {
        match push {
            Push::Messages { room, items } if self.links.is_joined(&room) => {
                self.deaf.store(true, Ordering::Relaxed);
                let permit = self.pushes.clone().acquire_owned().await;
                self.deaf.store(false, Ordering::Relaxed);
                // Never closed.
                let Ok(permit) = permit else { return };
                let message = match self.conn.codec {
                    Codec::Proto => Message::Binary(frame),
                    Codec::Json => to_message(Codec::Json.encode_messages(&room, &items)),
                };
                self.conn.send(Outgoing::Relayed(Box::new(message), permit));
            }
            Push::Moved(hint) => self.moved(hint),
            Push::Messages { .. } | Push::Redirect(_) => {}
            // Follow commands that are not carried out yet.
            Push::Sync { .. }
            | Push::Presence(_)
            | Push::Signal { .. }
            | Push::Held { .. }
            | Push::RolledBack { .. } => {}
        }
    }

    fn moved(&self, hint: OwnerHint) {
        let host = self.conn.edge.host.as_ref();
        if let Some(node) = hint.node {
            host.learn_owner(host.shard_of(&hint.room), node, hint.epoch);
        }
        let room = hint.room.clone();
        self.links.set(&room, Link::Moved(hint));
    }
}
