//! Nodes come and go under load, and nothing acked is lost.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::*;
use parking_lot::Mutex;
use roomkeeper_cluster::{Node, NodeState, OperateError, Operation, StartError};
use roomkeeper_room::{Outcome, read};
use roomkeeper_types::{NodeId, Offset, RoomName};

const SHARDS: u32 = 8;

/// Publishes to rooms in turn through whichever nodes there are, until told to stop.
struct Load {
    nodes: Arc<Mutex<Vec<Node>>>,
    stop: Arc<AtomicBool>,
    publisher: tokio::task::JoinHandle<BTreeMap<RoomName, u64>>,
}

impl Load {
    fn start(first: &Node) -> Self {
        let (nodes, stop) = (Arc::new(Mutex::new(vec![first.clone()])), Arc::new(AtomicBool::new(false)));
        let publisher = tokio::spawn(Self::publish(nodes.clone(), stop.clone()));
        Self { nodes, stop, publisher }
    }

    /// Offsets have no gap: what is sent again keeps its id.
    async fn publish(nodes: Arc<Mutex<Vec<Node>>>, stop: Arc<AtomicBool>) -> BTreeMap<RoomName, u64> {
        let mut acked: BTreeMap<RoomName, u64> = rooms(16).into_iter().map(|room| (room, 0)).collect();
        while !stop.load(Ordering::Relaxed) {
            for (room, count) in &mut acked {
                *count += 1;
                assert_eq!(Self::publish_one(&nodes, room).await, Offset(*count), "room {room}");
            }
        }
        acked
    }

