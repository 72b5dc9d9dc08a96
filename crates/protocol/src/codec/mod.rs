//! Frames and back: the two subprotocols over one vocabulary.
//!
//! [`Codec`] dispatches; `json` and `proto` each have a file per direction. What they share is the
//! vocabulary ([`crate::message`]) and the rules ([`crate::validate`]); neither knows the other.

mod json;
mod proto;

use bytes::Bytes;
use roomkeeper_types::{Offset, RoomName};

use crate::{
    CommandId, CommandKind, Error, ErrorCode, Item, Limits, Placement, Push, Reply, Request, ServerFrame,
};

pub(crate) use json::{
    decode_commit, decode_create, decode_error, decode_hold, decode_publish, decode_reply, decode_signal,
    encode_command, encode_error, encode_hint, encode_reply_body, encode_summary,
    write_text as write_json_text,
};

/// How a socket's frames are written; fixed by the subprotocol agreed at its handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Codec {
    /// Text frames of JSON: the default where the client offers no subprotocol.
    Json,
    /// Binary frames of protobuf.
    Proto,
}

/// A WebSocket message with content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// A text message. What this crate encodes is valid UTF-8 as long as each [`Data::Json`] of it is.
    ///
    /// [`Data::Json`]: crate::Data::Json
    Text(Bytes),
    /// A binary message.
    Binary(Bytes),
}

impl Frame {
    /// The payload.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        match self {
            Self::Text(bytes) | Self::Binary(bytes) => bytes,
        }
    }

    /// The payload.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        match self {
            Self::Text(bytes) | Self::Binary(bytes) => bytes,
        }
    }
}

/// A frame that is no request, or no answer to one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("frame {id}: {error}")]
pub struct DecodeError {
    /// The command's number; 0 where the frame was not readable so far.
    pub id: CommandId,
    /// What to reply, under that number.
    pub error: Error,
}

impl DecodeError {
    fn unreadable(message: impl Into<String>) -> Self {
        Self { id: 0, error: Error::bad_request(message) }
    }
}

/// Both codecs refuse a number outside 1 to 2^32 - 1 in these words.
const ID_EXPECTED: &str = "id: expected a whole number from 1 to 4294967295";

/// The key of the room of a room socket among a heartbeat's rooms, in both codecs: no name of a room.
const SOCKETS_ROOM: &str = "";

fn read_placement(name: &str) -> Result<Placement, Error> {
    Placement::from_name(name).ok_or_else(|| {
        let got = excerpt(name);
        Error::bad_request(format!("placement: expected \"hash\" or \"least_loaded\", got '{got}'"))
    })
}

/// The room that a key of a heartbeat's rooms names.
fn read_beat_room(key: &str) -> Result<Option<RoomName>, Error> {
    if key == SOCKETS_ROOM {
        return Ok(None);
    }
    key.parse().map(Some).map_err(|error| Error::bad_request(format!("rooms: '{}': {error}", excerpt(key))))
}

fn beat_key(room: Option<&RoomName>) -> &str {
    room.map_or(SOCKETS_ROOM, RoomName::as_str)
}

