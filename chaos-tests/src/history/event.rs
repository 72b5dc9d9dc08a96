//! One line of a history: what clients did and saw, what was done to the cluster, what its nodes said of it.
//!
//! A history is a file of JSON lines. The first is [`Event::Run`]; the others may stand slightly out of order
//! and are sorted by their time when read. Fields may be added, with a default, and never renamed: old
//! histories are judged again by new checkers.

use std::fmt;
use std::time::Duration;

use roomkeeper_types::{ConsumerId, Epoch, MessageId, NodeId, Offset, RoomName, ShardId};
use serde::{Deserialize, Serialize};

use super::access::{GuestAsked, GuestEnd, GuestIn, GuestTold};
use super::cursors::{CommitInvoke, Following};
use super::holds::{HoldInvoke, HoldOk, SettleInvoke};
use super::presence::{Company, MemberJoin};

/// Version of the format, in [`RunInfo::format`].
pub const FORMAT: u32 = 1;

/// Microseconds on the harness's monotonic clock since the history began. One clock stamps everything, so
/// that "before" means before, whatever the nodes' clocks say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct At(pub u64);

impl At {
    /// The time since an earlier moment; zero if that one is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// So much later.
    #[must_use]
    pub fn after(self, time: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX)))
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03} s", self.0 / 1_000_000, self.0 / 1_000 % 1_000)
    }
}

/// A line: what happened, and when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// When.
    pub t: At,
    /// What.
    #[serde(flatten)]
    pub event: Event,
}

/// Number of a publish, a read, a subscription or a fault; never used twice in a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Id(pub u64);

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// A node by its place in the harness's list, from 0. What the cluster calls it says [`Event::Node`].
pub type NodeIndex = usize;

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event")]
pub enum Event {
    /// What is run; the first line.
    #[serde(rename = "run")]
    Run(RunInfo),
    /// What a node is to the cluster.
    #[serde(rename = "node")]
    Node {
        /// The harness's number of it.
        node: NodeIndex,
        /// The cluster's.
        id: NodeId,
    },
    /// A new part of the run begins.
    #[serde(rename = "phase")]
    Phase {
        /// Which.
        phase: Phase,
    },

    /// A client is about to publish. Stamped before it asks.
    #[serde(rename = "send.invoke")]
    SendInvoke(SendInvoke),
    /// The cluster acked it. Stamped when the client knew.
    #[serde(rename = "send.ok")]
    SendOk {
        /// Which publish.
        op: Id,
        /// Epoch of the entry that stored it (of a duplicate: that stored it first).
        epoch: Epoch,
        /// One per message.
        offsets: Vec<Offset>,
        /// One per message: whether it was known before.
        duplicates: Vec<bool>,
    },
    /// The cluster refused it: a definite no.
    #[serde(rename = "send.fail")]
    SendFail {
        /// Which publish.
        op: Id,
        /// What it said.
        why: String,
    },
    /// Nobody knows whether it is stored.
    #[serde(rename = "send.info")]
    SendInfo {
        /// Which publish.
        op: Id,
        /// Why.
        why: String,
    },

    /// A client is about to ask a room's owner where the room stands.
    #[serde(rename = "read.invoke")]
    ReadInvoke {
        /// This read.
        op: Id,
        /// Which client asks.
        reader: u32,
        /// Which room.
        room: RoomName,
    },
    /// The answer.
    #[serde(rename = "read.ok")]
    ReadOk {
        /// Which read.
        op: Id,
        /// Who answered as the owner.
        owner: Option<NodeId>,
        /// In which epoch.
        epoch: Epoch,
        /// Offset that the next message will get.
        next: Offset,
        /// A piece of the log that was read along, in offset order.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        items: Vec<Seen>,
    },
    /// No answer, or not in time.
    #[serde(rename = "read.fail")]
    ReadFail {
        /// Which read.
        op: Id,
        /// Why.
        why: String,
    },

