//! Who votes in meta, for each set of nodes.

use std::collections::BTreeSet;

use super::*;
use crate::meta::MetaCommand;
use crate::meta::testing::cluster_of;
use roomkeeper_types::{ReplicaId, ShardCount};

fn cluster(count: u32) -> MetaState {
    cluster_of(count, ShardCount::DEFAULT)
}

fn nodes(numbers: &[u32]) -> Vec<Member> {
    let member = |number: &u32| Member { replica: ReplicaId((*number).into()), node: NodeId(*number) };
    numbers.iter().map(member).collect()
}

fn voters(state: &MetaState, now: &[u32], silent: &[u32]) -> Vec<u32> {
    let wanted = wanted(state, &nodes(now), |node| !silent.contains(&node.0));
    let all: BTreeSet<NodeId> =
        wanted.voters.iter().chain(&wanted.learners).map(|member| member.node).collect();
    assert!(all.iter().eq(state.nodes.keys()), "who does not vote learns");
    wanted.voters.iter().map(|member| member.node.0).collect()
}

#[test]
fn voters_are_odd_and_five_at_most() {
    let table: [&[u32]; 7] =
        [&[1], &[1], &[1, 2, 3], &[1, 2, 3], &[1, 2, 3, 4, 5], &[1, 2, 3, 4, 5], &[1, 2, 3, 4, 5]];
    for (count, expected) in (1..).zip(table) {
        assert_eq!(voters(&cluster(count), &[1], &[]), expected, "{count} nodes");
    }
}

#[test]
fn voters_that_vote_already_stay() {
    assert_eq!(voters(&cluster(5), &[3, 4, 5], &[]), [1, 2, 3, 4, 5]);
    assert_eq!(voters(&cluster(4), &[2, 3, 4], &[]), [2, 3, 4]);
}

#[test]
fn silent_node_keeps_its_vote_and_gets_none() {
    assert_eq!(voters(&cluster(3), &[1], &[2]), [1]);
    assert_eq!(voters(&cluster(3), &[1, 2, 3], &[2]), [1, 2, 3]);
}

#[test]
fn lost_voter_is_replaced_only_by_another_node() {
    let mut state = cluster(3);
    state.apply(MetaCommand::Lose { node: NodeId(2) });
    assert_eq!(voters(&state, &[1, 2, 3], &[2]), [1, 2, 3]);
    let mut state = cluster(4);
    state.apply(MetaCommand::Lose { node: NodeId(2) });
    assert_eq!(voters(&state, &[1, 2, 3], &[2]), [1, 3, 4]);
}

#[test]
fn draining_and_removed_nodes_lose_their_votes() {
    let mut state = cluster(5);
    state.apply(MetaCommand::Drain { node: NodeId(4) });
    state.apply(MetaCommand::Remove { node: NodeId(5), force: true });
    assert_eq!(voters(&state, &[1, 2, 3, 4, 5], &[]), [1, 2, 3]);
    state.apply(MetaCommand::Drain { node: NodeId(1) });
    state.apply(MetaCommand::Drain { node: NodeId(2) });
    assert_eq!(voters(&state, &[1, 2, 3], &[]), [3]);
}

#[test]
fn renewed_replica_votes_in_the_place_of_the_lost_one() {
    let mut state = cluster(3);
    state.apply(MetaCommand::Renew { replica: ReplicaId(2) });
    let wanted = wanted(&state, &nodes(&[1, 2, 3]), |_| true);
    let ids: Vec<u64> = wanted.voters.iter().map(|member| member.replica.0).collect();
    assert_eq!(ids, [1, 3, 4]);
}
