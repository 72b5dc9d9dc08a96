//! The JSON subprotocol, and the bodies of REST.
//!
//! Message data never passes through a value tree: it is cut out of the received text and copied into the
//! sent one, byte for byte.

mod client_read;
mod client_write;
mod envelope;
mod fields;
mod items;
mod push_read;
mod reply_read;
mod server_read;
mod server_write;
mod write;

pub(super) use client_read::decode_server;
pub(super) use client_write::encode_request;
pub(super) use server_read::decode_request;
pub(super) use server_write::{encode_messages, encode_push, encode_reply, encode_sync};

pub(crate) use client_read::decode_error;
pub(crate) use client_write::encode_command;
pub(crate) use reply_read::decode_reply;
pub(crate) use server_read::{decode_commit, decode_create, decode_hold, decode_publish, decode_signal};
pub(crate) use server_write::{encode_error, encode_hint, encode_reply_body, encode_summary};
pub(crate) use write::write_text;
