//! Where a socket's commands go: to the one lane of a room socket, or to the lanes of a session socket.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::Stream;
use roomkeeper_protocol::{Command, Error, ErrorCode, Heartbeat, Reply, Rooms, Seen};
use roomkeeper_types::RoomName;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio_tungstenite::tungstenite::{self, Message};

use super::conn::{Conn, Outgoing};
use super::inbox::{Inbox, Input};
use super::lane::{Flow, Lane};
use super::ticket::Ticket;
use crate::local::LocalRoom;
use crate::metrics::Limit;
use crate::relay::{Upstreams, list_rooms};

/// How long a stopping node waits for the outcomes that are under way on a room socket.
const LAST_OUTCOMES: Duration = Duration::from_secs(2);

/// Whether the socket still has something to say to its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReadEnd {
    /// The client is gone.
    Gone,
    /// A close frame is queued.
    Closing,
}

/// Serves a room socket's commands until its end.
pub(crate) async fn serve_room<S>(conn: &Arc<Conn>, inbox: &mut Inbox<S>, room: LocalRoom) -> ReadEnd
where
    S: Stream<Item = Result<Message, tungstenite::Error>> + Unpin,
{
    let mut lane = Lane::of_room(conn.clone(), room);
    let stop = &conn.stop;
    while !stop.is_cancelled() {
        let flow = tokio::select! {
            // In this order: a busy socket need not look at the others, as that is done with each command.
            biased;
            input = inbox.next(), if lane.takes_commands() => match input {
                Input::Command(command, ticket) => match aim(conn, command, Some(lane.room())) {
                    Aim::Room(_, command) => lane.handle(command, ticket).await,
                    Aim::Socket(command) => {
                        serve_socket(conn, command, ticket, || lane.forbid_socket());
                        Flow::On
                    }
                    Aim::Nowhere(error) => {
                        ticket.answer(Err(error));
                        Flow::On
                    }
                },
                Input::Gone => return ReadEnd::Gone,
                Input::Refused => return ReadEnd::Closing,
            },
            event = lane.watch() => lane.react(event).await,
            () = stop.cancelled() => Flow::On,
        };
        if flow == Flow::End {
            return ReadEnd::Closing;
        }
    }
    lane.finish(LAST_OUTCOMES).await;
    conn.close();
    ReadEnd::Closing
}

/// Serves a session socket's commands until its end.
pub(crate) async fn serve_session<S>(conn: &Arc<Conn>, inbox: &mut Inbox<S>) -> ReadEnd
where
    S: Stream<Item = Result<Message, tungstenite::Error>> + Unpin,
{
    let mut lanes = Lanes::new(conn.clone());
    let stop = conn.stop.clone();
    loop {
        let input = tokio::select! {
            input = inbox.next() => input,
            () = stop.cancelled() => {
                // The lanes see it too, and settle what they have under way.
                lanes.finish().await;
                conn.close();
                return ReadEnd::Closing;
            }
        };
        match input {
            Input::Command(command, ticket) => match aim(conn, command, None) {
                Aim::Room(room, command) => lanes.hand(room, command, ticket),
                Aim::Socket(Command::Heartbeat(heartbeat)) => {
                    conn.note_beat();
                    lanes.beat(heartbeat);
                    ticket.answer(Ok(Reply::Heartbeat));
                }
                Aim::Socket(command) => serve_socket(conn, command, ticket, || lanes.forbid()),
                Aim::Nowhere(error) => ticket.answer(Err(error)),
            },
            Input::Gone => return ReadEnd::Gone,
            Input::Refused => return ReadEnd::Closing,
        }
    }
}

/// What a command is about.
enum Aim {
    Room(RoomName, Command),
    Socket(Command),
    Nowhere(Error),
}

/// Finds out what a command is about, if the client may send it.
fn aim(conn: &Conn, command: Command, bound: Option<&RoomName>) -> Aim {
    match conn.check(&command, bound) {
        Ok(()) => for_room(command, bound),
        Err(error) => Aim::Nowhere(error),
    }
}

/// Finds out what a command is about, on a socket that is bound to `bound`.
fn for_room(command: Command, bound: Option<&RoomName>) -> Aim {
    let mut command = command;
    let named = match &mut command {
        Command::Heartbeat(heartbeat) => {
            return match heard_of(heartbeat, bound) {
                Ok(()) => Aim::Socket(command),
                Err(error) => Aim::Nowhere(error),
            };
        }
        Command::Hello(_) | Command::Rooms(_) => return Aim::Socket(command),
        Command::Create(create) => create.room.clone(),
        other => other.room_mut().and_then(|room| room.room.clone()),
    };
    match (named, bound) {
        (Some(named), Some(bound)) if named != *bound => {
            Aim::Nowhere(Error::bad_request(format!("room: this socket is bound to room {bound}")))
        }
        (Some(room), _) => Aim::Room(room, command),
        (None, Some(bound)) => Aim::Room(bound.clone(), command),
        (None, None) => Aim::Nowhere(Error::bad_request("room: expected, as this socket is bound to none")),
    }
}

