//! Who a client is, and what it may do.
//!
//! Everything that asks who somebody is asks here. [`Access`] has the settings: what tokens are checked with, and how
//! nodes vouch for clients to each other. [`request`] finds out who a request or handshake is by, [`Who`] is a
//! socket's answer to that over its life, [`needs`] what each command asks for.

mod access;
mod clock;
mod needs;
mod request;
mod who;

pub use access::Access;
pub(crate) use access::Way;
pub(crate) use needs::check;
pub(crate) use request::{Caller, Credentials, USER_HEADER};
pub(crate) use who::{HelloError, Who};

use roomkeeper_auth::Identity;
use roomkeeper_protocol::{Error, ErrorCode};
use roomkeeper_types::{NodeId, RoomName, UserId};

/// A node that follows rooms for several of its clients: it has looked at what each of them may.
pub(crate) fn node_identity(node: NodeId) -> Identity {
    // Without control characters, and short.
    Identity::of_node(format!("node {}", node.0).parse().unwrap_or_else(|_| UserId::anonymous()))
}

/// The one thing that is said of a token that is no good.
fn invalid() -> Error {
    Error::new(ErrorCode::Unauthorized, "the token is not valid")
}

/// A token is asked for, and there is none.
fn missing() -> Error {
    let text = "a token is needed: in hello, as `Authorization: Bearer …`, or as a subprotocol";
    Error::new(ErrorCode::Unauthorized, text)
}

/// The client may not do that, whether there is such a room or not.
pub(crate) fn forbidden(room: &RoomName) -> Error {
    Error::new(ErrorCode::Forbidden, format!("this is not allowed in room {room}"))
}
