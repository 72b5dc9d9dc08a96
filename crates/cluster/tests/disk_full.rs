//! A node without room on its disk refuses writes, serves reads, and takes writes again when there is room.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use common::*;
use roomkeeper_cluster::{Node, Start, SubmitError};
use roomkeeper_room::{Outcome, read};
use tokio::net::TcpListener;

/// A node that wants so many bytes free.
async fn start(site: &Site, how: Start, reserve: u64) -> Node {
    let listener = TcpListener::bind(site.address).await.unwrap();
    let mut config = site.config(how);
    config.tuning.disk_reserve = reserve;
    let node = Node::start(config, listener, site.seen.clone()).await.unwrap();
    until_ready(&[&node]).await;
    until_owned(&[&node]).await;
    node
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_without_room_refuses_writes_and_serves_reads_until_there_is_room() {
    let site = Site::new().await;
    let room = rooms(1).remove(0);
    let node = start(&site, bootstrap(2, 1), 0).await;
    publish_for_sure(&[&node], &room, "first").await;
    node.shutdown().await;
    drop(node);

    let node = start(&site, Start::Existing, u64::MAX).await;
    let full = "the disk is full";
    until(|| match node.events(0).iter().any(|recorded| recorded.event.reason.starts_with(full)) {
        true => Ok(()),
        false => Err("it did not say so".to_owned()),
    })
    .await;
    let ownership = owner(&[&node], node.shard_of(&room)).unwrap();
    let refused = submit(&ownership, publish(&room, message("second"))).await;
    assert_eq!(refused.unwrap_err(), SubmitError::DiskFull);
    let rows = ownership.read().await.unwrap();
    assert!(read::room(&rows, &room).unwrap().is_some());
    node.shutdown().await;
    drop((node, ownership, rows));

    let node = start(&site, Start::Existing, 0).await;
    let ownership = owner(&[&node], node.shard_of(&room)).unwrap();
    let stored = submit(&ownership, publish(&room, message("second"))).await.unwrap();
    assert!(matches!(stored, Outcome::Published { .. }), "{stored:?}");
    drop(ownership);
    node.shutdown().await;
}
