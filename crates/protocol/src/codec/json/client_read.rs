//! A server's JSON frames, read as a client does: as tolerant as the contract asks, and messages in one pass,
//! as a subscriber does little else.

use std::borrow::Cow;

use bytes::Bytes;
use roomkeeper_types::RoomName;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::items::{ItemFields, read_items};
use super::push_read::read_other_push;
use super::reply_read::{read_reply, unreadable};
use crate::codec::{DecodeError, STORED, understood};
use crate::{CommandId, CommandKind, Error, ErrorCode, Push, RefusedItem, ServerFrame};

pub(in crate::codec) fn decode_server(
    frame: &Bytes,
    sent: impl FnOnce(CommandId) -> Option<CommandKind>,
) -> Result<Option<ServerFrame>, DecodeError> {
    let text =
        std::str::from_utf8(frame).map_err(|error| DecodeError::unreadable(format!("frame: {error}")))?;
    let fields: FrameFields<'_> =
        serde_json::from_str(text).map_err(|error| DecodeError::unreadable(format!("frame: {error}")))?;
    let push = match fields {
        FrameFields { id: Some(id), error: Some(error), .. } => {
            let error: Result<ErrorFields<'_>, _> = serde_json::from_str(error.get());
            let error = error.map_err(|error| DecodeError { id, error: unreadable("error", &error) })?;
            return Ok(Some(ServerFrame::Reply(id, Err(error.into_error()))));
        }
        FrameFields { id: Some(id), ok: Some(ok), .. } => {
            let Some(kind) = sent(id) else { return Ok(None) };
            let reply = read_reply(kind, ok, frame).map_err(|error| DecodeError { id, error })?;
            return Ok(Some(ServerFrame::Reply(id, Ok(reply))));
        }
        FrameFields { messages: Some(MessagesFields { room, items }), .. } => {
            read_items(items, frame, STORED).map(|items| Some(Push::Messages { room, items }))
        }
        FrameFields { .. } => read_other_push(text, frame),
    };
    Ok(push.map_err(|error| DecodeError { id: 0, error })?.map(ServerFrame::Push))
}

/// `{"error": {…}}`, as HTTP errors have it.
pub(crate) fn decode_error(body: &Bytes) -> Result<Error, Error> {
    #[derive(Deserialize)]
    struct Body<'a> {
        #[serde(borrow)]
        error: ErrorFields<'a>,
    }
    let body: Body<'_> = serde_json::from_slice(body).map_err(|error| unreadable("body", &error))?;
    Ok(body.error.into_error())
}

/// What most frames are. Any other push is read in a second pass.
#[derive(Deserialize)]
struct FrameFields<'a> {
    id: Option<CommandId>,
    #[serde(borrow)]
    ok: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    messages: Option<MessagesFields<'a>>,
}

#[derive(Deserialize)]
pub(super) struct MessagesFields<'a> {
    pub(super) room: RoomName,
    #[serde(borrow)]
    pub(super) items: Vec<ItemFields<'a>>,
}

#[derive(Deserialize)]
struct ErrorFields<'a> {
    #[serde(borrow)]
    code: Cow<'a, str>,
    #[serde(default)]
    message: String,
    #[serde(default)]
    retry: bool,
    first: Option<u64>,
    next: Option<u64>,
    retry_after_ms: Option<u32>,
    #[serde(default)]
    items: Vec<RefusedItem>,
}

impl ErrorFields<'_> {
    fn into_error(self) -> Error {
        let code = understood(ErrorCode::from_name(&self.code), self.retry);
        let Self { message, retry, first, next, retry_after_ms, items, .. } = self;
        Error { code, message, retry, first, next, retry_after_ms, items }
    }
}
