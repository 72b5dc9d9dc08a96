//! What the gateway counts. Every metric's name, unit and meaning, and every label's values, stand in this file
//! (those of `command` and `code` are the protocol's).
//!
//! A counter is an atomic at a place that is known when the program is built: no lock and no look-up by label on a
//! message's way. Rooms and users are never labels: there may be millions of them.

mod histogram;
mod table;

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use roomkeeper_protocol::{CloseCode, Error, ErrorCode, PublishOk};

pub(crate) use histogram::Histogram;
use table::label;
pub(crate) use table::{Answers, Asked, Outcome, Table};

/// Upper bounds of the time that a publish takes.
static PUBLISH_BOUNDS: [Duration; 14] = [
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_micros(2_500),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_millis(2_500),
    Duration::from_secs(5),
    Duration::from_secs(10),
];

label! {
    /// What a connection is.
    ConnectionKind, "kind" {
        /// No socket, or not yet.
        Http = "http",
        /// A client's room socket that is served here.
        Room = "room",
        /// A client's session socket.
        Session = "session",
        /// A client's room socket that is relayed to the room's owner.
        Proxied = "proxied",
        /// A socket of another node, for its clients.
        Relay = "relay",
    }
}

label! {
    /// How a client was sent to a room's owner.
    RedirectKind, "kind" {
        /// By a `307`.
        Http = "http",
        /// By a `redirect` push.
        Frame = "frame",
    }
}

label! {
    /// What was relayed to another node.
    RelayKind, "kind" {
        /// A plain HTTP request.
        Http = "http",
        /// A room socket.
        Room = "room",
        /// A session socket's way to one owner.
        Session = "session",
    }
}

label! {
    /// How a client's socket ended.
    Closed, "code" {
        Moved = "4300",
        Draining = "4301",
        SessionEnded = "4302",
        Unauthorized = "4500",
        Forbidden = "4501",
        ProtocolError = "4502",
        TooLarge = "4503",
        TooManySockets = "4504",
        /// The client closed it or was gone.
        Gone = "gone",
        /// The client took nothing for `write_stall`.
        Stalled = "stalled",
        /// The client answered no ping.
        Silent = "silent",
    }
}

impl From<CloseCode> for Closed {
    fn from(code: CloseCode) -> Self {
        match code {
            CloseCode::Moved => Self::Moved,
            CloseCode::Draining => Self::Draining,
            CloseCode::SessionEnded => Self::SessionEnded,
            CloseCode::Unauthorized => Self::Unauthorized,
            CloseCode::Forbidden => Self::Forbidden,
            CloseCode::ProtocolError => Self::ProtocolError,
            CloseCode::TooLarge => Self::TooLarge,
            CloseCode::TooManySockets => Self::TooManySockets,
        }
    }
}

label! {
    /// A limit that a client came up against.
    Limit, "limit" {
        /// `rates.commands_per_connection`.
        ConnectionCommands = "connection_commands",
        /// `rates.bytes_per_connection`.
        ConnectionBytes = "connection_bytes",
        /// `rates.messages_per_connection`.
        ConnectionMessages = "connection_messages",
        /// `rates.messages_per_user`.
        UserMessages = "user_messages",
        /// `max_connections_per_user`.
        UserConnections = "user_connections",
        /// `rates.messages_per_room`.
        RoomMessages = "room_messages",
        /// `max_connections`: the client waited to be accepted.
        Connections = "connections",
        /// `max_rooms_per_socket`.
        SocketRooms = "socket_rooms",
        /// `head_timeout`: the connection was closed.
        HeadTime = "head_time",
        /// A client that was asked for a token had none in time: its socket was closed.
        TokenTime = "token_time",
        /// `limits.max_frame`, of a frame or a body.
        FrameBytes = "frame_bytes",
        /// `limits.max_message`.
        MessageBytes = "message_bytes",
        /// `limits.max_batch`.
        BatchMessages = "batch_messages",
    }
}

/// How often each limit was met.
pub(crate) type Limited = Table<Limit, Counter>;

impl Limit {
    /// The limit of a size that an error tells of; the errors of `roomkeeper_protocol::validate` begin with the field.
    pub(crate) fn of_size(error: &Error) -> Option<Self> {
        match &error.message {
            _ if error.code != ErrorCode::TooLarge => None,
            text if text.starts_with("messages: ") => Some(Self::BatchMessages),
            text if text.contains("data: ") => Some(Self::MessageBytes),
            _ => Some(Self::FrameBytes),
        }
    }
}

