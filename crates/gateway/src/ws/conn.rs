//! One socket: what its reader, its writer and the commands on their way share.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use roomkeeper_auth::{Action, Identity};
use roomkeeper_protocol::{CloseCode, Codec, Command, CommandId, Error, Hello, HelloOk, Push, Reply, Seen};
use roomkeeper_types::{RoomName, UserId};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::CancellationToken;

use super::credit::Grant;
use super::patience::{HEARTBEAT_MS, Patience};
use super::subscription::Subscription;
use crate::edge::Edge;
use crate::hub::Ready;
use crate::identity::{self, HelloError, Who};
use crate::limits::{Meter, UserConnection};
use crate::metrics::{Asked, Limit};

/// Units of work that one socket may have under way; see [`Conn::admit`].
const UNITS_MAX: u32 = 1024;
/// A command takes a unit for itself and one for each so many bytes of its frame.
const UNIT_BYTES: usize = 4 << 10;
/// What a command whose reply may be large takes besides: as many bytes as a history may have.
const READ_UNITS: u32 = 64;

/// Longest time between two looks at whether a token has run out.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Something for the socket's writer. Small, as a queue of them allocates them by the block.
pub(crate) enum Outgoing {
    /// The one reply to a command. The permit goes back when it is written.
    Reply(CommandId, Box<Result<Reply, Error>>, Option<OwnedSemaphorePermit>),
    /// A command that wants no reply is done: what stands before it was taken. The permit goes back.
    Done(OwnedSemaphorePermit),
    /// A push of this node's own.
    Push(Box<Push>),
    /// A push of another node to this client alone, of that room, encoded for it. The permit bounds how many wait.
    Relayed(Box<(RoomName, Message)>, OwnedSemaphorePermit),
    /// From here on the subscription is served; it replaces an earlier one to the same room.
    Subscribe(Box<Subscription>),
    /// From here on the room's subscription is not served.
    Unsubscribe(RoomName),
    /// What the client may do has changed: from here on no subscription is served that it may not have any more.
    Recheck,
    /// The client may have more of the room's messages.
    Grant(RoomName, Grant),
    /// The client says what it has of the room.
    Beat(RoomName, Box<Seen>),
    /// The last thing to write.
    Close(CloseCode, &'static str),
}

/// What the parts of one socket share.
pub(crate) struct Conn {
    pub(crate) edge: Arc<Edge>,
    pub(crate) codec: Codec,
    /// A room socket: it ends with its room's ownership. Else a session socket.
    pub(crate) single: bool,
    /// Opened by another node for its clients: nothing of it is relayed any further.
    pub(crate) relayed: bool,
    /// A node vouches for that.
    vouched: bool,
    /// Cancelled when it is to be closed because the node stops, or when the node does.
    pub(crate) stop: CancellationToken,
    /// Which of its subscriptions have something.
    pub(crate) ready: Arc<Ready>,
    session: String,
    who: Mutex<Who>,
    /// The former session that the client takes up.
    resumed: OnceLock<String>,
    /// What the client's `hello` said, if it said it.
    device: Mutex<Option<String>>,
    /// Told when the client has said who it is, or has a fresh token.
    renewed: Notify,
    /// Why it is closed, where that is not because the node stops.
    last_word: OnceLock<(CloseCode, &'static str)>,
    /// Unbounded by type; in fact replies are bounded by `units`, relayed pushes by their own permits, and
    /// everything else by a few per room or per reply.
    out: UnboundedSender<Outgoing>,
    units: Arc<Semaphore>,
    /// What the client has asked for.
    meter: Meter,
    /// Its place among its user's sockets, once it is known whose it is and if that matters.
    place: Mutex<Option<UserConnection>>,
    subscriptions: AtomicU64,
    opened: Instant,
    /// When the client last gave a sign of life, milliseconds after `opened`.
    alive_ms: AtomicU64,
    /// Whether it sends heartbeats.
    beats: AtomicBool,
}

/// What a handshake settled.
pub(crate) struct ConnSetup {
    pub(crate) codec: Codec,
    pub(crate) single: bool,
    pub(crate) relayed: bool,
    pub(crate) vouched: bool,
    pub(crate) who: Who,
    pub(crate) place: Option<UserConnection>,
}

impl Conn {
    /// A socket's shared part, and the receiving end for its writer.
    pub(crate) fn new(edge: Arc<Edge>, setup: ConnSetup) -> (Arc<Self>, UnboundedReceiver<Outgoing>) {
        let (out, queue) = mpsc::unbounded_channel();
        let conn = Self {
            stop: edge.stop.child_token(),
            edge,
            codec: setup.codec,
            single: setup.single,
            relayed: setup.relayed,
            vouched: setup.vouched,
            ready: Arc::default(),
            session: format!("{:032x}", rand::random::<u128>()),
            who: Mutex::new(setup.who),
            renewed: Notify::new(),
            last_word: OnceLock::new(),
            resumed: OnceLock::new(),
            device: Mutex::default(),
            out,
            units: Arc::new(Semaphore::new(UNITS_MAX as usize)),
            meter: Meter::default(),
            place: Mutex::new(setup.place),
            subscriptions: AtomicU64::new(0),
            opened: Instant::now(),
            alive_ms: AtomicU64::new(0),
            beats: AtomicBool::new(false),
        };
        (Arc::new(conn), queue)
    }