/// Puts the names of rooms into a heartbeat, on a socket that is bound to `bound`.
///
/// # Errors
/// `bad_request`: another room's, or none where one is to be named.
fn heard_of(heartbeat: &mut Heartbeat, bound: Option<&RoomName>) -> Result<(), Error> {
    for (room, _) in &mut heartbeat.rooms {
        match (&room, bound) {
            (Some(named), Some(bound)) if named != bound => {
                return Err(Error::bad_request(format!("rooms: this socket is bound to room {bound}")));
            }
            (None, None) => {
                return Err(Error::bad_request("rooms: expected names, as this socket is bound to none"));
            }
            (None, Some(bound)) => *room = Some(bound.clone()),
            (Some(_), _) => {}
        }
    }
    Ok(())
}

/// Carries out a command that is about no room. `changed` is called when the client may do something else from now on:
/// before it is answered.
fn serve_socket(conn: &Arc<Conn>, command: Command, ticket: Ticket, changed: impl FnOnce()) {
    match command {
        Command::Hello(hello) => {
            let before = conn.changes();
            let greeted = conn.hello(&hello);
            if conn.changes() != before {
                // Behind the reply comes nothing that the fresh token does not allow.
                conn.send(Outgoing::Recheck);
                changed();
            }
            ticket.answer(greeted.map(Reply::Hello));
        }
        Command::Rooms(rooms) => spawn_list(conn, rooms, ticket),
        // Of a room socket, whose room is here.
        Command::Heartbeat(heartbeat) => {
            conn.note_beat();
            // What is missing comes behind the reply.
            ticket.answer(Ok(Reply::Heartbeat));
            for (room, seen) in heartbeat.rooms {
                if let Some(room) = room {
                    conn.send(Outgoing::Beat(room, Box::new(seen)));
                }
            }
        }
        other => ticket.answer(Err(crate::failure::not_yet(other.name()))),
    }
}

/// Beside the socket's other commands: it asks many shards, and none of the others waits for it.
fn spawn_list(conn: &Arc<Conn>, rooms: Rooms, ticket: Ticket) {
    let (edge, reader) = (conn.edge.clone(), conn.identity());
    conn.edge.tasks.spawn(async move {
        ticket.answer(list_rooms(&edge, &reader, &rooms).await.map(Reply::Rooms));
    });
}

/// The lanes of a session socket, each a task of its own.
struct Lanes {
    conn: Arc<Conn>,
    upstreams: Arc<Upstreams>,
    rooms: HashMap<RoomName, LaneHandle>,
}

/// The way into a lane.
struct LaneHandle {
    /// Unbounded by type; the socket's units bound the commands that are in all of them together.
    work: UnboundedSender<Work>,
    /// Whether a heartbeat waits there: one at most.
    has_beat: Arc<AtomicBool>,
    /// Whether it was told last that its client may not have the room's messages.
    is_forbidden: bool,
}

/// What a lane is handed.
enum Work {
    Command(Command, Ticket),
    Beat(Seen),
    /// The client may not have the room's messages any more, whatever it was allowed by the commands before this.
    Forbidden,
}

impl Lanes {
    fn new(conn: Arc<Conn>) -> Self {
        Self { upstreams: Upstreams::new(conn.clone()), conn, rooms: HashMap::new() }
    }

    /// Hands a command to its room's lane.
    fn hand(&mut self, room: RoomName, command: Command, ticket: Ticket) {
        let work = Work::Command(command, ticket);
        let work = match self.rooms.get_mut(&room) {
            None => work,
            Some(lane) => match lane.work.send(work) {
                Ok(()) => return lane.is_forbidden = false,
                // The lane ended after a leave.
                Err(mpsc::error::SendError(work)) => work,
            },
        };
        self.rooms.remove(&room);
        if self.rooms.len() >= self.conn.edge.config.max_rooms_per_socket {
            self.rooms.retain(|_, lane| !lane.work.is_closed());
        }
        // A node's link has the rooms of all its clients, whose sockets are limited there.
        if self.rooms.len() >= self.conn.edge.config.max_rooms_per_socket && self.conn.is_measured_here() {
            self.conn.edge.metrics.limited(Limit::SocketRooms);
            let text = "too many rooms on one socket: leave some first";
            if let Work::Command(_, ticket) = work {
                ticket.answer(Err(Error::new(ErrorCode::RateLimited, text)));
            }
            return;
        }
        let (sender, receiver) = mpsc::unbounded_channel();
        // It was made just now, so its lane is there.
        drop(sender.send(work));
        let lane = Lane::of_session(self.conn.clone(), room.clone(), self.upstreams.clone());
        let has_beat = Arc::<AtomicBool>::default();
        self.conn.edge.tasks.spawn(run_lane(lane, receiver, has_beat.clone()));
        self.rooms.insert(room, LaneHandle { work: sender, has_beat, is_forbidden: false });
    }

