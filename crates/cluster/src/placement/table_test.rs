//! Clusters of which nodes join, drain, die and return, and the plans that follow.

use std::collections::BTreeSet;

use roomkeeper_types::{ClusterId, ShardCount};

use super::*;
use crate::identity::{FORMAT, JoinNonce};
use crate::meta::{MetaCommand, MetaReply, NodeSpec};

const SHARDS: u32 = 32;
const FEW: Bounds = Bounds { per_node: 2, all: 4 };

fn spec(node: u32) -> NodeSpec {
    NodeSpec {
        peer: format!("n{node}:1"),
        client_url: format!("http://n{node}"),
        admin: None,
        zone: None,
        weight: 1,
    }
}

fn join(state: &mut MetaState, node: u32) {
    let nonce = JoinNonce([node as u8; 16]);
    state.apply(MetaCommand::Join { nonce, format: FORMAT, node: spec(node) });
}

/// Nodes 1 to `count`, all shards placed on them and born.
fn cluster(count: u32) -> MetaState {
    let mut state = MetaState::default();
    state.apply(MetaCommand::Bootstrap {
        cluster: ClusterId([1; 16]),
        format: FORMAT,
        shards: ShardCount::new(SHARDS).unwrap(),
        replicas: 3,
        initial_nodes: 1,
        founder: spec(1),
    });
    (2..=count).for_each(|node| join(&mut state, node));
    let founded = state.founded.unwrap();
    let placed = ring::place(&members(&state, |_| false), founded.shards, 3).unwrap();
    let table = placed.shards.into_iter().map(|shard| shard.nodes).collect();
    assert_eq!(state.apply(MetaCommand::Place { table }), MetaReply::Done);
    let shards = (0..SHARDS).map(ShardId).collect();
    assert_eq!(state.apply(MetaCommand::Born { shards }), MetaReply::Done);
    state
}

fn begin(state: &mut MetaState, silence: impl Fn(NodeId) -> Silence) -> Vec<ShardId> {
    let plans = next_plans(state, silence, FEW).unwrap();
    for NewPlan { shard, version, nodes } in &plans {
        let command = MetaCommand::Plan { shard: *shard, version: *version, nodes: nodes.clone() };
        assert_eq!(state.apply(command), MetaReply::Done);
    }
    plans.into_iter().map(|plan| plan.shard).collect()
}

fn under_way(state: &MetaState) -> Vec<ShardId> {
    state.shards().filter(|(_, record)| record.plan.is_some()).map(|(shard, _)| shard).collect()
}

/// Begins and carries out plans until there are none; returns how many replicas were made.
fn settle(state: &mut MetaState, silence: impl Fn(NodeId) -> Silence) -> usize {
    let mut made = 0;
    for _ in 0..1_000 {
        begin(state, &silence);
        let Some(shard) = under_way(state).first().copied() else { return made };
        assert!(under_way(state).len() <= FEW.all);
        let record = state.shard(shard).unwrap().clone();
        made += record.wanted().iter().filter(|m| !record.plan.as_ref().unwrap().from.contains(m)).count();
        state.apply(MetaCommand::Finish { shard, version: record.version });
    }
    panic!("does not come to rest");
}

fn heard(_: NodeId) -> Silence {
    Silence::None
}

fn held(state: &MetaState, node: u32) -> u32 {
    state.replicas_on(NodeId(node))
}

fn preferred(state: &MetaState, node: u32) -> usize {
    state.shards().filter(|(_, record)| record.preferred == NodeId(node)).count()
}

#[test]
fn cluster_at_rest_has_no_plans() {
    for count in [1, 2, 3, 5] {
        assert_eq!(next_plans(&cluster(count), heard, FEW), Ok(vec![]), "{count} nodes");
    }
}

#[test]
fn join_moves_the_new_node_s_share_a_few_at_a_time() {
    let mut state = cluster(3);
    join(&mut state, 4);
    assert_eq!(begin(&mut state, heard).len(), 2, "as many as the new node may get at a time");
    assert_eq!(begin(&mut state, heard), [], "until one is done");
    settle(&mut state, heard);
    for node in 1..=4 {
        assert_eq!((held(&state, node), preferred(&state, node)), (24, 8));
    }
}

#[test]
fn one_node_grows_to_three_and_to_five_and_shrinks_back() {
    let mut state = cluster(1);
    for count in 2..=5 {
        join(&mut state, count);
        settle(&mut state, heard);
        let copies: u32 = (1..=count).map(|node| held(&state, node)).sum();
        assert_eq!(copies, SHARDS * count.min(3));
        let preferred: Vec<usize> = (1..=count).map(|node| preferred(&state, node)).collect();
        assert!(preferred.iter().max().unwrap() - preferred.iter().min().unwrap() <= 1, "{preferred:?}");
    }
    for node in [5, 2, 1, 4] {
        state.apply(MetaCommand::Drain { node: NodeId(node) });
        settle(&mut state, heard);
        assert_eq!(held(&state, node), 0);
        assert_eq!(state.apply(MetaCommand::Remove { node: NodeId(node), force: false }), MetaReply::Done);
    }
    assert_eq!(held(&state, 3), SHARDS);
}

#[test]
fn lost_node_is_replaced_where_there_is_a_spare_and_only_there() {
    let mut state = cluster(3);
    let silent = |node| if node == NodeId(2) { Silence::Long } else { Silence::None };
    state.apply(MetaCommand::Lose { node: NodeId(2) });
    assert_eq!(settle(&mut state, silent), 0, "its replicas are better than none");

    join(&mut state, 4);
    let lost = held(&state, 2);
    assert_eq!(settle(&mut state, silent), lost as usize);
    assert_eq!((held(&state, 2), held(&state, 4)), (0, lost));

    state.apply(MetaCommand::Find { node: NodeId(2) });
    settle(&mut state, heard);
    assert_eq!(held(&state, 2), 24, "it came back");
}

#[test]
fn silent_node_is_neither_given_anything_nor_replaced() {
    let mut state = cluster(3);
    join(&mut state, 4);
    let silent = |node| if node == NodeId(4) { Silence::Short } else { Silence::None };
    assert_eq!(settle(&mut state, silent), 0);
}

#[test]
fn plan_whose_new_node_falls_silent_goes_back_and_others_stay() {
    let mut state = cluster(4);
    join(&mut state, 5);
    let planned = begin(&mut state, heard);
    let short = |node| if node == NodeId(5) { Silence::Short } else { Silence::None };
    assert_eq!(begin(&mut state, short), [], "it may come back in a moment");
    let long = |node| if node == NodeId(5) { Silence::Long } else { Silence::None };
    assert_eq!(begin(&mut state, long), planned);
    for shard in planned {
        let record = state.shard(shard).unwrap();
        let plan = record.plan.as_ref().unwrap();
        let set = |members: &[roomkeeper_consensus::Member]| members.iter().copied().collect::<BTreeSet<_>>();
        assert_eq!(set(&plan.target), set(&plan.from));
    }
}

#[test]
fn removed_node_is_replaced_at_once() {
    let mut state = cluster(4);
    let lost = held(&state, 1);
    state.apply(MetaCommand::Remove { node: NodeId(1), force: true });
    assert!(settle(&mut state, heard) >= lost as usize);
    assert_eq!(held(&state, 1), 0);
}

#[test]
fn unborn_shards_are_left_alone() {
    let mut state = cluster(3);
    state.shards[5].born = false;
    join(&mut state, 4);
    settle(&mut state, heard);
    assert!(state.shards[5].replicas.iter().all(|member| member.node != NodeId(4)));
}