    /// Waits until a command may be taken on: until then the socket is not read. So what a client may have
    /// under way, replies that it does not take included, is bounded in number and bytes (1,024 small
    /// commands, or 4 MiB).
    pub(crate) async fn admit(&self, units: u32) -> Option<OwnedSemaphorePermit> {
        // It is never closed.
        self.units.clone().acquire_many_owned(units).await.ok()
    }

    /// Takes a `hello`. A token that is not valid ends the socket, and so does a user who has as many as it may have.
    ///
    /// # Errors
    /// `unauthorized`, `bad_request`, `rate_limited`.
    pub(crate) fn hello(&self, hello: &Hello) -> Result<HelloOk, Error> {
        if let Some(session) = &hello.session {
            // The first one stands.
            self.resumed.get_or_init(|| session.clone());
        }
        if let Some(device) = &hello.device {
            *self.device.lock() = Some(device.clone());
        }
        let identity = self.edge.host.identity();
        let (user, expires) = {
            let mut who = self.who.lock();
            who.hello(hello, &self.edge.access, identity.node).map_err(|refusal| match refusal {
                HelloError::Refused(error) => error,
                HelloError::Invalid(error) => {
                    self.end(CloseCode::Unauthorized, "the token is not valid");
                    error
                }
            })?;
            (who.identity().user().clone(), who.identity().expires())
        };
        self.renewed.notify_one();
        self.take_place(&user)?;
        Ok(HelloOk {
            node: identity.node,
            cluster: identity.cluster,
            user,
            session: self.session.clone(),
            heartbeat_ms: HEARTBEAT_MS,
            limits: self.edge.config.limits,
            features: Vec::new(),
            expires,
        })
    }

    /// Counts the socket among the user's.
    fn take_place(&self, user: &UserId) -> Result<(), Error> {
        let mut place = self.place.lock();
        if !self.is_measured_here() || place.as_ref().is_some_and(|place| place.user() == user) {
            return Ok(());
        }
        match self.edge.limiter.connect(user) {
            Ok(taken) => {
                *place = taken;
                Ok(())
            }
            Err(exceeded) => {
                self.end(CloseCode::TooManySockets, "too many sockets of this user");
                Err(exceeded.into())
            }
        }
    }

    /// What its client has asked for, if that is measured here.
    pub(crate) fn meter(&self) -> Option<&Meter> {
        self.is_measured_here().then_some(&self.meter)
    }

    /// Whether its client's limits are kept here. A session's relay keeps them, if it is known to be one; one of a room
    /// socket reads nothing.
    pub(crate) fn is_measured_here(&self) -> bool {
        !self.vouched || self.single
    }

    /// The user in whose name a command is carried out.
    pub(crate) fn user(&self) -> UserId {
        self.who.lock().settle()
    }

    /// Whether the client takes up a former session.
    pub(crate) fn resumed(&self) -> bool {
        self.resumed.get().is_some()
    }

    /// The former session that the client takes up, if it does.
    pub(crate) fn taken_up(&self) -> Option<String> {
        self.resumed.get().cloned()
    }

    /// The user's device, if it has a name.
    pub(crate) fn device(&self) -> Option<String> {
        self.device.lock().clone()
    }

    /// Who a command is carried out for. From then on the user does not change.
    pub(crate) fn acting(&self) -> Identity {
        let mut who = self.who.lock();
        who.settle();
        who.identity().clone()
    }

