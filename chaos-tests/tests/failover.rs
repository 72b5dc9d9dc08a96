//! Nodes killed with SIGKILL under load.
//!
//! The claim: **a message that was acked is on the disks of a majority of its room's replicas.** So no `kill -9`
//! of one node, and none of all nodes at once, loses an acked message, doubles it or moves it; the rooms of a
//! dead owner are served by another node without anybody doing anything; and a node that comes back on its
//! data ends with the same logs as the others. What SIGKILL does not show is that the data had reached the
//! disk and not only the kernel: for that the power has to be cut.

#![allow(clippy::unwrap_used, reason = "allowed in tests; clippy knows only functions with #[test] as such")]

mod trial;

use std::time::{Duration, Instant};

use futures::future::join_all;

use trial::Trial;

/// How long an outage may last before a test gives up. What is promised is far less, and measured elsewhere.
const OUTAGE_LIMIT: Duration = Duration::from_secs(15);
/// How long ordinary load may take to make some progress.
const LOAD_LIMIT: Duration = Duration::from_secs(20);

/// Acks of every room before, between and after faults.
const SOME: u64 = 30;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill9_of_an_owner_under_load_loses_nothing_and_its_rooms_go_on() {
    let mut trial = Trial::start("failover", 3, 6).await;
    trial.load.more_acks(SOME, LOAD_LIMIT).await.unwrap();

    let rooms = trial.plan.rooms.clone();
    let owners = join_all(rooms.iter().map(|room| trial.cluster.owner_of(room))).await;
    let owners: Vec<usize> = owners.into_iter().collect::<Result<_, _>>().unwrap();
    let victim = owners[0];
    let fault = trial.fault("kill", &[victim], "kill -9 of an owner");
    trial.cluster.kill9(victim).await.unwrap();
    trial.load.more_acks(SOME, OUTAGE_LIMIT).await.unwrap();
    trial.undone(fault);
    trial.cluster.start_node(victim).await.unwrap();
    trial.load.more_acks(SOME, LOAD_LIMIT).await.unwrap();

    let history = trial.end().await;
    let killed = history.first_fault("kill").unwrap();
    for (room, owner) in rooms.iter().zip(&owners) {
        let whose = if *owner == victim { "the killed node's" } else { "another's" };
        let gap = history.longest_gap(room, killed).unwrap();
        println!("room {room}, {whose}: longest time without an ack {gap:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill9_of_all_nodes_at_once_under_load_loses_nothing_acked() {
    let mut trial = Trial::start("blackout", 3, 6).await;
    trial.load.more_acks(SOME, LOAD_LIMIT).await.unwrap();

    let fault = trial.fault("kill", &[0, 1, 2], "kill -9 of all nodes");
    trial.cluster.kill9_at_once(&[0, 1, 2]).await.unwrap();
    let started = Instant::now();
    trial.cluster.start_all().await.unwrap();
    trial.undone(fault);
    println!("all nodes are ready {:?} after they were started again", started.elapsed());
    trial.load.more_acks(SOME, OUTAGE_LIMIT).await.unwrap();
    trial.end().await;
}
