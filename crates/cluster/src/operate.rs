//! What operators ask of the cluster: nodes are drained and removed.
//!
//! Any node takes a request and brings it to meta's leader, which refuses what would take a majority away.

use std::time::{Duration, Instant};

use roomkeeper_consensus::Member;
use roomkeeper_types::{NodeId, ShardId};
use serde::{Deserialize, Serialize};

use crate::Node;
use crate::events::{Event, EventKind};
use crate::meta::client::MetaError;
use crate::meta::{MetaCommand, MetaReply, MetaState, ShardRecord, voters};
use crate::node::Shared;
use crate::peer::{Answer, Request};

/// Longest wait for meta's leader.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A request about a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operation {
    /// It is to hold nothing: its shards move to other nodes, a few at a time, and it does not vote in meta.
    Drain(NodeId),
    /// It may hold shards again.
    Undrain(NodeId),
    /// It never comes back. Unless forced, it must have been drained.
    Remove {
        /// The node.
        node: NodeId,
        /// Give up what it still holds: other nodes must have it, too.
        force: bool,
    },
}

/// A request was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OperateError {
    /// It would do harm, or makes no sense; with what to do instead.
    #[error("{0}")]
    Refused(String),
    /// Meta's leader did not answer in time: it may have been carried out. Asking again is safe.
    #[error("the cluster did not answer: {0}")]
    Unavailable(String),
}

impl Node {
    /// Has a request carried out by the cluster. What it sets in motion goes on after this returns; the map shows
    /// how far it is.
    ///
    /// # Errors
    /// [`OperateError`].
    pub async fn operate(&self, operation: Operation) -> Result<(), OperateError> {
        let shared = &self.shared;
        let understand = |answer| match answer {
            Answer::Operated { refused } => Some(refused),
            _ => None,
        };
        let here = || shared.operate_here(operation);
        let (request, deadline) = (Request::Operate(operation), Instant::now() + TIMEOUT);
        match shared.meta.at_leader(&shared.consensus, here, request, understand, deadline).await {
            Ok(None) => Ok(()),
            Ok(Some(refusal)) => Err(OperateError::Refused(refusal)),
            Err(error) => Err(OperateError::Unavailable(error.to_string())),
        }
    }
}

impl Shared {
    /// At meta's leader. Returns why the request was refused, if it was.
    pub(crate) async fn operate_here(&self, operation: Operation) -> Result<Option<String>, MetaError> {
        let state = self.meta.fresh_here().await?;
        if let Operation::Remove { node, force } = operation {
            let voting = self.meta.group().map(|group| group.status().voters).unwrap_or_default();
            let is_alive = |other| other == self.identity.node || self.pings.is_alive(other);
            if node == self.identity.node {
                return Ok(Some(format!(
                    "{node} leads meta: drain it first (`roomkeeper node drain {} --wait`)",
                    node.0
                )));
            }
            if let Err(refusal) = check_removal(&state, &voting, (node, force), is_alive) {
                return Ok(Some(refusal));
            }
        }
        let (command, node, reason) = match operation {
            Operation::Drain(node) => (MetaCommand::Drain { node }, node, "an operator drains it"),
            Operation::Undrain(node) => (MetaCommand::Undrain { node }, node, "an operator needs it again"),
            Operation::Remove { node, force } => {
                (MetaCommand::Remove { node, force }, node, "an operator removed it")
            }
        };
        match self.meta.propose_here(command.encode()).await? {
            MetaReply::Done => {
                let event = Event::new(EventKind::Membership, reason);
                self.events.record(Event { from: Some(node), ..event });
                Ok(None)
            }
            MetaReply::Refused(refusal) => Ok(Some(refusal.to_string())),
            reply => Err(MetaError::Unknown(format!("the reply of another command: {reply:?}"))),
        }
    }
}

