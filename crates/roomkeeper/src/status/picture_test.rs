//! Each situation an operator may look at, and what the picture says of it.

use roomkeeper_client::{NodeEntry, NodeLoad, ReplicaEntry};

use super::*;

const CLUSTER: ClusterId = ClusterId([7; 16]);

fn node(id: u32, alive: bool) -> NodeEntry {
    NodeEntry {
        node: NodeId(id),
        url: format!("http://n{id}:7700"),
        peer: String::new(),
        admin: None,
        zone: None,
        weight: 1,
        state: roomkeeper_client::NodeState::Active,
        votes: true,
        alive,
        load: None,
    }
}

/// A map of three nodes and one shard: its owner, its epoch and its replicas' lags.
fn map(alive: [bool; 3], owner: Option<u32>, epoch: u64, lags: [Option<u64>; 3]) -> ClusterMap {
    let replicas = (1..=3).zip(lags).map(|(id, lag)| ReplicaEntry {
        node: NodeId(id),
        replica: ReplicaId(id.into()),
        lag,
        quarantined: false,
    });
    ClusterMap {
        cluster: CLUSTER,
        shards: vec![ShardEntry {
            shard: ShardId(0),
            owner: owner.map(NodeId),
            epoch: Epoch(epoch),
            preferred: Some(NodeId(1)),
            replicas: replicas.collect(),
            moving_to: None,
        }],
        nodes: (1..=3).zip(alive).map(|(id, alive)| node(id, alive)).collect(),
    }
}

fn view(id: u32, map: ClusterMap) -> View {
    View { node: node(id, true), map: Ok(map), ready: Ok(()), asks_for_token: Some(true) }
}

fn silent(id: u32) -> View {
    View {
        node: node(id, true),
        map: Err("connection refused".into()),
        ready: Err("connection refused".into()),
        asks_for_token: None,
    }
}

const ALL: [bool; 3] = [true; 3];
const UNKNOWN: [Option<u64>; 3] = [None; 3];
const EVEN: [Option<u64>; 3] = [Some(0); 3];

#[test]
fn all_well_is_healthy() {
    let views = [
        view(1, map(ALL, Some(1), 4, EVEN)),
        view(2, map(ALL, Some(1), 4, UNKNOWN)),
        view(3, map(ALL, Some(1), 4, UNKNOWN)),
    ];
    let picture = Picture::of(&views);
    assert!(picture.is_healthy());
    assert_eq!(picture.cluster, Some(CLUSTER));
    assert_eq!(picture.shards[0].replicas[1].lag, Some(0), "the owner's word counts");
    assert_eq!((picture.nodes[0].owned, picture.nodes[1].owned, picture.nodes[1].replicas), (1, 0, 1));
    assert_eq!(picture.nodes[2].seen_by, [NodeId(1), NodeId(2), NodeId(3)]);
}

#[test]
fn dead_owner_before_the_election_is_named() {
    let views = [
        silent(1),
        view(2, map(ALL, Some(1), 4, UNKNOWN)),
        view(3, map([false, true, true], Some(1), 4, UNKNOWN)),
    ];
    let picture = Picture::of(&views);
    assert!(!picture.is_healthy());
    assert_eq!(picture.shards[0].problems, [Problem::OwnerSilent(NodeId(1))]);
    assert_eq!(picture.nodes[0].reason.as_deref(), Some("connection refused"));
    assert_eq!(picture.nodes[0].seen_by, [NodeId(2)]);
}

#[test]
fn new_owner_in_a_higher_epoch_wins_over_an_old_view() {
    let views = [
        silent(1),
        view(2, map([false, true, true], Some(2), 5, [None, Some(0), Some(2)])),
        view(3, map(ALL, Some(1), 4, UNKNOWN)),
    ];
    let shard = &Picture::of(&views).shards[0];
    assert_eq!((shard.owner, shard.epoch, shard.away), (Some(NodeId(2)), Epoch(5), true));
    assert_eq!(shard.problems, [Problem::ReplicaSilent(NodeId(1))]);
}

#[test]
fn owner_away_from_the_rings_choice_is_no_problem() {
    let views = [
        view(1, map(ALL, Some(2), 5, UNKNOWN)),
        view(2, map(ALL, Some(2), 5, EVEN)),
        view(3, map(ALL, Some(2), 5, UNKNOWN)),
    ];
    let picture = Picture::of(&views);
    assert!(picture.is_healthy() && picture.shards[0].away);
}

#[test]
fn no_owner_anywhere_is_degraded() {
    let views = [silent(1), view(2, map(ALL, None, 5, UNKNOWN)), view(3, map(ALL, None, 5, UNKNOWN))];
    let problems = &Picture::of(&views).shards[0].problems;
    assert_eq!(problems, &[Problem::NoOwner, Problem::ReplicaSilent(NodeId(1))]);
}

/// What node `id` says whose own replica is in quarantine.
fn quarantined(id: u32, owner: Option<u32>, lags: [Option<u64>; 3]) -> View {
    let mut map = map(ALL, owner, 5, lags);
    for replica in &mut map.shards[0].replicas {
        replica.quarantined = replica.node == NodeId(id);
    }
    view(id, map)
}

