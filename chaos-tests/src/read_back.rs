//! What the cluster holds at the end: every room's log from its owner, and what each replica says of its copy.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use roomkeeper_client::{Client, LocalCopy};
use roomkeeper_protocol::From;
use roomkeeper_types::{NodeId, Offset, RoomName, ShardCount};
use tokio::time::{Instant, sleep};

use crate::history::Recorder;
use crate::history::event::{Event, Seen};

/// How long replicas may take to become equal once nothing is published any more.
const CONVERGE_LIMIT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(100);
/// Items asked for at once.
const PAGE: u32 = 1_000;

/// Reads rooms back and notes them. All nodes have to run.
///
/// # Errors
/// A room cannot be read. Replicas that differ are no error here: they are the checker's to judge.
pub async fn read_back(recorder: &Recorder, client: &Client, rooms: &[RoomName]) -> Result<()> {
    let map = client.cluster_map().await?;
    let shards = u32::try_from(map.shards.len()).ok().and_then(ShardCount::new);
    let urls: HashMap<NodeId, String> = map.nodes.into_iter().map(|node| (node.node, node.url)).collect();
    // One end for all rooms: the load is over for all of them.
    let end = Instant::now() + CONVERGE_LIMIT;
    for room in rooms {
        let read = read_room(recorder, client, &urls, shards, room, end).await;
        read.with_context(|| format!("cannot read room {room} back"))?;
    }
    Ok(())
}

async fn read_room(
    recorder: &Recorder,
    client: &Client,
    urls: &HashMap<NodeId, String>,
    shards: Option<ShardCount>,
    room: &RoomName,
    end: Instant,
) -> Result<()> {
    let info = client.room_info(room).await?;
    let handle = client.room(room.clone());
    let mut at = info.first;
    while at < info.next {
        let page = handle.history(From::Offset(at), PAGE).await?;
        ensure!(page.next > at && !page.items.is_empty(), "history from {at} stands still at {}", page.next);
        at = page.next;
        let items = page.items.iter().map(Seen::from).collect();
        recorder.record(Event::FinalItems { room: room.clone(), items });
    }
    let replicas: Vec<NodeId> = info.replicas.iter().map(|replica| replica.node).collect();
    for copy in converge(client, urls, room, &replicas, info.next, end).await {
        let LocalCopy { node, next, hash } = copy;
        recorder.record(Event::FinalCopy { room: room.clone(), node, next, hash });
    }
    let shard = shards.map(|shards| room.hash_shard(shards));
    let (room, first, next) = (room.clone(), info.first, info.next);
    recorder.record(Event::FinalRoom { room, shard, first, next, replicas });
    Ok(())
}

/// The copies as soon as they are equal, else as they are in the end.
async fn converge(
    client: &Client,
    urls: &HashMap<NodeId, String>,
    room: &RoomName,
    replicas: &[NodeId],
    next: Offset,
    end: Instant,
) -> Vec<LocalCopy> {
    loop {
        let mut copies = Vec::new();
        for node in replicas {
            let Some(url) = urls.get(node) else { continue };
            // A node without an answer has no copy, for now.
            if let Ok(Some(copy)) = client.local_copy(url, room).await {
                copies.push(copy);
            }
        }
        let equal = copies.iter().all(|copy| copy.next == next && copy.hash == copies[0].hash);
        if (equal && copies.len() == replicas.len()) || Instant::now() >= end {
            return copies;
        }
        sleep(POLL).await;
    }
}
