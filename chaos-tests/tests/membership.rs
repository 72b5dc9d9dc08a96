//! Nodes come and go under load. The claim: whatever joins, drains, dies, is replaced or removed, nothing acked is
//! lost, doubled or reordered; shards come to rest evenly, on the nodes that there are, each owned by the node that
//! should own it; and what would do harm is refused with what to do instead.

#![allow(clippy::unwrap_used, reason = "allowed in tests; clippy knows only functions with #[test] as such")]

mod trial;

use std::process::{Command, Output};
use std::time::{Duration, Instant};

use chaos_tests::cluster::Cluster;
use roomkeeper_client::{ClusterMap, NodeState};
use roomkeeper_types::NodeId;

use trial::Trial;

const LIMIT: Duration = Duration::from_secs(30);
const SOME: u64 = 20;
/// Moves and repairs that a test can wait for.
const QUICK: &[(&str, &str)] = &[
    ("ROOMKEEPER_PLACEMENT_REPLACE_AFTER", "5s"),
    ("ROOMKEEPER_PLACEMENT_MOVES_PER_NODE", "8"),
    ("ROOMKEEPER_PLACEMENT_MOVES_MAX", "16"),
    ("ROOMKEEPER_PLACEMENT_MOVE_INTERVAL", "5ms"),
    ("ROOMKEEPER_PLACEMENT_RESTORE_AFTER", "1s"),
    ("ROOMKEEPER_PLACEMENT_RESTORE_INTERVAL", "20ms"),
];

