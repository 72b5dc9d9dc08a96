//! Clusters of one and of five nodes. The claim is that of `failover.rs`, with what differs: one node has no
//! other to go on with, so its rooms come back when it does; of five nodes two may die, and the rooms that keep
//! two of their three replicas go on while the others wait for one to come back.

#![allow(clippy::unwrap_used, reason = "allowed in tests; clippy knows only functions with #[test] as such")]

use std::time::Duration;

use chaos_tests::check::check;
use chaos_tests::cluster::Cluster;
use chaos_tests::read_back::read_back;
use chaos_tests::workload::{Plan, Workload};
use roomkeeper_types::RoomName;

const LIMIT: Duration = Duration::from_secs(20);
const SOME: u64 = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_node_killed_or_stopped_under_load_comes_back_with_everything_acked() {
    let mut cluster = Cluster::start(1).await.unwrap();
    let plan = Plan::new("alone", 4);
    let mut load = Workload::start(cluster.urls(), plan.clone()).await.unwrap();
    load.more_acks(SOME, LIMIT).await.unwrap();
    load.fault("kill -9 of the only node");
    cluster.kill9(0).await.unwrap();
    cluster.start_node(0).await.unwrap();
    load.more_acks(SOME, LIMIT).await.unwrap();
    load.fault("SIGTERM to the only node");
    cluster.stop(0).await.unwrap();
    cluster.start_node(0).await.unwrap();
    load.more_acks(SOME, LIMIT).await.unwrap();

    let history = load.finish().await.unwrap();
    let logs = read_back(cluster.client(), &plan.rooms).await.unwrap();
    assert!(logs.iter().all(|log| log.replicas.len() == 1));
    check(&history, &logs).require();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_of_five_nodes_killed_under_load_lose_nothing_and_rooms_with_a_majority_go_on() {
    let mut cluster = Cluster::start(5).await.unwrap();
    let plan = Plan::new("five", 10);
    let mut load = Workload::start(cluster.urls(), plan.clone()).await.unwrap();
    load.more_acks(SOME, LIMIT).await.unwrap();

    // The owner of one room and a node that has no copy of it, so that this one has to fail over.
    let first = cluster.owner_of(&plan.rooms[0]).await.unwrap();
    let replicas = cluster.replicas_of(&plan.rooms[0]).await.unwrap();
    let second = (0..5).find(|k| !replicas.contains(k)).unwrap();
    let victims = [first, second];
    let mut going_on: Vec<RoomName> = Vec::new();
    for room in &plan.rooms {
        let replicas = cluster.replicas_of(room).await.unwrap();
        assert_eq!(replicas.len(), 3, "room {room}");
        if !victims.iter().all(|victim| replicas.contains(victim)) {
            going_on.push(room.clone());
        }
    }
    assert!(going_on.contains(&plan.rooms[0]));
    load.fault(format!(
        "kill -9 of nodes {victims:?}; {} of {} rooms keep a majority",
        going_on.len(),
        plan.rooms.len()
    ));
    cluster.kill9_at_once(&victims).await.unwrap();
    load.more_acks_of(&going_on, SOME, LIMIT).await.unwrap();
    load.fault(format!("nodes {victims:?} start again"));
    cluster.start_all().await.unwrap();
    load.more_acks(SOME, LIMIT).await.unwrap();

    let history = load.finish().await.unwrap();
    let logs = read_back(cluster.client(), &plan.rooms).await.unwrap();
    check(&history, &logs).require();
}