    /// The same message until somebody took it; nodes may come and go meanwhile.
    async fn publish_one(nodes: &Mutex<Vec<Node>>, room: &RoomName) -> Offset {
        let message = message("x");
        let begun = std::time::Instant::now();
        loop {
            let now = nodes.lock().clone();
            let now: Vec<&Node> = now.iter().collect();
            if let Ok(ownership) = owner(&now, now[0].shard_of(room))
                && let Ok(outcome) = submit(&ownership, publish(room, message.clone())).await
            {
                let Outcome::Published { offsets, .. } = outcome else {
                    panic!("publish came to {outcome:?}")
                };
                return offsets[0];
            }
            assert!(begun.elapsed() < PATIENCE, "no owner took the message");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn add(&self, node: &Node) {
        self.nodes.lock().push(node.clone());
    }

    fn leave(&self, node: NodeId) {
        self.nodes.lock().retain(|other| other.identity().node != node);
    }

    /// Ends the load; the owners have everything that was acked.
    async fn finish(self) {
        self.stop.store(true, Ordering::Relaxed);
        let acked = self.publisher.await.unwrap();
        let nodes = self.nodes.lock().clone();
        let nodes: Vec<&Node> = nodes.iter().collect();
        for (room, count) in acked {
            assert!(count > 10, "room {room} had {count} messages");
            let shard = nodes[0].shard_of(&room);
            until(|| owner(&nodes, shard).map(drop)).await;
            let rows = owner(&nodes, shard).unwrap().read().await.unwrap();
            assert_eq!(read::room(&rows, &room).unwrap().map(|info| info.next), Some(Offset(count + 1)));
        }
    }
}

/// All shards are at rest on the nodes that they should be on: evenly, each owned by the preferred one.
async fn until_at_rest(node: &Node, on: &[u32], copies: usize) {
    until(|| {
        let map = node.map();
        for shard in &map.shards {
            let nodes: Vec<u32> = shard.replicas.iter().map(|replica| replica.node.0).collect();
            if shard.moving_to.is_some() || nodes.len() != copies || nodes.iter().any(|n| !on.contains(n)) {
                return Err(format!("{} is on {nodes:?}, moving to {:?}", shard.shard, shard.moving_to));
            }
            if shard.owner != Some(shard.preferred) {
                return Err(format!(
                    "{} is owned by {:?} and prefers {}",
                    shard.shard, shard.owner, shard.preferred
                ));
            }
        }
        let owned = |n: &u32| map.shards.iter().filter(|shard| shard.owner == Some(NodeId(*n))).count();
        let owned: Vec<usize> = on.iter().map(owned).collect();
        let even = owned.iter().max().unwrap() - owned.iter().min().unwrap() <= 1;
        if even { Ok(()) } else { Err(format!("{on:?} own {owned:?} shards")) }
    })
    .await;
}

async fn joined(first: &Site) -> Site {
    let mut site = Site::new().await;
    site.quick = true;
    site.start(first.join()).await;
    site
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_node_grows_to_five_under_load_and_shrinks_back_to_another_one() {
    let mut sites = vec![Site::new().await];
    sites[0].quick = true;
    sites[0].start(bootstrap(SHARDS, 1)).await;
    until_ready(&[sites[0].node()]).await;
    let load = Load::start(sites[0].node());
    for count in 2..=5_u32 {
        sites.push(joined(&sites[0]).await);
        load.add(sites.last().unwrap().node());
        if count != 4 {
            let on: Vec<u32> = (1..=count).collect();
            until_at_rest(sites[0].node(), &on, count.min(3) as usize).await;
        }
    }
    // The founder goes first, and with it meta's leadership.
    for (gone, left, copies) in [(1, &[2, 3, 4, 5][..], 3), (5, &[2, 3, 4], 3), (2, &[3, 4], 2), (4, &[3], 1)]
    {
        let asked = sites[2].node().clone();
        asked.operate(Operation::Drain(NodeId(gone))).await.unwrap();
        until_at_rest(&asked, left, copies).await;
        let removal = Operation::Remove { node: NodeId(gone), force: false };
        until_operated(&asked, removal).await;
        load.leave(NodeId(gone));
        until(|| match asked.map().nodes.iter().any(|entry| entry.node == NodeId(gone)) {
            true => Err(format!("n{gone} is still listed")),
            false => Ok(()),
        })
        .await;
        let site = &mut sites[gone as usize - 1];
        site.stop().await;
        if gone == 5 {
            let seed = site.join_of(asked.identity());
            let refused = site.try_start(seed).await.expect_err("a removed node stays out");
            assert!(matches!(refused, StartError::Removed(NodeId(5))), "{refused}");
        }
    }
    load.finish().await;
    let alone = sites[2].node().clone();
    let refused = alone.operate(Operation::Drain(NodeId(3))).await.unwrap_err();
    assert!(matches!(&refused, OperateError::Refused(why) if why.contains("last node")), "{refused}");
    sites[2].stop().await;
}

/// Asks until it is not refused any more: a drained node votes in meta for a moment longer.
async fn until_operated(node: &Node, operation: Operation) {
    let begun = std::time::Instant::now();
    while let Err(error) = node.operate(operation).await {
        assert!(begun.elapsed() < PATIENCE, "{operation:?}: {error}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_node_is_replaced_and_gets_its_share_again_when_it_returns() {
    let mut sites = vec![Site::new().await];
    sites[0].quick = true;
    sites[0].start(bootstrap(SHARDS, 3)).await;
    for _ in 2..=3 {
        sites.push(joined(&sites[0]).await);
    }
    let first = sites[0].node().clone();
    until_at_rest(&first, &[1, 2, 3], 3).await;
    let load = Load::start(&first);
    sites.push(joined(&sites[0]).await);
    sites[1..].iter().for_each(|site| load.add(site.node()));
    until_at_rest(&first, &[1, 2, 3, 4], 3).await;

    sites[2].stop().await;
    load.leave(NodeId(3));
    until_at_rest(&first, &[1, 2, 4], 3).await;
    let state = |n: u32| first.map().nodes.iter().find(|entry| entry.node == NodeId(n)).unwrap().state;
    assert_eq!(state(3), NodeState::Lost);

    let seed = sites[0].join();
    sites[2].start(seed).await;
    load.add(sites[2].node());
    until_at_rest(&first, &[1, 2, 3, 4], 3).await;
    assert_eq!(state(3), NodeState::Active);
    load.finish().await;
    for site in &mut sites {
        site.stop().await;
    }
}