    /// A subscriber has joined.
    #[serde(rename = "sub.ok")]
    SubOk {
        /// This subscription.
        sub: Id,
        /// Its room.
        room: RoomName,
        /// When it asked to join, where that was noted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        asked: Option<At>,
        /// Where it is.
        place: Place,
        /// The cursor that it follows, if one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        following: Option<Following>,
        /// Whether it is told of open holds.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        sees_holds: bool,
    },
    /// It has joined again after its connection was lost.
    #[serde(rename = "resume.ok")]
    ResumeOk {
        /// Which subscription.
        sub: Id,
        /// Where it is now.
        place: Place,
    },
    /// It was told that the room has another owner.
    #[serde(rename = "redirect")]
    Redirect {
        /// Which subscription.
        sub: Id,
        /// Who owns the room now, if that was said.
        owner: Option<NodeId>,
        /// In which epoch.
        epoch: Epoch,
    },
    /// It was sent messages.
    #[serde(rename = "deliver")]
    Deliver {
        /// Which subscription.
        sub: Id,
        /// In the order they came.
        items: Vec<Seen>,
    },
    /// It was told that messages are missing.
    #[serde(rename = "gap")]
    Gap {
        /// Which subscription.
        sub: Id,
        /// The offset that had to come.
        expected: Offset,
        /// The one that came, if any.
        got: Option<Offset>,
        /// Why, if that was said.
        why: String,
    },
    /// It was told of an open hold.
    #[serde(rename = "held")]
    Held {
        /// Which subscription.
        sub: Id,
        /// The hold's messages.
        messages: Vec<Content>,
    },
    /// It was told that held messages were dropped.
    #[serde(rename = "rolled_back")]
    RolledBack {
        /// Which subscription.
        sub: Id,
        /// The messages.
        ids: Vec<MessageId>,
    },
    /// It was told who is there.
    #[serde(rename = "presence")]
    Presence {
        /// Which subscription.
        sub: Id,
        /// What it was told.
        company: Company,
    },
    /// It is over.
    #[serde(rename = "sub.end")]
    SubEnd {
        /// Which subscription.
        sub: Id,
        /// Why; `None`: it had everything and left.
        error: Option<String>,
    },

    /// A client is about to hold messages.
    #[serde(rename = "hold.invoke")]
    HoldInvoke(HoldInvoke),
    /// A client is about to say what becomes of a hold.
    #[serde(rename = "settle.invoke")]
    SettleInvoke(SettleInvoke),
    /// A hold was taken, or what was said of it was done.
    #[serde(rename = "hold.ok")]
    HoldOk(HoldOk),
    /// A consumer is about to commit.
    #[serde(rename = "commit.invoke")]
    CommitInvoke(CommitInvoke),
    /// It has committed.
    #[serde(rename = "commit.ok")]
    CommitOk {
        /// Which commit.
        op: Id,
        /// The cursor.
        committed: Offset,
    },
    /// Something of a hold, or a commit, was refused: a definite no.
    #[serde(rename = "op.fail")]
    OpFail {
        /// What.
        op: Id,
        /// The error's code.
        code: String,
        /// What was said.
        why: String,
    },
    /// Nobody knows whether it was done.
    #[serde(rename = "op.info")]
    OpInfo {
        /// What.
        op: Id,
        /// Why.
        why: String,
    },

    /// A member is about to join a room.
    #[serde(rename = "member.join")]
    MemberJoin(MemberJoin),
    /// It has joined.
    #[serde(rename = "member.in")]
    MemberIn {
        /// Which.
        member: Id,
        /// The subscription that is it, where that is noted too.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sub: Option<Id>,
    },
    /// It is about to leave.
    #[serde(rename = "member.out")]
    MemberOut {
        /// Which.
        member: Id,
    },