    /// Tells those lanes whose rooms' messages the client may not have any more: once after each command, as only a
    /// command subscribes.
    fn forbid(&mut self) {
        for (room, lane) in &mut self.rooms {
            if !lane.is_forbidden && !self.conn.may_receive(room) {
                lane.is_forbidden = true;
                // A lane that has ended is not joined.
                drop(lane.work.send(Work::Forbidden));
            }
        }
    }

    /// Tells the rooms' lanes what the client has. One that is busy is told by the next heartbeat.
    fn beat(&self, heartbeat: Heartbeat) {
        for (room, seen) in heartbeat.rooms {
            // A room without a lane is not joined: nothing can be missing.
            if let Some(lane) = room.and_then(|room| self.rooms.get(&room))
                && !lane.has_beat.swap(true, Ordering::AcqRel)
            {
                // A lane that has ended is not joined either.
                drop(lane.work.send(Work::Beat(seen)));
            }
        }
    }

    /// Takes no more commands and waits until the lanes have settled.
    async fn finish(&mut self) {
        let senders: Vec<_> = self.rooms.drain().map(|(_, lane)| lane.work).collect();
        let settled = futures::future::join_all(senders.iter().map(UnboundedSender::closed));
        // Who has not settled by then is answered by its ticket, unless the socket is closed first.
        drop(tokio::time::timeout(LAST_OUTCOMES, settled).await);
    }
}

/// A lane of a session socket: ends with the socket, or after a leave that leaves nothing behind.
async fn run_lane(mut lane: Lane, mut work: UnboundedReceiver<Work>, has_beat: Arc<AtomicBool>) {
    let stop = lane.stop().clone();
    // Commands come first below, so a busy lane would not hear of it.
    while !stop.is_cancelled() {
        tokio::select! {
            biased;
            next = work.recv() => match next {
                Some(Work::Command(command, ticket)) => {
                    let leaves = matches!(command, Command::Leave(_));
                    lane.handle(command, ticket).await;
                    if leaves && lane.is_idle() && work.is_empty() {
                        // What comes in just now is still served; what comes later finds it closed.
                        work.close();
                    }
                }
                Some(Work::Beat(seen)) => {
                    has_beat.store(false, Ordering::Release);
                    lane.beat(seen).await;
                }
                Some(Work::Forbidden) => lane.forbid().await,
                None => return,
            },
            event = lane.watch() => {
                lane.react(event).await;
            }
            () = stop.cancelled() => {}
        }
    }
    lane.finish(LAST_OUTCOMES).await;
}

#[cfg(test)]
mod tests {
    use roomkeeper_protocol::{Hello, RoomRef};

    use super::*;

    fn aim(command: Command, bound: Option<&str>) -> Result<Option<String>, ErrorCode> {
        let bound = bound.map(|name| name.parse().unwrap());
        match for_room(command, bound.as_ref()) {
            Aim::Room(room, _) => Ok(Some(room.into())),
            Aim::Socket(_) => Ok(None),
            Aim::Nowhere(error) => Err(error.code),
        }
    }

    #[test]
    fn command_goes_to_the_room_it_names_or_the_socket_is_bound_to() {
        let leave = |room: Option<&str>| {
            Command::Leave(RoomRef { room: room.map(|name| name.parse().unwrap()), life: None })
        };
        assert_eq!(aim(leave(Some("a")), None), Ok(Some("a".to_owned())));
        assert_eq!(aim(leave(Some("a")), Some("a")), Ok(Some("a".to_owned())));
        assert_eq!(aim(leave(None), Some("a")), Ok(Some("a".to_owned())));
        assert_eq!(aim(leave(Some("b")), Some("a")), Err(ErrorCode::BadRequest));
        assert_eq!(aim(leave(None), None), Err(ErrorCode::BadRequest));
        assert_eq!(aim(Command::Hello(Hello::default()), Some("a")), Ok(None));
    }
}
