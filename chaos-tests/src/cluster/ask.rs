//! What the nodes say of their cluster.

use std::collections::BTreeMap;

use anyhow::{Context, Result, anyhow, ensure};
use roomkeeper_client::{ClusterMap, ShardEntry};
use roomkeeper_types::{Epoch, NodeId, RoomName, ShardCount, ShardId};
use tokio::time::{Instant, sleep};

use super::{Cluster, POLL, READY_LIMIT};

impl Cluster {
    /// Nodes and shards, as that node sees them.
    ///
    /// # Errors
    /// The node does not answer.
    pub async fn map(&self, k: usize) -> Result<ClusterMap> {
        Ok(self.client.cluster_map_of(&self.url(k)).await?)
    }

    /// The running node that owns a room, whether the room exists or not, as the first running node knows it.
    /// Waits while none does.
    ///
    /// # Errors
    /// None is known in time.
    pub async fn owner_of(&self, room: &RoomName) -> Result<usize> {
        let end = Instant::now() + READY_LIMIT;
        loop {
            if let Some(owner) = self.known_owner_of(room).await? {
                return Ok(owner);
            }
            ensure!(Instant::now() < end, "room {room} has no owner after {READY_LIMIT:?}");
            sleep(POLL).await;
        }
    }

    async fn known_owner_of(&self, room: &RoomName) -> Result<Option<usize>> {
        let (map, shard) = self.shard_of(room).await?;
        let owner = shard.owner.and_then(|owner| self.index_of(&map, owner));
        Ok(owner.filter(|k| self.runs(*k)))
    }

    /// The nodes that keep a copy of a room, whether they run or not, as the first running node knows it.
    ///
    /// # Errors
    /// No node answers.
    pub async fn replicas_of(&self, room: &RoomName) -> Result<Vec<usize>> {
        let (map, shard) = self.shard_of(room).await?;
        Ok(shard.replicas.iter().filter_map(|replica| self.index_of(&map, replica.node)).collect())
    }

    /// Nodes and shards, as the first node sees them that runs and answers.
    pub(super) async fn any_map(&self) -> Result<ClusterMap> {
        let mut trouble = None;
        for k in (0..self.size()).filter(|k| self.runs(*k)) {
            match self.map(k).await {
                Ok(map) => return Ok(map),
                Err(error) => trouble = Some(error),
            }
        }
        Err(trouble.unwrap_or_else(|| anyhow!("no node runs")))
    }

    async fn shard_of(&self, room: &RoomName) -> Result<(ClusterMap, ShardEntry)> {
        let map = self.any_map().await?;
        let count = u32::try_from(map.shards.len()).ok().and_then(ShardCount::new);
        let shard = room.hash_shard(count.context("the map has no shards")?);
        let entry = map.shards.iter().find(|entry| entry.shard == shard).cloned();
        let entry = entry.with_context(|| format!("the map lacks {shard}"))?;
        Ok((map, entry))
    }

    /// Which of the nodes that is to the cluster.
    pub(crate) fn index_of(&self, map: &ClusterMap, node: NodeId) -> Option<usize> {
        let url = &map.nodes.iter().find(|entry| entry.node == node)?.url;
        (0..self.size()).find(|k| self.url(*k) == *url)
    }

    /// A running node that does not own a room.
    ///
    /// # Errors
    /// As [`Cluster::owner_of`]; there is no other node.
    pub async fn other_than_owner_of(&self, room: &RoomName) -> Result<usize> {
        let owner = self.owner_of(room).await?;
        (0..self.size()).find(|k| *k != owner && self.runs(*k)).context("no other node runs")
    }

    /// The freshest epoch of every shard, over all nodes that answer.
    ///
    /// # Errors
    /// None answers.
    pub async fn epochs(&self) -> Result<BTreeMap<ShardId, Epoch>> {
        let mut epochs = BTreeMap::new();
        for k in (0..self.size()).filter(|k| self.runs(*k)) {
            let Ok(map) = self.map(k).await else { continue };
            for shard in map.shards {
                let epoch = epochs.entry(shard.shard).or_insert(shard.epoch);
                *epoch = (*epoch).max(shard.epoch);
            }
        }
        ensure!(!epochs.is_empty(), "no node answers");
        Ok(epochs)
    }
}