    /// Who commands are carried out for.
    pub(crate) fn identity(&self) -> Identity {
        self.who.lock().identity().clone()
    }

    /// How often what they may do has changed.
    pub(crate) fn changes(&self) -> u64 {
        self.who.lock().changes()
    }

    /// Whether the client may send this command now, on a socket that is bound to `bound`. Of rooms that are there
    /// or not it says nothing.
    ///
    /// # Errors
    /// `unauthorized`, `forbidden`.
    pub(crate) fn check(&self, command: &Command, bound: Option<&RoomName>) -> Result<(), Error> {
        if matches!(command, Command::Hello(_)) {
            return Ok(());
        }
        let now = self.edge.access.now();
        identity::check(self.who.lock().current(now)?, command, bound)
    }

    /// Whether the client may have what comes of a room, by the token that it has now.
    pub(crate) fn may_receive(&self, room: &RoomName) -> bool {
        let who = self.who.lock();
        // What is subscribed to was allowed then.
        who.changes() == 0 || who.identity().allows(Action::Subscribe, room)
    }

    /// Resolves when the client has not said who it is in time, or its token has run out.
    pub(crate) async fn unproven(&self) {
        loop {
            let renewed = self.renewed.notified();
            let left = self.who.lock().time_left(&self.edge.access, self.opened);
            match left {
                None => renewed.await,
                Some(left) if left.is_zero() => {
                    if self.who.lock().is_nobody() {
                        self.edge.metrics.limited(Limit::TokenTime);
                    }
                    return;
                }
                // Not all at once: a machine that slept has other clocks than its timers.
                Some(left) => drop(tokio::time::timeout(left.min(LOOK_EVERY), renewed).await),
            }
        }
    }

    /// Ends the socket for this reason, once what is under way has its outcome.
    pub(crate) fn end(&self, code: CloseCode, reason: &'static str) {
        // The first reason stands.
        self.last_word.get_or_init(|| (code, reason));
        self.stop.cancel();
    }

    /// Whether its client may have nothing more.
    pub(crate) fn is_cut_off(&self) -> bool {
        self.last_word.get().is_some()
    }

    /// The close frame of a socket that was ended from this side.
    pub(crate) fn close(&self) {
        let (code, reason) = self.last_word.get().copied().unwrap_or((CloseCode::Draining, "the node stops"));
        self.send(Outgoing::Close(code, reason));
    }

    /// A fresh id for a subscription.
    pub(crate) fn next_subscription(&self) -> u64 {
        self.subscriptions.fetch_add(1, Ordering::Relaxed)
    }

    /// Hands something to the writer. Once the writer has ended nobody is there to miss it.
    pub(crate) fn send(&self, outgoing: Outgoing) {
        drop(self.out.send(outgoing));
    }

    pub(crate) fn push(&self, push: Push) {
        self.send(Outgoing::Push(Box::new(push)));
    }

    /// A last reply, to what is no command: a close frame follows.
    pub(crate) fn refuse(&self, error: Error) {
        self.edge.metrics.answered(Asked::Unreadable, Some(&error));
        self.send(Outgoing::Reply(0, Box::new(Err(error)), None));
    }

    /// The client gave a sign of life.
    pub(crate) fn note_alive(&self) {
        let ms = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.alive_ms.store(ms, Ordering::Relaxed);
    }

    /// The client sends heartbeats. Those that another node passes on say nothing about that node.
    pub(crate) fn note_beat(&self) {
        self.beats.store(!self.relayed, Ordering::Relaxed);
    }

    /// How long the client may be silent.
    pub(crate) fn patience(&self) -> Patience {
        Patience::with(self.edge.config.ping_interval, self.beats.load(Ordering::Relaxed))
    }

    /// When the client last gave a sign of life, in milliseconds since the socket was opened.
    pub(crate) fn alive_ms(&self) -> u64 {
        self.alive_ms.load(Ordering::Relaxed)
    }

    /// How long the client gave no sign of life.
    pub(crate) fn silent_for(&self) -> Duration {
        self.opened.elapsed().saturating_sub(Duration::from_millis(self.alive_ms()))
    }
}

/// Units that a command takes.
pub(crate) fn units(frame_bytes: usize, reads: bool) -> u32 {
    let bytes = u32::try_from(frame_bytes / UNIT_BYTES).unwrap_or(UNITS_MAX);
    let units = 1 + bytes + if reads { READ_UNITS } else { 0 };
    units.min(UNITS_MAX)
}
