//! From the members that a group has to those that it is to have, step by step: learner → caught up → member →
//! hand-over → drop. Pure; the same for shards and for meta.
//!
//! Every step follows from what the group is now, so that it does not matter who did the last one, or whether it was
//! cut off half way.

use std::collections::BTreeSet;

use roomkeeper_consensus::{Change, Member, Status};
use roomkeeper_types::NodeId;

/// A replica that is this many entries behind has caught up.
const LAG_MAX: u64 = 64;

/// The members that a group is to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    /// In order of preference, at least one.
    pub(super) voters: Vec<Member>,
    /// The others.
    pub(super) learners: Vec<Member>,
}

/// What the group's leader is to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// The group has the members that it is to have, for good.
    Nothing,
    /// The last change is not committed yet.
    Settle,
    /// These must catch up, or become well, first.
    CatchUp(Vec<NodeId>),
    /// Change the members.
    Change(Change),
    /// The leader is to lose its vote: one of these is to lead, rather the first.
    HandOver(Vec<Member>),
}

/// The next step of the leader whose status this is. `is_well` tells nodes that may be relied on.
pub(super) fn next_step(wanted: &Wanted, status: &Status, is_well: impl Fn(NodeId) -> bool) -> Step {
    let (Some(me), false) = (status.leader, wanted.voters.is_empty()) else { return Step::Nothing };
    let applied = status.applied.map(|at| at.index);
    if status.members_at.is_some_and(|at| Some(at.index) > applied) {
        return Step::Settle;
    }
    let present: BTreeSet<Member> = status.voters.iter().chain(&status.learners).copied().collect();
    let all: BTreeSet<Member> = wanted.voters.iter().chain(&wanted.learners).copied().collect();
    let missing: Vec<Member> = all.difference(&present).copied().collect();
    if !missing.is_empty() {
        return Step::Change(Change::Learn(missing));
    }
    let now: BTreeSet<Member> = status.voters.iter().copied().collect();
    let voters: BTreeSet<Member> = wanted.voters.iter().copied().collect();
    if now == voters && !status.joint {
        let gone: Vec<Member> = present.difference(&all).copied().collect();
        return if gone.is_empty() { Step::Nothing } else { Step::Change(Change::Forget(gone)) };
    }
    let ready = |member: &Member| is_well(member.node) && has_caught_up(member, status);
    let behind: Vec<NodeId> =
        voters.difference(&now).filter(|member| !ready(member)).map(|member| member.node).collect();
    if !behind.is_empty() {
        return Step::CatchUp(behind);
    }
    if voters.contains(&me) {
        return Step::Change(Change::Vote(wanted.voters.clone()));
    }
    if !voters.is_subset(&now) || status.joint {
        // The leader votes until another one leads.
        let with_me: BTreeSet<Member> = voters.iter().copied().chain([me]).collect();
        return Step::Change(Change::Vote(with_me.into_iter().collect()));
    }
    let heirs: Vec<Member> = wanted.voters.iter().filter(|member| ready(member)).copied().collect();
    if heirs.is_empty() {
        Step::CatchUp(wanted.voters.iter().map(|member| member.node).collect())
    } else {
        Step::HandOver(heirs)
    }
}

/// Whether the leader whose status this is knows that the replica has nearly all of its log.
pub(super) fn has_caught_up(member: &Member, status: &Status) -> bool {
    let matched = status.matched.get(&member.replica).copied().flatten();
    match (matched, status.last) {
        (Some(matched), Some(last)) => matched.get() + LAG_MAX >= last.get(),
        _ => false,
    }
}

#[cfg(test)]
#[path = "steps_test.rs"]
mod tests;
