//! What clients did and saw, and what was done to the cluster meanwhile.
//!
//! [`event`] is the format, one JSON line per event; [`Recorder`] writes it while it happens.

pub mod event;
mod recorder;

pub use event::{At, Event, Gate, Id, Phase, RunInfo};
pub use recorder::{FILE, Recorder};

use std::fmt;

use std::time::{Duration, Instant};

use bytes::Bytes;
use roomkeeper_protocol::Item;
use roomkeeper_types::{Epoch, MessageId, NodeId, Offset, RoomName};

/// Everything that clients did and saw in one run.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// All publishes; those of one writer in the order it sent them.
    pub sends: Vec<Sent>,
    /// What each subscriber was sent.
    pub watches: Vec<Watch>,
    /// What was done to the cluster, in order.
    pub faults: Vec<Fault>,
}

/// One publish: a batch of one or more messages.
#[derive(Debug, Clone)]
pub struct Sent {
    /// Its room.
    pub room: RoomName,
    /// Who sent it. A writer sends to one room, through one handle.
    pub writer: u32,
    /// Ids and data.
    pub messages: Vec<(MessageId, Bytes)>,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Stored, the cluster says.
    Acked {
        /// When the client learned it.
        at: Instant,
        /// Epoch of the entry that stored it.
        epoch: Epoch,
        /// One per message.
        offsets: Vec<Offset>,
    },
    /// Stored or not: for this reason nobody knows.
    Unknown(String),
    /// Not stored, for this reason.
    Refused(String),
}

/// What one subscriber was sent.
#[derive(Debug, Clone)]
pub struct Watch {
    /// Its room.
    pub room: RoomName,
    /// The first offset that it was promised.
    pub from: Offset,
    /// Offsets and ids in the order they came.
    pub items: Vec<(Offset, MessageId)>,
    /// Why it ended before the room's head, if it did.
    pub error: Option<String>,
}

/// Something done to the cluster.
#[derive(Debug, Clone)]
pub struct Fault {
    /// When it was done.
    pub at: Instant,
    /// What, for people.
    pub what: String,
}

/// What the cluster holds of a room at the end of a run.
#[derive(Debug, Clone)]
pub struct RoomLog {
    /// The room.
    pub room: RoomName,
    /// Offset that the next message would get, the owner says.
    pub next: Offset,
    /// The log from the first offset on, as its owner answered.
    pub items: Vec<Item>,
    /// Replicas that the room should have.
    pub replicas: Vec<NodeId>,
    /// What each replica says of its own copy.
    pub copies: Vec<Copy>,
}

/// One replica's own copy of a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// The node it is on.
    pub node: NodeId,
    /// Offset that the next message will get there.
    pub next: Offset,
    /// The rolling hash of the room's log.
    pub hash: String,
}

impl History {
    /// When messages were acked, in order; of one room or of all.
    #[must_use]
    pub fn ack_times(&self, room: Option<&RoomName>) -> Vec<Instant> {
        let of_room = self.sends.iter().filter(|sent| room.is_none_or(|room| sent.room == *room));
        let mut times: Vec<Instant> = of_room
            .filter_map(|sent| match sent.outcome {
                Outcome::Acked { at, .. } => Some(at),
                _ => None,
            })
            .collect();
        times.sort();
        times
    }

    /// The longest time without an ack of a room that ended after `from`; `None` if none came after it.
    #[must_use]
    pub fn longest_gap(&self, room: &RoomName, from: Instant) -> Option<Duration> {
        let times = self.ack_times(Some(room));
        times.windows(2).filter(|pair| pair[1] > from).map(|pair| pair[1] - pair[0]).max()
    }

    /// Messages (not publishes) that were acked, are unknown, were refused.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut counts =
            Counts { watches: self.watches.len(), faults: self.faults.len(), ..Counts::default() };
        for sent in &self.sends {
            *match sent.outcome {
                Outcome::Acked { .. } => &mut counts.acked,
                Outcome::Unknown(_) => &mut counts.unknown,
                Outcome::Refused(_) => &mut counts.refused,
            } += sent.messages.len();
        }
        counts.delivered = self.watches.iter().map(|watch| watch.items.len()).sum();
        counts
    }
}

/// The size of a history.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages acked.
    pub acked: usize,
    /// Messages whose outcome is not known.
    pub unknown: usize,
    /// Messages refused.
    pub refused: usize,
    /// Subscribers.
    pub watches: usize,
    /// Messages that subscribers were sent.
    pub delivered: usize,
    /// Things done to the cluster.
    pub faults: usize,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { acked, unknown, refused, watches, delivered, faults } = self;
        write!(
            f,
            "{acked} messages acked, {unknown} unknown, {refused} refused; {delivered} deliveries to {watches} \
             subscribers; {faults} faults"
        )
    }
}
