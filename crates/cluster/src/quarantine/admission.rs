//! Who may take part: what is on disk is at least what the group's voters remember of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::future::join_all;
use roomkeeper_consensus::{GroupId, Inspection, OpenError, Standing};
use roomkeeper_sabotage::{self as sabotage, Bug};
use roomkeeper_types::{NodeId, ReplicaId};

use super::Recollection;
use crate::node::Shared;
use crate::peer::{Answer, Request};

/// Longest wait for the answers of one round.
const ROUND_MAX: Duration = Duration::from_millis(300);

/// A replica that wants to be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) group: GroupId,
    pub(crate) replica: ReplicaId,
    /// Nodes of its group, for a replica that has never heard of any.
    pub(crate) nodes: BTreeSet<NodeId>,
}

/// What is to be done with a candidate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It may be opened.
    Admitted,
    /// Too few voters have answered.
    Waits,
    /// It is less than it was.
    Refused(String),
}

impl Shared {
    /// Asks once, all voters of all candidates at the same time, one message per node. The candidates are meta's
    /// replica, or all of shards that are not open yet.
    pub(crate) async fn judge(&self, candidates: &[Candidate]) -> Vec<Result<Verdict, OpenError>> {
        let meta = candidates.iter().any(|candidate| candidate.group == GroupId::Meta);
        let mut found = Vec::with_capacity(candidates.len());
        let mut questions: BTreeMap<NodeId, Vec<ReplicaId>> = BTreeMap::new();
        for candidate in candidates {
            let inspected = self.consensus.inspect(candidate.replica).await;
            let inspected = inspected.map(|inspection| {
                // Whoever is asked by others must have looked at its own disk before.
                self.quarantine.memory.remember(inspection.candidate.as_slice());
                (inspection.standing, voters(candidate, &inspection))
            });
            if let Ok((_, voters)) = &inspected {
                for node in voters.iter().filter(|node| **node != self.identity.node) {
                    questions.entry(*node).or_default().push(candidate.replica);
                }
            }
            found.push(inspected);
        }
        self.quarantine.set_looked(meta);
        let asking = questions.into_iter().map(|(node, replicas)| self.recall_at(node, meta, replicas));
        let answers: BTreeMap<NodeId, Recollection> = join_all(asking).await.into_iter().flatten().collect();
        let judged = candidates.iter().zip(found).map(|(candidate, found)| {
            let (standing, voters) = found?;
            Ok(verdict(self.identity.node, candidate.replica, standing, &voters, &answers))
        });
        judged.collect()
    }

    /// What this node remembers, for one that asks. A leader knows more of its followers than they have told since.
    pub(crate) fn recall(&self, meta: bool, replicas: &[ReplicaId]) -> Recollection {
        let memory = &self.quarantine.memory;
        memory.remember(&self.consensus.known_of_others());
        let recollection = memory.recall(replicas);
        Recollection { complete: recollection.complete && self.quarantine.has_looked(meta), ..recollection }
    }

    async fn recall_at(
        &self,
        node: NodeId,
        meta: bool,
        replicas: Vec<ReplicaId>,
    ) -> Option<(NodeId, Recollection)> {
        let request = Request::Recall { meta, replicas }.encode();
        match self.consensus.ask(node, request, ROUND_MAX).await.map(|answer| Answer::decode(&answer)) {
            Ok(Ok(Answer::Recalled(recollection))) => Some((node, recollection)),
            Ok(Ok(other)) => {
                tracing::debug!(%node, ?other, "not told what it remembers");
                None
            }
            Ok(Err(error)) => {
                tracing::warn!(%node, %error, "what a node remembers is unreadable");
                None
            }
            Err(error) => {
                tracing::debug!(%node, %error, "not told what it remembers");
                None
            }
        }
    }
}

/// The nodes that vote in the candidate's group, as far as is known here.
fn voters(candidate: &Candidate, inspection: &Inspection) -> BTreeSet<NodeId> {
    match inspection.voters.as_slice() {
        [] => candidate.nodes.clone(),
        voters => voters.iter().map(|member| member.node).collect(),
    }
}

