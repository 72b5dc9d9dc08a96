//! One room on one socket: its commands in their order.
//!
//! A room socket has one lane, which its reader runs itself and which ends the socket when the room's ownership
//! ends. A session socket has one per room, each a task of its own, so that a room whose owner is being elected
//! holds up no other; there the socket stays, and only the lane's seat goes.

use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use roomkeeper_protocol::{CloseCode, Command, Error, Join, OwnerHint, Publish, Push, Reply, RoomRef};
use roomkeeper_types::{Epoch, LifeId, RoomName};
use tokio::time::Sleep;
use tokio_util::sync::CancellationToken;

use super::conn::{Conn, Outgoing, Ticket};
use super::local_seat::LocalSeat;
use super::seat::Seat;
use super::window::Window;
use crate::failure;
use crate::host::Route;
use crate::local::LocalRoom;
use crate::relay::Upstreams;
use crate::route::{next_route, owner_hint};

/// How long a lost room waits for its last outcomes and for the name of its new owner.
const LAST_WORD: Duration = Duration::from_millis(50);

/// Whether the lane goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    /// It does.
    On,
    /// It was a room socket's, which is told to close.
    End,
}

/// What happens to a lane by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// The seat is lost, or a publish ended unknown.
    Over,
    /// A publish may be overdue.
    Deadline,
}

/// One room on one socket.
pub(crate) struct Lane {
    room: RoomName,
    conn: Arc<Conn>,
    /// Where the room's commands go. `None`: the next command finds out.
    seat: Option<Seat>,
    /// Whether the client is subscribed through the seat.
    joined: bool,
    /// The life joined: what is not said otherwise means this one, also after its owner changed.
    life: Option<LifeId>,
    window: Arc<Window>,
    /// Whether the client was told that the window is fenced.
    fence_told: bool,
    /// Ways to other owners; a room socket has none.
    upstreams: Option<Arc<Upstreams>>,
    timer: Pin<Box<Sleep>>,
    armed: Option<Instant>,
}

impl Lane {
    /// The lane of a room socket, whose room this node owns.
    pub(crate) fn of_room(conn: Arc<Conn>, room: LocalRoom) -> Self {
        let name = room.name.clone();
        Self::new(conn, name, Some(Seat::Local(LocalSeat::new(room))), None)
    }

    /// A lane of a session socket.
    pub(crate) fn of_session(conn: Arc<Conn>, room: RoomName, upstreams: Arc<Upstreams>) -> Self {
        Self::new(conn, room, None, Some(upstreams))
    }

    fn new(conn: Arc<Conn>, room: RoomName, seat: Option<Seat>, upstreams: Option<Arc<Upstreams>>) -> Self {
        Self {
            room,
            conn,
            seat,
            joined: false,
            life: None,
            window: Arc::default(),
            fence_told: false,
            upstreams,
            timer: Box::pin(tokio::time::sleep(Duration::ZERO)),
            armed: None,
        }
    }

    /// The room.
    pub(crate) fn room(&self) -> &RoomName {
        &self.room
    }

    /// Whether nothing would be lost with the lane.
    pub(crate) fn is_idle(&self) -> bool {
        !self.joined && self.life.is_none() && self.window.is_clear()
    }

    /// Carries out a command about the room. Returns when the next one may be: publishes are then still
    /// under way, everything else is answered.
    pub(crate) async fn handle(&mut self, command: Command, ticket: Ticket) -> Flow {
        if self.is_over() {
            if self.upstreams.is_none() {
                ticket.answer(Err(failure::no_owner()));
                return Box::pin(self.lose()).await;
            }
            Box::pin(self.lose()).await;
        }
        match command {
            Command::Publish(publish) => self.publish(publish, ticket).await,
            // Boxed, as are the other rare ones: an idle socket's task is as large as its largest future.
            Command::Join(join) => Box::pin(self.join(join, ticket)).await,
            Command::Leave(_) => Box::pin(self.leave(ticket)).await,
            other => Box::pin(self.ask(other, ticket)).await,
        }
        if self.is_over() { Box::pin(self.lose()).await } else { Flow::On }
    }

