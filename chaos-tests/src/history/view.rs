//! A history that was read, as checkers and reports look at it.

use std::collections::BTreeMap;
use std::time::Duration;

use roomkeeper_types::{ConsumerId, Epoch, MessageId, NodeId, Offset, RoomName, ShardId};

use super::access::Guest;
use super::cursors::{Commit, Following};
use super::event::{At, Change, Content, FaultBegin, Id, NodeIndex, Phase, Place, RunInfo, Seen, SendInvoke};
use super::holds::Hold;
use super::presence::{Company, Member, Picture};

/// Everything of one run.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// What was run.
    pub info: RunInfo,
    /// What the nodes are to the cluster, as far as that was noted.
    pub nodes: BTreeMap<NodeIndex, NodeId>,
    /// When its parts began, in order.
    pub phases: Vec<(At, Phase)>,
    /// What happened in each room.
    pub rooms: BTreeMap<RoomName, Room>,
    /// What was done to the cluster, in order.
    pub faults: Vec<Fault>,
    /// Beginnings and ends of ownership, in order.
    pub owns: Vec<Own>,
    /// What nodes said otherwise, in order.
    pub said: Vec<Said>,
    /// What was counted by the harness, by name.
    pub counted: BTreeMap<String, u64>,
    /// Clients with tokens for little, in the order in which they were let in.
    pub guests: Vec<Guest>,
    /// When the last thing happened.
    pub end: At,
}

/// What happened in a room.
#[derive(Debug, Clone, Default)]
pub struct Room {
    /// All publishes, in the order in which they began.
    pub sends: Vec<Send>,
    /// All reads of the owner, in the order in which they began.
    pub reads: Vec<Read>,
    /// All subscriptions, in the order in which they began.
    pub subs: Vec<Sub>,
    /// What its owner held in the end; `None` if it was not read.
    pub log: Option<Log>,
    /// What its replicas held in the end.
    pub copies: Vec<Copy>,
    /// All holds, in the order in which they began.
    pub holds: Vec<Hold>,
    /// All commits, in the order in which they began.
    pub commits: Vec<Commit>,
    /// Where cursors were in the end.
    pub cursors: BTreeMap<ConsumerId, Offset>,
    /// Who was in it, in the order in which they joined.
    pub members: Vec<Member>,
    /// Who was in it in the end, as nodes answered.
    pub pictures: Vec<Picture>,
}

/// A publish.
#[derive(Debug, Clone)]
pub struct Send {
    /// When it began.
    pub invoked: At,
    /// What it was.
    pub invoke: SendInvoke,
    /// When it ended, if it did.
    pub ended: Option<At>,
    /// How.
    pub outcome: Outcome,
}

/// What came of a publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Stored, the cluster says.
    Ok {
        /// Epoch of the entry that stored it.
        epoch: Epoch,
        /// One per message.
        offsets: Vec<Offset>,
        /// One per message.
        duplicates: Vec<bool>,
    },
    /// Not stored, for this reason.
    Fail(String),
    /// Stored or not: for this reason nobody knows.
    Info(String),
    /// It never ended.
    Open,
}

impl Send {
    /// When it was acked, with offsets and epoch; `None` if it was not.
    #[must_use]
    pub fn acked(&self) -> Option<(At, Epoch, &[Offset])> {
        match (&self.outcome, self.ended) {
            (Outcome::Ok { epoch, offsets, .. }, Some(at)) => Some((at, *epoch, offsets)),
            _ => None,
        }
    }

    /// Whether the ack says that any of it had been stored before.
    #[must_use]
    pub fn is_duplicate(&self) -> bool {
        matches!(&self.outcome, Outcome::Ok { duplicates, .. } if duplicates.contains(&true))
    }

    /// Whether its condition did not hold.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        self.invoke.expect.is_some()
            && matches!(&self.outcome, Outcome::Fail(why) if why.starts_with("conflict"))
    }

    /// Messages with the offsets of the ack; empty if there is none.
    pub fn placed(&self) -> impl Iterator<Item = (&Content, Offset)> {
        let offsets = self.acked().map_or(&[][..], |(_, _, offsets)| offsets);
        self.invoke.messages.iter().zip(offsets.iter().copied())
    }
}

