//! One room on one socket: its commands in their order.
//!
//! A room socket has one lane, which its reader runs itself and which ends the socket soon after the room's
//! ownership has ended. A session socket has one per room, each a task of its own, so that a room whose owner is
//! being elected holds up no other; there the socket stays, and only the lane's seat goes. What happens when a
//! seat is lost is in [`loss`], how one is found in [`seating`],
//! how a create finds the shard for its room in [`placing`].

mod loss;
mod placing;
mod seating;

use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use roomkeeper_protocol::{
    CloseCode, Command, Credit, Error, ErrorCode, Join, OwnerHint, Publish, Push, Reply, RoomRef, Seen,
};
use roomkeeper_types::{LifeId, RoomName};
use tokio::time::Sleep;
use tokio_util::sync::CancellationToken;

use super::conn::{Conn, Outgoing};
use super::credit::Grant;
use super::local_seat::LocalSeat;
use super::seat::Seat;
use super::subscription::Handed;
use super::ticket::Ticket;
use super::window::{Answer, Window};
use crate::failure;
use crate::limits::{Exceeded, Publisher};
use crate::local::LocalRoom;
use crate::relay::Upstreams;

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
    /// A room socket whose room has moved has nothing more under way.
    Left,
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
    /// What the client is handed, or was before the room moved.
    handed: Option<Handed>,
    /// Whether the client joined with credit, and may be given more.
    has_credit: bool,
    window: Arc<Window>,
    /// Whether the client was told that the window is fenced.
    fence_told: bool,
    /// Ways to other owners. A room socket gets them when its room has moved, for what it had taken on.
    upstreams: Option<Arc<Upstreams>>,
    /// The client of a room socket was told that its room has moved; the socket is closed at this time, or when
    /// all that is under way has been answered.
    leaving: Option<Instant>,
    /// A publish met a limit: until it would not, those behind it are not to overtake it.
    limited: Option<(Exceeded, Instant)>,
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
            handed: None,
            has_credit: false,
            window: Arc::default(),
            fence_told: false,
            upstreams,
            leaving: None,
            limited: None,
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
        if self.is_over() && Box::pin(self.lose()).await == Flow::End {
            // Before the close frame.
            ticket.answer(Err(failure::no_owner()));
            return self.close();
        }
        match command {
            Command::Publish(publish) => self.publish(publish, ticket).await,
            // Boxed, as are the other rare ones: an idle socket's task is as large as its largest future.
            Command::Join(join) => Box::pin(self.join(join, ticket)).await,
            Command::Leave(_) => Box::pin(self.leave(ticket)).await,
            Command::Credit(credit) => Box::pin(self.credit(credit, ticket)).await,
            other => Box::pin(self.ask(other, ticket)).await,
        }
        if self.is_over() { self.let_go().await } else { Flow::On }
    }

    /// The client says what it has of the room. Where it is not joined nothing can be missing.
    pub(crate) async fn beat(&mut self, seen: Seen) {
        if self.joined
            && let Some(seat) = &mut self.seat
        {
            Box::pin(seat.beat(&self.conn, &self.room, seen)).await;
        }
    }

    /// The client may not have the room's messages any more, by the fresh token that it has: its subscription ends. Its
    /// next join says why.
    pub(crate) async fn forbid(&mut self) {
        if !std::mem::take(&mut self.joined) {
            return;
        }
        (self.life, self.handed) = (None, None);
        self.conn.send(Outgoing::Unsubscribe(self.room.clone()));
        if !self.relays_no_more() {
            // A relay has looked at the token itself.
            self.conn.push(Push::Moved(OwnerHint::unknown(self.room.clone())));
        }
        if let Some(Seat::Remote(seat)) = &mut self.seat {
            Box::pin(seat.unsubscribe()).await;
        }
    }

    /// The same on a room socket, which is of no more use: it ends.
    pub(crate) fn forbid_socket(&self) {
        if self.joined && !self.conn.may_receive(&self.room) {
            self.conn.end(CloseCode::Forbidden, "the fresh token does not allow to be subscribed");
        }
    }

    /// Whether a room socket still takes commands. One whose room has moved does for a moment only, lest a client
    /// that does not listen stays for ever.
    pub(crate) fn takes_commands(&self) -> bool {
        self.leaving.is_none_or(|until| Instant::now() < until)
    }

    /// Whether the seat is to be given up: it is lost, or a publish was refused or ended unknown.
    fn is_over(&self) -> bool {
        let Some(seat) = &self.seat else { return false };
        !seat.is_current() || self.window.is_broken() || (!self.fence_told && self.window.is_fenced())
    }

    /// Waits until something happens to the lane by itself. May be dropped while it waits.
    pub(crate) async fn watch(&mut self) -> Event {
        let lost = async {
            match &mut self.seat {
                Some(seat) => tokio::select! {
                    () = seat.lost() => {}
                    () = self.window.over(!self.fence_told) => {}
                },
                // Nothing is under way.
                None => pending().await,
            }
        };
        let left = async {
            match self.leaving {
                Some(at) => {
                    tokio::time::sleep_until(at.into()).await;
                    self.window.idle().await;
                }
                None => pending().await,
            }
        };
        let timer = async {
            match self.armed {
                Some(_) => self.timer.as_mut().await,
                None => pending().await,
            }
        };
        tokio::select! {
            () = lost => Event::Over,
            () = timer => Event::Deadline,
            () = left => Event::Left,
        }
    }

    /// Does what an event asks for.
    pub(crate) async fn react(&mut self, event: Event) -> Flow {
        if event == Event::Left {
            return self.close();
        }
        if event == Event::Deadline {
            let next = self.window.expire(Instant::now());
            self.arm(next);
            if !self.window.is_fenced() {
                return Flow::On;
            }
        }
        self.let_go().await
    }

    /// Gives the seat up, and ends the socket where nothing is left to do.
    async fn let_go(&mut self) -> Flow {
        match Box::pin(self.lose()).await {
            Flow::On => Flow::On,
            Flow::End => self.close(),
        }
    }

    /// Waits for the outcomes that are under way, `longest` at most; what is not there by then is unknown.
    pub(crate) async fn finish(&mut self, longest: Duration) {
        drop(tokio::time::timeout(longest, self.window.idle()).await);
        self.window.give_up();
    }

    /// Cancelled when the socket is to be closed because the node stops.
    pub(crate) fn stop(&self) -> &CancellationToken {
        &self.conn.stop
    }

    async fn publish(&mut self, publish: Publish, ticket: Ticket) {
        if let Err(error) = self.take_seat(None, self.hold()).await {
            if self.conn.relayed {
                // This node may own the room by the next one, which must not be stored before this one: the relay
                // begins anew with all of them.
                self.window.fence();
            }
            return ticket.answer(Err(error));
        }
        let now = Instant::now();
        if let Err(exceeded) = self.admit(publish.messages.len(), now) {
            return ticket.answer(Err(exceeded.into()));
        }
        let timeout = publish.timeout_ms.map_or(self.conn.edge.config.command_timeout, Duration::from_millis);
        let deadline = now + timeout;
        let life = publish.room.life.or(self.life);
        let publish = Publish { room: RoomRef { life, ..publish.room }, ..publish };
        let entered = self.window.enter(ticket, deadline, publish.clone());
        if self.armed.is_none_or(|armed| deadline < armed) {
            self.arm(Some(deadline));
        }
        if let Some(answer) = entered {
            self.submit(publish, answer).await;
        }
    }

    /// Whether so many messages may be published now. Only asked when they come from the client: where they are
    /// handed to the next owner, the one before may have stored them, and a definite no would be wrong.
    fn admit(&mut self, messages: usize, now: Instant) -> Result<(), Exceeded> {
        let limiter = &self.conn.edge.limiter;
        if !limiter.limits_messages() {
            return Ok(());
        }
        if let Some((exceeded, until)) = self.limited.filter(|(_, until)| now < *until) {
            return Err(limiter.still(exceeded, until - now));
        }
        let meter = self.conn.meter();
        let user = meter.map(|_| self.conn.user());
        let room = matches!(self.seat, Some(Seat::Local(_))).then_some(&self.room);
        let by = Publisher { meter, user: user.as_ref(), room };
        let admitted = limiter.publish(by, messages, now);
        self.limited = admitted.err().and_then(|exceeded| Some((exceeded, exceeded.until(now)?)));
        admitted
    }

    /// Hands a publish to the seat.
    async fn submit(&mut self, publish: Publish, answer: Answer) {
        let life = publish.room.life;
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
        // One that joins again of its own will means what it says.
        let past = self.handed.filter(|_| !self.joined);
        loop {
            if self.leaving.is_some() {
                // The client was told where to go.
                return ticket.answer(Err(failure::no_owner()));
            }
            if let Err(error) = self.take_seat(stale, deadline).await {
                return ticket.answer(Err(error));
            }
            let joined = match &mut self.seat {
                Some(Seat::Local(seat)) => seat.join(&self.conn, join.clone(), past, ticket).await,
                Some(Seat::Remote(seat)) => seat.join(join.clone(), past, ticket).await,
                None => return ticket.answer(Err(failure::no_owner())),
            };
            let joined = match joined {
                Ok(joined) => joined,
                Err(unanswered) if Instant::now() < deadline => {
                    // It does not own the room, or is gone: somebody else will.
                    stale = self.seat.as_ref().map(Seat::tenure);
                    ticket = unanswered;
                    Box::pin(self.lose()).await;
                    continue;
                }
                Err(unanswered) => return unanswered.answer(Err(failure::no_owner())),
            };
            if let Some(Handed { life, from }) = joined {
                let past = past.filter(|past| past.life == life);
                self.handed = Some(Handed { life, from: past.map_or(from, |past| past.from.min(from)) });
                self.joined = true;
                self.life = Some(life);
                self.has_credit = join.credit.is_some();
                self.window.reopen();
                self.fence_told = false;
            }
            return;
        }
    }

    async fn leave(&mut self, ticket: Ticket) {
        let joined = std::mem::take(&mut self.joined);
        (self.life, self.handed) = (None, None);
        if self.conn.relayed {
            // Another node keeps this client's order: what it sends from here on begins anew.
            self.window.reopen();
            self.fence_told = false;
        }
        match &mut self.seat {
            Some(Seat::Remote(seat)) if joined => seat.leave(ticket).await,
            _ => {
                self.conn.send(Outgoing::Unsubscribe(self.room.clone()));
                ticket.answer(Ok(Reply::Leave));
            }
        }
    }

    /// More credit, which is kept where the client's messages come from: mostly here, whoever owns the room.
    async fn credit(&mut self, credit: Credit, ticket: Ticket) {
        let refusal = match (credit.room.life, self.life) {
            _ if !self.joined => Some(Error::bad_request("credit: join the room first")),
            (Some(meant), Some(joined)) if meant != joined => Some(failure::recreated(joined)),
            _ if !self.has_credit => Some(Error::bad_request("credit: the room was joined without credit")),
            _ => None,
        };
        if let Some(refusal) = refusal {
            return ticket.answer(Err(refusal));
        }
        if let Some(Seat::Remote(seat)) = &mut self.seat
            && seat.is_served_whole()
        {
            return seat.ask(Command::Credit(credit), ticket).await;
        }
        ticket.answer(Ok(Reply::Credit));
        self.conn.send(Outgoing::Grant(self.room.clone(), Grant::More(credit.more)));
    }

    async fn ask(&mut self, command: Command, ticket: Ticket) {
        let deadline = self.hold();
        let Some((command, mut ticket)) = self.place(command, ticket, deadline).await else { return };
        let command = self.bind(command);
        if let Command::Commit(commit) = &command {
            ticket.note_commit(self.room.clone(), commit.consumer.clone());
        }
        let reads = matches!(command, Command::History(_));
        // Carried out twice, each of these comes to the same.
        let same = matches!(command, Command::Commit(_) | Command::Confirm(_) | Command::Rollback(_));
        let repeatable = (reads || same) && !self.relays_no_more();
        let mut stale = None;
        loop {
            if let Err(error) = self.take_seat(stale, deadline).await {
                return ticket.answer(Err(error));
            }
            if matches!(command, Command::Signal(_))
                && let Err(exceeded) = self.admit(1, Instant::now())
            {
                return ticket.answer(Err(exceeded.into()));
            }
            let seat = match &mut self.seat {
                Some(Seat::Local(seat)) => seat,
                Some(Seat::Remote(seat)) => return seat.ask(command, ticket).await,
                None => return ticket.answer(Err(failure::no_owner())),
            };
            let mut answer = seat.ask(&self.conn, command.clone()).await;
            if reads && answer.is_ok() && !seat.is_current() {
                // Read, and then perhaps stopped for a while.
                answer = Err(failure::no_owner());
            }
            let open = answer.as_ref().is_err_and(|error| error.code == ErrorCode::Unavailable);
            let again = open && (repeatable || seat.is_elsewhere()) && Instant::now() < deadline;
            if !(again && seat.is_over_soon().await) {
                return ticket.answer(answer);
            }
            stale = Some(seat.tenure());
            Box::pin(self.lose()).await;
        }
    }

    /// A joined socket's commands mean the life it joined.
    fn bind(&self, mut command: Command) -> Command {
        if let Some(room) = command.room_mut() {
            room.life = room.life.or(self.life);
        }
        command
    }

    /// Ends a room socket.
    fn close(&self) -> Flow {
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