/// What the gateway counts, from its start.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    connections: Table<ConnectionKind, Gauge>,
    pub(crate) connections_max: Gauge,
    answers: Answers,
    pub(crate) publish_duration: Histogram,
    messages_published: Counter,
    pub(crate) messages_delivered: Counter,
    pub(crate) bytes_received: Counter,
    pub(crate) bytes_sent: Counter,
    redirects: Table<RedirectKind, Counter>,
    relays: Table<RelayKind, Counter>,
    /// Pages of the log for subscribers that the feed does not reach back to.
    pub(crate) log_pages: Counter,
    closed: Table<Closed, Counter>,
    pub(crate) limited: Limited,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            connections: Table::default(),
            connections_max: Gauge::default(),
            answers: Answers::default(),
            publish_duration: Histogram::new(&PUBLISH_BOUNDS),
            messages_published: Counter::default(),
            messages_delivered: Counter::default(),
            bytes_received: Counter::default(),
            bytes_sent: Counter::default(),
            redirects: Table::default(),
            relays: Table::default(),
            log_pages: Counter::default(),
            closed: Table::default(),
            limited: Limited::default(),
        }
    }
}

impl Metrics {
    /// Shows them in a registry.
    pub(crate) fn register(&self, fan_out: &FanOut, registry: &mut Registry) {
        let of = registry.sub_registry_with_prefix("roomkeeper_gateway");
        let help = "Open connections of the client listener, by what they are";
        of.register("connections", help, self.connections.clone());
        of.register("connections_max", "Connections that are served at once", self.connections_max.clone());
        let help =
            "Commands and requests answered, by the answer's code; what is relayed counts on both nodes";
        of.register("commands", help, self.answers.clone());
        let help = "Time from taking a publish on to its answer";
        of.register_with_unit("publish_duration", help, Unit::Seconds, self.publish_duration.clone());
        let help = "Messages stored or held for clients of rooms owned here, without those known before";
        of.register("messages_published", help, self.messages_published.clone());
        let help = "Messages handed to sockets, those of other nodes' relays included";
        of.register("messages_delivered", help, self.messages_delivered.clone());
        let help = "Payload of the frames that sockets brought";
        of.register_with_unit("sockets_received", help, Unit::Bytes, self.bytes_received.clone());
        let help = "Payload of the frames written to sockets";
        of.register_with_unit("sockets_sent", help, Unit::Bytes, self.bytes_sent.clone());
        of.register("redirects", "Clients sent to a room's owner", self.redirects.clone());
        of.register("relays", "Requests and sockets relayed to a room's owner", self.relays.clone());
        let help = "Pages read from the log for subscribers that are behind what is kept in memory";
        of.register("log_pages", help, self.log_pages.clone());
        let help = "Sockets that ended, by the close code, or how they ended without one";
        of.register("sockets_closed", help, self.closed.clone());
        of.register("limited", "Times that a client came up against a limit", self.limited.clone());
        of.register("feeds", "Rooms with subscribers on this node", fan_out.feeds.clone());
        of.register("subscriptions", "Subscriptions of all sockets", fan_out.subscriptions.clone());
    }

    /// Counts an open connection until the guard is dropped.
    pub(crate) fn open(&self, kind: ConnectionKind) -> OpenConnection {
        let gauge = self.connections.of(kind).clone();
        gauge.inc();
        OpenConnection(gauge)
    }

    /// Something was answered, or refused.
    pub(crate) fn answered(&self, asked: Asked, refusal: Option<&Error>) {
        self.answered_as(asked, refusal.map_or(Outcome::Ok, |error| Outcome::Refused(error.code)));
        if let Some(limit) = refusal.and_then(Limit::of_size) {
            self.limited(limit);
        }
    }

    /// The same of what may have been sent elsewhere.
    pub(crate) fn answered_as(&self, asked: Asked, outcome: Outcome) {
        self.answers.count(asked, outcome);
    }

    pub(crate) fn limited(&self, limit: Limit) {
        self.limited.of(limit).inc();
    }

    /// A publish was answered by this node as the room's owner.
    pub(crate) fn published(&self, ok: &PublishOk) {
        let stored = ok.duplicates.iter().filter(|known| !**known).count();
        self.messages_published.inc_by(stored as u64);
    }

    pub(crate) fn redirected(&self, kind: RedirectKind) {
        self.redirects.of(kind).inc();
    }

    pub(crate) fn relayed(&self, kind: RelayKind) {
        self.relays.of(kind).inc();
    }

    pub(crate) fn closed(&self, ended: impl Into<Closed>) {
        self.closed.of(ended.into()).inc();
    }
}

/// What the hubs count together.
#[derive(Debug, Clone, Default)]
pub(crate) struct FanOut {
    pub(crate) feeds: Gauge,
    pub(crate) subscriptions: Gauge,
}

/// Counts a connection as open.
#[derive(Debug)]
pub(crate) struct OpenConnection(Gauge);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.dec();
    }
}
