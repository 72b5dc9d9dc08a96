//! The client protocol: messages, their JSON and protobuf codecs, error and close codes.
//!
//! [`message`] has the vocabulary both codecs share; [`Codec`] turns it into frames and back. The
//! contract itself is `docs/protocol.md`.

pub mod code;
pub mod message;

pub use code::{CloseCode, Error, ErrorCode};
pub use message::*;
