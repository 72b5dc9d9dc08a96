//! Clusters of one and of five nodes. The claim is that of `failover.rs`, with what differs: one node has no
//! other to go on with, so its rooms come back when it does; of five nodes two may die, and the rooms that keep
//! two of their three replicas go on while the others wait for one to come back.

#![allow(clippy::unwrap_used, reason = "allowed in tests; clippy knows only functions with #[test] as such")]

mod trial;

use std::time::Duration;

use roomkeeper_types::RoomName;

use trial::Trial;

const LIMIT: Duration = Duration::from_secs(20);
const SOME: u64 = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_node_killed_or_stopped_under_load_comes_back_with_everything_acked() {
    let mut trial = Trial::start("alone", 1, 4).await;
    trial.load.more_acks(SOME, LIMIT).await.unwrap();
    let fault = trial.fault("kill", &[0], "kill -9 of the only node");
    trial.cluster.kill9(0).await.unwrap();
    trial.cluster.start_node(0).await.unwrap();
    trial.undone(fault);
    trial.load.more_acks(SOME, LIMIT).await.unwrap();
    let fault = trial.fault("stop", &[0], "SIGTERM to the only node");
    trial.cluster.stop(0).await.unwrap();
    trial.cluster.start_node(0).await.unwrap();
    trial.undone(fault);
    trial.load.more_acks(SOME, LIMIT).await.unwrap();

    let history = trial.end().await;
    assert!(history.rooms.values().all(|room| room.copies.len() == 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_of_five_nodes_killed_under_load_lose_nothing_and_rooms_with_a_majority_go_on() {
    let mut trial = Trial::start("five", 5, 10).await;
    let rooms = trial.plan.rooms.clone();
    trial.load.more_acks(SOME, LIMIT).await.unwrap();

    // The owner of one room and a node that has no copy of it, so that this one has to fail over.
    let first = trial.cluster.owner_of(&rooms[0]).await.unwrap();
    let replicas = trial.cluster.replicas_of(&rooms[0]).await.unwrap();
    let second = (0..5).find(|k| !replicas.contains(k)).unwrap();
    let victims = [first, second];
    let mut going_on: Vec<RoomName> = Vec::new();
    for room in &rooms {
        let replicas = trial.cluster.replicas_of(room).await.unwrap();
        assert_eq!(replicas.len(), 3, "room {room}");
        if !victims.iter().all(|victim| replicas.contains(victim)) {
            going_on.push(room.clone());
        }
    }
    assert!(going_on.contains(&rooms[0]));
    let detail = format!("kill -9; {} of {} rooms keep a majority", going_on.len(), rooms.len());
    let fault = trial.fault("kill", &victims, &detail);
    trial.cluster.kill9_at_once(&victims).await.unwrap();
    trial.load.more_acks_of(&going_on, SOME, LIMIT).await.unwrap();
    trial.undone(fault);
    trial.cluster.start_all().await.unwrap();
    trial.load.more_acks(SOME, LIMIT).await.unwrap();
    trial.end().await;
}
