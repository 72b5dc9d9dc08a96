//! This node's one socket to an owner, for the messages of all its rooms that clients here are subscribed to.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use parking_lot::Mutex;
use roomkeeper_auth::Behalf;
use roomkeeper_protocol::{
    Command, Error, ErrorCode, From, Hello, History, HistoryOk, Isolation, Join, JoinOk, Push, Reply, RoomRef,
};
use roomkeeper_types::{LifeId, Offset, RoomName};
use tokio::sync::{Notify, oneshot};

use super::followed::Followed;
use super::pages::{PageId, PageReply, Pages};
use super::pulse::Pulse;
use super::rooms::{Ask, Following, Rooms};
use crate::edge::Edge;
use crate::host::{Host, Owner};
use crate::hub::{FeedFrame, Hub, Subscriber, Waiter};
use crate::identity::node_identity;
use crate::relay::wire::{Listener, Wire};
use crate::route::{Whereabouts, route_after};

/// A room that nobody needs any more is followed for so long: clients come back.
const LINGER: Duration = Duration::from_secs(1);
/// A link that follows nothing is kept for so long.
const UNUSED_MAX: Duration = Duration::from_secs(10);
/// Most items of a page of the log.
const PAGE_ITEMS: u32 = 256;

/// This node's one socket to an owner.
pub(super) struct Link {
    host: Arc<dyn Host>,
    whereabouts: Arc<Whereabouts>,
    /// The feeds of what is followed.
    hub: Arc<Hub>,
    pulse: Pulse,
    state: Mutex<State>,
    /// There is something to ask the owner for.
    changed: Notify,
}

struct State {
    rooms: Rooms,
    pages: Pages,
    /// Nothing is followed by this link any more.
    is_over: bool,
}

/// What is asked of the owner next.
enum Next {
    Room(Ask),
    Page(PageId, RoomName, Offset),
}

impl Link {
    /// Opens a link. It is there at once; if the owner cannot be reached, it ends.
    pub(super) fn open(edge: &Arc<Edge>, owner: Owner) -> Arc<Self> {
        let hub = Hub::counting_with(&edge.hub);
        let state = State { rooms: Rooms::new(hub.clone()), pages: Pages::default(), is_over: false };
        let link = Arc::new(Self {
            host: edge.host.clone(),
            whereabouts: edge.whereabouts.clone(),
            hub,
            pulse: Pulse::default(),
            state: Mutex::new(state),
            changed: Notify::new(),
        });
        edge.tasks.spawn(link.clone().run(edge.clone(), owner));
        link
    }

    /// Follows a room for one more subscriber. `None`: the link is over.
    pub(super) fn follow(
        self: &Arc<Self>,
        ok: &JoinOk,
        waiter: Arc<Waiter>,
    ) -> Option<(Followed, Subscriber)> {
        let mut state = self.state.lock();
        if state.is_over {
            return None;
        }
        // Under one lock with the messages that come: what is not in its feed is below `next`.
        let subscriber = self.hub.subscribe(&ok.room, ok.life, waiter);
        let (following, next) = state.rooms.follow(&ok.room, ok.life);
        subscriber.reached(next.max(ok.next));
        drop(state);
        self.changed.notify_one();
        Some((Followed::new(self.clone(), following), subscriber))
    }

    /// One subscriber less.
    pub(super) fn release(&self, following: &Following) {
        self.state.lock().rooms.release(following, Instant::now());
        self.changed.notify_one();
    }

    /// Asks for a page of a followed life's log.
    pub(super) fn page(
        &self,
        following: &Following,
        from: Offset,
        to: Offset,
        waiter: Arc<Waiter>,
    ) -> oneshot::Receiver<PageReply> {
        let mut state = self.state.lock();
        if state.is_over {
            return oneshot::channel().1;
        }
        let page = state.pages.want(&following.room, (following.life, from), to, waiter);
        drop(state);
        self.changed.notify_one();
        page
    }

    /// Whether the owner may be taken to be there.
    pub(super) fn is_alive(&self) -> bool {
        self.pulse.is_ahead()
    }

    async fn run(self: Arc<Self>, edge: Arc<Edge>, owner: Owner) {
        // Who joins for a relay is no member of the room, and named after none.
        let hello = Hello { client: Some("roomkeeper relay".to_owned()), ..Hello::default() };
        let behalf = Behalf::Of(node_identity(edge.host.identity().node));
        match Wire::open(&edge, &owner, behalf, hello, self.clone()).await {
            Ok(wire) => tokio::select! {
                () = self.serve(&edge, &wire) => {}
                () = wire.gone() => {}
                // To the end of the link.
                () = self.hub.run() => {}
            },
            Err(error) => tracing::info!(node = owner.node.0, %error, "cannot follow a node's rooms"),
        }
        self.end();
    }

