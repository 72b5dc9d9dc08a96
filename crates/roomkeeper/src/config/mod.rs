//! A node's configuration: one TOML file, `ROOMKEEPER_*` environment and flags, in this order of precedence
//! from low to high. Unknown keys are refused, and everything is validated before a port is opened.

mod auth;
mod keys;
mod load;
mod size;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use roomkeeper_cluster::{Advertise, NodeConfig, Start, Timing, Tuning};
use roomkeeper_gateway::{Access, GatewayConfig};
use roomkeeper_types::ShardCount;
use serde::{Deserialize, Serialize};

pub(crate) use auth::{Auth, KeySource};
pub(crate) use keys::default_file;
pub(crate) use load::{Overrides, load};
use size::Size;

/// A configuration that cannot be served with.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct ConfigError(pub(crate) String);

/// All settings of a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) data_dir: PathBuf,
    pub(crate) zone: Option<String>,
    pub(crate) weight: u32,
    pub(crate) listen: Listen,
    pub(crate) advertise: Advertised,
    pub(crate) auth: Auth,
    pub(crate) cluster: Cluster,
    pub(crate) placement: Placement,
    pub(crate) failover: Failover,
    pub(crate) raft: Raft,
    pub(crate) disk: Disk,
    pub(crate) gateway: GatewayConfig,
    pub(crate) log: Log,
}

/// Where a node listens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Listen {
    pub(crate) client: SocketAddr,
    pub(crate) peer: SocketAddr,
    pub(crate) admin: SocketAddr,
}

/// What others reach a node by, where that differs from where it listens.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Advertised {
    pub(crate) client: Option<String>,
    pub(crate) peer: Option<String>,
    pub(crate) admin: Option<String>,
}

/// How a node gets into its cluster, and what the cluster is like when this node founds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Cluster {
    pub(crate) bootstrap: bool,
    pub(crate) join: Vec<String>,
    pub(crate) secret: Option<String>,
    pub(crate) initial_nodes: u32,
    pub(crate) shards: u32,
    pub(crate) replicas: u32,
}

/// When and how fast shards move between nodes. Meta's leader and the owners use their own node's settings: keep them
/// the same everywhere.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Placement {
    #[serde(with = "humantime_serde")]
    pub(crate) replace_after: Duration,
    pub(crate) moves_per_node: usize,
    pub(crate) moves_max: usize,
    #[serde(with = "humantime_serde")]
    pub(crate) move_interval: Duration,
    #[serde(with = "humantime_serde")]
    pub(crate) restore_after: Duration,
    #[serde(with = "humantime_serde")]
    pub(crate) restore_interval: Duration,
    #[serde(with = "humantime_serde")]
    pub(crate) load_age_max: Duration,
}

/// When a node that says nothing is given up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Failover {
    #[serde(with = "humantime_serde")]
    pub(crate) ping_interval: Duration,
    #[serde(with = "humantime_serde")]
    pub(crate) suspect_after: Duration,
    #[serde(with = "humantime_serde")]
    pub(crate) quorum_age_max: Duration,
}

/// Timers of Raft: what elects owners where pings do not. The same on every node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Raft {
    #[serde(with = "humantime_serde")]
    pub(crate) shard_heartbeat: Duration,
    #[serde(with = "humantime_serde")]
    pub(crate) shard_election_min: Duration,
    #[serde(with = "humantime_serde")]
    pub(crate) shard_election_max: Duration,
    #[serde(with = "humantime_serde")]
    pub(crate) meta_heartbeat: Duration,
    #[serde(with = "humantime_serde")]
    pub(crate) meta_election_min: Duration,
    #[serde(with = "humantime_serde")]
    pub(crate) meta_election_max: Duration,
}

/// What a node does about a disk that is full or hangs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Disk {
    pub(crate) reserve: Size,
    pub(crate) ballast: Size,
    #[serde(with = "humantime_serde")]
    pub(crate) stall_max: Duration,
}

/// What a node logs, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Log {
    pub(crate) filter: String,
    pub(crate) format: LogFormat,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    Text,
    Json,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: "data".into(),
            zone: None,
            weight: 1,
            listen: Listen::default(),
            advertise: Advertised::default(),
            auth: Auth::default(),
            cluster: Cluster::default(),
            placement: Placement::default(),
            failover: Failover::default(),
            raft: Raft::default(),
            disk: Disk::default(),
            gateway: GatewayConfig::default(),
            log: Log::default(),
        }
    }
}

impl Default for Listen {
    fn default() -> Self {
        let local = |port| SocketAddr::from(([127, 0, 0, 1], port));
        Self { client: local(7700), peer: local(7701), admin: local(7702) }
    }
}

impl Default for Cluster {
    fn default() -> Self {
        Self {
            bootstrap: false,
            join: Vec::new(),
            secret: None,
            initial_nodes: 1,
            shards: ShardCount::DEFAULT.get(),
            replicas: 3,
        }
    }
}

impl Default for Placement {
    fn default() -> Self {
        let tuning = Tuning::default();
        Self {
            replace_after: tuning.replace_after,
            moves_per_node: tuning.moves_per_node,
            moves_max: tuning.moves_max,
            move_interval: tuning.move_interval,
            restore_after: tuning.restore_after,
            restore_interval: tuning.restore_interval,
            load_age_max: tuning.load_age_max,
        }
    }
}

