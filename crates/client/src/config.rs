//! What a client is told before it starts.

use std::time::Duration;

use roomkeeper_protocol::Codec;
use roomkeeper_types::UserId;

use crate::TokenSource;

/// How a node that does not own the room should answer (`?route=` of the contract).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Route {
    /// With a `307` to the owner, which the client follows.
    #[default]
    Redirect,
    /// With one push that names the owner, as browsers need it.
    Frame,
    /// By relaying: the client needs to reach no other address.
    Proxy,
}

impl Route {
    /// The value of the query parameter.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Redirect => "redirect",
            Self::Frame => "frame",
            Self::Proxy => "proxy",
        }
    }
}

/// Settings of a [`Client`](crate::Client). [`ClientConfig::new`] has the defaults.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// Client URLs of some nodes, `http://host:port`; at least one. Any node will do, and after a failure
    /// the next one is tried.
    pub urls: Vec<String>,
    /// Who the client says it is. Where the cluster asks for a token, that says it.
    pub user: Option<UserId>,
    /// Which of the user's devices this is: presence tells them apart.
    pub device: Option<String>,
    /// What proves it, where the cluster asks for a token: a text, or [`TokenSource::fresh`].
    pub token: Option<TokenSource>,
    /// The subprotocol.
    pub codec: Codec,
    /// How to get to a room's owner.
    pub route: Route,
    /// Publishes of one [`Room`](crate::Room) that may be unanswered at a time, 1 to 65,536. When as many
    /// are, `publish` waits.
    pub window: usize,
    /// Pushes of one subscription that may wait for its reader, at least 1. When as many do, the socket is
    /// not read, and the server goes on from the log once it is again.
    pub buffer: usize,
    /// From a call to its answer, over all retries and reconnects. After it the call fails with
    /// [`Error::Deadline`](crate::Error::Deadline).
    pub deadline: Duration,
    /// For one TCP connection to be accepted.
    pub connect_timeout: Duration,
    /// For one handshake to be answered. A node holds it up to 5 s while an owner is being elected.
    pub handshake_timeout: Duration,
    /// A server that sends nothing for this long, not even the answer to a ping, counts as gone.
    pub idle_timeout: Duration,
    /// The same while calls wait for an answer: then a stopped owner must not cost more than its failover.
    /// A server that answers the ping may take longer over the calls.
    pub answer_timeout: Duration,
    /// Redirects followed in a row before the client goes back to the seeds.
    pub hops_max: usize,
    /// Whether a message that the server skipped, which it never should, is got in silence by a heartbeat or
    /// another join. Without it [`Error::Gap`](crate::Error::Gap) ends the subscription at once: for tests of
    /// servers.
    pub fill_holes: bool,
}

impl ClientConfig {
    /// The default settings, with these nodes to start from.
    pub fn new<U: Into<String>>(urls: impl IntoIterator<Item = U>) -> Self {
        Self {
            urls: urls.into_iter().map(Into::into).collect(),
            user: None,
            device: None,
            token: None,
            codec: Codec::Proto,
            route: Route::default(),
            window: 256,
            buffer: 64,
            deadline: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(2),
            handshake_timeout: Duration::from_secs(7),
            idle_timeout: Duration::from_secs(8),
            answer_timeout: Duration::from_millis(800),
            hops_max: 4,
            fill_holes: true,
        }
    }
}