    /// A guest was let in.
    #[serde(rename = "guest.in")]
    GuestIn(GuestIn),
    /// It asked for something and was answered.
    #[serde(rename = "guest.asked")]
    GuestAsked(GuestAsked),
    /// It was sent something.
    #[serde(rename = "guest.told")]
    GuestTold(GuestTold),
    /// Its socket ended.
    #[serde(rename = "guest.end")]
    GuestEnd(GuestEnd),

    /// Something is about to be done to the cluster.
    #[serde(rename = "fault.begin")]
    FaultBegin(FaultBegin),
    /// It is over, or undone: from here on the cluster may be expected to recover from it.
    #[serde(rename = "fault.end")]
    FaultEnd {
        /// Which fault.
        fault: Id,
        /// What came of it, for people.
        #[serde(default)]
        detail: String,
    },
    /// Something was counted that proves that a fault was one: bytes dropped by a power cut, packets dropped
    /// by a partition. Counts of one name are added up.
    #[serde(rename = "count")]
    Count {
        /// What, as gates name it.
        name: String,
        /// How many more.
        more: u64,
    },

    /// A node began or ceased to own a shard, as it says itself.
    #[serde(rename = "own")]
    Own {
        /// The shard.
        shard: ShardId,
        /// In which epoch.
        epoch: Epoch,
        /// Whose log says so.
        node: NodeIndex,
        /// Which of the two.
        change: Change,
    },
    /// A node said something else about a replica or about itself.
    #[serde(rename = "said")]
    Said {
        /// Whose log.
        node: NodeIndex,
        /// What kind of event: `hand_over`, `quarantine`, `repair`, …
        kind: String,
        /// About which shard.
        shard: Option<ShardId>,
        /// In its words.
        reason: String,
    },

    /// A piece of what the cluster holds of a room in the end, as its owner answered.
    #[serde(rename = "final.items")]
    FinalItems {
        /// The room.
        room: RoomName,
        /// In offset order.
        items: Vec<Seen>,
    },
    /// All of a room was read.
    #[serde(rename = "final.room")]
    FinalRoom {
        /// The room.
        room: RoomName,
        /// Its shard, where known.
        #[serde(default)]
        shard: Option<ShardId>,
        /// First offset kept.
        first: Offset,
        /// Offset that the next message would get.
        next: Offset,
        /// Nodes that should have a copy.
        replicas: Vec<NodeId>,
    },
    /// What one replica says of its own copy.
    #[serde(rename = "final.copy")]
    FinalCopy {
        /// The room.
        room: RoomName,
        /// Where the copy is.
        node: NodeId,
        /// Offset that the next message will get there.
        next: Offset,
        /// The rolling hash of the room's log.
        hash: String,
    },
    /// Where a consumer's cursor is in the end.
    #[serde(rename = "final.cursor")]
    FinalCursor {
        /// The room.
        room: RoomName,
        /// Whose.
        consumer: ConsumerId,
        /// The cursor.
        committed: Offset,
    },
    /// Who is in a room, once the cluster is quiet.
    #[serde(rename = "final.presence")]
    FinalPresence {
        /// The room.
        room: RoomName,
        /// The node that was asked.
        node: NodeId,
        /// Users and devices, `user/device`.
        members: Vec<String>,
    },
}

/// What is run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RunInfo {
    /// [`FORMAT`].
    pub format: u32,
    /// Name of the scenario.
    pub scenario: String,
    /// Decides everything random of the run.
    pub seed: u64,
    /// Number of nodes at the start.
    pub nodes: usize,
    /// Version of the program under test.
    pub binary: String,
    /// Wall clock when the history's clock stood at zero, microseconds since 1970: to place lines of logs.
    pub wall_us: u64,
    /// What the run has to show, or it proves nothing.
    #[serde(default)]
    pub gates: Vec<Gate>,
    /// How long an operation may take to end, microseconds; `None`: not judged.
    #[serde(default)]
    pub op_limit_us: Option<u64>,
    /// The seeded bug that the program was built and told to have, if any.
    #[serde(default)]
    pub sabotage: Option<String>,
}