impl Default for Failover {
    fn default() -> Self {
        let tuning = Tuning::default();
        Self {
            ping_interval: tuning.ping_interval,
            suspect_after: tuning.ping_silence_max,
            quorum_age_max: tuning.quorum_age_max,
        }
    }
}

impl Default for Raft {
    fn default() -> Self {
        let Tuning { shard, meta, .. } = Tuning::default();
        Self {
            shard_heartbeat: shard.heartbeat,
            shard_election_min: shard.election_min,
            shard_election_max: shard.election_max,
            meta_heartbeat: meta.heartbeat,
            meta_election_min: meta.election_min,
            meta_election_max: meta.election_max,
        }
    }
}

impl Default for Disk {
    fn default() -> Self {
        let tuning = Tuning::default();
        Self {
            reserve: Size(tuning.disk_reserve),
            ballast: Size(tuning.disk_ballast),
            stall_max: tuning.disk_stall_max,
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { filter: "info,openraft=error".to_owned(), format: LogFormat::Text }
    }
}

impl Config {
    /// Checks everything that can be checked without opening a file or a port.
    pub(crate) fn validate(&self) -> Result<NodeConfig, ConfigError> {
        let wrong = |message: String| Err(ConfigError(message));
        if self.cluster.bootstrap && !self.cluster.join.is_empty() {
            return wrong(
                "cluster.bootstrap and cluster.join exclude each other: a node founds a cluster or joins one"
                    .into(),
            );
        }
        let Listen { client, peer, admin } = self.listen;
        for (name, address) in [("client", client), ("peer", peer), ("admin", admin)] {
            if address.port() == 0 {
                return wrong(format!("listen.{name} needs a port: others must be able to find it"));
            }
        }
        if !peer.ip().is_loopback() && self.cluster.secret.is_none() {
            return wrong(format!(
                "listen.peer is {peer}, which others can reach: set cluster.secret to the same random string on every node \
                 (for example from `openssl rand -hex 32`)"
            ));
        }
        self.auth.validate(client, self.cluster.secret.as_deref())?;
        for (name, address, advertised) in
            [("client", client, &self.advertise.client), ("peer", peer, &self.advertise.peer)]
        {
            if address.ip().is_unspecified() && advertised.is_none() {
                return wrong(format!(
                    "listen.{name} is {address}, an address that others cannot use: set advertise.{name} to one that they can"
                ));
            }
        }
        self.gateway.validate().map_err(|error| ConfigError(format!("gateway.{error}")))?;
        let node = self.node()?;
        node.validate().map_err(|error| ConfigError(error.to_string()))?;
        Ok(node)
    }

    /// What clients are asked for. Reads the keys.
    pub(crate) fn access(&self) -> Result<Access, ConfigError> {
        self.auth.load(self.cluster.secret.as_deref())
    }

    fn tuning(&self) -> Tuning {
        let Self { placement, failover, raft, disk, .. } = self;
        Tuning {
            meta: Timing {
                heartbeat: raft.meta_heartbeat,
                election_min: raft.meta_election_min,
                election_max: raft.meta_election_max,
            },
            shard: Timing {
                heartbeat: raft.shard_heartbeat,
                election_min: raft.shard_election_min,
                election_max: raft.shard_election_max,
            },
            ping_interval: failover.ping_interval,
            ping_silence_max: failover.suspect_after,
            quorum_age_max: failover.quorum_age_max,
            disk_stall_max: disk.stall_max,
            disk_reserve: disk.reserve.0,
            disk_ballast: disk.ballast.0,
            replace_after: placement.replace_after,
            moves_per_node: placement.moves_per_node,
            moves_max: placement.moves_max,
            move_interval: placement.move_interval,
            restore_after: placement.restore_after,
            restore_interval: placement.restore_interval,
            load_age_max: placement.load_age_max,
            ..Tuning::default()
        }
    }

    fn node(&self) -> Result<NodeConfig, ConfigError> {
        let Cluster { shards, replicas, initial_nodes, .. } = self.cluster;
        let shards =
            ShardCount::try_from(shards).map_err(|why| ConfigError(format!("cluster.shards: {why}")))?;
        let start = match (self.cluster.bootstrap, self.cluster.join.is_empty()) {
            (true, _) => Start::Bootstrap { shards, replicas, initial_nodes },
            (false, false) => Start::Join { seeds: self.cluster.join.clone() },
            (false, true) => Start::Existing,
        };
        let Listen { client, peer, admin } = self.listen;
        Ok(NodeConfig {
            data_dir: self.data_dir.clone(),
            advertise: Advertise {
                peer: self.advertise.peer.clone().unwrap_or_else(|| peer.to_string()),
                client_url: self.advertise.client.clone().unwrap_or_else(|| format!("http://{client}")),
                admin: self
                    .advertise
                    .admin
                    .clone()
                    .or_else(|| (!admin.ip().is_unspecified()).then(|| admin.to_string())),
            },
            zone: self.zone.clone(),
            weight: self.weight,
            secret: self.cluster.secret.clone(),
            start,
            tuning: self.tuning(),
        })
    }
}