/// Runs `roomkeeper` against the cluster.
async fn roomkeeper(cluster: &Cluster, args: &[&str]) -> (i32, String) {
    let mut command = Command::new(chaos_tests::binary::roomkeeper().unwrap());
    command.args(args).args(["--url", &cluster.url(0)]);
    let Output { status, stdout, stderr } =
        tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let said = [stdout, stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    (status.code().unwrap(), said)
}

/// The same, and it must succeed.
async fn done(cluster: &Cluster, args: &[&str]) -> String {
    let (code, said) = roomkeeper(cluster, args).await;
    assert_eq!(code, 0, "{args:?}: {said}");
    said
}

/// Waits until the shards are at rest on these nodes, evenly, and each is owned by its preferred node.
async fn at_rest(cluster: &Cluster, on: &[u32], copies: usize) -> ClusterMap {
    let begun = Instant::now();
    loop {
        let map = cluster.map(0).await.unwrap();
        match disorder(&map, on, copies) {
            None => return map,
            Some(why) => assert!(begun.elapsed() < LIMIT, "still: {why}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn disorder(map: &ClusterMap, on: &[u32], copies: usize) -> Option<String> {
    for shard in &map.shards {
        let nodes: Vec<u32> = shard.replicas.iter().map(|replica| replica.node.0).collect();
        if shard.moving_to.is_some() || nodes.len() != copies || nodes.iter().any(|node| !on.contains(node)) {
            return Some(format!("{} is on {nodes:?}, moving to {:?}", shard.shard, shard.moving_to));
        }
        if shard.owner != shard.preferred {
            return Some(format!("{} is owned by {:?}, not {:?}", shard.shard, shard.owner, shard.preferred));
        }
    }
    let owned = |node: &u32| map.shards.iter().filter(|shard| shard.owner == Some(NodeId(*node))).count();
    let owned: Vec<usize> = on.iter().map(owned).collect();
    let uneven = owned.iter().max() > owned.iter().min().map(|least| least + 1).as_ref();
    uneven.then(|| format!("{on:?} own {owned:?} shards"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_node_grows_to_three_and_five_under_load_and_shrinks_back_with_nothing_lost() {
    let mut trial = Trial::start_with("grow", 1, 6, QUICK).await;
    trial.load.more_acks(SOME, LIMIT).await.unwrap();
    for (size, on, copies) in [(3, &[1, 2, 3][..], 3), (5, &[1, 2, 3, 4, 5], 3)] {
        let fault = trial.fault("join", &[], &format!("{size} nodes"));
        while trial.cluster.size() < size {
            trial.cluster.add_node().await.unwrap();
        }
        at_rest(&trial.cluster, on, copies).await;
        trial.undone(fault);
        trial.load.more_acks(SOME, LIMIT).await.unwrap();
    }
    let listed = done(&trial.cluster, &["node", "list"]).await;
    assert_eq!(listed.matches("active").count(), 5, "{listed}");
    assert!(done(&trial.cluster, &["node", "join"]).await.contains("--join"));

    let (code, said) = roomkeeper(&trial.cluster, &["node", "remove", "5"]).await;
    assert!(code == 1 && said.contains("node drain 5 --wait"), "{code}: {said}");
    for (gone, on, copies) in [(5, &[1, 2, 3, 4][..], 3), (4, &[1, 2, 3], 3), (3, &[1, 2], 2), (2, &[1], 1)] {
        let k = gone - 1;
        let fault = trial.fault("leave", &[k], &format!("n{gone} is drained and removed"));
        done(&trial.cluster, &["node", "drain", &gone.to_string(), "--wait"]).await;
        at_rest(&trial.cluster, on, copies).await;
        done(&trial.cluster, &["node", "remove", &gone.to_string()]).await;
        ended(&mut trial.cluster, k, 6).await;
        trial.undone(fault);
        trial.load.more_acks(SOME, LIMIT).await.unwrap();
    }
    // It cannot come back.
    trial.cluster.start_unready(4).unwrap();
    ended(&mut trial.cluster, 4, 5).await;
    let (code, said) = roomkeeper(&trial.cluster, &["node", "drain", "1"]).await;
    assert!(code == 1 && said.contains("last node"), "{code}: {said}");
    trial.end().await;
}

/// Waits until a node has ended by itself, saying that it was removed.
async fn ended(cluster: &mut Cluster, k: usize, code: i32) {
    let begun = Instant::now();
    loop {
        if let Some(status) = cluster.take_ended(k).unwrap() {
            assert_eq!(status.code(), Some(code), "node {k}: {status}");
            break;
        }
        assert!(begun.elapsed() < LIMIT, "node {k} was removed and still runs");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let log = std::fs::read_to_string(cluster.log(k)).unwrap();
    assert!(log.contains("was removed from the cluster"), "node {k}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_that_restarts_owns_again_and_one_that_stays_away_is_replaced_until_it_returns() {
    let mut trial = Trial::start_with("away", 4, 6, QUICK).await;
    let (all, others) = ([1, 2, 3, 4], [1, 2, 3]);
    let state = |map: &ClusterMap| map.nodes.iter().find(|node| node.node == NodeId(4)).unwrap().state;
    trial.load.more_acks(SOME, LIMIT).await.unwrap();
    let k = index_of(&trial.cluster, 4).await;
    at_rest(&trial.cluster, &all, 3).await;

    let fault = trial.fault("kill", &[k], "kill -9, and started again at once");
    trial.cluster.kill9(k).await.unwrap();
    trial.cluster.start_node(k).await.unwrap();
    trial.undone(fault);
    assert_eq!(state(&at_rest(&trial.cluster, &all, 3).await), NodeState::Active);
    trial.load.more_acks(SOME, LIMIT).await.unwrap();

    let fault = trial.fault("kill", &[k], "kill -9, until it was replaced");
    trial.cluster.kill9(k).await.unwrap();
    assert_eq!(state(&at_rest(&trial.cluster, &others, 3).await), NodeState::Lost);
    trial.load.more_acks(SOME, LIMIT).await.unwrap();
    trial.cluster.start_node(k).await.unwrap();
    trial.undone(fault);
    assert_eq!(state(&at_rest(&trial.cluster, &all, 3).await), NodeState::Active);
    trial.load.more_acks(SOME, LIMIT).await.unwrap();
    trial.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn move_whose_owner_is_killed_is_gone_on_with_by_the_next_owner() {
    const KILLS: usize = 4;
    // Few at a time, so that there is always one to be cut off.
    let slow = [&QUICK[..1], &QUICK[4..]].concat();
    let mut trial = Trial::start_with("cut-off", 3, 6, &slow).await;
    trial.load.more_acks(SOME, LIMIT).await.unwrap();
    for _ in 0..2 {
        trial.cluster.add_node().await.unwrap();
    }
    let mut cut_off = 0;
    for round in 0..KILLS {
        let Some(owner) = owner_of_a_move(&trial.cluster).await else { break };
        let fault = trial.fault("kill", &[owner], &format!("kill -9 of the owner of a move, {round}"));
        trial.cluster.kill9(owner).await.unwrap();
        trial.cluster.start_node(owner).await.unwrap();
        trial.undone(fault);
        cut_off += 1;
    }
    assert!(cut_off > 0, "no move was cut off");
    at_rest(&trial.cluster, &[1, 2, 3, 4, 5], 3).await;
    trial.load.more_acks(SOME, LIMIT).await.unwrap();
    trial.end().await;
}

/// The node that owns a shard that moves now, or soon; not the one that is asked.
async fn owner_of_a_move(cluster: &Cluster) -> Option<usize> {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(3) {
        let map = cluster.map(0).await.unwrap();
        let moving = map.shards.iter().filter(|shard| shard.moving_to.is_some());
        let owners: Vec<NodeId> = moving.filter_map(|shard| shard.owner).collect();
        for owner in owners {
            let url = map.nodes.iter().find(|node| node.node == owner).unwrap().url.clone();
            let k = cluster.urls().iter().position(|known| *known == url).unwrap();
            if k != 0 && cluster.runs(k) {
                return Some(k);
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    None
}

/// Which of the runner's nodes that is: they join in any order.
async fn index_of(cluster: &Cluster, node: u32) -> usize {
    let map = cluster.map(0).await.unwrap();
    let url = map.nodes.iter().find(|entry| entry.node == NodeId(node)).unwrap().url.clone();
    cluster.urls().iter().position(|known| *known == url).unwrap()
}
