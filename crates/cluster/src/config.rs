//! What a node is started with. Plain values: files, environment and flags are the binary's business.

use std::path::PathBuf;
use std::time::Duration;

use roomkeeper_consensus::Timing;
use roomkeeper_types::ShardCount;

use crate::pings::Rhythm;

/// What a node is started with.
#[derive(Debug, Clone)]
pub struct NodeConfig {
    /// Where the node keeps everything. Created if it does not exist. Bound to one node of one cluster.
    pub data_dir: PathBuf,
    /// How others reach this node.
    pub advertise: Advertise,
    /// What this node fails together with (a rack, a room): copies of a shard are kept in different zones.
    pub zone: Option<String>,
    /// Share of the load relative to other nodes, 0 to 100; 0: no shards.
    pub weight: u32,
    /// Shared by all nodes of the cluster and asked for on the peer port. Without one the peer port must be
    /// on loopback.
    pub secret: Option<String>,
    /// What to do in a directory that belongs to no node yet.
    pub start: Start,
    /// Timers and bounds; the defaults suit a local network.
    pub tuning: Tuning,
}

/// How others reach a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advertise {
    /// Peer address, `host:port`.
    pub peer: String,
    /// What clients reach it by: `http://host:port`, no trailing slash.
    pub client_url: String,
    /// Admin address, `host:port`, if operators may know it.
    pub admin: Option<String>,
}

/// What to do in a directory that belongs to no node yet. One that has an identity restarts as that node
/// whatever this says, so that a service can always be started with the same command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// Refuse: this node was expected to have data.
    Existing,
    /// Found a new cluster with this as its first node.
    Bootstrap {
        /// Number of shards, for ever.
        shards: ShardCount,
        /// Copies of each shard: odd, 1 to 7. Fewer while there are fewer nodes.
        replicas: u32,
        /// Shards are placed as soon as this many nodes have joined, at least 1.
        initial_nodes: u32,
    },
    /// Join the cluster that any of these peer addresses (`host:port`) is in.
    Join {
        /// At least one; this node's own may be among them.
        seeds: Vec<String>,
    },
}

/// Timers and bounds of a node.
#[derive(Debug, Clone)]
pub struct Tuning {
    /// Timers of the meta group.
    pub meta: Timing,
    /// Timers of the shards' groups.
    pub shard: Timing,
    /// Nodes ping each other so often.
    pub ping_interval: Duration,
    /// A node that was not heard for so long is suspected to be dead.
    pub ping_silence_max: Duration,
    /// A node whose disk has not answered for so long calls itself unfit to own anything.
    pub disk_stall_max: Duration,
    /// Below so many free bytes, or one hundredth of the disk if that is more, new writes are refused.
    pub disk_reserve: u64,
    /// Bytes of a file that is given up when the disk is full all at once, at most an eighth of the disk. As much as
    /// the log's database may have to flush, and as much again. 0: none.
    pub disk_ballast: u64,
    /// An owner that heard no quorum for this long is none.
    pub quorum_age_max: Duration,
    /// A batch without an answer for this long ends unknown.
    pub answer_timeout: Duration,
    /// How long to look for a node that lets this one join, and for the founding of a cluster.
    pub join_timeout: Duration,
    /// Every other node is sent what this one knows of owners about once in this time.
    pub gossip_interval: Duration,
    /// What a node said of its load is good for so long.
    pub load_age_max: Duration,
    /// A node that was silent for so long is replaced: other nodes get its replicas, where there are enough.
    pub replace_after: Duration,
    /// Shards that are moving to or from a node at the same time.
    pub moves_per_node: usize,
    /// Shards that are moving in the whole cluster at the same time.
    pub moves_max: usize,
    /// Moves begin at least so far apart.
    pub move_interval: Duration,
    /// A shard goes back to its preferred node when that one has been well for so long.
    pub restore_after: Duration,
    /// An owner gives shards back at least so far apart.
    pub restore_interval: Duration,
    /// Commands that wait at a shard's owner; beyond that, submitters wait.
    pub queue_commands_max: usize,
    /// Bytes of the commands that wait at a shard's owner.
    pub queue_bytes_max: u32,
    /// Bytes of an entry, unless a single command is larger.
    pub entry_bytes_max: usize,
}

