//! Every key of the configuration, once: what `config default` prints and what the environment may set.

use std::fmt::Write as _;

use toml::Value;

use super::Config;

/// One key.
pub(super) struct Key {
    /// Where it stands, `section.key`.
    pub(super) path: &'static str,
    /// What it means, one line.
    about: &'static str,
    /// How the text of an environment variable becomes its value.
    pub(super) kind: Kind,
}

/// How the text of an environment variable becomes a value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// As it is.
    Text,
    /// A whole number.
    Number,
    /// `true` or `false`.
    Switch,
    /// Parts between commas.
    List,
}

const fn key(path: &'static str, kind: Kind, about: &'static str) -> Key {
    Key { path, about, kind }
}

/// All keys, in the order of the file.
pub(super) const KEYS: &[Key] = &[
    key("data_dir", Kind::Text, "Where this node keeps everything. Bound to one node of one cluster."),
    key(
        "zone",
        Kind::Text,
        "What this node fails together with: copies of a shard are kept in different zones.",
    ),
    key("weight", Kind::Number, "Share of the load relative to other nodes, 0 to 100."),
    key("listen.client", Kind::Text, "Clients: HTTP and WebSocket."),
    key("listen.peer", Kind::Text, "Other nodes. Off loopback it needs cluster.secret."),
    key(
        "listen.admin",
        Kind::Text,
        "Operators and their monitoring. Has no authentication: keep it on loopback.",
    ),
    key(
        "advertise.client",
        Kind::Text,
        "URL that clients are redirected to, http://host:port; unset: listen.client.",
    ),
    key("advertise.peer", Kind::Text, "host:port that other nodes connect to; unset: listen.peer."),
    key(
        "advertise.admin",
        Kind::Text,
        "host:port that the cluster map names for operators; unset: listen.admin.",
    ),
    key(
        "auth.keys",
        Kind::List,
        "Keys of tokens, each \"ID ALGORITHM SOURCE\": main EdDSA file:/etc/roomkeeper/token.pub, or env:VARIABLE; EdDSA, \
         RS256 or HS256. Without any, clients are taken at their word, on loopback only.",
    ),
    key(
        "auth.required",
        Kind::Switch,
        "With keys: whether clients without a token are refused. Off loopback they are.",
    ),
    key("auth.issuer", Kind::Text, "What tokens name as their issuer (iss); unset: any."),
    key(
        "auth.audience",
        Kind::Text,
        "What tokens name as their audience (aud); unset: tokens for an audience are refused.",
    ),
    key("auth.timeout", Kind::Text, "A socket whose client has not said who it is for so long is closed."),
    key(
        "cluster.bootstrap",
        Kind::Switch,
        "Found a new cluster, once: a data directory that has an identity restarts as that node.",
    ),
    key("cluster.join", Kind::List, "Join the cluster of any of these peer addresses, host:port."),
    key(
        "cluster.secret",
        Kind::Text,
        "The same on every node; asked for on the peer port, and what nodes vouch for clients with.",
    ),
    key(
        "cluster.initial_nodes",
        Kind::Number,
        "With bootstrap: rooms are served as soon as so many nodes are there.",
    ),
    key("cluster.shards", Kind::Number, "With bootstrap: number of shards, for ever, 1 to 4096."),
    key("cluster.replicas", Kind::Number, "With bootstrap: copies of every shard, odd."),
    key(
        "placement.replace_after",
        Kind::Text,
        "A node that was silent for so long is replaced: other nodes get its replicas, where there are enough.",
    ),
    key("placement.moves_per_node", Kind::Number, "Shards that move to or from a node at the same time."),
    key("placement.moves_max", Kind::Number, "Shards that move in the whole cluster at the same time."),
    key("placement.move_interval", Kind::Text, "Moves begin at least so far apart."),
    key(
        "placement.restore_after",
        Kind::Text,
        "A shard goes back to the node that should own it when that one has been well for so long.",
    ),
    key("placement.restore_interval", Kind::Text, "A node gives shards back at least so far apart."),
    key(
        "placement.load_age_max",
        Kind::Text,
        "With figures of a node's load older than this, new least_loaded rooms go to all nodes in turn.",
    ),
    key("failover.ping_interval", Kind::Text, "Nodes ping each other so often."),
    key(
        "failover.suspect_after",
        Kind::Text,
        "A node that says nothing for so long is suspected: a majority gives what it owns to others.",
    ),
    key(
        "failover.quorum_age_max",
        Kind::Text,
        "An owner that hears no majority of a shard's replicas for so long lets the shard go.",
    ),
    key("raft.shard_heartbeat", Kind::Text, "A shard's owner is heard so often by its replicas."),
    key(
        "raft.shard_election_min",
        Kind::Text,
        "Where pings do not replace an owner, replicas that hear none for shard_election_max and, by chance,",
    ),
    key(
        "raft.shard_election_max",
        Kind::Text,
        "shard_election_min to shard_election_max more elect another one. The same on every node.",
    ),
    key("raft.meta_heartbeat", Kind::Text, "The same three for the group that keeps nodes and placement."),
    key("raft.meta_election_min", Kind::Text, "See raft.shard_election_min."),
    key("raft.meta_election_max", Kind::Text, "See raft.shard_election_min."),
    key(
        "disk.reserve",
        Kind::Text,
        "Below so many free bytes, or one hundredth of the disk if that is more, writes are refused.",
    ),
    key(
        "disk.ballast",
        Kind::Text,
        "A file that is given up when the disk is full all at once; at most an eighth of the disk. 0: none.",
    ),
    key(
        "disk.stall_max",
        Kind::Text,
        "A node whose disk does not answer for so long owns nothing until it does.",
    ),
    key(
        "gateway.auto_create",
        Kind::Switch,
        "Whether joining or publishing to a room that does not exist creates it.",
    ),
    key(
        "gateway.command_timeout",
        Kind::Text,
        "A command without an answer for so long is answered `timeout`.",
    ),
    key(
        "gateway.hold",
        Kind::Text,
        "How long a request waits for the owner of a room while one is being elected.",
    ),
    key("gateway.ping_interval", Kind::Text, "A socket that was silent for so long is pinged."),
    key(
        "gateway.presence_settling",
        Kind::Text,
        "How long a room's members may take to come back to its new owner before they count as gone.",
    ),
    key("gateway.write_stall", Kind::Text, "A socket that takes nothing for so long is closed."),
    key("gateway.head_timeout", Kind::Text, "How long a client may take to send a request's head."),
    key(
        "gateway.drain_timeout",
        Kind::Text,
        "How long a stopping node takes at most to hand its rooms over, then to end its connections.",
    ),
    key("gateway.max_connections", Kind::Number, "Connections served at once; further ones wait."),
    key(
        "gateway.max_connections_per_user",
        Kind::Number,
        "Sockets that one user may have on this node, 0: any number. Those who do not say who they are are not counted.",
    ),
    key("gateway.max_rooms_per_socket", Kind::Number, "Rooms that one session socket may use at once."),
    key("gateway.room_defaults.retain", Kind::Text, "Messages older than this are trimmed; unset: none."),
    key(
        "gateway.room_defaults.retain_messages",
        Kind::Number,
        "Messages beyond this many are trimmed, the oldest first; unset: none.",
    ),
    key(
        "gateway.room_defaults.retain_bytes",
        Kind::Number,
        "Bytes of data beyond this many are trimmed, the oldest messages first; unset: none.",
    ),
    key(
        "gateway.room_defaults.presence",
        Kind::Switch,
        "Whether members are counted and told of each other.",
    ),
    key(
        "gateway.room_defaults.max_members",
        Kind::Number,
        "Members beyond this many are refused; unset: none.",
    ),
    key("gateway.limits.max_frame", Kind::Number, "Bytes of a frame or of an HTTP body."),
    key("gateway.limits.max_message", Kind::Number, "Bytes of one message's data."),
    key("gateway.limits.max_batch", Kind::Number, "Messages of one publish."),
    key(
        "gateway.rates.commands_per_connection",
        Kind::Number,
        "Commands a second over one socket, or plain requests over one connection. 0, here and below: any number.",
    ),
    key("gateway.rates.bytes_per_connection", Kind::Number, "Bytes a second of the frames of one socket."),
    key(
        "gateway.rates.messages_per_connection",
        Kind::Number,
        "Messages a second published over one socket.",
    ),
    key(
        "gateway.rates.messages_per_user",
        Kind::Number,
        "Messages a second published by one user through this node.",
    ),
    key(
        "gateway.rates.messages_per_room",
        Kind::Number,
        "Messages a second published to one room, kept by the node that owns it: the same on every node.",
    ),
    key("log.filter", Kind::Text, "What is logged: level, or target=level, comma-separated."),
    key("log.format", Kind::Text, "\"text\" or \"json\"."),
];

