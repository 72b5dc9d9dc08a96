//! Nodes killed with SIGKILL under load.
//!
//! The claim: **a message that was acked is on the disks of a majority of its room's replicas.** So no `kill -9`
//! of one node, and none of all nodes at once, loses an acked message, doubles it or moves it; the rooms of a
//! dead owner are served by another node without anybody doing anything; and a node that comes back on its
//! data ends with the same logs as the others. What SIGKILL does not show is that the data had reached the
//! disk and not only the kernel: for that the power has to be cut.

#![allow(clippy::unwrap_used, reason = "allowed in tests; clippy knows only functions with #[test] as such")]

use std::time::{Duration, Instant};

use chaos_tests::check::check;
use chaos_tests::cluster::Cluster;
use chaos_tests::read_back::read_back;
use chaos_tests::workload::{Plan, Workload};
use futures::future::join_all;

/// How long an outage may last before a test gives up. What is promised is far less, and measured elsewhere.
const OUTAGE_LIMIT: Duration = Duration::from_secs(15);
/// How long ordinary load may take to make some progress.
const LOAD_LIMIT: Duration = Duration::from_secs(20);

/// Acks of every room before, between and after faults.
const SOME: u64 = 30;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill9_of_an_owner_under_load_loses_nothing_and_its_rooms_go_on() {
    let mut cluster = Cluster::start(3).await.unwrap();
    let plan = Plan::new("failover", 6);
    let mut load = Workload::start(cluster.urls(), plan.clone()).await.unwrap();
    load.more_acks(SOME, LOAD_LIMIT).await.unwrap();

    let owners = join_all(plan.rooms.iter().map(|room| cluster.owner_of(room))).await;
    let owners: Vec<usize> = owners.into_iter().collect::<Result<_, _>>().unwrap();
    let victim = owners[0];
    load.fault(format!("kill -9 of node {victim}"));
    let killed = Instant::now();
    cluster.kill9(victim).await.unwrap();
    load.more_acks(SOME, OUTAGE_LIMIT).await.unwrap();
    load.fault(format!("node {victim} starts again"));
    cluster.start_node(victim).await.unwrap();
    load.more_acks(SOME, LOAD_LIMIT).await.unwrap();

    let history = load.finish().await.unwrap();
    for (room, owner) in plan.rooms.iter().zip(&owners) {
        let whose = if *owner == victim { "the killed node's" } else { "another's" };
        let gap = history.longest_gap(room, killed).unwrap();
        println!("room {room}, {whose}: longest time without an ack {gap:?}");
    }
    let logs = read_back(cluster.client(), &plan.rooms).await.unwrap();
    check(&history, &logs).require();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill9_of_all_nodes_at_once_under_load_loses_nothing_acked() {
    let mut cluster = Cluster::start(3).await.unwrap();
    let plan = Plan::new("blackout", 6);
    let mut load = Workload::start(cluster.urls(), plan.clone()).await.unwrap();
    load.more_acks(SOME, LOAD_LIMIT).await.unwrap();

    load.fault("kill -9 of all nodes");
    cluster.kill9_at_once(&[0, 1, 2]).await.unwrap();
    let started = Instant::now();
    cluster.start_all().await.unwrap();
    println!("all nodes are ready {:?} after they were started again", started.elapsed());
    load.more_acks(SOME, OUTAGE_LIMIT).await.unwrap();

    let history = load.finish().await.unwrap();
    let logs = read_back(cluster.client(), &plan.rooms).await.unwrap();
    check(&history, &logs).require();
}