impl Default for Tuning {
    fn default() -> Self {
        let timing = |heartbeat, election_min, election_max| Timing {
            heartbeat: Duration::from_millis(heartbeat),
            election_min: Duration::from_millis(election_min),
            election_max: Duration::from_millis(election_max),
        };
        Self {
            meta: timing(100, 300, 600),
            // The safety net below fail-over by pings; slow, so that many idle groups are cheap.
            shard: timing(250, 1_000, 2_000),
            ping_interval: Duration::from_millis(100),
            ping_silence_max: Duration::from_millis(500),
            disk_stall_max: Duration::from_secs(2),
            disk_reserve: 64 << 20,
            disk_ballast: 128 << 20,
            quorum_age_max: Duration::from_millis(1_500),
            answer_timeout: Duration::from_secs(5),
            join_timeout: Duration::from_secs(60),
            gossip_interval: Duration::from_secs(1),
            load_age_max: Duration::from_secs(5),
            replace_after: Duration::from_secs(300),
            moves_per_node: 2,
            moves_max: 4,
            move_interval: Duration::from_millis(50),
            restore_after: Duration::from_secs(5),
            restore_interval: Duration::from_millis(500),
            queue_commands_max: 4_096,
            queue_bytes_max: 8 << 20,
            entry_bytes_max: 1 << 20,
        }
    }
}

/// A setting that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Not `host:port`.
    #[error("{what} is '{address}', but must read host:port with a port from 1 to 65535")]
    Address {
        /// Which address.
        what: &'static str,
        /// What it is.
        address: String,
    },
    /// Not a URL that clients can use.
    #[error("the client URL is '{0}', but must read http://host:port or https://host:port, without a path")]
    ClientUrl(String),
    /// A number out of its range.
    #[error("{what} is {value}, but must be {expected}")]
    Number {
        /// Which setting.
        what: &'static str,
        /// What it is.
        value: u64,
        /// What it may be.
        expected: &'static str,
    },
    /// A time out of its range.
    #[error("{what} is {value} ms, but must be {expected}")]
    Millis {
        /// Which setting.
        what: &'static str,
        /// What it is.
        value: u64,
        /// What it may be.
        expected: &'static str,
    },
    /// An empty zone or secret, or no seeds.
    #[error("{0} must not be empty")]
    Empty(&'static str),
    /// Timers that would elect leaders without need.
    #[error(
        "{0}: the heartbeat must be at most half of election_min, and that below election_max, at most 60 s"
    )]
    Timing(&'static str),
}

impl NodeConfig {
    /// Checks everything that can be checked without opening a file or a port.
    ///
    /// # Errors
    /// The first setting that makes no sense.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.advertise.validate()?;
        not_empty("the zone", self.zone.as_deref())?;
        not_empty("the secret", self.secret.as_deref())?;
        number("the weight", self.weight, self.weight <= 100, "0 to 100")?;
        self.start.validate()?;
        self.tuning.validate()
    }
}

impl Advertise {
    fn validate(&self) -> Result<(), ConfigError> {
        address("the advertised peer address", &self.peer)?;
        if let Some(admin) = &self.admin {
            address("the advertised admin address", admin)?;
        }
        let host = ["http://", "https://"].iter().find_map(|scheme| self.client_url.strip_prefix(scheme));
        match host {
            Some(host) if !host.is_empty() && !host.contains(['/', '?', '#', ' ']) => Ok(()),
            _ => Err(ConfigError::ClientUrl(self.client_url.clone())),
        }
    }
}