/// Refuses to remove a node without which a group would have no majority, or that was not drained.
fn check_removal(
    state: &MetaState,
    meta: &[Member],
    (node, force): (NodeId, bool),
    is_alive: impl Fn(NodeId) -> bool,
) -> Result<(), String> {
    let votes_in_meta = meta.iter().any(|voter| voter.node == node);
    if votes_in_meta && !force && state.nodes.contains_key(&node) {
        return Err(format!(
            "{node} votes in meta: drain it first (`roomkeeper node drain {} --wait`); if it never comes back, \
             `roomkeeper node remove {} --force` gives it up",
            node.0, node.0
        ));
    }
    let survives = |voters: &[Member]| {
        let left = voters.iter().filter(|voter| voter.node != node && is_alive(voter.node)).count();
        !voters.iter().any(|voter| voter.node == node) || left * 2 > voters.len()
    };
    let dead = || -> String {
        let silent: Vec<String> = state
            .nodes
            .keys()
            .filter(|other| **other != node && !is_alive(**other))
            .map(ToString::to_string)
            .collect();
        match silent.as_slice() {
            [] => format!("drain {node} instead: its shards move to other nodes first"),
            silent => format!("start {} again first", silent.join(", ")),
        }
    };
    if !survives(meta) {
        return Err(format!("without {node} meta would have no majority of its voters: {}", dead()));
    }
    let endangered: Vec<ShardId> =
        state.shards().filter(|(_, record)| !survives(&voting(record))).map(|(shard, _)| shard).collect();
    match endangered.first() {
        Some(first) => Err(format!(
            "without {node} {} of {} shards would have no majority of their voters, {first} among them: {}",
            endangered.len(),
            state.shards.len(),
            dead()
        )),
        None => Ok(()),
    }
}

/// The voters that a shard's group had before its plan, if it has one: the new ones may not have caught up.
fn voting(record: &ShardRecord) -> Vec<Member> {
    let replicas = record.plan.as_ref().map_or(&record.replicas, |plan| &plan.from);
    voters(replicas).to_vec()
}

#[cfg(test)]
mod tests {
    use roomkeeper_types::{ReplicaId, ShardCount};

    use super::*;
    use crate::meta::testing::cluster_of;

    fn cluster(table: &[&[u32]], nodes: u32) -> MetaState {
        let mut state = cluster_of(nodes, ShardCount::new(table.len() as u32).unwrap());
        let table = table.iter().map(|row| row.iter().copied().map(NodeId).collect()).collect();
        state.apply(MetaCommand::Place { table });
        state
    }

    fn check(state: &MetaState, node: u32, force: bool, dead: &[u32]) -> Result<(), String> {
        let meta: Vec<Member> =
            (1..=3).map(|node| Member { replica: ReplicaId(node.into()), node: NodeId(node) }).collect();
        check_removal(state, &meta, (NodeId(node), force), |other| !dead.contains(&other.0))
    }

    #[test]
    fn removal_of_a_dead_node_is_allowed_while_majorities_are_left() {
        let state = cluster(&[&[1, 2, 3], &[2, 3, 4]], 4);
        assert_eq!(check(&state, 2, true, &[2]), Ok(()));
        assert_eq!(check(&state, 4, true, &[]), Ok(()));
    }

    #[test]
    fn removal_of_a_voter_of_meta_needs_force() {
        let refused = check(&cluster(&[&[1, 2, 3]], 3), 2, false, &[]).unwrap_err();
        assert!(refused.contains("votes in meta") && refused.contains("node drain 2 --wait"), "{refused}");
    }

    #[test]
    fn removal_that_takes_meta_s_majority_is_refused_and_names_who_is_missing() {
        let refused = check(&cluster(&[&[1, 2, 3]], 3), 2, true, &[2, 3]).unwrap_err();
        assert!(refused.contains("meta would have no majority") && refused.contains("start n3"), "{refused}");
    }

    #[test]
    fn removal_of_a_shard_s_only_voter_is_refused() {
        let state = cluster(&[&[1, 2], &[2, 1]], 4);
        assert_eq!(check(&state, 4, true, &[]), Ok(()));
        let refused = check(&state, 2, true, &[]).unwrap_err();
        assert!(refused.contains("1 of 2 shards") && refused.contains("drain n2 instead"), "{refused}");
    }
}