/// One who remembers more is enough to refuse; to admit, a majority of the voters must have answered, this node
/// included if it is one.
fn verdict(
    me: NodeId,
    replica: ReplicaId,
    standing: Standing,
    voters: &BTreeSet<NodeId>,
    answers: &BTreeMap<NodeId, Recollection>,
) -> Verdict {
    if is_sabotaged() {
        return Verdict::Admitted;
    }
    let mut heard = usize::from(voters.contains(&me));
    for (node, answer) in answers.iter().filter(|(node, _)| voters.contains(node)) {
        let remembered = answer.standings.iter().find(|(known, _)| *known == replica);
        if let Some((_, remembered)) = remembered.filter(|(_, remembered)| *remembered > standing) {
            return Verdict::Refused(format!(
                "{node} remembers {}, but on disk is {}",
                text(remembered),
                text(&standing)
            ));
        }
        heard += usize::from(answer.complete);
    }
    if heard * 2 > voters.len() || voters.is_empty() { Verdict::Admitted } else { Verdict::Waits }
}

/// Bugs that make a replica less than it was would all be hidden by this one check.
fn is_sabotaged() -> bool {
    let bugs = [
        Bug::ShortLogVotes,
        Bug::ReplicaIdReused,
        Bug::VoteNotKept,
        Bug::AckBeforeWrite,
        Bug::AckBeforeFsync,
    ];
    bugs.into_iter().any(sabotage::is)
}

fn text(standing: &Standing) -> String {
    let last = standing.last.map_or("no entry".to_owned(), |last| format!("entry {last}"));
    format!("{last} and a vote in term {}", standing.term.0)
}

#[cfg(test)]
mod tests {
    use roomkeeper_types::{Epoch, LogIndex, LogPosition};

    use super::*;

    const REPLICA: ReplicaId = ReplicaId(7);

    fn standing(term: u64, index: u64) -> Standing {
        let last = Some(LogPosition { epoch: Epoch(term), index: LogIndex(index) });
        Standing { term: Epoch(term), elected: true, last }
    }

    fn knows(node: u32, standing: Option<Standing>) -> (NodeId, Recollection) {
        let standings = standing.map(|standing| (REPLICA, standing)).into_iter().collect();
        (NodeId(node), Recollection { complete: true, standings })
    }

    fn judged(me: u32, voters: &[u32], answers: &[(NodeId, Recollection)]) -> Verdict {
        let voters = voters.iter().map(|node| NodeId(*node)).collect();
        verdict(NodeId(me), REPLICA, standing(3, 10), &voters, &answers.iter().cloned().collect())
    }

    #[test]
    fn majority_that_remembers_no_more_admits() {
        assert_eq!(judged(1, &[1], &[]), Verdict::Admitted);
        assert_eq!(judged(1, &[1, 2, 3], &[]), Verdict::Waits);
        assert_eq!(judged(1, &[1, 2, 3], &[knows(2, None)]), Verdict::Admitted);
        assert_eq!(judged(1, &[1, 2, 3], &[knows(3, Some(standing(3, 10)))]), Verdict::Admitted);
        assert_eq!(judged(1, &[1, 2, 3, 4, 5], &[knows(3, None)]), Verdict::Waits);
        assert_eq!(judged(1, &[1, 2, 3, 4, 5], &[knows(3, None), knows(4, None)]), Verdict::Admitted);
    }

    #[test]
    fn node_without_a_vote_waits_for_a_majority_of_the_others() {
        assert_eq!(judged(9, &[1, 2, 3], &[knows(2, None)]), Verdict::Waits);
        assert_eq!(judged(9, &[1, 2, 3], &[knows(2, None), knows(3, None)]), Verdict::Admitted);
        assert_eq!(judged(9, &[1], &[]), Verdict::Waits);
    }

    #[test]
    fn one_who_remembers_more_refuses_whatever_others_say() {
        for more in [standing(3, 11), standing(4, 9)] {
            let answers = [knows(2, None), knows(3, Some(more))];
            assert!(matches!(judged(1, &[1, 2, 3], &answers), Verdict::Refused(_)), "{more:?}");
        }
    }

    #[test]
    fn node_that_lost_its_memory_does_not_count_but_is_heard() {
        let (node, mut forgetful) = knows(2, None);
        forgetful.complete = false;
        assert_eq!(judged(1, &[1, 2, 3], &[(node, forgetful.clone())]), Verdict::Waits);
        forgetful.standings.push((REPLICA, standing(9, 9)));
        assert!(matches!(judged(1, &[1, 2, 3], &[(node, forgetful)]), Verdict::Refused(_)));
    }

    #[test]
    fn answer_of_a_node_that_does_not_vote_is_not_counted() {
        assert_eq!(judged(1, &[1, 2, 3], &[knows(8, Some(standing(9, 9)))]), Verdict::Waits);
    }
}