impl Start {
    fn validate(&self) -> Result<(), ConfigError> {
        match self {
            Self::Existing => Ok(()),
            Self::Bootstrap { replicas, initial_nodes, .. } => {
                let odd = replicas % 2 == 1 && *replicas <= 7;
                number("the number of replicas", *replicas, odd, "1, 3, 5 or 7")?;
                let in_range = (1..=1_000).contains(initial_nodes);
                number("the number of initial nodes", *initial_nodes, in_range, "1 to 1000")
            }
            Self::Join { seeds } if seeds.is_empty() => Err(ConfigError::Empty("the list of seeds")),
            Self::Join { seeds } => seeds.iter().try_for_each(|seed| address("a seed", seed)),
        }
    }
}

impl Tuning {
    pub(crate) fn rhythm(&self) -> Rhythm {
        Rhythm { interval: self.ping_interval, silence_max: self.ping_silence_max }
    }

    fn validate(&self) -> Result<(), ConfigError> {
        timing("raft.meta_*", self.meta)?;
        timing("raft.shard_*", self.shard)?;
        let (ms, s) = (Duration::from_millis, Duration::from_secs);
        let age = self.quorum_age_max;
        let twice = (self.shard.heartbeat * 2..=s(60)).contains(&age);
        duration("failover.quorum_age_max", age, twice, "two raft.shard_heartbeat or more, up to 60000")?;
        let interval = self.ping_interval;
        duration("failover.ping_interval", interval, (ms(10)..=s(10)).contains(&interval), "10 to 10000")?;
        let silence = self.ping_silence_max;
        let rare = (interval * 3..=s(60)).contains(&silence);
        duration(
            "failover.suspect_after",
            silence,
            rare,
            "three failover.ping_interval or more, up to 60000",
        )?;
        let stall = self.disk_stall_max;
        duration("disk.stall_max", stall, (ms(100)..=s(60)).contains(&stall), "100 to 60000")?;
        let replace = self.replace_after;
        duration("placement.replace_after", replace, replace >= s(5), "5000 or more: a restart is no loss")?;
        let age = self.load_age_max;
        duration("placement.load_age_max", age, (ms(10)..=s(3_600)).contains(&age), "10 to 3600000")?;
        let moves =
            [("placement.moves_per_node", self.moves_per_node), ("placement.moves_max", self.moves_max)];
        for (what, moves) in moves {
            number(what, moves as u64, (1..=1_000).contains(&moves), "1 to 1000")?;
        }
        let commands = self.queue_commands_max as u64;
        number("queue_commands_max", commands, self.queue_commands_max >= 1, "1 or more")?;
        let bytes = self.queue_bytes_max;
        number(
            "queue_bytes_max",
            bytes,
            u64::from(bytes) >= self.entry_bytes_max as u64,
            "an entry or more",
        )?;
        let entry = self.entry_bytes_max;
        number("entry_bytes_max", entry as u64, (4_096..=4 << 20).contains(&entry), "4 KiB to 4 MiB")
    }
}

fn number(
    what: &'static str,
    value: impl Into<u64>,
    ok: bool,
    expected: &'static str,
) -> Result<(), ConfigError> {
    if ok { Ok(()) } else { Err(ConfigError::Number { what, value: value.into(), expected }) }
}

/// Told in milliseconds.
fn duration(
    what: &'static str,
    value: Duration,
    ok: bool,
    expected: &'static str,
) -> Result<(), ConfigError> {
    let millis = u64::try_from(value.as_millis()).unwrap_or(u64::MAX);
    if ok { Ok(()) } else { Err(ConfigError::Millis { what, value: millis, expected }) }
}

fn not_empty(what: &'static str, text: Option<&str>) -> Result<(), ConfigError> {
    if text == Some("") { Err(ConfigError::Empty(what)) } else { Ok(()) }
}