impl RunInfo {
    /// A run of that scenario; nothing asked for beyond what every run has to show.
    #[must_use]
    pub fn new(scenario: &str, seed: u64, nodes: usize) -> Self {
        Self { scenario: scenario.to_owned(), seed, nodes, ..Self::default() }
    }

    /// The same, where every operation has to end in this time.
    #[must_use]
    pub fn with_op_limit(self, limit: Duration) -> Self {
        let limit = u64::try_from(limit.as_micros()).unwrap_or(u64::MAX);
        Self { op_limit_us: Some(limit), ..self }
    }

    /// The same, with one more gate.
    #[must_use]
    pub fn with_gate(mut self, count: &str, at_least: u64) -> Self {
        self.gates.push(Gate::new(count, at_least));
        self
    }
}

/// Something that a run has to show: fewer, and it fails as empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gate {
    /// What is counted: a name of `check::counts`, or of an [`Event::Count`].
    pub count: String,
    /// At least so many.
    pub at_least: u64,
}

impl Gate {
    /// At least so many of these.
    #[must_use]
    pub fn new(count: &str, at_least: u64) -> Self {
        Self { count: count.to_owned(), at_least }
    }
}

/// Parts of a run, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Load, and nothing is done to the cluster.
    Quiet,
    /// Load and faults.
    Faults,
    /// Load, and everything that was done is undone: each room has to be writable soon.
    Healed,
    /// No more load: subscribers reach the heads, replicas become equal.
    Drain,
}

/// A publish.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SendInvoke {
    /// This publish.
    pub op: Id,
    /// Which connection; those of one writer keep their order.
    pub writer: u32,
    /// Its room.
    pub room: RoomName,
    /// Number of this try with these ids, from 1.
    pub attempt: u32,
    /// The node it was sent through, where one was chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub through: Option<NodeIndex>,
    /// The offset that it must get, where it is conditional.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<Offset>,
    /// Its messages: all are stored, or none.
    pub messages: Vec<Content>,
}

/// A message as its sender knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// Its id.
    pub id: MessageId,
    /// Hash of its bytes.
    pub hash: u64,
}

/// A message as somebody was shown it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Its place.
    pub offset: Offset,
    /// Epoch of the entry that stored it.
    pub epoch: Epoch,
    /// Its id.
    pub id: MessageId,
    /// Hash of its bytes.
    pub hash: u64,
}

impl From<&roomkeeper_protocol::Item> for Content {
    fn from(item: &roomkeeper_protocol::Item) -> Self {
        Self { id: item.id, hash: hash(item.data.bytes()) }
    }
}

impl From<&roomkeeper_protocol::NewMessage> for Content {
    fn from(message: &roomkeeper_protocol::NewMessage) -> Self {
        Self { id: message.id, hash: hash(message.data.bytes()) }
    }
}

impl From<&roomkeeper_protocol::Item> for Seen {
    fn from(item: &roomkeeper_protocol::Item) -> Self {
        Self { offset: item.offset, epoch: item.epoch, id: item.id, hash: hash(item.data.bytes()) }
    }
}

/// The hash of a message's bytes. Part of the format: never change it.
#[must_use]
pub fn hash(bytes: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(bytes)
}

/// Where a subscription is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// First offset that it will be sent.
    pub from: Offset,
    /// Offset that the next message would get, as the owner said.
    pub head: Offset,
    /// The owner.
    pub owner: NodeId,
    /// Its epoch.
    pub epoch: Epoch,
}

/// Whether ownership begins or ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It begins.
    Gain,
    /// It ends.
    Lose,
}

/// Something done to the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultBegin {
    /// This fault.
    pub fault: Id,
    /// Who does it: `kill`, `pause`, `partition`, `power_cut`, `disk_full`, `drain`, …
    pub nemesis: String,
    /// To which nodes.
    pub nodes: Vec<NodeIndex>,
    /// What exactly, for people.
    #[serde(default)]
    pub detail: String,
}
