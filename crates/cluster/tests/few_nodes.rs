//! One and two nodes, and everything that a start refuses.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::time::{Duration, Instant};

use common::*;
use roomkeeper_cluster::{Node, Route, Start, StartError, SubmitError};
use roomkeeper_room::read;
use roomkeeper_types::{Epoch, NodeId, Offset, RoomName, ShardId};
use tokio::net::TcpListener;

/// A cluster of one.
async fn one() -> Site {
    let mut site = Site::new().await;
    site.start(bootstrap(2, 1)).await;
    until_ready(&[site.node()]).await;
    until_owned(&[site.node()]).await;
    site
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cluster_of_one_restarts_with_the_same_command_and_everything_acked() {
    let mut site = one().await;
    let room: RoomName = "general".parse().unwrap();
    let before = site.node().identity().clone();
    publish_for_sure(&[site.node()], &room, "kept").await;
    site.stop().await;

    site.start(bootstrap(2, 1)).await;
    until_owned(&[site.node()]).await;
    let after = site.node().identity();
    assert_eq!((after.cluster, after.node), (before.cluster, before.node));
    let ownership = owner(&[site.node()], site.node().shard_of(&room)).unwrap();
    let rows = ownership.read().await.unwrap();
    assert_eq!(read::room(&rows, &room).unwrap().map(|info| info.next), Some(Offset(2)));
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ownership_of_a_node_that_stops_is_lost_and_takes_nothing() {
    let mut site = one().await;
    let ownership = owner(&[site.node()], ShardId(0)).unwrap();
    site.stop().await;
    tokio::time::timeout(PATIENCE, ownership.lost()).await.unwrap();
    assert!(!ownership.is_current());
    let room: RoomName = "general".parse().unwrap();
    let refused = submit(&ownership, publish(&room, message("late"))).await;
    assert_eq!(refused, Err(SubmitError::NotProposed));
    assert_eq!(ownership.read().await.err(), Some(SubmitError::NotProposed));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn route_to_an_owner_of_a_higher_epoch_waits_or_goes_there() {
    let mut site = one().await;
    let node = site.node().clone();
    let held = owner(&[&node], ShardId(0)).unwrap();
    // A hint that somebody else owns a later epoch ends what is held here. Its address is not known.
    node.learn_owner(ShardId(0), NodeId(9), held.epoch().next());
    assert!(!held.is_current());
    let begun = Instant::now();
    let route = node.wait_route(ShardId(0), None, begun + Duration::from_millis(50)).await;
    assert!(matches!(route, Route::Electing { epoch } if epoch == held.epoch().next()));
    assert!(begun.elapsed() >= Duration::from_millis(50));
    let nowhere = node.wait_route(ShardId(99), None, Instant::now() + PATIENCE).await;
    assert!(matches!(nowhere, Route::Electing { epoch: Epoch(0) }));
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn second_node_learns_and_has_a_copy() {
    let (mut a, mut b) = (Site::new().await, Site::new().await);
    a.start(bootstrap(2, 2)).await;
    assert!(a.node().ready().is_err_and(|why| why.contains("1 of 2 nodes")));
    b.start(a.join()).await;
    let nodes = [a.node(), b.node()];
    until_ready(&nodes).await;
    until_owned(&nodes).await;
    let room: RoomName = "general".parse().unwrap();
    publish_for_sure(&nodes, &room, "twice").await;
    until(|| {
        let copies = nodes.map(|node| copy_of(node, &room));
        if copies[0].is_some() && copies[0] == copies[1] { Ok(()) } else { Err(format!("{copies:?}")) }
    })
    .await;
    a.stop().await;
    b.stop().await;
}

async fn refusal(site: &mut Site, start: Start) -> StartError {
    site.try_start(start).await.expect_err("a refusal")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn directory_of_another_cluster_is_refused() {
    let (mut a, mut b) = (one().await, one().await);
    let found = b.node().identity().cluster;
    let expected = a.node().identity().cluster;
    b.stop().await;
    let refused = refusal(&mut b, a.join()).await;
    assert!(matches!(
        refused,
        StartError::DataDirOfAnotherCluster { found: f, expected: e } if f == found && e == expected
    ));
    a.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn directory_without_a_node_is_refused_to_a_restart() {
    let mut site = Site::new().await;
    assert!(matches!(refusal(&mut site, Start::Existing).await, StartError::NoIdentity { .. }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn directory_in_use_is_refused() {
    let mut site = one().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = site.config(Start::Existing);
    let refused = Node::start(config, listener, site.seen.clone()).await.err();
    assert!(matches!(refused, Some(StartError::Locked { .. })), "{refused:?}");
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn open_peer_port_without_a_secret_is_refused() {
    let site = Site::new().await;
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let mut config = site.config(bootstrap(1, 1));
    config.secret = None;
    let refused = Node::start(config, listener, site.seen.clone()).await.err();
    assert!(matches!(refused, Some(StartError::SecretMissing { .. })), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn joiner_with_another_secret_is_refused() {
    let (mut a, b) = (one().await, Site::new().await);
    let listener = TcpListener::bind(b.address).await.unwrap();
    let mut config = b.config(a.join());
    config.secret = Some("wrong".to_owned());
    let refused = Node::start(config, listener, b.seen.clone()).await.err();
    assert!(matches!(refused, Some(StartError::JoinRefused(_))), "{refused:?}");
    a.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn joiner_whose_seeds_are_silent_gives_up_in_time() {
    let (a, b) = (Site::new().await, Site::new().await);
    let listener = TcpListener::bind(b.address).await.unwrap();
    let mut config = b.config(a.join());
    config.tuning.join_timeout = Duration::from_millis(300);
    let refused = Node::start(config, listener, b.seen.clone()).await.err();
    assert!(matches!(refused, Some(StartError::JoinTimeout { .. })), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_that_advertises_another_nodes_address_is_refused() {
    let (mut a, mut b) = (one().await, Site::new().await);
    b.start(a.join()).await;
    b.stop().await;
    let listener = TcpListener::bind(b.address).await.unwrap();
    let mut config = b.config(Start::Existing);
    config.advertise.peer = a.address.to_string();
    let refused = Node::start(config, listener, b.seen.clone()).await.err();
    assert!(matches!(refused, Some(StartError::WrongNode { found: NodeId(1), .. })), "{refused:?}");
    a.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn founder_whose_log_is_gone_does_not_found_again() {
    let mut site = one().await;
    site.stop().await;
    std::fs::remove_dir_all(site.dir.path().join("node/log")).unwrap();
    let refused = refusal(&mut site, bootstrap(2, 1)).await;
    assert!(matches!(refused, StartError::LogLost | StartError::MetaLost { .. }), "{refused:?}");
}
