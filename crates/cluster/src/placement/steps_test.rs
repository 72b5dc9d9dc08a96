//! Each situation of a group on its way, and what its leader does next.

use std::time::Instant;

use roomkeeper_types::{Epoch, LogIndex, LogPosition};

use super::*;
use crate::shard::testing::{leader_status, member};

fn members(numbers: &[u32]) -> Vec<Member> {
    numbers.iter().map(|number| member(*number)).collect()
}

fn wanted(voters: &[u32], learners: &[u32]) -> Wanted {
    Wanted { voters: members(voters), learners: members(learners) }
}

/// Replica `leader` leads, and all but `behind` have its last entry.
fn status(leader: u32, voters: &[u32], learners: &[u32], behind: &[u32]) -> Status {
    let mut status = leader_status(1, Instant::now());
    let at = LogPosition { epoch: Epoch(1), index: LogIndex(500) };
    status.leader = Some(member(leader));
    (status.voters, status.learners) = (members(voters), members(learners));
    (status.last, status.applied, status.members_at) = (Some(at.index), Some(at), Some(at));
    for number in voters.iter().chain(learners).filter(|number| **number != leader) {
        let matched = (!behind.contains(number)).then_some(at.index);
        status.matched.insert(member(*number).replica, matched);
    }
    status
}

fn step(wanted: &Wanted, status: &Status) -> Step {
    next_step(wanted, status, |_| true)
}

/// Takes all steps; returns them in words.
fn walk(wanted: &Wanted, mut status: Status) -> Vec<String> {
    let numbers = |members: &[Member]| {
        let mut numbers: Vec<u32> = members.iter().map(|member| member.node.0).collect();
        numbers.sort_unstable();
        numbers
    };
    let mut steps = Vec::new();
    for _ in 0..10 {
        match step(wanted, &status) {
            Step::Nothing => return steps,
            Step::Change(Change::Learn(new)) => {
                steps.push(format!("learn {:?}", numbers(&new)));
                status.matched.extend(new.iter().map(|member| (member.replica, status.last)));
                status.learners.extend(new);
            }
            Step::Change(Change::Vote(voters)) => {
                steps.push(format!("vote {:?}", numbers(&voters)));
                let all: Vec<Member> = status.voters.iter().chain(&status.learners).copied().collect();
                status.learners = all.into_iter().filter(|member| !voters.contains(member)).collect();
                status.voters = voters;
            }
            Step::Change(Change::Forget(gone)) => {
                steps.push(format!("forget {:?}", numbers(&gone)));
                status.learners.retain(|member| !gone.contains(member));
            }
            Step::HandOver(heirs) => {
                steps.push(format!("hand over to {}", heirs[0].node.0));
                if let Some(former) = status.leader.replace(heirs[0]) {
                    status.matched.insert(former.replica, status.last);
                }
            }
            other => panic!("stuck at {other:?} after {steps:?}"),
        }
    }
    panic!("does not settle: {steps:?}");
}

#[test]
fn replica_that_does_not_lead_is_replaced_in_three_steps() {
    let steps = walk(&wanted(&[1, 2, 4], &[]), status(1, &[1, 2, 3], &[], &[]));
    assert_eq!(steps, ["learn [4]", "vote [1, 2, 4]", "forget [3]"]);
}

#[test]
fn leader_that_leaves_votes_until_the_preferred_one_leads() {
    let steps = walk(&wanted(&[4, 2, 3], &[]), status(1, &[1, 2, 3], &[], &[]));
    assert_eq!(steps, ["learn [4]", "vote [1, 2, 3, 4]", "hand over to 4", "vote [2, 3, 4]", "forget [1]"]);
}

#[test]
fn two_nodes_have_one_voter_and_the_third_brings_two() {
    let steps = walk(&wanted(&[1], &[2]), status(1, &[1], &[], &[]));
    assert_eq!(steps, ["learn [2]"]);
    let steps = walk(&wanted(&[2], &[1]), status(1, &[1], &[], &[]));
    assert_eq!(steps, ["learn [2]", "vote [1, 2]", "hand over to 2", "vote [2]"]);
    let steps = walk(&wanted(&[1, 2, 3], &[]), status(1, &[1], &[2], &[]));
    assert_eq!(steps, ["learn [3]", "vote [1, 2, 3]"]);
}

#[test]
fn group_shrinks_to_one_that_need_not_have_led() {
    let steps = walk(&wanted(&[3], &[]), status(1, &[1, 2, 3], &[], &[]));
    assert_eq!(steps, ["hand over to 3", "vote [3]", "forget [1, 2]"]);
}

#[test]
fn all_replicas_replaced_at_once_end_up_elsewhere() {
    let steps = walk(&wanted(&[4, 5, 6], &[]), status(1, &[1, 2, 3], &[], &[]));
    assert_eq!(
        steps,
        ["learn [4, 5, 6]", "vote [1, 4, 5, 6]", "hand over to 4", "vote [4, 5, 6]", "forget [1, 2, 3]"]
    );
}

#[test]
fn renewed_replica_replaces_the_lost_one_on_its_node() {
    let mut status = status(1, &[1, 2, 3], &[], &[3]);
    let renewed = Member { replica: roomkeeper_types::ReplicaId(99), node: NodeId(3) };
    let wanted = Wanted { voters: vec![member(1), member(2), renewed], learners: vec![] };
    assert_eq!(step(&wanted, &status), Step::Change(Change::Learn(vec![renewed])));
    status.learners.push(renewed);
    status.matched.insert(renewed.replica, None);
    assert_eq!(step(&wanted, &status), Step::CatchUp(vec![NodeId(3)]));
}

#[test]
fn replica_behind_or_not_well_holds_the_vote_back() {
    let wanted = wanted(&[1, 2, 3], &[]);
    let late = status(1, &[1], &[2, 3], &[3]);
    assert_eq!(step(&wanted, &late), Step::CatchUp(vec![NodeId(3)]));
    let silent = status(1, &[1], &[2, 3], &[]);
    assert_eq!(next_step(&wanted, &silent, |node| node != NodeId(2)), Step::CatchUp(vec![NodeId(2)]));
}

#[test]
fn nobody_well_to_hand_over_to_is_waited_for() {
    let status = status(1, &[1, 2, 3], &[], &[]);
    assert_eq!(next_step(&wanted(&[3], &[]), &status, |_| false), Step::CatchUp(vec![NodeId(3)]));
}

#[test]
fn joint_membership_left_by_a_former_leader_is_completed() {
    let mut half = status(1, &[1, 2, 3], &[], &[]);
    half.joint = true;
    let all = Step::Change(Change::Vote(members(&[1, 2, 3])));
    assert_eq!(step(&wanted(&[1, 2, 3], &[]), &half), all);
    assert_eq!(step(&wanted(&[2, 3], &[]), &half), all, "the leader votes until another one leads");
}

#[test]
fn change_that_is_not_committed_is_waited_for() {
    let mut status = status(1, &[1], &[], &[]);
    status.members_at = Some(LogPosition { epoch: Epoch(1), index: LogIndex(501) });
    assert_eq!(step(&wanted(&[1], &[2]), &status), Step::Settle);
}

#[test]
fn learner_that_is_behind_holds_nothing_back() {
    let status = status(1, &[1], &[2], &[2]);
    assert_eq!(next_step(&wanted(&[1], &[2]), &status, |_| false), Step::Nothing);
}
