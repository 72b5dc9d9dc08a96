//! What a client asks for.

use roomkeeper_types::{ConsumerId, LifeId, MessageId, Offset, RoomName, Timestamp, Token, UserId};

use super::Data;

/// All commands. On a room socket `room` may be left out of each (`None`).
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Who is there.
    Hello(Hello),
    /// Receive a room's messages.
    Join(Join),
    /// Receive them no more.
    Leave(RoomRef),
    /// Append messages, all or none.
    Publish(Publish),
    /// Fan out without storing.
    Signal(Signal),
    /// Read a range of a room's log.
    History(History),
    /// Store a consumer's cursor.
    Commit(Commit),
    /// Allow more messages to be sent.
    Credit(Credit),
    /// Still here, and what arrived.
    Heartbeat(Heartbeat),
    /// Who is in a room.
    Presence(RoomRef),
    /// List rooms.
    Rooms(Rooms),
    /// Create a room.
    Create(Create),
    /// Delete a room and all its messages.
    Delete(RoomRef),
    /// Append a hold.
    Confirm(HoldRef),
    /// Drop a hold.
    Rollback(HoldRef),
}

/// Names a room, and the life of it the sender means.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoomRef {
    /// The room; on a room socket it may be left out.
    pub room: Option<RoomName>,
    /// Only this life of it; a former one is answered `recreated`.
    pub life: Option<LifeId>,
}

/// The first command of a connection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hello {
    /// The token, where the cluster asks for one.
    pub token: Option<Token>,
    /// The user, taken at its word in development mode.
    pub user: Option<UserId>,
    /// The user's device.
    pub device: Option<String>,
    /// A former session to take up again.
    pub session: Option<String>,
    /// Name and version of the client software, for the operator.
    pub client: Option<String>,
}

/// Where a subscriber starts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum From {
    /// With the next message.
    #[default]
    Latest,
    /// With the first message kept.
    Beginning,
    /// After the consumer's committed offset.
    Committed,
    /// With this offset.
    Offset(Offset),
    /// These offsets, both inclusive, and no more.
    Range(Offset, Offset),
}

/// Which messages a reader sees.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Isolation {
    /// Only what has an offset.
    #[default]
    Committed,
    /// Open holds too.
    Uncommitted,
}

/// Receive a room's messages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Join {
    /// The room.
    pub room: RoomRef,
    /// Where to start.
    pub from: From,
    /// Whose cursor `Committed` means, and whose commits give credit.
    pub consumer: Option<ConsumerId>,
    /// How many offsets beyond the start may be sent before more credit is given; `None`: no limit.
    pub credit: Option<u64>,
    /// Which messages.
    pub isolation: Isolation,
    /// Whether to be counted and told of others; `None`: as the room says.
    pub presence: Option<bool>,
}

/// One message to append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMessage {
    /// The client's UUID for it.
    pub id: MessageId,
    /// Its content.
    pub data: Data,
    /// When the client says it was written, in its own clock.
    pub sent: Option<Timestamp>,
}

/// Append messages, all or none, with neighbouring offsets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish {
    /// The room.
    pub room: RoomRef,
    /// 1 to `max_batch` messages with distinct ids.
    pub messages: Vec<NewMessage>,
    /// Only if this is the room's next offset.
    pub expect: Option<Offset>,
    /// Hold the messages back for this long, until confirmed; not with `expect`, as a hold has no offset yet.
    pub hold_ms: Option<u64>,
    /// Answer `timeout` after this long; `None`: the server's default.
    pub timeout_ms: Option<u64>,
}

/// Fan out to who is there now: no offset, at most once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signal {
    /// The room.
    pub room: RoomRef,
    /// Its content, at most `max_message` bytes.
    pub data: Data,
}

/// Read a range of a room's log. `from` is an offset or a range (or the beginning).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// The room.
    pub room: RoomRef,
    /// Where to start.
    pub from: From,
    /// At most this many items; `None`: 100. Up to 1,000.
    pub limit: Option<u32>,
    /// Which messages; the open holds come last, without offsets.
    pub isolation: Isolation,
}

/// Store a consumer's cursor. It never goes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// The room.
    pub room: RoomRef,
    /// Whose cursor.
    pub consumer: ConsumerId,
    /// Everything up to here was processed. 0 changes nothing and reads the cursor.
    pub offset: Offset,
}

/// Allow more messages to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credit {
    /// The room.
    pub room: RoomRef,
    /// That many more offsets. From 1.
    pub more: u64,
}

/// Still here, and what arrived.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Heartbeat {
    /// Each room once, in no particular order; `None` is the room of a room socket (`""` on the wire).
    pub rooms: Vec<(Option<RoomName>, Seen)>,
}

/// What a client has of a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Whether its user is here.
    pub here: bool,
    /// Messages of the last minute that arrived, at most 1,000; those above `upto` if that is given.
    pub seen: Vec<MessageId>,
    /// Highest offset held without gaps.
    pub upto: Option<Offset>,
}

/// Names a hold by the messages of its publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldRef {
    /// The room.
    pub room: RoomRef,
    /// All of them: 1 to `max_batch` distinct ids.
    pub ids: Vec<MessageId>,
}

/// List rooms in the order of their names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rooms {
    /// Only names that begin so.
    pub prefix: Option<String>,
    /// Only names after this one.
    pub after: Option<String>,
    /// At most this many; `None`: 100. Up to 1,000.
    pub limit: Option<u32>,
    /// With each room its first messages, this many (0 to 100).
    pub page: Option<u32>,
}

/// Create a room.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Create {
    /// The room.
    pub room: Option<RoomName>,
    /// What it is created with.
    pub options: RoomOptions,
    /// Where to put it; `None`: by its name's hash.
    pub placement: Option<Placement>,
}

/// What a room is created with. Each left out: the cluster's default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RoomOptions {
    /// Messages older than this are trimmed. From 1.
    pub retain_ms: Option<u64>,
    /// Messages beyond this many are trimmed, the oldest first. From 1.
    pub retain_messages: Option<u64>,
    /// Bytes of data beyond this many are trimmed, the oldest messages first. From 1.
    pub retain_bytes: Option<u64>,
    /// Whether members are counted and told of each other.
    pub presence: Option<bool>,
    /// Members beyond this many are refused. From 1.
    pub max_members: Option<u32>,
}

/// How a room's shard is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// By the hash of its name.
    Hash,
    /// A shard of the node with the least load.
    LeastLoaded,
}

impl Placement {
    /// Every placement.
    pub const ALL: [Self; 2] = [Self::Hash, Self::LeastLoaded];

    /// The name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hash => "hash",
            Self::LeastLoaded => "least_loaded",
        }
    }

    /// The placement of that wire name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|placement| placement.name() == name)
    }
}
