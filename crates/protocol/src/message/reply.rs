//! What commands return.

use roomkeeper_types::{ClusterId, Epoch, LifeId, NodeId, Offset, RoomName, Timestamp, UserId};

use super::{Item, Member};

/// What a command returns when it succeeded.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "named as the commands")]
pub enum Reply {
    Hello(HelloOk),
    Join(JoinOk),
    Leave,
    Publish(PublishOk),
    Signal,
    History(HistoryOk),
    Commit(CommitOk),
    Credit,
    Heartbeat,
    Presence(PresenceOk),
    Rooms(RoomsOk),
    Create(CreateOk),
    Delete,
    Confirm(HoldOk),
    Rollback,
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
    /// When the client's token runs out; `None`: it has none, or one for ever.
    pub expires: Option<Timestamp>,
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
    /// The consumer's cursor, 0 if it has none yet; `None` where the join named no consumer.
    pub committed: Option<Offset>,
    /// Messages above the cursor; `None` where the join named no consumer.
    pub unread: Option<u64>,
}

/// Where the messages stand. On disk on a majority of replicas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishOk {
    /// Epoch of the entry that stored them.
    pub epoch: Epoch,
    /// One offset per message, in their order; none while they are held.
    pub offsets: Vec<Offset>,
    /// One per message: whether it was stored before.
    pub duplicates: Vec<bool>,
    /// Held back until confirmed.
    pub held: bool,
    /// When the hold runs out; only where `held`.
    pub expires: Option<Timestamp>,
}

/// A range of a room's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryOk {
    /// In offset order, without gaps. Open holds, where asked for, come last with offset 0.
    pub items: Vec<Item>,
    /// Offset to read on from.
    pub next: Offset,
}

/// Where a consumer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommitOk {
    /// The cursor now; 0: none yet.
    pub committed: Offset,
}

/// Who is in a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresenceOk {
    /// One for each user and device.
    pub members: Vec<Member>,
}

/// A hold was confirmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldOk {
    /// One offset per id, in their order.
    pub offsets: Vec<Offset>,
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
