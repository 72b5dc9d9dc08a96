//! The protobuf subprotocol: the schema's generated types, and the way from and to the vocabulary.

mod client_read;
mod client_write;
mod server_read;
mod server_write;
mod shared;

pub(super) use client_read::decode_server;
pub(super) use client_write::encode_request;
pub(super) use server_read::decode_request;
pub(super) use server_write::{encode_messages, encode_push, encode_reply, encode_sync};

/// Generated from `proto/roomkeeper/client/v1/client.proto`, where everything is explained.
#[allow(missing_docs, unreachable_pub, clippy::all, reason = "generated")]
mod pb {
    include!(concat!(env!("OUT_DIR"), "/roomkeeper.client.v1.rs"));
}
