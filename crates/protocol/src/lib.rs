//! The client protocol: messages, their JSON and protobuf codecs, error and close codes.
//!
//! [`message`] has the vocabulary both codecs share; [`Codec`] turns it into frames and back, [`rest`] into
//! HTTP bodies; [`validate()`] has the rules that commands must keep to. The contract itself is
//! `docs/protocol.md`, the schema `proto/roomkeeper/client/v1/client.proto`.

pub mod code;
pub mod codec;
mod command;
mod data;
pub mod message;
pub mod rest;
mod validate;

pub use code::{CloseCode, Error, ErrorCode, RefusedItem};
pub use codec::{Codec, DecodeError, Frame};
pub use command::CommandKind;
pub use message::*;
pub use rest::{
    decode_commit_json, decode_create_json, decode_error_json, decode_hold_json, decode_publish_json,
    decode_reply_json, decode_signal_json, encode_command_json, encode_error_json, encode_redirect_json,
    encode_reply_json, encode_room_json,
};
pub use validate::validate;
