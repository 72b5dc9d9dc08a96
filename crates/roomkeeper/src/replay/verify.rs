//! Reads rooms back: their log through the owner, their hashes from every replica.

use std::time::Duration;

use futures::future::join_all;
use roomkeeper_client::protocol::From;
use roomkeeper_client::types::{NodeId, Offset, RoomName, ShardCount};
use roomkeeper_client::{Client, ClusterMap, Error, LocalCopy};
use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::compare::{Comparer, Differences};
use super::log_file::LogFile;

/// Messages of one page of history.
const PAGE: u32 = 1_000;
/// Between two looks at replicas that are not equal yet.
const RETRY: Duration = Duration::from_millis(250);

/// Reads the whole room and compares it with its log; also returns the room's next offset.
///
/// # Errors
/// The room cannot be read.
pub(crate) async fn read_back(log: &LogFile, client: &Client) -> Result<(Differences, Offset), Error> {
    let room = client.room(log.room.clone());
    let mut comparer = Comparer::new(log);
    let mut from = From::Beginning;
    loop {
        let page = room.history(from, PAGE).await?;
        page.items.iter().for_each(|item| comparer.take(item));
        if page.items.is_empty() {
            return Ok((comparer.finish(), page.next));
        }
        from = From::Offset(page.next);
    }
}

/// A room's copies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Replicas {
    /// Copies that the placement names.
    pub(crate) expected: usize,
    /// Copies that have every message and the same hash.
    pub(crate) equal: usize,
    /// What is wrong with the first copy that is not, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) first: Option<String>,
}

impl Replicas {
    /// Every copy is equal.
    pub(crate) fn is_equal(&self) -> bool {
        self.equal == self.expected && self.expected > 0
    }
}

/// Compares the hashes of all replicas of a room, again and again until they are equal or `deadline` has
/// passed: a replica that was down catches up.
pub(crate) async fn compare_replicas(
    room: &RoomName,
    next: Offset,
    client: &Client,
    deadline: Instant,
) -> Replicas {
    loop {
        let replicas = match client.cluster_map().await {
            Ok(map) => ask_replicas(room, next, client, &map).await,
            Err(error) => Replicas { expected: 0, equal: 0, first: Some(error.to_string()) },
        };
        if replicas.is_equal() || Instant::now() >= deadline {
            return replicas;
        }
        sleep(RETRY).await;
    }
}

async fn ask_replicas(room: &RoomName, next: Offset, client: &Client, map: &ClusterMap) -> Replicas {
    let nodes = replica_nodes(room, map);
    let asked = nodes.iter().map(|(node, url)| async move {
        let copy = match url {
            Some(url) => client.local_copy(url, room).await.map_err(|error| error.to_string()),
            None => Err("the cluster does not name its URL".to_owned()),
        };
        (*node, copy)
    });
    judge(next, &join_all(asked).await)
}

/// The nodes that must have a copy, as the map says.
fn replica_nodes(room: &RoomName, map: &ClusterMap) -> Vec<(NodeId, Option<String>)> {
    let shard =
        u32::try_from(map.shards.len()).ok().and_then(ShardCount::new).map(|count| room.hash_shard(count));
    let Some(entry) = map.shards.iter().find(|entry| Some(entry.shard) == shard) else { return Vec::new() };
    let url = |node| map.nodes.iter().find(|entry| entry.node == node).map(|entry| entry.url.clone());
    entry.replicas.iter().map(|replica| (replica.node, url(replica.node))).collect()
}

/// Counts the copies that reach `next` and have the hash that most of those have.
fn judge(next: Offset, copies: &[(NodeId, Result<Option<LocalCopy>, String>)]) -> Replicas {
    let whole: Vec<&LocalCopy> = copies
        .iter()
        .filter_map(|(_, copy)| copy.as_ref().ok()?.as_ref())
        .filter(|copy| copy.next == next)
        .collect();
    let votes = |hash: &str| whole.iter().filter(|copy| copy.hash == hash).count();
    let hash = whole.iter().map(|copy| copy.hash.as_str()).max_by_key(|hash| votes(hash));
    let first = copies.iter().find_map(|(node, copy)| match copy {
        Err(error) => Some(format!("{node}: {error}")),
        Ok(None) => Some(format!("{node} has no copy")),
        Ok(Some(copy)) if copy.next != next => Some(format!("{node} is at {}, not {next}", copy.next)),
        Ok(Some(copy)) if Some(copy.hash.as_str()) != hash => {
            Some(format!("{node} has another hash: {}", copy.hash))
        }
        Ok(Some(_)) => None,
    });
    Replicas { expected: copies.len(), equal: hash.map_or(0, votes), first }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Copy = (NodeId, Result<Option<LocalCopy>, String>);

    fn copy(node: u32, next: u64, hash: &str) -> Copy {
        let node = NodeId(node);
        (node, Ok(Some(LocalCopy { node, next: Offset(next), hash: hash.into() })))
    }

    fn judged(copies: &[Copy]) -> (usize, usize, Option<String>) {
        let Replicas { expected, equal, first } = judge(Offset(5), copies);
        (expected, equal, first)
    }

    #[test]
    fn copies_with_one_hash_are_equal() {
        let copies = [copy(1, 5, "aa"), copy(2, 5, "aa"), copy(3, 5, "aa")];
        assert_eq!(judged(&copies), (3, 3, None));
        assert!(judge(Offset(5), &copies).is_equal());
        assert!(!judge(Offset(5), &[]).is_equal(), "no copies prove nothing");
    }

    #[test]
    fn copy_behind_silent_or_missing_is_named() {
        let two = [copy(1, 5, "aa"), copy(2, 5, "aa")];
        let with = |third: Copy| judged(&[two[0].clone(), two[1].clone(), third]);
        assert_eq!(with(copy(3, 4, "bb")), (3, 2, Some("n3 is at o4, not o5".into())));
        assert_eq!(with((NodeId(3), Err("refused".into()))), (3, 2, Some("n3: refused".into())));
        assert_eq!(with((NodeId(3), Ok(None))), (3, 2, Some("n3 has no copy".into())));
    }

    #[test]
    fn copy_with_another_hash_is_named() {
        let copies = [copy(1, 5, "aa"), copy(2, 5, "bb"), copy(3, 5, "aa")];
        assert_eq!(judged(&copies), (3, 2, Some("n2 has another hash: bb".into())));
    }
}