    /// Whether the seat is to be given up: it is lost, or a publish ended unknown.
    fn is_over(&self) -> bool {
        let Some(seat) = &self.seat else { return false };
        !seat.is_current() || (!self.fence_told && self.window.is_fenced())
    }

    /// Waits until something happens to the lane by itself. May be dropped while it waits.
    pub(crate) async fn watch(&mut self) -> Event {
        // Without a seat nothing is under way.
        let Some(seat) = &mut self.seat else { return pending().await };
        let timer = async {
            match self.armed {
                Some(_) => self.timer.as_mut().await,
                None => pending().await,
            }
        };
        let fenced = async {
            if self.fence_told {
                return pending().await;
            }
            self.window.fenced().await;
        };
        tokio::select! {
            () = seat.lost() => Event::Over,
            () = fenced => Event::Over,
            () = timer => Event::Deadline,
        }
    }

    /// Does what an event asks for.
    pub(crate) async fn react(&mut self, event: Event) -> Flow {
        if event == Event::Deadline {
            let next = self.window.expire(Instant::now());
            self.arm(next);
            if !self.window.is_fenced() {
                return Flow::On;
            }
        }
        Box::pin(self.lose()).await
    }

    /// Waits for the outcomes that are under way, `longest` at most; what is not there by then is unknown.
    pub(crate) async fn finish(&mut self, longest: Duration) {
        drop(tokio::time::timeout(longest, self.window.idle()).await);
        self.window.give_up();
    }

    /// Cancelled when the node stops.
    pub(crate) fn stop(&self) -> &CancellationToken {
        &self.conn.edge.stop
    }

    async fn publish(&mut self, publish: Publish, ticket: Ticket) {
        if let Err(error) = self.take_seat(None, self.hold()).await {
            return ticket.answer(Err(error));
        }
        let timeout = publish.timeout_ms.map_or(self.conn.edge.config.command_timeout, Duration::from_millis);
        let deadline = Instant::now() + timeout;
        let Some(answer) = self.window.enter(ticket, deadline) else { return };
        if self.armed.is_none_or(|armed| deadline < armed) {
            self.arm(Some(deadline));
        }
        let life = publish.room.life.or(self.life);
        match &mut self.seat {
            Some(Seat::Local(seat)) => seat.publish(&self.conn, publish, life, answer).await,
            Some(Seat::Remote(seat)) => seat.publish(publish, life, answer).await,
            // `take_seat` took one.
            None => answer.give(Err(failure::no_owner())),
        }
    }

    async fn join(&mut self, join: Join, mut ticket: Ticket) {
        let deadline = self.hold();
        let mut stale = None;
        loop {
            if let Err(error) = self.take_seat(stale, deadline).await {
                return ticket.answer(Err(error));
            }
            let joined = match &mut self.seat {
                Some(Seat::Local(seat)) => seat.join(&self.conn, join.clone(), ticket).await,
                Some(Seat::Remote(seat)) => match seat.join(join.clone(), ticket).await {
                    Ok(joined) => joined,
                    Err(unanswered) if Instant::now() < deadline => {
                        // It does not own the room, or is gone: somebody else will.
                        stale = Some(seat.epoch());
                        ticket = unanswered;
                        self.seat = None;
                        continue;
                    }
                    Err(unanswered) => return unanswered.answer(Err(failure::no_owner())),
                },
                None => return ticket.answer(Err(failure::no_owner())),
            };
            if let Some(life) = joined {
                self.joined = true;
                self.life = Some(life);
                self.window.reopen();
                self.fence_told = false;
            }
            return;
        }
    }

    async fn leave(&mut self, ticket: Ticket) {
        let joined = std::mem::take(&mut self.joined);
        self.life = None;
        match &mut self.seat {
            // The owner's reply comes behind the last message.
            Some(Seat::Remote(seat)) if joined => seat.ask(Command::Leave(RoomRef::default()), ticket).await,
            _ => {
                self.conn.send(Outgoing::Unsubscribe(self.room.clone()));
                ticket.answer(Ok(Reply::Leave));
            }
        }
    }

