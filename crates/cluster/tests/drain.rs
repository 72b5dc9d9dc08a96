//! A node that is drained gives everything away while commands keep coming, and none of them ends unknown.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use common::*;
use roomkeeper_cluster::{Drained, EventKind, Node, SubmitError};
use roomkeeper_room::Outcome;
use roomkeeper_types::RoomName;

/// Publishes to one room, one message after the other, through whoever owns it, until told to stop. Returns how
/// many were stored. Panics at an outcome that is unknown.
async fn publish_on(nodes: Vec<Node>, room: RoomName, stop: Arc<AtomicBool>, stored: Arc<AtomicU64>) -> u64 {
    let nodes: Vec<&Node> = nodes.iter().collect();
    let shard = nodes[0].shard_of(&room);
    let mut count = 0;
    while !stop.load(Ordering::Relaxed) {
        let Ok(ownership) = owner(&nodes, shard) else {
            tokio::task::yield_now().await;
            continue;
        };
        match submit(&ownership, publish(&room, message("x"))).await {
            Ok(Outcome::Published { .. }) => {
                count += 1;
                stored.fetch_add(1, Ordering::Relaxed);
            }
            Ok(other) => panic!("publish came to {other:?}"),
            Err(SubmitError::NotProposed | SubmitError::DiskFull) => tokio::task::yield_now().await,
            Err(SubmitError::Unknown(why)) => panic!("a planned move left a command unknown: {why}"),
        }
    }
    count
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drained_node_owns_nothing_and_no_command_ends_unknown() {
    let [mut a, mut b, mut c] = [Site::new().await, Site::new().await, Site::new().await];
    a.start(bootstrap(8, 3)).await;
    let seed = a.join();
    let (b_up, c_up) = tokio::join!(b.try_start(seed.clone()), c.try_start(seed));
    b_up.unwrap();
    c_up.unwrap();
    let nodes: Vec<Node> = [&a, &b, &c].map(|site| site.node().clone()).into();
    let all: Vec<&Node> = nodes.iter().collect();
    until_ready(&all).await;
    until_owned(&all).await;

    let (stop, stored) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let rooms = rooms(16);
    let publishers: Vec<_> = rooms
        .iter()
        .map(|room| tokio::spawn(publish_on(nodes.clone(), room.clone(), stop.clone(), stored.clone())))
        .collect();
    let some_more = async |more: u64| {
        let from = stored.load(Ordering::Relaxed);
        until(|| match stored.load(Ordering::Relaxed) - from {
            count if count >= more => Ok(()),
            count => Err(format!("{count} messages")),
        })
        .await;
    };
    some_more(200).await;

    // The founder leads meta and owns its share of the shards.
    let begun = Instant::now();
    let owned =
        nodes[0].map().shards.iter().filter(|entry| entry.owner == Some(nodes[0].identity().node)).count();
    let drained = nodes[0].drain(Instant::now() + Duration::from_secs(10)).await;
    println!("{owned} shards handed over in {:?}", begun.elapsed());
    assert_eq!(drained, Drained { handed_over: owned, left: vec![] });
    assert!(owned > 0);
    let me = nodes[0].identity().node;
    until(|| match nodes[1].map().shards.iter().find(|entry| entry.owner == Some(me)) {
        Some(entry) => Err(format!("{entry:?}")),
        None => Ok(()),
    })
    .await;
    some_more(200).await;

    stop.store(true, Ordering::Relaxed);
    let mut total = 0;
    for publisher in publishers {
        total += publisher.await.unwrap();
    }
    let next: u64 = rooms.iter().map(|room| copy_of(&nodes[1], room).map_or(0, |(next, _)| next.get())).sum();
    assert!(next >= total, "{total} were stored, the copy on another node has {next}");
    let hand_overs = nodes[0].events(0).into_iter().filter(|event| event.event.kind == EventKind::HandOver);
    assert!(hand_overs.count() >= owned);
    a.stop().await;
    b.stop().await;
    c.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_node_does_not_wait_for_an_heir() {
    let mut site = Site::new().await;
    site.start(bootstrap(4, 1)).await;
    until_ready(&[site.node()]).await;
    until_owned(&[site.node()]).await;
    let begun = Instant::now();
    let drained = site.node().drain(begun + PATIENCE).await;
    assert_eq!((drained.handed_over, drained.left.len()), (0, 4));
    assert!(begun.elapsed() < PATIENCE / 2, "waited for nobody");
    site.stop().await;
}
