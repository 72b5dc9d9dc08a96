//! What a server sends unasked.

use roomkeeper_types::{Epoch, MessageId, NodeId, RoomName, ShardId, Timestamp, UserId};

use super::{Data, Item, Member};

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
    /// Messages that a heartbeat showed to be missing.
    Sync {
        /// Their room.
        room: RoomName,
        /// At least one, in offset order.
        items: Vec<Item>,
    },
    /// Who came and went.
    Presence(PresencePush),
    /// A signal of another client.
    Signal {
        /// Its room.
        room: RoomName,
        /// Its sender.
        from: UserId,
        /// Its content.
        data: Data,
    },
    /// An open hold.
    Held {
        /// Its room.
        room: RoomName,
        /// Its messages in the sender's order, with offset 0: they have none yet.
        items: Vec<Item>,
        /// When it runs out.
        expires: Timestamp,
    },
    /// A hold was dropped.
    RolledBack {
        /// Its room.
        room: RoomName,
        /// Its messages.
        ids: Vec<MessageId>,
    },
    /// The room has another owner, or none for a moment; the socket closes.
    Moved(OwnerHint),
    /// The first push of a socket on a node that does not own the room; the socket closes.
    Redirect(OwnerHint),
}

/// Who came and went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresencePush {
    /// The room.
    pub room: RoomName,
    /// Who came.
    pub joined: Vec<Member>,
    /// Who went.
    pub left: Vec<Member>,
    /// Members now.
    pub count: u64,
    /// `false` while the picture is still being gathered after a failover.
    pub settled: bool,
    /// The one full picture that settles it.
    pub members: Option<Vec<Member>>,
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
    /// The shard that holds the room; `None`: the one its name hashes to.
    pub shard: Option<ShardId>,
    /// Wait this long before connecting again.
    pub retry_after_ms: u32,
}

impl OwnerHint {
    /// Nobody in particular: who uses the room again finds out.
    pub fn unknown(room: RoomName) -> Self {
        Self { room, node: None, url: None, epoch: Epoch(0), shard: None, retry_after_ms: 0 }
    }
}
