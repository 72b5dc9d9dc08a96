//! Why a call failed, and whether doing it again may help.

use std::sync::Arc;
use std::time::Duration;

use roomkeeper_protocol::{CloseCode, ErrorCode};
use roomkeeper_types::Offset;

/// Why a call failed. The client has already retried what is worth it, up to the deadline.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A URL that names no node.
    #[error("'{url}' is not a node's URL: {reason} (expected http://host:port)")]
    BadUrl {
        /// What was given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The list of URLs is empty.
    #[error("no node to connect to: the list of URLs is empty")]
    NoUrl,
    /// No connection, or none in time.
    #[error("cannot reach {url}: {reason}")]
    Unreachable {
        /// The node.
        url: String,
        /// What happened.
        reason: Arc<std::io::Error>,
    },
    /// The node answered the handshake or the request, but not as hoped.
    #[error("{url} answered {status}: {message}")]
    Refused {
        /// The node.
        url: String,
        /// The HTTP status.
        status: u16,
        /// What its body said.
        message: String,
        /// How long the node asks to wait.
        retry_after: Option<Duration>,
    },
    /// Each node pointed at another one.
    #[error("gave up after {hops} redirects, the last one to {url}")]
    TooManyRedirects {
        /// Redirects followed.
        hops: usize,
        /// Where the last one pointed.
        url: String,
    },
    /// The socket ended.
    #[error("the connection to {url} ended: {reason}")]
    Disconnected {
        /// The node.
        url: String,
        /// What ended it.
        reason: String,
    },
    /// The server closed the socket with a code that says not to come back (4500 to 4599).
    #[error("the server closed the connection for good: {code} {reason}")]
    Closed {
        /// The close code.
        code: u16,
        /// What the server said.
        reason: String,
    },
    /// The room was deleted and created again: what was asked for belongs to its former life.
    #[error("the room was deleted and created again, and starts anew at offset 1; open it again")]
    Recreated,
    /// What was asked for is no longer kept.
    #[error("the messages asked for are trimmed; the first kept is {}", first.map_or("unknown".to_owned(), |o| o.to_string()))]
    Trimmed {
        /// The first offset kept.
        first: Option<Offset>,
    },
    /// The server skipped messages. Never expected: it promises a dense sequence.
    #[error("the server skipped messages: expected {expected}, got {got}")]
    Gap {
        /// The offset that had to come next.
        expected: Offset,
        /// The offset that came.
        got: Offset,
    },
    /// The server's definite answer.
    #[error("{}: {}", .0.code.name(), .0.message)]
    Server(roomkeeper_protocol::Error),
    /// An answer that this client cannot read.
    #[error("{url} sent what this client cannot read: {reason}")]
    Unreadable {
        /// The node.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No answer in time. Whether the command was carried out is not known.
    #[error("no answer within {after:?}, the outcome is unknown{}", last.as_ref().map(|e| format!("; last: {e}")).unwrap_or_default())]
    Deadline {
        /// How long the client tried.
        after: Duration,
        /// The last thing that went wrong.
        last: Option<Box<Error>>,
    },
    /// The room has a subscription already; a second one needs a second [`Room`](crate::Room).
    #[error("this room handle has a subscription already; open the room once more for another one")]
    AlreadySubscribed,
    /// A commit by a subscription without a consumer.
    #[error("this subscription has no consumer: name one in its options to commit what was processed")]
    NoConsumer,
    /// There is no token to connect with.
    #[error("no token to connect with: {reason}")]
    Token {
        /// What its source said.
        reason: String,
    },
    /// The room's handle was closed.
    #[error("the room handle is closed")]
    Stopped,
}

impl Error {
    /// Whether doing the same again, later, may succeed.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::TooManyRedirects { .. }
            | Self::Disconnected { .. }
            | Self::Token { .. }
            | Self::Deadline { .. } => true,
            Self::Refused { status, .. } => *status >= 500 || *status == 429,
            Self::Closed { code, .. } => CloseCode::should_reconnect(*code),
            Self::Server(error) => error.retry || error.code.is_retryable(),
            Self::BadUrl { .. }
            | Self::NoUrl
            | Self::Recreated
            | Self::Trimmed { .. }
            | Self::Gap { .. }
            | Self::Unreadable { .. }
            | Self::AlreadySubscribed
            | Self::NoConsumer
            | Self::Stopped => false,
        }
    }

    /// Whether a publish that failed so may be stored all the same. It is safe to publish it again with the
    /// same ids.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        match self {
            Self::Deadline { .. } | Self::Disconnected { .. } | Self::Closed { .. } | Self::Stopped => true,
            Self::Server(error) => error.code.is_unknown(),
            _ => false,
        }
    }

    /// The server's error code, if this is its answer.
    #[must_use]
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Server(error) => Some(error.code),
            Self::Recreated => Some(ErrorCode::Recreated),
            Self::Trimmed { .. } => Some(ErrorCode::Trimmed),
            _ => None,
        }
    }

    pub(crate) fn unreachable(url: impl ToString, reason: std::io::Error) -> Self {
        Self::Unreachable { url: url.to_string(), reason: Arc::new(reason) }
    }

    pub(crate) fn disconnected(url: impl ToString, reason: impl ToString) -> Self {
        Self::Disconnected { url: url.to_string(), reason: reason.to_string() }
    }
}

impl From<roomkeeper_protocol::Error> for Error {
    fn from(error: roomkeeper_protocol::Error) -> Self {
        match error.code {
            ErrorCode::Recreated => Self::Recreated,
            ErrorCode::Trimmed => Self::Trimmed { first: error.first.map(Offset) },
            _ => Self::Server(error),
        }
    }
}
