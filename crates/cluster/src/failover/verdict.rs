//! What the survivors of a group conclude. Pure.

use std::collections::BTreeMap;

use roomkeeper_consensus::Member;
use roomkeeper_types::{Epoch, LogPosition, NodeId, ReplicaId};
use serde::{Deserialize, Serialize};

use crate::pings::Opinion;

/// What a voter says of a group whose leader is suspected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Testimony {
    /// The voter.
    pub(crate) replica: ReplicaId,
    /// What it thinks of the leader's node.
    pub(crate) opinion: Opinion,
    /// The term that it is in.
    pub(crate) epoch: Epoch,
    /// The last entry of its log.
    pub(crate) last: Option<LogPosition>,
    /// It may lead: it votes, its disk answers.
    pub(crate) fit: bool,
}

/// What to do about a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// A majority calls the leader dead, and this replica is the one to take over.
    TakeOver,
    /// A majority calls the leader dead; this replica should.
    LeaveTo(ReplicaId),
    /// A voter hears the leader: leave it in peace.
    Alive(ReplicaId),
    /// A higher term has begun: the suspected leader leads no more.
    Past(Epoch),
    /// Too few voters have called it dead.
    NoMajority,
}

/// Concludes from what the voters say, this replica among them. Only voters count, and silence is no opinion.
pub(crate) fn judge(
    me: ReplicaId,
    epoch: Epoch,
    voters: &[Member],
    testimonies: &BTreeMap<NodeId, Testimony>,
) -> Verdict {
    let of_voters = || {
        let said = voters.iter().filter_map(|voter| testimonies.get(&voter.node));
        said.filter(|testimony| voters.iter().any(|voter| voter.replica == testimony.replica))
    };
    if let Some(higher) = of_voters().map(|testimony| testimony.epoch).max().filter(|seen| *seen > epoch) {
        return Verdict::Past(higher);
    }
    if let Some(witness) = of_voters().find(|testimony| testimony.opinion == Opinion::Alive) {
        return Verdict::Alive(witness.replica);
    }
    let accusers = || of_voters().filter(|testimony| testimony.opinion == Opinion::Dead);
    if accusers().count() * 2 <= voters.len() {
        return Verdict::NoMajority;
    }
    // The greatest log must win: it holds everything committed, and no other could be elected by a quorum.
    match accusers().filter(|testimony| testimony.fit).max_by_key(|said| (said.last, said.replica)) {
        Some(best) if best.replica == me => Verdict::TakeOver,
        Some(best) => Verdict::LeaveTo(best.replica),
        None => Verdict::NoMajority,
    }
}

#[cfg(test)]
mod tests {
    use roomkeeper_types::LogIndex;

    use super::*;
    use crate::shard::testing::member;

    const EPOCH: Epoch = Epoch(5);

    fn voters() -> Vec<Member> {
        (1..=3).map(member).collect()
    }

    fn said(number: u32, opinion: Opinion, last: (u64, u64)) -> (NodeId, Testimony) {
        let Member { replica, node } = member(number);
        let last = Some(LogPosition { epoch: Epoch(last.0), index: LogIndex(last.1) });
        (node, Testimony { replica, opinion, epoch: EPOCH, last, fit: true })
    }

    fn judged(me: u32, testimonies: &[(NodeId, Testimony)]) -> Verdict {
        judge(member(me).replica, EPOCH, &voters(), &testimonies.iter().copied().collect())
    }

    #[test]
    fn greatest_log_takes_over_when_a_majority_calls_the_leader_dead() {
        let both = [said(2, Opinion::Dead, (5, 10)), said(3, Opinion::Dead, (5, 9))];
        assert_eq!(judged(2, &both), Verdict::TakeOver);
        assert_eq!(judged(3, &both), Verdict::LeaveTo(member(2).replica));
    }

    #[test]
    fn last_entry_of_a_higher_term_is_greater_than_a_longer_log() {
        let both = [said(2, Opinion::Dead, (4, 99)), said(3, Opinion::Dead, (5, 9))];
        assert_eq!(judged(3, &both), Verdict::TakeOver);
    }

    #[test]
    fn equal_logs_are_decided_by_the_replica_id() {
        let both = [said(2, Opinion::Dead, (5, 9)), said(3, Opinion::Dead, (5, 9))];
        assert_eq!(judged(2, &both), Verdict::LeaveTo(member(3).replica));
        assert_eq!(judged(3, &both), Verdict::TakeOver);
    }

    #[test]
    fn voter_that_hears_the_leader_ends_the_accusation() {
        let both = [said(2, Opinion::Dead, (5, 9)), said(3, Opinion::Alive, (5, 9))];
        assert_eq!(judged(2, &both), Verdict::Alive(member(3).replica));
    }

    #[test]
    fn voter_that_is_unsure_or_silent_makes_no_majority() {
        let unsure = [said(2, Opinion::Dead, (5, 9)), said(3, Opinion::Unsure, (5, 9))];
        assert_eq!(judged(2, &unsure), Verdict::NoMajority);
        assert_eq!(judged(2, &unsure[..1]), Verdict::NoMajority);
    }

    #[test]
    fn unfit_voter_counts_but_does_not_take_over() {
        let mut both = [said(2, Opinion::Dead, (5, 9)), said(3, Opinion::Dead, (5, 12))];
        both[1].1.fit = false;
        assert_eq!(judged(2, &both), Verdict::TakeOver);
        assert_eq!(judged(3, &both), Verdict::LeaveTo(member(2).replica));
    }

    #[test]
    fn higher_term_makes_the_accusation_moot() {
        let mut both = [said(2, Opinion::Dead, (5, 9)), said(3, Opinion::Dead, (5, 9))];
        both[1].1.epoch = Epoch(6);
        assert_eq!(judged(2, &both), Verdict::Past(Epoch(6)));
    }

    #[test]
    fn node_whose_replica_does_not_vote_is_not_counted() {
        let learner = said(4, Opinion::Dead, (5, 99));
        assert_eq!(judged(2, &[said(2, Opinion::Dead, (5, 9)), learner]), Verdict::NoMajority);
        // Another replica of a voter's node: one that was replaced.
        let mut other = said(3, Opinion::Dead, (5, 99));
        other.1.replica = ReplicaId(77);
        assert_eq!(judged(2, &[said(2, Opinion::Dead, (5, 9)), other]), Verdict::NoMajority);
    }
}
