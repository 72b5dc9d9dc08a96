//! What the cluster holds at the end: every room's log from its owner, and what each replica says of its copy.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use roomkeeper_client::Client;
use roomkeeper_protocol::From;
use roomkeeper_types::{NodeId, Offset, RoomName};
use tokio::time::{Instant, sleep};

use crate::history::{Copy, RoomLog};

/// How long replicas may take to become equal once nothing is published any more.
const CONVERGE_LIMIT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(100);
/// Items asked for at once.
const PAGE: u32 = 1_000;

/// Reads rooms back. All nodes have to run.
///
/// # Errors
/// A room cannot be read. Replicas that differ are no error here: they are the checker's to judge.
pub async fn read_back(client: &Client, rooms: &[RoomName]) -> Result<Vec<RoomLog>> {
    let map = client.cluster_map().await?;
    let urls: HashMap<NodeId, String> = map.nodes.into_iter().map(|node| (node.node, node.url)).collect();
    let mut logs = Vec::new();
    for room in rooms {
        let log = read_room(client, &urls, room).await;
        logs.push(log.with_context(|| format!("cannot read room {room} back"))?);
    }
    Ok(logs)
}

async fn read_room(client: &Client, urls: &HashMap<NodeId, String>, room: &RoomName) -> Result<RoomLog> {
    let info = client.room_info(room).await?;
    let handle = client.room(room.clone());
    let (mut items, mut at) = (Vec::new(), info.first);
    while at < info.next {
        let page = handle.history(From::Offset(at), PAGE).await?;
        ensure!(page.next > at && !page.items.is_empty(), "history from {at} stands still at {}", page.next);
        at = page.next;
        items.extend(page.items);
    }
    let replicas: Vec<NodeId> = info.replicas.iter().map(|replica| replica.node).collect();
    let copies = converge(client, urls, room, &replicas, info.next).await;
    Ok(RoomLog { room: room.clone(), next: info.next, items, replicas, copies })
}

/// The copies as soon as they are equal, else as they are in the end.
async fn converge(
    client: &Client,
    urls: &HashMap<NodeId, String>,
    room: &RoomName,
    replicas: &[NodeId],
    next: Offset,
) -> Vec<Copy> {
    let end = Instant::now() + CONVERGE_LIMIT;
    loop {
        let mut copies = Vec::new();
        for node in replicas {
            let Some(url) = urls.get(node) else { continue };
            // A node without an answer has no copy, for now.
            if let Ok(Some(copy)) = client.local_copy(url, room).await {
                copies.push(Copy { node: copy.node, next: copy.next, hash: copy.hash });
            }
        }
        let equal = copies.iter().all(|copy| copy.next == next && copy.hash == copies[0].hash);
        if (equal && copies.len() == replicas.len()) || Instant::now() >= end {
            return copies;
        }
        sleep(POLL).await;
    }
}
