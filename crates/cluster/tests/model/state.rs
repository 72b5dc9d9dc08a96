//! What the model's world is made of.

/// A node's number.
pub(crate) type Node = u8;
/// A term, and the epoch of its leader's ownership; 0 is none.
pub(crate) type Epoch = u8;
/// A message's number: its uuid.
pub(crate) type Message = u8;
/// A place in a room's log, from 1.
pub(crate) type Offset = u8;

/// One state of the whole cluster and its clients.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct State {
    /// What is committed: on a majority, for ever.
    pub(crate) log: Vec<Entry>,
    /// The leader of each term, from term 1.
    pub(crate) leaders: Vec<Leader>,
    pub(crate) nodes: Vec<NodeState>,
    /// Each client's connections, in the order in which it made them. It listens to the last one; of the others
    /// the servers may still have something.
    pub(crate) connections: Vec<Vec<Connection>>,
    /// Of each message, the offset that its client was told.
    pub(crate) told: Vec<Option<Offset>>,
    /// Of each message, the first offset that an owner answered, whether it arrived or not.
    pub(crate) answered: Vec<Option<Offset>>,
    /// Of each epoch, the node that answered in it.
    pub(crate) answerer: Vec<Option<Node>>,
    /// The highest epoch of which an ack has arrived.
    pub(crate) completed: Epoch,
    pub(crate) reader: Reader,
    pub(crate) crashes_left: u8,
    /// What should never happen and has.
    pub(crate) wrong: Option<Wrong>,
}

/// An entry of the log; without items it is the one that a leader begins its term with.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Entry {
    pub(crate) term: Epoch,
    pub(crate) items: Vec<Item>,
}

/// A message as it was proposed, by way of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Item {
    pub(crate) client: u8,
    pub(crate) connection: u8,
    pub(crate) message: Message,
}

/// What Raft promises of a term: one leader, which begins with all that was committed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Leader {
    pub(crate) node: Node,
    /// Proposed and not committed.
    pub(crate) tail: Vec<Entry>,
    /// Length of the log when a majority went to the next term: nothing above it was committed by this leader,
    /// and nothing will be.
    pub(crate) overtaken_at: Option<u8>,
    /// By hand-over, else by election.
    pub(crate) planned: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct NodeState {
    /// The term that it believes to lead, however long that is over.
    pub(crate) leads: Epoch,
    /// The epoch in which it owns, as far as it has noticed.
    pub(crate) owns: Epoch,
    /// Entries of the log that it has applied. Looked at only while it leads.
    pub(crate) applied: u8,
    /// It hands over: takes nothing more and lets finish what is under way.
    pub(crate) closing: bool,
}

/// One connection of a client, and where its messages are.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Connection {
    pub(crate) node: Node,
    /// The highest epoch of which an ack had arrived when its messages were sent.
    pub(crate) sent_after: Epoch,
    /// One of its messages ended unknown: none behind it is taken.
    pub(crate) fenced: bool,
    /// By the client's messages.
    pub(crate) stages: Vec<Stage>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Stage {
    /// On its way to the node, or held there.
    Sent,
    /// In the queue of this epoch's ownership.
    Queued(Epoch),
    /// In an entry that this epoch's ownership proposed.
    Proposed(Epoch),
    /// Acked by the owner of this epoch; on its way back.
    Acked(Epoch, Offset),
    /// The client has its ack.
    Done,
    /// No answer will come: the client does not know.
    Unknown,
}

/// One read, of all that is stored.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Reader {
    Idle,
    /// Asked of a node; who has been told of these messages must see them.
    Asked {
        node: Node,
        sent_after: Epoch,
        must_see: Vec<Message>,
    },
    /// A quorum said that the node still leads; it answers once it has applied so many entries.
    Confirmed {
        node: Node,
        epoch: Epoch,
        sent_after: Epoch,
        must_see: Vec<Message>,
        applied: u8,
    },
    Served,
}

/// What must never happen, where a look at one state does not tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Wrong {
    /// Two acks of one message name different offsets.
    AcksDisagree,
    /// Two nodes acked in one epoch.
    TwoOwners,
    /// What was sent after an ack of a later epoch had arrived was acked in an earlier one.
    LateAck,
    /// The same of a read.
    LateRead,
    /// A read missed what its client had been told is stored.
    StaleRead,
}

impl State {
    /// The present term.
    pub(crate) fn term(&self) -> Epoch {
        self.leaders.len() as Epoch
    }

    pub(crate) fn leader(&self, term: Epoch) -> &Leader {
        &self.leaders[term as usize - 1]
    }

    pub(crate) fn node(&self, node: Node) -> &NodeState {
        &self.nodes[node as usize]
    }

    pub(crate) fn node_mut(&mut self, node: Node) -> &mut NodeState {
        &mut self.nodes[node as usize]
    }

    pub(crate) fn connection(&self, item: Item) -> &Connection {
        &self.connections[item.client as usize][item.connection as usize]
    }

    pub(crate) fn connection_mut(&mut self, item: Item) -> &mut Connection {
        &mut self.connections[item.client as usize][item.connection as usize]
    }

    /// Whether the client still listens to the item's connection.
    pub(crate) fn is_heard(&self, item: Item) -> bool {
        self.connections[item.client as usize].len() == item.connection as usize + 1
    }

    /// How many entries a node that leads that term may apply: what is committed, as far as it can know.
    pub(crate) fn appliable(&self, term: Epoch) -> u8 {
        self.leader(term).overtaken_at.unwrap_or(self.log.len() as u8)
    }

    /// How many entries are committed up to the first one of that term, itself included.
    pub(crate) fn begun_at(&self, term: Epoch) -> Option<u8> {
        let first = self.log.iter().position(|entry| entry.term == term && entry.items.is_empty());
        first.map(|index| index as u8 + 1)
    }

    /// Whether some client needed one connection only, made before anything was acked.
    pub(crate) fn was_sent_early_and_once(&self) -> bool {
        self.connections.iter().any(|made| made.len() == 1 && made[0].sent_after == 0)
    }
}