/// A read of the owner.
#[derive(Debug, Clone)]
pub struct Read {
    /// Its number.
    pub op: Id,
    /// Who asked.
    pub reader: u32,
    /// When it began.
    pub invoked: At,
    /// When it ended, if it did.
    pub ended: Option<At>,
    /// How.
    pub outcome: ReadOutcome,
}

/// What came of a read.
#[derive(Debug, Clone)]
pub enum ReadOutcome {
    /// An answer.
    Ok {
        /// Who gave it.
        owner: Option<NodeId>,
        /// In which epoch.
        epoch: Epoch,
        /// Offset that the next message would get.
        next: Offset,
        /// What was read along.
        items: Vec<Seen>,
    },
    /// None, for this reason.
    Fail(String),
    /// It never ended.
    Open,
}

/// A subscription.
#[derive(Debug, Clone)]
pub struct Sub {
    /// Its number.
    pub sub: Id,
    /// When it asked to join, where that was noted.
    pub asked: Option<At>,
    /// When it had joined.
    pub joined: At,
    /// Where.
    pub place: Place,
    /// The cursor that it follows, if one.
    pub following: Option<Following>,
    /// Whether it is told of open holds.
    pub sees_holds: bool,
    /// What it was told then, in order.
    pub events: Vec<(At, SubEvent)>,
    /// How it ended.
    pub end: Ending,
}

/// Something that a subscriber was told.
#[derive(Debug, Clone)]
pub enum SubEvent {
    /// Messages.
    Items(Vec<Seen>),
    /// It had lost its connection and is back.
    Resumed(Place),
    /// The room has another owner.
    Redirect {
        /// Which, if that was said.
        owner: Option<NodeId>,
        /// In which epoch.
        epoch: Epoch,
    },
    /// Messages are missing, it was told so.
    Gap {
        /// The one that had to come.
        expected: Offset,
        /// The one that came.
        got: Option<Offset>,
        /// Why.
        why: String,
    },
    /// Messages are held.
    Held(Vec<Content>),
    /// Held messages were dropped.
    RolledBack(Vec<MessageId>),
    /// Who is there.
    Company(Company),
}

/// How a subscription ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// With the history: the harness did not say.
    Open,
    /// It had everything that it wanted and left.
    Left(At),
    /// By an error.
    Failed(At, String),
}

impl Sub {
    /// All messages it was sent, in order.
    pub fn items(&self) -> impl Iterator<Item = (At, &Seen)> {
        self.events.iter().flat_map(|(at, event)| {
            let items: &[Seen] = if let SubEvent::Items(items) = event { items } else { &[] };
            items.iter().map(|item| (*at, item))
        })
    }

    /// Whenever it came back.
    pub fn resumes(&self) -> impl Iterator<Item = (At, Place)> {
        self.events.iter().filter_map(|(at, event)| match event {
            SubEvent::Resumed(place) => Some((*at, *place)),
            _ => None,
        })
    }
}

/// What a room's owner held in the end.
#[derive(Debug, Clone, Default)]
pub struct Log {
    /// Its shard, where known.
    pub shard: Option<ShardId>,
    /// First offset kept.
    pub first: Offset,
    /// Offset that the next message would get.
    pub next: Offset,
    /// All of it, in the order in which it was answered.
    pub items: Vec<Seen>,
    /// Nodes that should have a copy.
    pub replicas: Vec<NodeId>,
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

/// Something done to the cluster.
#[derive(Debug, Clone)]
pub struct Fault {
    /// When it began.
    pub begun: At,
    /// When it was over or undone, if it was.
    pub ended: Option<At>,
    /// What it was.
    pub begin: FaultBegin,
    /// What came of it.
    pub came: String,
}

/// Ownership began or ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Own {
    /// When.
    pub at: At,
    /// Of which shard.
    pub shard: ShardId,
    /// In which epoch.
    pub epoch: Epoch,
    /// On which node.
    pub node: NodeIndex,
    /// Which of the two.
    pub change: Change,
}

