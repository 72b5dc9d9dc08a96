//! The JSON of the service map and of a room's info. Unknown fields are ignored.

use roomkeeper_protocol::RoomOptions;
use roomkeeper_types::{ClusterId, Epoch, LifeId, NodeId, Offset, ReplicaId, RoomName, ShardId};
use serde::{Deserialize, Deserializer, Serialize};

/// Nodes and shards, as one node sees them (`GET /v1/cluster`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterMap {
    /// The cluster.
    pub cluster: ClusterId,
    /// In the order of their ids.
    pub shards: Vec<ShardEntry>,
    /// In the order of their ids.
    pub nodes: Vec<NodeEntry>,
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeEntry {
    /// Its id.
    pub node: NodeId,
    /// Its client URL.
    pub url: String,
    /// Its peer address.
    #[serde(default)]
    pub peer: String,
    /// Its admin address.
    #[serde(default)]
    pub admin: Option<String>,
    /// Where it stands.
    #[serde(default)]
    pub zone: Option<String>,
    /// Share of the load relative to other nodes.
    #[serde(default)]
    pub weight: u32,
    /// What it is to the cluster.
    #[serde(default)]
    pub state: NodeState,
    /// It votes in meta, the group that keeps what the cluster agreed on.
    #[serde(default)]
    pub votes: bool,
    /// Heard from within the last seconds, as the answering node sees it.
    #[serde(default)]
    pub alive: bool,
    /// What it has to do, as it said last to the answering node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<NodeLoad>,
}

/// What a node has to do, on average over the last ten seconds or so.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeLoad {
    /// Messages stored a second, in rooms that it owns.
    pub messages_per_s: u64,
    /// Bytes of their payloads a second.
    pub bytes_per_s: u64,
    /// Messages handed to subscribers a second, each counted for each of them.
    pub deliveries_per_s: u64,
    /// Subscribers, now.
    pub subscribers: u64,
    /// Milliseconds since it said so.
    pub age_ms: u64,
}

/// What a node is to its cluster.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeState {
    /// It holds shards.
    #[default]
    Active,
    /// It is being emptied.
    Draining,
    /// It was silent for too long: its replicas are replaced.
    Lost,
    /// A state that this version does not know.
    #[serde(other)]
    Unknown,
}

/// A shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardEntry {
    /// Its id.
    pub shard: ShardId,
    /// Its owner; `None` while one is being elected.
    pub owner: Option<NodeId>,
    /// The owner's epoch, or the last known.
    pub epoch: Epoch,
    /// The ring's choice of an owner.
    #[serde(default)]
    pub preferred: Option<NodeId>,
    /// Its replicas; while it moves all that its group may have.
    pub replicas: Vec<ReplicaEntry>,
    /// The nodes that it is moving to, if it moves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moving_to: Option<Vec<NodeId>>,
}

/// A shard's replica.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicaEntry {
    /// The node it is on.
    pub node: NodeId,
    /// Its id.
    #[serde(default)]
    pub replica: ReplicaId,
    /// Entries behind the owner's log; known on the owner only.
    #[serde(default)]
    pub lag: Option<u64>,
    /// It is less than it was, or unreadable, and takes no part; known on its own node only.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub quarantined: bool,
}

/// A room (`GET /v1/rooms/{room}`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomInfo {
    /// Its name.
    pub room: RoomName,
    /// Its life: opaque.
    #[serde(default, deserialize_with = "life", skip_serializing_if = "Option::is_none")]
    pub life: Option<LifeId>,
    /// Its owner.
    pub owner: Option<NodeId>,
    /// The owner's epoch.
    pub epoch: Epoch,
    /// First offset kept.
    pub first: Offset,
    /// Offset that the next message will get.
    pub next: Offset,
    /// The shard that holds it.
    #[serde(default)]
    pub shard: Option<ShardId>,
    /// Whether it was put there, and its name hashes to another one.
    #[serde(default)]
    pub placed: bool,
    /// Messages kept.
    #[serde(default)]
    pub messages: Option<u64>,
    /// Bytes of their data.
    #[serde(default)]
    pub bytes: Option<u64>,
    /// What it was created with.
    #[serde(default, with = "OptionsJson")]
    pub options: RoomOptions,
    /// Its replicas.
    #[serde(default)]
    pub replicas: Vec<ReplicaLag>,
}

/// [`RoomOptions`] on this wire.
#[derive(Serialize, Deserialize)]
#[serde(remote = "RoomOptions")]
struct OptionsJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    retain_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retain_messages: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retain_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    presence: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_members: Option<u32>,
}

/// A room's replica.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicaLag {
    /// The node it is on.
    pub node: NodeId,
    /// Entries behind the owner's log, where known.
    #[serde(default)]
    pub lag: Option<u64>,
}

/// A node's own copy of a room (`GET /v1/rooms/{room}?replica=local`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalCopy {
    /// The node.
    pub node: NodeId,
    /// Offset that the next message will get here.
    pub next: Offset,
    /// The rolling hash of the room's log, as text: equal hashes at equal `next` are equal logs.
    pub hash: String,
}

/// A life is its text on this wire.
fn life<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<LifeId>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| text.parse().map_err(serde::de::Error::custom)).transpose()
}
