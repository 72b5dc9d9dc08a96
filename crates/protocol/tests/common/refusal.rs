//! Small limits, and what a bad request is answered under them.
#![allow(dead_code, clippy::unwrap_used, reason = "helpers of tests; each file uses a part of them")]

use bytes::Bytes;
use roomkeeper_protocol::{Codec, Command, Error, ErrorCode, Frame, Limits};

pub(crate) const BAD: ErrorCode = ErrorCode::BadRequest;
pub(crate) const LARGE: ErrorCode = ErrorCode::TooLarge;

pub(crate) fn limits() -> Limits {
    Limits { max_frame: 4_096, max_message: 16, max_batch: 3 }
}

pub(crate) fn decode(text: &str) -> Result<Command, (u32, Error)> {
    let frame = Frame::Text(Bytes::copy_from_slice(text.as_bytes()));
    match Codec::Json.decode_request(&frame, &limits()) {
        Ok(request) => Ok(request.command),
        Err(refused) => Err((refused.id, refused.error)),
    }
}

/// The text is refused under that id, with that code, in words that contain `says`.
pub(crate) fn refused(text: &str, id: u32, code: ErrorCode, says: &str) {
    let (got, error) = match decode(text) {
        Err(refused) => refused,
        Ok(command) => panic!("{text} was taken as {command:?}"),
    };
    assert_eq!((got, error.code, error.retry), (id, code, false), "{text}: {error}");
    assert!(error.message.contains(says), "{text}: '{}' should say '{says}'", error.message);
}
