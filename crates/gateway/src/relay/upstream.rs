//! A session socket's socket to one owner: the commands of all its rooms there go over it, and what is meant for
//! this client alone comes back. Messages mostly do not: they come by the node's link.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use roomkeeper_auth::Behalf;
use roomkeeper_protocol::{Codec, Command, Error, ErrorCode, Hello, OwnerHint, Push};
use roomkeeper_types::{NodeId, RoomName};
use tokio::sync::{OnceCell, Semaphore, watch};
use tokio_tungstenite::tungstenite::Message;

use super::DialError;
use super::remote_seat::RemoteSeat;
use super::wire::{Done, Listener, Wire};
use crate::host::Owner;
use crate::hub::to_message;
use crate::identity::Way;
use crate::metrics::RelayKind;
use crate::ws::{Conn, Outgoing};

/// Pushes of the owner that wait to be written to the client. When so many do, the owner's socket is not read.
const PUSHES_MAX: usize = 64;

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
        Ok(RemoteSeat::new(self.conn.clone(), upstream.clone(), room.clone(), owner))
    }

    /// The node's socket, or the place for it; a dead one makes way.
    fn cell(&self, node: NodeId) -> Arc<OnceCell<Arc<Upstream>>> {
        let mut nodes = self.nodes.lock();
        let cell = nodes.entry(node).or_default();
        if cell.get().is_some_and(|upstream| upstream.wire.is_gone()) {
            *cell = Arc::default();
        }
        cell.clone()
    }
}

/// A session socket's socket to an owner.
pub(super) struct Upstream {
    conn: Arc<Conn>,
    node: NodeId,
    wire: Wire,
    pub(super) places: Arc<Places>,
    /// Which of the changes of what the client may do the owner knows of.
    vouched: AtomicU64,
    /// One word at a time, so that the last one is the newest.
    vouching: tokio::sync::Mutex<()>,
}

impl Upstream {
    async fn open(conn: &Arc<Conn>, owner: &Owner) -> Result<Arc<Self>, DialError> {
        // In this order: what changes in between is vouched for anew.
        let (changes, identity) = (conn.changes(), conn.identity());
        let behalf = Behalf::Of(identity.clone().without_end());
        let places = Arc::new(Places {
            conn: conn.clone(),
            rooms: Mutex::default(),
            pushes: Arc::new(Semaphore::new(PUSHES_MAX)),
        });
        // The owner knows this client by the names it has here.
        let user = Some(identity.user().clone());
        let hello = Hello { user, device: conn.device(), session: conn.taken_up(), ..Hello::default() };
        let wire = Wire::open(&conn.edge, owner, behalf, hello, places.clone()).await?;
        conn.edge.metrics.relayed(RelayKind::Session);
        let (conn, vouched, vouching) = (conn.clone(), AtomicU64::new(changes), Default::default());
        Ok(Arc::new(Self { conn, node: owner.node, wire, places, vouched, vouching }))
    }

    /// Sends a command; `done` gets its reply, or `unavailable` when the socket ends before. Waits while too
    /// many commands wait already.
    pub(super) async fn call(&self, command: Command, done: Done) {
        self.keep_vouching().await;
        self.wire.call(command, done).await;
    }

    /// Whether the socket is over.
    pub(super) fn is_gone(&self) -> bool {
        self.wire.is_gone()
    }

    /// Lets the owner know what the client may do now, if that has changed: before anything else that is sent.
    async fn keep_vouching(&self) {
        if self.vouched.load(Ordering::Acquire) == self.conn.changes() {
            return;
        }
        let _turn = self.vouching.lock().await;
        // In this order: what changes in between is vouched for anew.
        let changes = self.conn.changes();
        if self.vouched.load(Ordering::Acquire) == changes {
            return;
        }
        let identity = self.conn.identity();
        let way = Way { from: self.conn.edge.host.identity().node, to: self.node };
        let token = self.conn.edge.access.vouch_hello(way, identity);
        self.wire.call(Command::Hello(Hello { token, ..Hello::default() }), Box::new(drop)).await;
        self.vouched.store(changes, Ordering::Release);
    }
}

/// What an owner says of a client's place in a room.
#[derive(Debug, Clone)]
pub(super) enum Place {
    /// The client is not subscribed: what is on its way is of an earlier subscription.
    Idle,
    /// It is; `whole`: its messages come this way too.
    Joined { whole: bool },
    /// The node does not own the room, or not any more.
    Moved(OwnerHint),
}

/// The rooms that have a seat over the socket.
pub(super) struct Places {
    conn: Arc<Conn>,
    rooms: Mutex<HashMap<RoomName, watch::Sender<Place>>>,
    pushes: Arc<Semaphore>,
}

impl Places {
    /// The room has a seat from now on, in place of an earlier one.
    pub(super) fn add(&self, room: &RoomName) -> watch::Receiver<Place> {
        let (sender, receiver) = watch::channel(Place::Idle);
        self.rooms.lock().insert(room.clone(), sender);
        receiver
    }

    /// Tells the room's seat, if there is one.
    pub(super) fn set(&self, room: &RoomName, place: Place) {
        if let Some(sender) = self.rooms.lock().get(room) {
            sender.send_replace(place);
        }
    }

    /// The seat is given up. Returns whether the client was subscribed through it.
    pub(super) fn remove(&self, room: &RoomName) -> bool {
        let place = self.rooms.lock().remove(room);
        place.is_some_and(|place| matches!(*place.borrow(), Place::Joined { .. }))
    }

    /// Whether the client is subscribed, and to messages that come this way if `whole`.
    fn takes(&self, room: &RoomName, messages: bool) -> bool {
        let takes = |place: &Place| matches!(place, Place::Joined { whole } if *whole || !messages);
        self.rooms.lock().get(room).is_some_and(|place| takes(&place.borrow()))
    }
}

impl Listener for Places {
    async fn push(&self, push: Push, frame: Bytes) {
        let room = match &push {
            Push::Moved(hint) => {
                self.conn.edge.whereabouts.learn_hint(hint);
                return self.set(&hint.room, Place::Moved(hint.clone()));
            }
            Push::Messages { room, .. }
            | Push::Sync { room, .. }
            | Push::Signal { room, .. }
            | Push::Held { room, .. }
            | Push::RolledBack { room, .. } => room,
            Push::Presence(presence) => &presence.room,
            Push::Redirect(_) => return,
        };
        if !self.takes(room, matches!(push, Push::Messages { .. })) {
            return;
        }
        // Never closed.
        let Ok(permit) = self.pushes.clone().acquire_owned().await else { return };
        let message = match self.conn.codec {
            Codec::Proto => Message::Binary(frame),
            Codec::Json => to_message(Codec::Json.encode_push(&push)),
        };
        self.conn.send(Outgoing::Relayed(Box::new((room.clone(), message)), permit));
    }

    fn end(&self) {
        // The senders go, which tells the seats.
        self.rooms.lock().clear();
    }
}
