//! Every node knows what every other has to do, and a new room goes where that is the least.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use common::*;
use roomkeeper_cluster::Node;
use roomkeeper_room::read;
use roomkeeper_types::{NodeId, ShardId};

/// The shards that a node owns, as it says.
fn owned(node: &Node) -> BTreeSet<ShardId> {
    let me = node.identity().node;
    node.map().shards.iter().filter(|entry| entry.owner == Some(me)).map(|entry| entry.shard).collect()
}

fn picked(node: &Node, times: usize) -> BTreeSet<ShardId> {
    (0..times).filter_map(|_| node.least_loaded_shard()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn busy_node_gets_no_new_rooms_and_a_silent_one_neither() {
    let mut sites = three(6).await;
    let nodes: Vec<Node> = sites.iter().map(|site| site.node().clone()).collect();
    let all: Vec<&Node> = nodes.iter().collect();

    // Everybody hears of everybody. Idle nodes take turns.
    for node in &all {
        until(|| match node.loads().len() {
            3 => Ok(()),
            heard => Err(format!("{} heard of {heard} nodes", node.identity().node)),
        })
        .await;
    }
    assert_eq!(picked(&nodes[1], 12).len(), 6, "each shard in turn");

    // Work for the rooms of the first node only.
    let busy = owned(&nodes[0]);
    assert!(!busy.is_empty());
    let room = rooms(200).into_iter().find(|room| busy.contains(&nodes[0].shard_of(room))).unwrap();
    let stop = Instant::now() + Duration::from_secs(4);
    while Instant::now() < stop {
        let text = "x".repeat(500);
        futures::future::join_all((0..32).map(|_| publish_for_sure(&all, &room, &text))).await;
    }
    for node in &all {
        until(|| {
            let load = |id: u32| node.loads()[&NodeId(id)].load;
            match (load(1), load(2), load(3)) {
                (first, second, third) if first.messages_per_s < 50 || second.messages_per_s > 0 => {
                    Err(format!("{first:?} {second:?} {third:?}"))
                }
                (first, ..) if first.bytes_per_s < 100 * first.messages_per_s => Err(format!("{first:?}")),
                _ => Ok(()),
            }
        })
        .await;
        let chosen = picked(node, 12);
        assert!(chosen.is_disjoint(&busy) && chosen.len() >= 2, "{chosen:?} and {busy:?} are busy");
    }
    assert_eq!(nodes[1].map().nodes[0].load.map(|load| load.load.messages_per_s > 0), Some(true));

    // One of the idle nodes stops: what is left of the cluster does not wait for its figures.
    sites[2].stop().await;
    let rest = [sites[0].node(), sites[1].node()];
    until_owned(&rest).await;
    for node in rest {
        until(|| {
            let (chosen, owned) = (picked(node, 12), owned(&nodes[1]));
            if chosen.is_subset(&owned) && !chosen.is_empty() {
                Ok(())
            } else {
                Err(format!("chosen {chosen:?} of {owned:?}"))
            }
        })
        .await;
    }
    stop_all(sites).await;
}

/// By the word of any node a name is put on a shard once, and everybody is told the same from then on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn name_that_is_placed_stays_where_it_was_put() {
    let mut sites = three(6).await;
    let nodes: Vec<Node> = sites.iter().map(|site| site.node().clone()).collect();
    let all: Vec<&Node> = nodes.iter().collect();

    let rooms = rooms(12);
    let deadline = || Instant::now() + PATIENCE;
    let mut placed = Vec::new();
    for (turn, room) in rooms.iter().enumerate() {
        assert_eq!(all[turn % 3].locate(room, deadline()).await.unwrap(), all[0].shard_of(room));
        placed.push(all[turn % 3].place(room, deadline()).await.unwrap());
    }
    let moved = rooms.iter().zip(&placed).filter(|(room, to)| all[0].shard_of(room) != **to).count();
    assert!(moved > 3, "{placed:?}");
    assert!(placed.iter().collect::<BTreeSet<_>>().len() > 3, "{placed:?}");

    // A room that is there is not put anywhere else.
    let settled: roomkeeper_types::RoomName = "settled".parse().unwrap();
    publish_for_sure(&all, &settled, "x").await;
    assert_eq!(all[1].place(&settled, deadline()).await.unwrap(), all[0].shard_of(&settled));

    // Also with the next owner of the hash shard, and by the copies of the others.
    sites[0].stop().await;
    let rest = [sites[1].node(), sites[2].node()];
    for (room, to) in rooms.iter().zip(&placed) {
        for node in rest {
            assert_eq!(node.locate(room, deadline()).await.unwrap(), *to, "{room}");
            if node.shard_of(room) != *to {
                assert_eq!(node.place(room, deadline()).await.unwrap(), *to, "{room}");
            }
            until(|| {
                let copy = node.local(node.shard_of(room)).ok_or("no copy")?;
                let known = read::forward(&copy.store.view(), room).unwrap();
                let expected = Some(*to).filter(|to| *to != node.shard_of(room));
                if known == expected { Ok(()) } else { Err(format!("{room}: {known:?}")) }
            })
            .await;
        }
    }
    stop_all(sites).await;
}
