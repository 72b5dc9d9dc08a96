//! The bodies of REST: the same JSON objects as on the socket, without the frame around them.
//!
//! A request's body is the command's object (the room comes from the path), an answer's the `ok` object,
//! an error's `{"error": {…}}` with the status of [`ErrorCode::http_status`](crate::ErrorCode::http_status).

use bytes::Bytes;

use crate::{
    Command, CommandKind, Commit, Create, Error, HoldRef, Limits, OwnerHint, Publish, Reply, RoomSummary,
    Signal, codec,
};

/// Reads and checks the body of a publish. Message data are slices of the body, not copies.
///
/// # Errors
/// `bad_request` or `too_large`, as for the command.
pub fn decode_publish_json(body: &Bytes, limits: &Limits) -> Result<Publish, Error> {
    codec::decode_publish(body, limits)
}

/// Reads and checks the body of a create; an empty body asks for nothing in particular.
///
/// # Errors
/// `bad_request`, as for the command.
pub fn decode_create_json(body: &Bytes) -> Result<Create, Error> {
    if body.is_empty() { Ok(Create::default()) } else { codec::decode_create(body) }
}

/// Reads and checks the body of a signal. Its data are a slice of the body, not a copy.
///
/// # Errors
/// `bad_request` or `too_large`, as for the command.
pub fn decode_signal_json(body: &Bytes, limits: &Limits) -> Result<Signal, Error> {
    codec::decode_signal(body, limits)
}

/// Reads and checks the body of a commit.
///
/// # Errors
/// `bad_request`, as for the command.
pub fn decode_commit_json(body: &Bytes) -> Result<Commit, Error> {
    codec::decode_commit(body)
}

/// Reads and checks the body of a confirm or a rollback: `{"ids": [uuid…]}`.
///
/// # Errors
/// `bad_request` or `too_large`, as for the commands.
pub fn decode_hold_json(body: &Bytes, limits: &Limits) -> Result<HoldRef, Error> {
    codec::decode_hold(body, limits)
}

/// The body of a request: the command's object. The room is the path's, so it is best left out of it.
#[must_use]
pub fn encode_command_json(command: &Command) -> Bytes {
    codec::encode_command(command)
}

/// The `ok` object of a reply.
#[must_use]
pub fn encode_reply_json(reply: &Reply) -> Bytes {
    codec::encode_reply_body(reply)
}

/// `{"error": {…}}`.
#[must_use]
pub fn encode_error_json(error: &Error) -> Bytes {
    codec::encode_error(error)
}

/// One room, as a list has it.
#[must_use]
pub fn encode_room_json(summary: &RoomSummary) -> Bytes {
    codec::encode_summary(summary)
}

/// The body of a redirect: `{"owner", "url", "epoch", "shard"?}`.
#[must_use]
pub fn encode_redirect_json(hint: &OwnerHint) -> Bytes {
    codec::encode_hint(hint)
}

/// Reads what [`encode_reply_json`] wrote, for the command that was asked.
///
/// # Errors
/// `bad_request` that says what is wrong with the body.
pub fn decode_reply_json(kind: CommandKind, body: &Bytes) -> Result<Reply, Error> {
    codec::decode_reply(kind, body)
}

/// Reads what [`encode_error_json`] wrote. Unknown codes are taken by their `retry`.
///
/// # Errors
/// `bad_request` that says what is wrong with the body.
pub fn decode_error_json(body: &Bytes) -> Result<Error, Error> {
    codec::decode_error(body)
}
