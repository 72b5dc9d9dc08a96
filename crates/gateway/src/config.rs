//! Settings of the client edge.

use std::time::Duration;

use roomkeeper_protocol::Limits;

use serde::{Deserialize, Serialize};

use crate::defaults::RoomDefaults;

/// Settings of the client edge. Durations are written as `"250ms"`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GatewayConfig {
    /// Whether joining or publishing to a room that does not exist creates it.
    pub auto_create: bool,
    /// What is refused as too large.
    pub limits: Limits,
    /// A publish that names no `timeout_ms` is answered `timeout` after this long; so is every other command.
    #[serde(with = "humantime_serde")]
    pub command_timeout: Duration,
    /// How long a request for a shard without an owner is held before it is answered `503`.
    #[serde(with = "humantime_serde")]
    pub hold: Duration,
    /// A socket that was silent for so long is pinged, and closed if it stays silent for as long again. One whose client
    /// sends heartbeats is pinged when the next of these is overdue (7.25 s), where that is later, and has half of
    /// this time to answer.
    #[serde(with = "humantime_serde")]
    pub ping_interval: Duration,
    /// How long members that a room's former owner knew may take to come back to the next one, before they count
    /// as having left.
    #[serde(with = "humantime_serde")]
    pub presence_settling: Duration,
    /// A socket that takes nothing for so long while the server has something for it is closed. Not for slow
    /// clients, which go on from the log, but for dead ones.
    #[serde(with = "humantime_serde")]
    pub write_stall: Duration,
    /// How long a client may take to send a request's head.
    #[serde(with = "humantime_serde")]
    pub head_timeout: Duration,
    /// How long a stopping node takes at most to hand its rooms over and send its clients elsewhere; after that,
    /// how long it waits for its connections to end.
    #[serde(with = "humantime_serde")]
    pub drain_timeout: Duration,
    /// Connections served at once; further ones wait to be accepted.
    pub max_connections: usize,
    /// Sockets that one user may have on this node, 0: any number. Clients that do not say who they are are not
    /// counted.
    pub max_connections_per_user: u32,
    /// Rooms that one session socket may use at once.
    pub max_rooms_per_socket: usize,
    /// What a room is created with where its creator names no other option, or it creates itself.
    pub room_defaults: RoomDefaults,
    /// How much clients may ask for.
    pub rates: RateLimits,
}

/// How much clients may ask for in a second, 0: without a limit. A second's worth may come at once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RateLimits {
    /// Commands over one socket, or plain requests over one connection.
    pub commands_per_connection: u32,
    /// Bytes of a socket's frames.
    pub bytes_per_connection: u32,
    /// Messages published over one socket.
    pub messages_per_connection: u32,
    /// Messages published by one user through this node.
    pub messages_per_user: u32,
    /// Messages published to one room; kept by its owner.
    pub messages_per_room: u32,
}

impl Default for GatewayConfig {
    fn default() -> Self {
        Self {
            auto_create: true,
            limits: Limits::default(),
            command_timeout: Duration::from_secs(10),
            hold: Duration::from_secs(5),
            ping_interval: Duration::from_secs(4),
            presence_settling: Duration::from_secs(8),
            write_stall: Duration::from_secs(120),
            head_timeout: Duration::from_secs(10),
            drain_timeout: Duration::from_secs(10),
            max_connections: 65_536,
            max_connections_per_user: 0,
            max_rooms_per_socket: 10_000,
            room_defaults: RoomDefaults::default(),
            rates: RateLimits::default(),
        }
    }
}

/// Settings that the gateway cannot serve with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct ConfigError {
    /// The setting.
    pub field: &'static str,
    /// What is wrong with it and what is expected.
    pub problem: &'static str,
}

impl GatewayConfig {
    /// Checks the settings, before a port is opened.
    ///
    /// # Errors
    /// The first setting that makes no sense.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let wrong = |field, problem| Err(ConfigError { field, problem });
        let Limits { max_frame, max_message, max_batch } = self.limits;
        if !(1 << 10..=4 << 20).contains(&max_frame) {
            return wrong("limits.max_frame", "expected 1024 to 4194304 bytes");
        }
        if max_message == 0 || max_message > max_frame {
            return wrong("limits.max_message", "expected 1 byte to max_frame");
        }
        if !(1..=10_000).contains(&max_batch) {
            return wrong("limits.max_batch", "expected 1 to 10000 messages");
        }
        let times = [
            ("command_timeout", self.command_timeout),
            ("hold", self.hold),
            ("ping_interval", self.ping_interval),
            ("presence_settling", self.presence_settling),
            ("write_stall", self.write_stall),
            ("head_timeout", self.head_timeout),
            ("drain_timeout", self.drain_timeout),
        ];
        for (field, time) in times {
            if !(Duration::from_millis(10)..=Duration::from_secs(3600)).contains(&time) {
                return wrong(field, "expected 10ms to 1h");
            }
        }
        if self.max_connections == 0 {
            return wrong("max_connections", "expected 1 or more");
        }
        if self.max_rooms_per_socket == 0 {
            return wrong("max_rooms_per_socket", "expected 1 or more");
        }
        self.room_defaults.validate()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn config_default_is_valid() {
        assert_eq!(GatewayConfig::default().validate(), Ok(()));
    }

    #[test]
    fn config_with_a_setting_out_of_range_names_it() {
        type Break = fn(&mut GatewayConfig);
        let broken: [(&str, Break); 4] = [
            ("limits.max_frame", |c| c.limits.max_frame = 8 << 20),
            ("limits.max_message", |c| c.limits.max_message = 2 << 20),
            ("hold", |c| c.hold = Duration::ZERO),
            ("max_connections", |c| c.max_connections = 0),
        ];
        for (field, break_it) in broken {
            let mut config = GatewayConfig::default();
            break_it(&mut config);
            assert_eq!(config.validate().unwrap_err().field, field);
        }
    }
}
