//! What each step does.

use crate::protocol::{Guard, Protocol, Step};
use crate::state::{Connection, Entry, Epoch, Item, Leader, Node, NodeState, Reader, Stage, State, Wrong};

impl Protocol {
    /// The state after a step that is possible.
    pub(crate) fn after(&self, state: &State, step: Step) -> State {
        let mut next = state.clone();
        match step {
            Step::Connect { client, node } => self.connect(&mut next, client, node),
            Step::Take(item) => {
                let epoch = next.node(next.connection(item).node).owns;
                self.set(&mut next, item, Stage::Queued(epoch));
            }
            Step::Relay { client, connection, to } => {
                next.connections[client as usize][connection as usize].node = to;
            }
            Step::Propose { node, epoch } => self.propose(&mut next, node, epoch),
            Step::EndQueue { node, epoch } => {
                for item in self.at(state, node, Stage::Queued(epoch)) {
                    // Not proposed, and known to be: the gateway holds it for the next owner.
                    match state.node(node).closing {
                        true => self.set(&mut next, item, Stage::Sent),
                        false => self.lose(&mut next, item),
                    }
                }
            }
            Step::Commit => {
                let term = next.term() as usize;
                let entry = next.leaders[term - 1].tail.remove(0);
                next.log.push(entry);
            }
            Step::Apply(node) => next.node_mut(node).applied = next.appliable(next.node(node).leads),
            Step::Begin(node) => next.node_mut(node).owns = next.node(node).leads,
            Step::End(node) => next.node_mut(node).owns = 0,
            Step::Answer { node, epoch } => self.answer(&mut next, node, epoch),
            Step::Deliver(item) => self.deliver(&mut next, item),
            Step::Elect { node, keep, applied } => self.elect(&mut next, node, (keep, applied), false),
            Step::Learn(node) => self.forget(&mut next, node, false),
            Step::Crash(node) => {
                next.crashes_left -= 1;
                self.forget(&mut next, node, true);
            }
            Step::Close(node) => {
                *next.node_mut(node) = NodeState { closing: true, owns: 0, ..*state.node(node) }
            }
            Step::Transfer { from, to } => {
                *next.node_mut(from) = NodeState::default();
                self.elect(&mut next, to, (0, state.log.len() as u8), true);
            }
            Step::Reopen(node) => next.node_mut(node).closing = false,
            Step::Ask(node) => {
                let told = (0..).zip(&next.told).filter(|(_, told)| told.is_some());
                let must_see = told.map(|(message, _)| message).collect();
                next.reader = Reader::Asked { node, sent_after: next.completed, must_see };
            }
            Step::Confirm => self.confirm(&mut next),
            Step::Serve => self.serve(&mut next),
        }
        next
    }

    fn connect(&self, state: &mut State, client: u8, node: Node) {
        let messages = self.messages_of(client);
        let stages = messages.map(|message| match state.told[message as usize] {
            Some(_) => Stage::Done,
            None => Stage::Sent,
        });
        let stages = stages.collect();
        if let Some(former) = state.connections[client as usize].last_mut() {
            // Its answers reach nobody any more.
            for stage in former.stages.iter_mut().filter(|stage| matches!(stage, Stage::Acked(..))) {
                *stage = Stage::Unknown;
            }
        }
        let connection = Connection { node, sent_after: state.completed, fenced: false, stages };
        state.connections[client as usize].push(connection);
    }

    fn propose(&self, state: &mut State, node: Node, epoch: Epoch) {
        let items = self.at(state, node, Stage::Queued(epoch));
        for item in &items {
            self.set(state, *item, Stage::Proposed(epoch));
        }
        let term = state.node(node).leads;
        state.leaders[term as usize - 1].tail.push(Entry { term, items });
    }