    /// Asks the owner for what is wanted, until nothing has been for a while.
    async fn serve(self: &Arc<Self>, edge: &Edge, wire: &Wire) {
        let mut watches = FuturesUnordered::new();
        let mut unused_since = None;
        loop {
            let stopping = edge.stop.is_cancelled();
            let (linger, unused_max) =
                if stopping { (Duration::ZERO, Duration::ZERO) } else { (LINGER, UNUSED_MAX) };
            while let Some(next) = self.next(linger) {
                self.ask(wire, next).await;
            }
            let (unwatched, next_idle) = {
                let mut state = self.state.lock();
                if state.rooms.is_empty() {
                    let since = *unused_since.get_or_insert_with(Instant::now);
                    if since.elapsed() >= unused_max {
                        state.is_over = true;
                        return;
                    }
                } else {
                    unused_since = None;
                }
                (state.rooms.unwatched(), state.rooms.next_idle())
            };
            for (shard, epoch) in unwatched {
                let host = self.host.clone();
                watches.push(async move {
                    route_after(host.as_ref(), shard, epoch).await;
                    (shard, epoch)
                });
            }
            let unused = unused_since.map(|since| since + unused_max);
            let idle = next_idle.map(|since| since + linger);
            let due = unused.into_iter().chain(idle).min();
            tokio::select! {
                () = self.changed.notified() => {}
                Some((shard, epoch)) = watches.next() => {
                    self.state.lock().rooms.overtaken(shard, epoch, Instant::now());
                }
                () = until(due) => {}
                () = edge.stop.cancelled(), if !stopping => {}
            }
        }
    }

    fn next(&self, linger: Duration) -> Option<Next> {
        let mut state = self.state.lock();
        if let Some(ask) = state.rooms.next_ask(Instant::now(), linger) {
            return Some(Next::Room(ask));
        }
        state.pages.next_ask().map(|(id, room, to)| Next::Page(id, room, to))
    }

    async fn ask(self: &Arc<Self>, wire: &Wire, next: Next) {
        let link = self.clone();
        match next {
            Next::Room(Ask::Leave(room)) => {
                let room = RoomRef { room: Some(room), life: None };
                // It has no refusal, and nobody waits for it.
                wire.call(Command::Leave(room), Box::new(drop)).await;
            }
            Next::Room(Ask::Join(room, life)) => {
                let named = RoomRef { room: Some(room.clone()), life: Some(life) };
                let join = Join { room: named, presence: Some(false), ..Join::default() };
                let done = move |reply| link.joined(&room, life, reply);
                wire.call(Command::Join(join), Box::new(done)).await;
            }
            Next::Page((life, from), room, to) => {
                let history = History {
                    room: RoomRef { room: Some(room), life: Some(life) },
                    from: From::Range(from, to),
                    limit: Some(PAGE_ITEMS),
                    isolation: Isolation::Committed,
                };
                let done = move |reply| link.paged((life, from), reply);
                wire.call(Command::History(history), Box::new(done)).await;
            }
        }
    }

    fn joined(&self, room: &RoomName, life: LifeId, reply: Result<Reply, Error>) {
        let reply = match reply {
            Ok(Reply::Join(ok)) => Ok(ok),
            Ok(_) => Err(mixed_up()),
            Err(error) => Err(error),
        };
        self.state.lock().rooms.joined(room, life, reply, Instant::now());
        self.changed.notify_one();
    }

    fn paged(&self, id: PageId, reply: Result<Reply, Error>) {
        let page = match reply {
            Ok(Reply::History(HistoryOk { items, .. })) => Ok(FeedFrame::of(items).map(Arc::new)),
            Ok(_) => Err(mixed_up()),
            Err(error) => Err(error),
        };
        self.state.lock().pages.answered(id, &page);
        self.changed.notify_one();
    }
}

impl Listener for Link {
    async fn push(&self, push: Push, frame: Bytes) {
        match push {
            Push::Messages { room, items } => {
                if let Some(frame) = FeedFrame::relayed(items, frame) {
                    self.state.lock().rooms.messages(&room, frame);
                }
            }
            Push::Moved(hint) => {
                self.whereabouts.learn_hint(&hint);
                self.state.lock().rooms.moved(&hint.room, Instant::now());
                self.changed.notify_one();
            }
            // Meant for single clients, which have their own sockets to the owner.
            _ => {}
        }
    }

    fn answered(&self, sent: Instant) {
        self.pulse.answered(sent);
    }

    fn watches(&self) -> bool {
        !self.state.lock().rooms.is_empty()
    }

    fn end(&self) {
        let mut state = self.state.lock();
        state.is_over = true;
        state.rooms.lose_all();
        state.pages.give_up();
    }
}

/// The owner answered something else than it was asked.
fn mixed_up() -> Error {
    Error::new(ErrorCode::Internal, "the room's owner mixed up two replies")
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