#[test]
fn replica_in_quarantine_is_degraded_and_named() {
    let views = [
        view(1, map(ALL, Some(1), 5, [Some(0), None, Some(0)])),
        quarantined(2, Some(1), UNKNOWN),
        view(3, map(ALL, Some(1), 5, UNKNOWN)),
    ];
    let picture = Picture::of(&views);
    assert!(!picture.is_healthy());
    assert_eq!(picture.shards[0].problems, [Problem::ReplicaQuarantined(NodeId(2))]);
}

#[test]
fn majority_in_quarantine_is_told_first() {
    let views =
        [quarantined(1, None, UNKNOWN), quarantined(2, None, UNKNOWN), view(3, map(ALL, None, 5, UNKNOWN))];
    let problems = &Picture::of(&views).shards[0].problems;
    assert_eq!(problems[0], Problem::MajorityQuarantined(vec![NodeId(1), NodeId(2)]));
    assert_eq!(problems[1], Problem::NoOwner);
}

#[test]
fn two_owners_in_one_epoch_are_an_alarm() {
    let views = [
        view(1, map(ALL, Some(1), 5, EVEN)),
        view(2, map(ALL, Some(2), 5, EVEN)),
        view(3, map(ALL, Some(1), 5, UNKNOWN)),
    ];
    let problems = &Picture::of(&views).shards[0].problems;
    assert_eq!(problems, &[Problem::TwoOwners(NodeId(1), NodeId(2))]);
}

#[test]
fn replica_far_behind_or_unheard_of_is_degraded() {
    let views = [
        view(1, map(ALL, Some(1), 5, [Some(0), Some(1_001), None])),
        view(2, map(ALL, Some(1), 5, UNKNOWN)),
        view(3, map(ALL, Some(1), 5, UNKNOWN)),
    ];
    let picture = Picture::of(&views);
    assert!(!picture.is_healthy());
    let expected = [Problem::ReplicaBehind(NodeId(2), 1_001), Problem::ReplicaUnknown(NodeId(3))];
    assert_eq!(picture.shards[0].problems, expected);
}

#[test]
fn shard_that_moves_is_no_problem_while_its_new_replica_is_filled() {
    let mut moving = map(ALL, Some(1), 5, [Some(0), Some(0), None]);
    moving.shards[0].moving_to = Some(vec![NodeId(1), NodeId(2), NodeId(3)]);
    let views =
        [view(1, moving), view(2, map(ALL, Some(1), 5, UNKNOWN)), view(3, map(ALL, Some(1), 5, UNKNOWN))];
    let picture = Picture::of(&views);
    assert!(picture.is_healthy(), "{:?}", picture.shards[0].problems);
    assert_eq!(picture.shards[0].moving_to.as_deref(), Some(&[NodeId(1), NodeId(2), NodeId(3)][..]));
}

#[test]
fn node_that_drains_is_drained_when_it_holds_nothing_and_does_not_vote() {
    let mut draining = view(3, map(ALL, Some(1), 5, EVEN));
    draining.node.state = roomkeeper_client::NodeState::Draining;
    assert_eq!(Picture::of(&[draining.clone()]).nodes[0].standing(), "draining");
    draining.node.votes = false;
    if let Ok(map) = &mut draining.map {
        map.shards[0].replicas.pop();
    }
    assert_eq!(Picture::of(&[draining]).nodes[0].standing(), "drained");
}

#[test]
fn load_of_a_node_is_the_newest_that_anybody_heard() {
    let told = |age_ms| Some(NodeLoad { messages_per_s: age_ms + 1, age_ms, ..NodeLoad::default() });
    let (mut one, mut two) = (map(ALL, Some(1), 4, EVEN), map(ALL, Some(1), 4, UNKNOWN));
    (one.nodes[0].load, two.nodes[0].load) = (told(30), told(900));
    (one.nodes[1].load, two.nodes[1].load) = (told(800), told(40));
    one.nodes[2].load = told(700);
    let picture = Picture::of(&[view(1, one), view(2, two), silent(3)]);
    let newest = picture.nodes.iter().map(|node| node.load.map(|load| load.messages_per_s));
    assert_eq!(newest.collect::<Vec<_>>(), [Some(31), Some(41), Some(701)]);
}

#[test]
fn node_that_is_not_ready_is_degraded_and_says_why() {
    let mut views = [
        view(1, map(ALL, Some(1), 4, EVEN)),
        view(2, map(ALL, Some(1), 4, UNKNOWN)),
        view(3, map(ALL, Some(1), 4, UNKNOWN)),
    ];
    views[2].ready = Err("no quorum of meta".into());
    let picture = Picture::of(&views);
    assert!(!picture.is_healthy());
    assert!(picture.nodes[2].answers && !picture.nodes[2].ready);
    assert_eq!(picture.nodes[2].reason.as_deref(), Some("no quorum of meta"));
}