/// A node said something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// When.
    pub at: At,
    /// Which node.
    pub node: NodeIndex,
    /// What kind of event.
    pub kind: String,
    /// About which shard.
    pub shard: Option<ShardId>,
    /// In its words.
    pub reason: String,
}

impl History {
    /// When the first part of that kind began.
    #[must_use]
    pub fn phase(&self, wanted: Phase) -> Option<At> {
        self.phases.iter().find(|(_, phase)| *phase == wanted).map(|(at, _)| *at)
    }

    /// When publishes were acked, in order; of one room or of all.
    #[must_use]
    pub fn ack_times(&self, room: Option<&RoomName>) -> Vec<At> {
        let rooms = self.rooms.iter().filter(|(name, _)| room.is_none_or(|room| room == *name));
        let sends = rooms.flat_map(|(_, room)| &room.sends);
        let mut times: Vec<At> = sends.filter_map(|send| Some(send.acked()?.0)).collect();
        times.sort_unstable();
        times
    }

    /// The longest time without an ack of a room that ended after `from`; `None` if none came after it.
    #[must_use]
    pub fn longest_gap(&self, room: &RoomName, from: At) -> Option<Duration> {
        let times = self.ack_times(Some(room));
        times.windows(2).filter(|pair| pair[1] > from).map(|pair| pair[1].since(pair[0])).max()
    }

    /// When a fault of that kind first began.
    #[must_use]
    pub fn first_fault(&self, nemesis: &str) -> Option<At> {
        self.faults.iter().find(|fault| fault.begin.nemesis == nemesis).map(|fault| fault.begun)
    }
}

impl Room {
    /// Everything that somebody was shown of the room, and by whom: acks, deliveries, reads, the final log.
    pub fn shown(&self) -> impl Iterator<Item = (Seen, Witness)> {
        let acks = self.sends.iter().flat_map(|send| {
            let epoch = send.acked().map_or(Epoch(0), |(_, epoch, _)| epoch);
            send.placed().map(move |(content, offset)| {
                (Seen { offset, epoch, id: content.id, hash: content.hash }, Witness::Ack(send.invoke.op))
            })
        });
        let delivered = self
            .subs
            .iter()
            .flat_map(|sub| sub.items().map(|(_, item)| (*item, Witness::Subscriber(sub.sub))));
        let read = self.reads.iter().flat_map(|read| {
            let items: &[Seen] = if let ReadOutcome::Ok { items, .. } = &read.outcome { items } else { &[] };
            items.iter().map(|item| (*item, Witness::Read(read.op)))
        });
        let stored = self.log.iter().flat_map(|log| &log.items).map(|item| (*item, Witness::Log));
        stored.chain(acks).chain(delivered).chain(read)
    }

    /// Publishes by the ids of their messages.
    #[must_use]
    pub fn sends_by_id(&self) -> BTreeMap<MessageId, Vec<(&Send, &Content)>> {
        let mut by_id: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for send in &self.sends {
            for content in &send.invoke.messages {
                by_id.entry(content.id).or_default().push((send, content));
            }
        }
        by_id
    }

    /// Where each message stands in the final log; of a message that is there twice the first place.
    #[must_use]
    pub fn stored(&self) -> BTreeMap<MessageId, Offset> {
        let items = self.log.iter().flat_map(|log| &log.items).rev();
        items.map(|item| (item.id, item.offset)).collect()
    }
}

/// Who was shown something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Witness {
    /// The sender, by an ack.
    Ack(Id),
    /// A subscriber.
    Subscriber(Id),
    /// A reader.
    Read(Id),
    /// Whoever read the final log.
    Log,
}

impl std::fmt::Display for Witness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ack(op) => write!(f, "the ack of publish {op}"),
            Self::Subscriber(sub) => write!(f, "subscriber {sub}"),
            Self::Read(op) => write!(f, "read {op}"),
            Self::Log => f.write_str("the final log"),
        }
    }
}