/// The beginning of a text, for an error.
fn excerpt(text: &str) -> String {
    const CHARS: usize = 48;
    match text.char_indices().nth(CHARS) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

/// The least offset of an item that is stored, and of one that may be held: that has none, which reads as 0.
const STORED: Offset = Offset::FIRST;
const HELD: Offset = Offset(0);

/// How a client takes an error's code: one it does not know by the error's `retry`.
fn understood(code: Option<ErrorCode>, retry: bool) -> ErrorCode {
    code.unwrap_or(if retry { ErrorCode::Unavailable } else { ErrorCode::BadRequest })
}

impl Codec {
    /// Both, in the order of a server's preference.
    pub const ALL: [Self; 2] = [Self::Json, Self::Proto];

    /// The WebSocket subprotocol's name.
    #[must_use]
    pub const fn subprotocol(self) -> &'static str {
        match self {
            Self::Json => "roomkeeper.v1.json",
            Self::Proto => "roomkeeper.v1.proto",
        }
    }

    /// The codec of a subprotocol's name.
    #[must_use]
    pub fn from_subprotocol(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|codec| codec.subprotocol() == name)
    }

    /// Reads and checks a client's frame. Message data are slices of the frame, not copies.
    ///
    /// # Errors
    /// `bad_request` or `too_large` under the command's number, or under 0 where the frame has none.
    pub fn decode_request(self, frame: &Frame, limits: &Limits) -> Result<Request, DecodeError> {
        let bytes = self.own(frame)?;
        if u32::try_from(bytes.len()).map_or(true, |len| len > limits.max_frame) {
            let text = format!("frame: expected at most {} bytes, got {}", limits.max_frame, bytes.len());
            return Err(DecodeError { id: 0, error: Error::new(ErrorCode::TooLarge, text) });
        }
        match self {
            Self::Json => json::decode_request(bytes, limits),
            Self::Proto => proto::decode_request(bytes, limits),
        }
    }

    /// The one reply to a command.
    #[must_use]
    pub fn encode_reply(self, id: CommandId, reply: &Result<Reply, Error>) -> Frame {
        match self {
            Self::Json => Frame::Text(json::encode_reply(id, reply)),
            Self::Proto => Frame::Binary(proto::encode_reply(id, reply)),
        }
    }

    /// A push.
    #[must_use]
    pub fn encode_push(self, push: &Push) -> Frame {
        match self {
            Self::Json => Frame::Text(json::encode_push(push)),
            Self::Proto => Frame::Binary(proto::encode_push(push)),
        }
    }

    /// A `messages` push of a slice of items, without a [`Push`] of its own: encoded once for all of a
    /// room's subscribers.
    #[must_use]
    pub fn encode_messages(self, room: &RoomName, items: &[Item]) -> Frame {
        match self {
            Self::Json => Frame::Text(json::encode_messages(room, items)),
            Self::Proto => Frame::Binary(proto::encode_messages(room, items)),
        }
    }

    /// A `sync` push of a slice of items, without a [`Push`] of its own.
    #[must_use]
    pub fn encode_sync(self, room: &RoomName, items: &[Item]) -> Frame {
        match self {
            Self::Json => Frame::Text(json::encode_sync(room, items)),
            Self::Proto => Frame::Binary(proto::encode_sync(room, items)),
        }
    }

    /// A client's frame. Nothing is checked: the server will.
    #[must_use]
    pub fn encode_request(self, request: &Request) -> Frame {
        match self {
            Self::Json => Frame::Text(json::encode_request(request)),
            Self::Proto => Frame::Binary(proto::encode_request(request)),
        }
    }

    /// Reads a server's frame as the contract asks of clients: unknown fields are ignored, items without
    /// `data` stepped over, unknown error codes taken by their `retry`. `None` is a frame to ignore: an
    /// unknown push, or a reply to a command that `sent` does not know.
    ///
    /// `sent` says which command had a number: a JSON reply does not name its command.
    ///
    /// # Errors
    /// `bad_request` that says what is wrong, under the reply's number, or 0 for a push or where the frame
    /// was not readable so far.
    pub fn decode_server(
        self,
        frame: &Frame,
        sent: impl FnOnce(CommandId) -> Option<CommandKind>,
    ) -> Result<Option<ServerFrame>, DecodeError> {
        let bytes = self.own(frame)?;
        match self {
            Self::Json => json::decode_server(bytes, sent),
            Self::Proto => proto::decode_server(bytes, sent),
        }
    }

    /// The payload, if the frame is of this subprotocol's kind.
    fn own(self, frame: &Frame) -> Result<&Bytes, DecodeError> {
        match (self, frame) {
            (Self::Json, Frame::Text(bytes)) | (Self::Proto, Frame::Binary(bytes)) => Ok(bytes),
            (Self::Json, Frame::Binary(_)) => {
                Err(DecodeError::unreadable("frame: expected text, as the subprotocol is roomkeeper.v1.json"))
            }
            (Self::Proto, Frame::Text(_)) => Err(DecodeError::unreadable(
                "frame: expected binary, as the subprotocol is roomkeeper.v1.proto",
            )),
        }
    }
}
