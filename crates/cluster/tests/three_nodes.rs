//! Three nodes: every shard has one owner, its place is taken when it is gone, and all copies come out equal.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use common::*;
use roomkeeper_cluster::{EventKind, Node, Route};
use roomkeeper_types::{Offset, RoomName};

/// All copies of the rooms are at these offsets and have equal hashes.
async fn until_equal(nodes: &[&Node], rooms: &[RoomName], next: Offset) {
    for room in rooms {
        until(|| {
            let copies: Vec<_> = nodes.iter().map(|node| copy_of(node, room)).collect();
            let equal = copies.iter().all(|copy| *copy == copies[0]);
            let there = copies[0].as_ref().is_some_and(|(at, _)| *at == next);
            if equal && there { Ok(()) } else { Err(format!("copies of {room} are {copies:?}")) }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cluster_of_three_starts_with_the_preferred_owners() {
    let sites = three(8).await;
    let nodes: Vec<&Node> = sites.iter().map(Site::node).collect();
    for node in &nodes {
        // A node that is no replica's leader hears of owners by announcement.
        until(|| {
            let map = node.map();
            match map.shards.iter().find(|entry| entry.owner != Some(entry.preferred)) {
                Some(entry) => Err(format!("{entry:?}")),
                None => Ok(()),
            }
        })
        .await;
        let map = node.map();
        assert_eq!((map.shards.len(), map.nodes.len()), (8, 3));
        until(|| match node.map().nodes.iter().find(|entry| !entry.alive) {
            Some(entry) => Err(format!("{entry:?}")),
            None => Ok(()),
        })
        .await;
    }
    let counts: Vec<_> = nodes.iter().map(|node| node.counts()).collect();
    assert_eq!(counts.iter().map(|counts| counts.shards_owned).sum::<usize>(), 8);
    for counts in &counts {
        assert_eq!((counts.shards_held, counts.shards_without_owner), (8, 0));
        assert_eq!((counts.nodes, counts.nodes_alive), (3, 3));
        assert!(counts.epoch_changes >= 8 && counts.syncs.count() > 0, "{counts:?}");
        let elections = counts.events.iter().find(|(kind, _)| *kind == EventKind::Election);
        assert!(elections.unwrap().1 >= counts.shards_owned as u64, "{counts:?}");
    }
    for shard in nodes[0].shards().iter() {
        let owner = owner(&nodes, shard).unwrap();
        let elsewhere = nodes.iter().filter(|node| match node.route(shard) {
            Route::Elsewhere(known) => known.epoch == owner.epoch(),
            Route::Owned(_) | Route::Electing { .. } => false,
        });
        assert_eq!(elsewhere.count(), 2, "{shard}");
    }
    stop_all(sites).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_that_stops_is_replaced_and_catches_up_when_it_returns() {
    let mut sites = three(8).await;
    let rooms = rooms(16);
    let everybody = |sites: &[Site; 3]| sites.iter().map(|site| site.node().clone()).collect::<Vec<_>>();
    {
        let nodes = everybody(&sites);
        let nodes: Vec<&Node> = nodes.iter().collect();
        for room in &rooms {
            assert_eq!(publish_for_sure(&nodes, room, "first").await, Offset(1));
        }
        until_equal(&nodes, &rooms, Offset(2)).await;
    }

    sites[1].stop().await;
    {
        let nodes = [sites[0].node(), sites[2].node()];
        until_owned(&nodes).await;
        for room in &rooms {
            assert_eq!(publish_for_sure(&nodes, room, "second").await, Offset(2));
        }
        until_equal(&nodes, &rooms, Offset(3)).await;
    }

    // The same command line as the first time.
    let seed = sites[0].join();
    sites[1].start(seed).await;
    let nodes = everybody(&sites);
    let nodes: Vec<&Node> = nodes.iter().collect();
    until_ready(&nodes).await;
    for room in &rooms {
        assert_eq!(publish_for_sure(&nodes, room, "third").await, Offset(3));
    }
    until_equal(&nodes, &rooms, Offset(4)).await;
    for site in &sites {
        assert!(!site.seen.0.lock().is_empty(), "every replica's observer was told");
    }
    drop(nodes);
    stop_all(sites).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cluster_that_stops_as_a_whole_keeps_everything() {
    let mut sites = three(4).await;
    let rooms = rooms(8);
    {
        let nodes: Vec<&Node> = sites.iter().map(Site::node).collect();
        for room in &rooms {
            publish_for_sure(&nodes, room, "kept").await;
        }
    }
    for site in &mut sites {
        site.stop().await;
    }
    for site in &mut sites {
        site.start(roomkeeper_cluster::Start::Existing).await;
    }
    let nodes: Vec<&Node> = sites.iter().map(Site::node).collect();
    until_ready(&nodes).await;
    until_owned(&nodes).await;
    for room in &rooms {
        assert_eq!(publish_for_sure(&nodes, room, "more").await, Offset(2));
    }
    until_equal(&nodes, &rooms, Offset(3)).await;
    stop_all(sites).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_that_returns_under_another_address_is_found() {
    let mut sites = three(4).await;
    let rooms = rooms(8);
    sites[1].stop().await;
    {
        let nodes = [sites[0].node(), sites[2].node()];
        until_owned(&nodes).await;
        for room in &rooms {
            publish_for_sure(&nodes, room, "missed").await;
        }
    }
    sites[1].move_to_another_port().await;
    let seed = sites[0].join();
    sites[1].start(seed).await;
    let nodes: Vec<&Node> = sites.iter().map(Site::node).collect();
    let moved = sites[1].address.to_string();
    for node in &nodes {
        until(|| match node.map().nodes.iter().any(|entry| entry.peer == moved) {
            true => Ok(()),
            false => Err("the new address is not known".to_owned()),
        })
        .await;
    }
    until_equal(&nodes, &rooms, Offset(2)).await;
    until_ready(&nodes).await;
    stop_all(sites).await;
}
