//! Which steps are possible in a state.

use crate::protocol::{Guard, Protocol, Step};
use crate::state::{Connection, Epoch, Node, NodeState, Reader, Stage, State};

impl Protocol {
    /// All steps that are possible.
    pub(crate) fn steps(&self, state: &State, steps: &mut Vec<Step>) {
        self.client_steps(state, steps);
        for node in 0..self.nodes {
            self.owner_steps(state, node, steps);
            self.raft_steps(state, node, steps);
        }
        if self.can_commit(state) {
            steps.push(Step::Commit);
        }
        self.read_steps(state, steps);
    }

    fn client_steps(&self, state: &State, steps: &mut Vec<Step>) {
        let believers = |state: &State| -> Vec<Node> {
            (0..self.nodes).filter(|node| state.node(*node).leads > 0 || state.node(*node).owns > 0).collect()
        };
        for client in 0..self.clients.len() as u8 {
            let waits = self.messages_of(client).any(|message| state.told[message as usize].is_none());
            // Clients that send as much are all the same: they begin in their order.
            let before = client.checked_sub(1).map(usize::from);
            let begins = before.is_none_or(|before| {
                !state.connections[before].is_empty() || self.clients[before] != self.clients[client as usize]
            });
            if waits && begins && state.connections[client as usize].len() < self.connections as usize {
                steps.extend(believers(state).into_iter().map(|node| Step::Connect { client, node }));
            }
        }
        for (item, node, stage) in self.items(state) {
            let connection = state.connection(item);
            match stage {
                Stage::Sent => {
                    // In order, and while the client before it in line is not still on its way.
                    let first = self.messages_of(item.client).zip(&connection.stages);
                    let first = first.filter(|(_, stage)| **stage == Stage::Sent).map(|(message, _)| message);
                    if first.min() != Some(item.message) {
                        continue;
                    }
                    let owns = state.node(node).owns;
                    if owns > 0 && !state.node(node).closing && self.may_take(connection, owns) {
                        steps.push(Step::Take(item));
                    } else if self.may_relay(connection) {
                        let (client, connection) = (item.client, item.connection);
                        let owners = (0..self.nodes).filter(|to| *to != node && state.node(*to).owns > 0);
                        steps.extend(owners.map(|to| Step::Relay { client, connection, to }));
                    }
                }
                Stage::Acked(..) if state.is_heard(item) => steps.push(Step::Deliver(item)),
                _ => {}
            }
        }
    }

    /// What an earlier ownership took must be settled first, so that nothing overtakes it.
    fn may_take(&self, connection: &Connection, owns: Epoch) -> bool {
        !self.guarded(Guard::Fence)
            || connection.stages.iter().all(|stage| match stage {
                Stage::Queued(epoch) | Stage::Proposed(epoch) => *epoch == owns,
                _ => true,
            })
    }

    /// What was taken before must be settled, so that what is relayed does not overtake it.
    fn may_relay(&self, connection: &Connection) -> bool {
        !connection.stages.iter().any(|stage| matches!(stage, Stage::Queued(_) | Stage::Proposed(_)))
    }

    fn owner_steps(&self, state: &State, node: Node, steps: &mut Vec<Step>) {
        let NodeState { leads, owns, applied, closing } = *state.node(node);
        for epoch in 1..=state.term() {
            // One batch is under way while the next one collects.
            let under_way = self.at(state, node, Stage::Proposed(epoch));
            if self.has(state, node, Stage::Queued(epoch)) {
                let may = match self.guarded(Guard::ConditionalProposal) {
                    true => leads == epoch,
                    false => leads > 0,
                };
                if may && under_way.is_empty() && !closing {
                    steps.push(Step::Propose { node, epoch });
                }
                if leads != epoch || closing {
                    steps.push(Step::EndQueue { node, epoch });
                }
            }
            if under_way.iter().any(|item| self.outcome(state, node, *item).is_some()) {
                steps.push(Step::Answer { node, epoch });
            }
        }
        if leads > 0 && applied < state.appliable(leads) {
            steps.push(Step::Apply(node));
        }
        let begun = state.begun_at(leads).is_some_and(|begun| begun <= applied);
        if leads > 0 && owns == 0 && !closing && (begun || !self.guarded(Guard::TermApplied)) {
            steps.push(Step::Begin(node));
        }
        if owns > 0 && leads != owns {
            steps.push(Step::End(node));
        }
    }

    fn has(&self, state: &State, node: Node, wanted: Stage) -> bool {
        self.items(state).any(|(_, at, stage)| (at, stage) == (node, wanted))
    }

    fn raft_steps(&self, state: &State, node: Node, steps: &mut Vec<Step>) {
        let NodeState { leads, owns, closing, .. } = *state.node(node);
        let term = state.term();
        if leads > 0 && leads < term {
            steps.push(Step::Learn(node));
        }
        if state.crashes_left > 0 && (leads > 0 || owns > 0) {
            steps.push(Step::Crash(node));
        }
        if term == self.epochs {
            return;
        }
        let tail = state.leader(term).tail.len() as u8;
        // Nodes that never led are all the same: one stands for them.
        let led = |node| state.leaders.iter().any(|leader| leader.node == node);
        let stands = |node| led(node) || (0..node).all(led);
        if !stands(node) {
            return;
        }
        // Who leads has its own log, and has applied what it has applied.
        let shortest = if leads == term { tail } else { 0 };
        let applied = match leads == term {
            true => vec![state.node(node).applied],
            // Only reads tell how much a new leader has applied.
            false if self.reads => vec![0, state.log.len() as u8],
            false => vec![0],
        };
        for keep in shortest..=tail {
            steps.extend(applied.iter().map(|applied| Step::Elect { node, keep, applied: *applied }));
        }
        if leads == term && owns == term && !closing {
            steps.push(Step::Close(node));
        }
        if closing && leads == term {
            steps.push(Step::Reopen(node));
            let settled =
                !self.has(state, node, Stage::Proposed(term)) && !self.has(state, node, Stage::Queued(term));
            if settled && tail == 0 {
                let others = (0..self.nodes).filter(|to| *to != node && stands(*to));
                steps.extend(others.map(|to| Step::Transfer { from: node, to }));
            }
        }
    }

    /// The leader of the present term, unless it has crashed.
    fn can_commit(&self, state: &State) -> bool {
        let leader = state.leader(state.term());
        !leader.tail.is_empty() && state.node(leader.node).leads == state.term()
    }

    fn read_steps(&self, state: &State, steps: &mut Vec<Step>) {
        match &state.reader {
            Reader::Idle if self.reads => {
                let owners = (0..self.nodes).filter(|node| state.node(*node).owns > 0);
                steps.extend(owners.map(Step::Ask));
            }
            Reader::Asked { node, .. } => {
                let NodeState { leads, owns, .. } = *state.node(*node);
                let confirmed = leads == owns && leads == state.term();
                if owns > 0 && (confirmed || !self.guarded(Guard::ReadIndex)) {
                    steps.push(Step::Confirm);
                }
            }
            Reader::Confirmed { node, applied, .. } if state.node(*node).applied >= *applied => {
                steps.push(Step::Serve);
            }
            _ => {}
        }
    }
}