fn address(what: &'static str, address: &str) -> Result<(), ConfigError> {
    let port = address.rsplit_once(':').filter(|(host, _)| !host.is_empty()).map(|(_, port)| port.parse());
    match port {
        Some(Ok(1..=u16::MAX)) => Ok(()),
        _ => Err(ConfigError::Address { what, address: address.to_owned() }),
    }
}

fn timing(what: &'static str, timing: Timing) -> Result<(), ConfigError> {
    let ok = !timing.heartbeat.is_zero()
        && timing.heartbeat * 2 <= timing.election_min
        && timing.election_min < timing.election_max
        && timing.election_max <= Duration::from_secs(60);
    if ok { Ok(()) } else { Err(ConfigError::Timing(what)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> NodeConfig {
        NodeConfig {
            data_dir: "data".into(),
            advertise: Advertise {
                peer: "127.0.0.1:7701".into(),
                client_url: "http://127.0.0.1:7700".into(),
                admin: None,
            },
            zone: None,
            weight: 1,
            secret: None,
            start: Start::Bootstrap { shards: ShardCount::DEFAULT, replicas: 3, initial_nodes: 3 },
            tuning: Tuning::default(),
        }
    }

    #[test]
    fn config_with_defaults_is_valid() {
        assert_eq!(config().validate(), Ok(()));
    }

    #[test]
    fn addresses_without_host_or_port_are_refused() {
        for peer in ["", "host", ":7701", "host:", "host:0", "host:70000", "host:x"] {
            let mut config = config();
            config.advertise.peer = peer.into();
            assert!(matches!(config.validate(), Err(ConfigError::Address { .. })), "{peer}");
        }
    }

    #[test]
    fn client_url_that_is_not_a_plain_origin_is_refused() {
        for url in ["", "host:7700", "http://", "http://host:7700/", "ws://host:7700", "http://host/x?y"] {
            let mut config = config();
            config.advertise.client_url = url.into();
            assert_eq!(config.validate(), Err(ConfigError::ClientUrl(url.into())), "{url}");
        }
    }

    #[test]
    fn start_out_of_range_is_refused() {
        let shards = ShardCount::DEFAULT;
        for (replicas, initial_nodes) in [(0, 1), (2, 1), (9, 1), (3, 0)] {
            let mut config = config();
            config.start = Start::Bootstrap { shards, replicas, initial_nodes };
            assert!(matches!(config.validate(), Err(ConfigError::Number { .. })));
        }
        let mut config = config();
        config.start = Start::Join { seeds: vec![] };
        assert_eq!(config.validate(), Err(ConfigError::Empty("the list of seeds")));
    }

    #[test]
    fn heartbeat_close_to_the_election_timeout_is_refused() {
        let mut config = config();
        config.tuning.shard.heartbeat = Duration::from_millis(501);
        assert_eq!(config.validate(), Err(ConfigError::Timing("raft.shard_*")));
    }

    #[test]
    fn times_out_of_their_range_are_refused_by_the_name_of_their_setting() {
        type Change = fn(&mut Tuning);
        let changes: [(&str, Change); 7] = [
            ("failover.ping_interval", |tuning| tuning.ping_interval = Duration::from_millis(1)),
            ("failover.suspect_after", |tuning| tuning.ping_silence_max = Duration::from_millis(299)),
            ("failover.suspect_after", |tuning| tuning.ping_silence_max = Duration::from_secs(61)),
            ("failover.quorum_age_max", |tuning| tuning.quorum_age_max = Duration::from_millis(499)),
            ("disk.stall_max", |tuning| tuning.disk_stall_max = Duration::ZERO),
            ("placement.replace_after", |tuning| tuning.replace_after = Duration::from_secs(4)),
            ("placement.load_age_max", |tuning| tuning.load_age_max = Duration::from_millis(9)),
        ];
        for (name, change) in changes {
            let mut config = config();
            change(&mut config.tuning);
            let error = config.validate().unwrap_err().to_string();
            assert!(error.contains(name) && error.contains(" ms, but must be "), "{error}");
        }
    }
}