    async fn ask(&mut self, command: Command, ticket: Ticket) {
        if let Err(error) = self.take_seat(None, self.hold()).await {
            return ticket.answer(Err(error));
        }
        let command = self.bind(command);
        match &mut self.seat {
            Some(Seat::Local(seat)) => ticket.answer(seat.ask(command).await),
            Some(Seat::Remote(seat)) => seat.ask(command, ticket).await,
            None => ticket.answer(Err(failure::no_owner())),
        }
    }

    /// A joined socket's commands mean the life it joined.
    fn bind(&self, mut command: Command) -> Command {
        match &mut command {
            Command::History(history) => history.room.life = history.room.life.or(self.life),
            Command::Delete(room) => room.life = room.life.or(self.life),
            _ => {}
        }
        command
    }

    /// Finds out where the room's commands go, if that is not known.
    ///
    /// # Errors
    /// `unavailable`: nowhere for now.
    async fn take_seat(&mut self, stale: Option<Epoch>, deadline: Instant) -> Result<(), Error> {
        match self.seat {
            Some(_) => Ok(()),
            None => Box::pin(self.find_seat(stale, deadline)).await,
        }
    }

    async fn find_seat(&mut self, stale: Option<Epoch>, deadline: Instant) -> Result<(), Error> {
        let Some(upstreams) = &self.upstreams else { return Err(failure::no_owner()) };
        let edge = &self.conn.edge;
        let shard = edge.host.shard_of(&self.room);
        let route = if self.conn.relayed {
            edge.host.route(shard)
        } else {
            next_route(edge.host.as_ref(), shard, stale, deadline).await
        };
        self.seat = Some(match route {
            Route::Owned(owned) => {
                let room = LocalRoom { edge: edge.clone(), owned, name: self.room.clone() };
                Seat::Local(LocalSeat::new(room))
            }
            elsewhere if self.conn.relayed => {
                // Never relayed twice: the relay learns who it should ask.
                let hint = owner_hint(edge.host.as_ref(), &self.room, &elsewhere);
                self.conn.push(Push::Moved(hint));
                return Err(failure::not_owner(edge.host.identity().node));
            }
            Route::Elsewhere(owner) => Seat::Remote(upstreams.seat(&self.room, owner).await?),
            Route::Electing { .. } => return Err(failure::no_owner()),
        });
        Ok(())
    }

    /// The seat is gone, or the window fenced: answers what is under way, and tells the client where to go on.
    async fn lose(&mut self) -> Flow {
        let Some(mut seat) = self.seat.take() else { return Flow::On };
        let deadline = Instant::now() + LAST_WORD;
        if !self.window.is_fenced() {
            // What was proposed in time may still be committed; whatever is not by then is unknown.
            drop(tokio::time::timeout_at(deadline.into(), self.window.idle()).await);
        }
        let fenced = self.window.give_up() && !self.fence_told;
        self.fence_told |= fenced;
        self.arm(None);
        self.conn.send(Outgoing::Unsubscribe(self.room.clone()));
        if self.joined || fenced || self.upstreams.is_none() {
            let hint = match seat.hint() {
                Some(hint) => hint,
                None => {
                    let stale = if seat.is_current() { None } else { Some(seat.epoch()) };
                    find_owner(&self.conn, &self.room, stale, deadline).await
                }
            };
            self.conn.push(Push::Moved(hint));
        }
        self.joined = false;
        seat.abandon().await;
        if self.upstreams.is_some() {
            return Flow::On;
        }
        self.conn.send(Outgoing::Close(CloseCode::Moved, "the room has another owner"));
        Flow::End
    }

    /// Until when a command waits for an owner.
    fn hold(&self) -> Instant {
        Instant::now() + self.conn.edge.config.hold
    }

    fn arm(&mut self, at: Option<Instant>) {
        self.armed = at;
        if let Some(at) = at {
            self.timer.as_mut().reset(at.into());
        }
    }
}

/// What the client is told of the room's owner, which is waited for until `deadline`.
async fn find_owner(conn: &Conn, room: &RoomName, stale: Option<Epoch>, deadline: Instant) -> OwnerHint {
    let host = conn.edge.host.as_ref();
    let route = host.wait_route(host.shard_of(room), stale, deadline).await;
    owner_hint(host, room, &route)
}
