//! The vocabulary of the protocol: commands, replies, pushes. One schema (`proto/`), two codecs.

use bytes::Bytes;
use roomkeeper_types::{ClusterId, Epoch, LifeId, MessageId, NodeId, Offset, RoomName, Timestamp, UserId};

use crate::Error;

/// A command's number, the client's own: 1 to 2^32 - 1. 0 marks the error reply to an unreadable frame.
pub type CommandId = u32;

/// What a client sends: one command and its number.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The command's number; its reply carries the same.
    pub id: CommandId,
    /// What to do.
    pub command: Command,
}

/// What a server sends.
#[derive(Debug, Clone, PartialEq)]
pub enum ServerFrame {
    /// The one reply to the command of that number.
    Reply(CommandId, Result<Reply, Error>),
    /// Something that happened.
    Push(Push),
}

/// A message's content, carried byte for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data {
    /// The text of one JSON value, exactly as the sender wrote it (validated, never re-serialised).
    Json(Bytes),
    /// Bytes that need not be JSON: `data_b64` to JSON clients.
    Binary(Bytes),
}

impl Data {
    /// The content's bytes.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        match self {
            Self::Json(bytes) | Self::Binary(bytes) => bytes,
        }
    }
}

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
    /// Read a range of a room's log.
    History(History),
    /// List rooms.
    Rooms(Rooms),
    /// Create a room.
    Create(Create),
    /// Delete a room and all its messages.
    Delete(RoomRef),
    /// A command of the protocol that this server does not have yet: its wire name. Answered, not closed.
    Unsupported(&'static str),
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
    pub token: Option<String>,
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
    /// Whose cursor `Committed` means.
    pub consumer: Option<String>,
    /// How many messages beyond the start may be sent before more credit is given.
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
    /// Hold the messages back for this long, until confirmed.
    pub hold_ms: Option<u64>,
    /// Answer `timeout` after this long; `None`: the server's default.
    pub timeout_ms: Option<u64>,
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
    /// Which messages.
    pub isolation: Isolation,
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
    /// Where to put it; `None`: by its name's hash.
    pub placement: Option<String>,
}

/// What a command returns when it succeeded.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "named as the commands")]
pub enum Reply {
    Hello(HelloOk),
    Join(JoinOk),
    Leave,
    Publish(PublishOk),
    History(HistoryOk),
    Rooms(RoomsOk),
    Create(CreateOk),
    Delete,
}

/// The server and its limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HelloOk {
    /// The node the client is connected to.
    pub node: NodeId,
    /// The cluster.
    pub cluster: ClusterId,
    /// Who the client is to the server.
    pub user: UserId,
    /// The session's id.
    pub session: String,
    /// Shortest and longest time between two heartbeats, milliseconds.
    pub heartbeat_ms: [u32; 2],
    /// What is refused as too large.
    pub limits: Limits,
    /// What this server can do beyond the first version of the protocol.
    pub features: Vec<String>,
}

/// Sizes above which requests are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Limits {
    /// A frame, bytes.
    pub max_frame: u32,
    /// A message's data, bytes.
    pub max_message: u32,
    /// Messages of one publish.
    pub max_batch: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_frame: 1 << 20, max_message: 64 << 10, max_batch: 1_000 }
    }
}

/// Where a joined client stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinOk {
    /// The room.
    pub room: RoomName,
    /// Its owner.
    pub owner: NodeId,
    /// The owner's epoch.
    pub epoch: Epoch,
    /// The life joined.
    pub life: LifeId,
    /// First offset kept.
    pub first: Offset,
    /// Offset that the next message will get.
    pub next: Offset,
    /// First offset that this client will be sent.
    pub from: Offset,
    /// Members of the room, this one included; `None` where presence is off.
    pub members: Option<u64>,
}

/// Where the messages stand. On disk on a majority of replicas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishOk {
    /// Epoch of the entry that stored them.
    pub epoch: Epoch,
    /// One offset per message, in their order.
    pub offsets: Vec<Offset>,
    /// One per message: whether it was stored before.
    pub duplicates: Vec<bool>,
}

/// A range of a room's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryOk {
    /// In offset order, without gaps.
    pub items: Vec<Item>,
    /// Offset to read on from.
    pub next: Offset,
}

/// One stored message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its place.
    pub offset: Offset,
    /// Epoch of the entry that stored it.
    pub epoch: Epoch,
    /// Its sender's id for it.
    pub id: MessageId,
    /// Its sender.
    pub from: UserId,
    /// When the owner ordered it.
    pub time: Timestamp,
    /// When its sender says it was written.
    pub sent: Option<Timestamp>,
    /// Its content.
    pub data: Data,
}

/// A list of rooms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomsOk {
    /// In the order of their names.
    pub rooms: Vec<RoomSummary>,
    /// Name to list on after; `None` at the end.
    pub next: Option<RoomName>,
}

/// One room of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomSummary {
    /// The room.
    pub room: RoomName,
    /// Its life.
    pub life: LifeId,
    /// Its owner; `None` while one is being elected.
    pub owner: Option<NodeId>,
    /// Messages kept.
    pub messages: u64,
    /// First offset kept.
    pub first: Offset,
    /// Offset that the next message will get.
    pub next: Offset,
    /// Members; `None` where presence is off.
    pub members: Option<u64>,
    /// Its first messages, where a page was asked for.
    pub items: Vec<Item>,
}

/// A room was created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateOk {
    /// Its owner.
    pub owner: NodeId,
    /// The owner's epoch.
    pub epoch: Epoch,
    /// Its life.
    pub life: LifeId,
}

/// What a server sends unasked.
#[derive(Debug, Clone, PartialEq)]
pub enum Push {
    /// Messages in offset order, without gaps.
    Messages {
        /// Their room.
        room: RoomName,
        /// At least one.
        items: Vec<Item>,
    },
    /// The room has another owner, or none for a moment; the socket closes.
    Moved(OwnerHint),
    /// The first push of a socket on a node that does not own the room; the socket closes.
    Redirect(OwnerHint),
}

/// Where a room's owner is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnerHint {
    /// The room.
    pub room: RoomName,
    /// Its owner; `None` while one is being elected.
    pub node: Option<NodeId>,
    /// The owner's client URL, `http://…`; `None` while one is being elected.
    pub url: Option<String>,
    /// The owner's epoch, or the last known.
    pub epoch: Epoch,
    /// Wait this long before connecting again.
    pub retry_after_ms: u32,
}
