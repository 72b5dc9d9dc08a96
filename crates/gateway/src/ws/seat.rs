//! Where a lane's commands go: to a room of this node, or to its owner through another socket.

use roomkeeper_protocol::OwnerHint;
use roomkeeper_types::Epoch;

use super::local_seat::LocalSeat;
use crate::relay::RemoteSeat;

/// Where a lane's commands go.
pub(crate) enum Seat {
    /// This node owns the room.
    Local(LocalSeat),
    /// Another one does.
    Remote(RemoteSeat),
}

impl Seat {
    /// The epoch of the ownership that the seat relies on.
    pub(crate) fn epoch(&self) -> Epoch {
        match self {
            Self::Local(seat) => seat.epoch(),
            Self::Remote(seat) => seat.epoch(),
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
