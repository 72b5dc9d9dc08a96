//! The protocol: its guards, its sizes and its steps.

use crate::room::Room;
use crate::state::{Entry, Epoch, Item, Leader, Message, Node, NodeState, Reader, Stage, State};

/// What keeps the protocol safe. Each can be taken out, to see that it is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Guard {
    /// A batch is proposed only in the term of the ownership that took it (`write().with_leader(epoch)`).
    ConditionalProposal,
    /// Apply knows the ids of what is stored.
    Dedupe,
    /// Nobody owns before the first entry of its term is applied.
    TermApplied,
    /// When one message of a connection ends unknown, none behind it is taken.
    Fence,
    /// An ack waits until its entry is committed and applied.
    AckAfterCommit,
    /// A read waits until a quorum has said that its node still leads (ReadIndex).
    ReadIndex,
}

/// The model: a size, and perhaps a guard left out.
#[derive(Debug, Clone)]
pub(crate) struct Protocol {
    pub(crate) nodes: u8,
    /// Messages of each client; those of one client are sent in one go.
    pub(crate) clients: Vec<u8>,
    /// Connections that each client may make.
    pub(crate) connections: u8,
    pub(crate) epochs: Epoch,
    pub(crate) crashes: u8,
    pub(crate) reads: bool,
    pub(crate) without: Option<Guard>,
}

/// A step. Time is no part of the model: whoever is slow, paused or cut off just takes no step, for as long as
/// it likes, and believes what it believed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Step {
    /// The client sends all that it has no ack of, by a new connection. What it knows of owners is any node's
    /// belief; a node that owns nothing relays, so that going to such a one is nothing else.
    Connect {
        client: u8,
        node: Node,
    },
    /// The owner takes the next message of a connection into its queue.
    Take(Item),
    /// A node that owns nothing any more relays what it holds to one that does.
    Relay {
        client: u8,
        connection: u8,
        to: Node,
    },
    /// An ownership proposes what is queued.
    Propose {
        node: Node,
        epoch: Epoch,
    },
    /// The queue of an ownership that is over is emptied. While handing over what is in it is held, else it
    /// ends unknown.
    EndQueue {
        node: Node,
        epoch: Epoch,
    },
    /// A majority has the leader's next entry.
    Commit,
    /// A leader applies what it knows to be committed.
    Apply(Node),
    /// A leader notices that it owns; an owner notices that it does not.
    Begin(Node),
    End(Node),
    /// The owner answers what it has applied.
    Answer {
        node: Node,
        epoch: Epoch,
    },
    /// An ack arrives.
    Deliver(Item),
    /// A majority elects a node that has everything committed and, of what was only proposed, the first `keep`
    /// entries. It has applied so many.
    Elect {
        node: Node,
        keep: u8,
        applied: u8,
    },
    /// A former leader hears of the new term.
    Learn(Node),
    /// A node loses all that is not on its disk, and comes back.
    Crash(Node),
    /// The owner begins, completes or gives up a hand-over.
    Close(Node),
    Transfer {
        from: Node,
        to: Node,
    },
    Reopen(Node),
    /// The reader asks, its node is confirmed, it is answered.
    Ask(Node),
    Confirm,
    Serve,
}

impl Protocol {
    pub(crate) fn guarded(&self, guard: Guard) -> bool {
        self.without != Some(guard)
    }

    pub(crate) fn messages(&self) -> u8 {
        self.clients.iter().sum()
    }

    /// The messages of a client.
    pub(crate) fn messages_of(&self, client: u8) -> std::ops::Range<Message> {
        let first = self.clients[..client as usize].iter().sum();
        first..first + self.clients[client as usize]
    }

    pub(crate) fn room(&self, entries: &[Entry]) -> Room {
        Room::of(entries, self.guarded(Guard::Dedupe))
    }

    /// Node 0 owns in epoch 1, and nothing is stored.
    pub(crate) fn beginning(&self) -> State {
        let leader = Leader { node: 0, tail: Vec::new(), overtaken_at: None, planned: false };
        let mut nodes = vec![NodeState::default(); self.nodes as usize];
        nodes[0] = NodeState { leads: 1, owns: 1, applied: 1, closing: false };
        State {
            log: vec![Entry { term: 1, items: Vec::new() }],
            leaders: vec![leader],
            nodes,
            connections: vec![Vec::new(); self.clients.len()],
            told: vec![None; self.messages() as usize],
            answered: vec![None; self.messages() as usize],
            answerer: vec![None; self.epochs as usize],
            completed: 0,
            reader: Reader::Idle,
            crashes_left: self.crashes,
            wrong: None,
        }
    }

    /// Every item that a connection was made for, with its node and its stage.
    pub(crate) fn items(&self, state: &State) -> impl Iterator<Item = (Item, Node, Stage)> {
        (0..).zip(&state.connections).flat_map(move |(client, connections)| {
            (0..).zip(connections).flat_map(move |(connection, made)| {
                self.messages_of(client)
                    .zip(&made.stages)
                    .map(move |(message, stage)| (Item { client, connection, message }, made.node, *stage))
            })
        })
    }

    /// What the ownership of `epoch` at `node` has in that stage.
    pub(crate) fn at(&self, state: &State, node: Node, wanted: Stage) -> Vec<Item> {
        let items = self.items(state);
        items.filter(|(_, at, stage)| (*at, *stage) == (node, wanted)).map(|(item, ..)| item).collect()
    }

    /// What an item's answer would be, if it may be answered.
    pub(crate) fn outcome(&self, state: &State, node: Node, item: Item) -> Option<u8> {
        let NodeState { leads, applied, .. } = *state.node(node);
        let known = &state.log[..(applied as usize).min(state.log.len())];
        if let Some(offset) = self.room(known).outcome(item) {
            return Some(offset);
        }
        if self.guarded(Guard::AckAfterCommit) || leads == 0 {
            return None;
        }
        let entries: Vec<Entry> = state.log.iter().chain(&state.leader(leads).tail).cloned().collect();
        self.room(&entries).outcome(item)
    }
}
