//! Where a lane's commands go: to a room of this node, or to its owner through another socket.

use roomkeeper_protocol::{OwnerHint, Seen};
use roomkeeper_types::RoomName;

use super::conn::{Conn, Outgoing};
use super::local_seat::LocalSeat;
use crate::host::Tenure;
use crate::relay::RemoteSeat;

/// Where a lane's commands go.
pub(crate) enum Seat {
    /// This node owns the room.
    Local(LocalSeat),
    /// Another one does.
    Remote(RemoteSeat),
}

impl Seat {
    /// The ownership that the seat relies on.
    pub(crate) fn tenure(&self) -> Tenure {
        match self {
            Self::Local(seat) => seat.tenure(),
            Self::Remote(seat) => seat.tenure(),
        }
    }

    /// The room was put in another shard: the seat is lost.
    pub(crate) fn give_up(&mut self) {
        match self {
            Self::Local(seat) => seat.give_up(),
            Self::Remote(seat) => seat.give_up(),
        }
    }

    /// Whether it still stands, as far as is known here.
    pub(crate) fn is_current(&self) -> bool {
        match self {
            Self::Local(seat) => seat.is_current(),
            Self::Remote(seat) => seat.is_current(),
        }
    }

    /// Resolves when it is lost.
    pub(crate) async fn lost(&mut self) {
        match self {
            Self::Local(seat) => seat.lost().await,
            Self::Remote(seat) => seat.lost().await,
        }
    }

    /// The client says what it has of the room, and whether it is there.
    pub(crate) async fn beat(&mut self, conn: &Conn, room: &RoomName, seen: Seen) {
        match self {
            Self::Local(_) => conn.send(Outgoing::Beat(room.clone(), Box::new(seen))),
            Self::Remote(seat) => seat.beat(seen).await,
        }
    }

    /// What the former owner said of the new one.
    pub(crate) fn hint(&self) -> Option<OwnerHint> {
        match self {
            Self::Local(_) => None,
            Self::Remote(seat) => seat.hint(),
        }
    }

    /// Ends what goes on through it without the client's doing.
    pub(crate) async fn abandon(&mut self) {
        match self {
            // The socket's writer was told to end the subscription.
            Self::Local(_) => {}
            Self::Remote(seat) => seat.abandon().await,
        }
    }
}