impl Key {
    /// The environment variable that sets it.
    pub(super) fn variable(&self) -> String {
        format!("ROOMKEEPER_{}", self.path.replace('.', "_").to_uppercase())
    }
}

/// A file with every key at its default, explained. Keys without a default are commented out.
pub(crate) fn default_file() -> String {
    let defaults = Value::try_from(Config::default()).unwrap_or(Value::Boolean(false));
    let mut out = String::from(
        "# Configuration of a Roomkeeper node, every key at its default. Each can also be set by an environment\n\
         # variable, ROOMKEEPER_ and its path in capitals: ROOMKEEPER_LISTEN_CLIENT=0.0.0.0:7700\n",
    );
    let mut section = "";
    for key in KEYS {
        let (parent, name) = key.path.rsplit_once('.').unwrap_or(("", key.path));
        if parent != section {
            section = parent;
            let _ = write!(out, "\n[{section}]\n");
        }
        let value = key.path.split('.').try_fold(&defaults, |value, part| value.get(part));
        let _ = writeln!(out, "# {}", key.about);
        let _ = match value {
            Some(value) => writeln!(out, "{name} = {value}"),
            None => writeln!(out, "# {name} ="),
        };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_file_read_back_is_the_default() {
        let config: Config = toml::from_str(&default_file()).unwrap();
        assert_eq!(config, Config::default());
    }

    /// A key that is missing here could not be set by the environment and would not be explained.
    #[test]
    fn every_key_of_the_config_is_listed() {
        fn leaves(prefix: &str, value: &Value, out: &mut Vec<String>) {
            match value {
                Value::Table(table) => table.iter().for_each(|(name, value)| {
                    let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
                    leaves(&path, value, out);
                }),
                _ => out.push(prefix.to_owned()),
            }
        }
        let mut full = Config { zone: Some(String::new()), ..Config::default() };
        full.advertise.client = Some(String::new());
        full.advertise.peer = Some(String::new());
        full.advertise.admin = Some(String::new());
        full.cluster.secret = Some(String::new());
        full.auth.issuer = Some(String::new());
        full.auth.audience = Some(String::new());
        let defaults = &mut full.gateway.room_defaults;
        defaults.retain = Some(std::time::Duration::from_secs(1));
        (defaults.retain_messages, defaults.retain_bytes) = (Some(1), Some(1));
        defaults.max_members = Some(1);
        let mut paths = Vec::new();
        leaves("", &Value::try_from(full).unwrap(), &mut paths);
        let mut listed: Vec<_> = KEYS.iter().map(|key| key.path.to_owned()).collect();
        paths.sort();
        listed.sort();
        assert_eq!(paths, listed);
    }
}
