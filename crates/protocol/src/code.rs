//! Error and close codes. Codes are never reused for another meaning.

use serde::{Deserialize, Serialize};

use roomkeeper_types::MessageId;

/// Why a command was not carried out. The wire form is the snake_case name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "docs/protocol.md explains each code once")]
pub enum ErrorCode {
    BadRequest,
    Unauthorized,
    Forbidden,
    NotFound,
    AlreadyExists,
    Conflict,
    Invalid,
    Trimmed,
    Recreated,
    TooLate,
    Gone,
    TooLarge,
    RateLimited,
    Unavailable,
    Timeout,
    Internal,
}

impl ErrorCode {
    /// Every code.
    pub const ALL: [Self; 16] = [
        Self::BadRequest,
        Self::Unauthorized,
        Self::Forbidden,
        Self::NotFound,
        Self::AlreadyExists,
        Self::Conflict,
        Self::Invalid,
        Self::Trimmed,
        Self::Recreated,
        Self::TooLate,
        Self::Gone,
        Self::TooLarge,
        Self::RateLimited,
        Self::Unavailable,
        Self::Timeout,
        Self::Internal,
    ];

    /// The name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::AlreadyExists => "already_exists",
            Self::Conflict => "conflict",
            Self::Invalid => "invalid",
            Self::Trimmed => "trimmed",
            Self::Recreated => "recreated",
            Self::TooLate => "too_late",
            Self::Gone => "gone",
            Self::TooLarge => "too_large",
            Self::RateLimited => "rate_limited",
            Self::Unavailable => "unavailable",
            Self::Timeout => "timeout",
            Self::Internal => "internal",
        }
    }

    /// The code of that wire name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.name() == name)
    }

    /// Whether the outcome is unknown: the command may or may not have been carried out, and may be sent
    /// again with the same ids. Every other code is a definite no.
    #[must_use]
    pub const fn is_unknown(self) -> bool {
        matches!(self, Self::Unavailable | Self::Timeout | Self::Internal)
    }

    /// Whether sending the same command again, later, may succeed.
    #[must_use]
    pub const fn is_retryable(self) -> bool {
        self.is_unknown() || matches!(self, Self::RateLimited)
    }

    /// The HTTP status that carries this code.
    #[must_use]
    pub const fn http_status(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::AlreadyExists | Self::Conflict | Self::Recreated | Self::TooLate => 409,
            Self::Gone | Self::Trimmed => 410,
            Self::TooLarge => 413,
            Self::Invalid => 422,
            Self::RateLimited => 429,
            Self::Internal => 500,
            Self::Unavailable => 503,
            Self::Timeout => 504,
        }
    }
}

/// One message of a publish that is a reason why all of it was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedItem {
    /// The message's id.
    pub id: MessageId,
    /// Its place in the publish, from 0.
    #[serde(default)]
    pub index: u32,
    /// Why, in words.
    pub reason: String,
}

/// The body of an error reply and of every HTTP error answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{code:?}: {message}")]
pub struct Error {
    /// What went wrong, for programs.
    pub code: ErrorCode,
    /// What went wrong and what to do about it, for people.
    pub message: String,
    /// Whether sending the same command again may succeed.
    pub retry: bool,
    /// With `trimmed`: the first offset that is still kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<u64>,
    /// With `conflict` of an `expect`: the room's next offset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
    /// With `rate_limited` by a rate: it may be asked for again after this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u32>,
    /// Of a publish that was refused for some of its messages: which, and why each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<RefusedItem>,
}

impl Error {
    /// An error whose `retry` follows from its code.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        let retry = code.is_retryable();
        let (first, next, retry_after_ms) = (None, None, None);
        Self { code, message: message.into(), retry, first, next, retry_after_ms, items: Vec::new() }
    }

    /// `bad_request`.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::BadRequest, message)
    }
}

/// Close codes of the sockets. 4300 to 4399: come back. 4500 to 4599: do not. The range alone tells an
/// old client what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum CloseCode {
    /// The room has another owner; the push before says which.
    Moved = 4300,
    /// The node is being drained or stops.
    Draining = 4301,
    /// The session ended.
    SessionEnded = 4302,
    /// No or no valid token.
    Unauthorized = 4500,
    /// The user may not use this room.
    Forbidden = 4501,
    /// A frame that breaks the WebSocket or subprotocol rules.
    ProtocolError = 4502,
    /// A frame above `max_frame`.
    TooLarge = 4503,
    /// The user has as many sockets as it may have.
    TooManySockets = 4504,
}

impl CloseCode {
    /// The number on the wire.
    #[must_use]
    pub const fn number(self) -> u16 {
        self as u16
    }

    /// Whether a client that got this close code should connect again. Unknown codes go by their range;
    /// codes outside both ranges (1006, a dropped connection, …) are worth another try.
    #[must_use]
    pub const fn should_reconnect(code: u16) -> bool {
        !(code >= 4500 && code <= 4599)
    }
}