    fn answer(&self, state: &mut State, node: Node, epoch: Epoch) {
        for item in self.at(state, node, Stage::Proposed(epoch)) {
            let Some(offset) = self.outcome(state, node, item) else { continue };
            let message = item.message as usize;
            if *state.answered[message].get_or_insert(offset) != offset {
                state.wrong = Some(Wrong::AcksDisagree);
            }
            if *state.answerer[epoch as usize - 1].get_or_insert(node) != node {
                state.wrong = Some(Wrong::TwoOwners);
            }
            if epoch < state.connection(item).sent_after {
                state.wrong = Some(Wrong::LateAck);
            }
            let heard = state.is_heard(item);
            self.set(state, item, if heard { Stage::Acked(epoch, offset) } else { Stage::Unknown });
        }
    }

    fn deliver(&self, state: &mut State, item: Item) {
        let index = (item.message - self.messages_of(item.client).start) as usize;
        if let Stage::Acked(epoch, offset) = state.connection(item).stages[index] {
            state.told[item.message as usize] = Some(offset);
            state.completed = state.completed.max(epoch);
            self.set(state, item, Stage::Done);
        }
    }

    fn elect(&self, state: &mut State, node: Node, (keep, applied): (u8, u8), planned: bool) {
        let former = state.leaders.len() - 1;
        let mut tail: Vec<Entry> = state.leaders[former].tail[..keep as usize].to_vec();
        state.leaders[former].overtaken_at = Some(state.log.len() as u8);
        let term = state.term() + 1;
        tail.push(Entry { term, items: Vec::new() });
        state.leaders.push(Leader { node, tail, overtaken_at: None, planned });
        // Whatever it believed to own it notices later.
        let owns = state.node(node).owns;
        *state.node_mut(node) = NodeState { leads: term, owns, applied, closing: false };
    }

    /// A node leads no more, and what it had under way ends unknown.
    fn forget(&self, state: &mut State, node: Node, crashed: bool) {
        let owns = if crashed { 0 } else { state.node(node).owns };
        *state.node_mut(node) = NodeState { owns, ..NodeState::default() };
        for (item, at, stage) in self.items(state).collect::<Vec<_>>() {
            let gone = match stage {
                Stage::Proposed(_) => true,
                Stage::Queued(_) | Stage::Sent | Stage::Acked(..) => crashed,
                Stage::Done | Stage::Unknown => false,
            };
            if at == node && gone {
                self.lose(state, item);
            }
        }
    }

    fn confirm(&self, state: &mut State) {
        let Reader::Asked { node, sent_after, must_see } = state.reader.clone() else { return };
        let NodeState { owns, leads, applied, .. } = *state.node(node);
        // A leader knows what is committed only once an entry of its own term is.
        let knows = state.begun_at(leads).is_some() && leads == state.term();
        let applied = if knows { state.log.len() as u8 } else { applied };
        state.reader = Reader::Confirmed { node, epoch: owns, sent_after, must_see, applied };
    }

    fn serve(&self, state: &mut State) {
        let Reader::Confirmed { node, epoch, sent_after, must_see, .. } = state.reader.clone() else {
            return;
        };
        let applied = state.node(node).applied as usize;
        let seen = self.room(&state.log[..applied]).stored;
        if must_see.iter().any(|message| !seen.contains(message)) {
            state.wrong = Some(Wrong::StaleRead);
        }
        if epoch < sent_after {
            state.wrong = Some(Wrong::LateRead);
        }
        state.reader = Reader::Served;
    }

    fn set(&self, state: &mut State, item: Item, stage: Stage) {
        let index = (item.message - self.messages_of(item.client).start) as usize;
        state.connection_mut(item).stages[index] = stage;
    }

    /// The item's outcome will never be told, and nothing behind it is taken.
    fn lose(&self, state: &mut State, item: Item) {
        self.set(state, item, Stage::Unknown);
        if self.guarded(Guard::Fence) {
            state.connection_mut(item).fenced = true;
            for (behind, _, stage) in self.items(state).collect::<Vec<_>>() {
                let same = (behind.client, behind.connection) == (item.client, item.connection);
                if same && stage == Stage::Sent {
                    self.set(state, behind, Stage::Unknown);
                }
            }
        }
    }
}
