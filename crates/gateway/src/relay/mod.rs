//! To other nodes, for clients of this one.
//!
//! Plain HTTP goes over pooled connections; a room socket through a socket to the owner, frame by frame; a
//! session socket has one socket to each owner that it needs, over which the commands of its rooms go under
//! numbers of their own. Messages come to this node once, however many of its session sockets want them: it follows
//! the rooms that they are subscribed to. What is relayed carries the relay header and is never relayed again.

mod dial;
mod follow;
mod http;
mod list;
mod misdirected;
mod pipe;
mod remote_seat;
mod upstream;
mod wire;

pub(crate) use self::http::{Answer, Forwarded, HttpRelay, RelayError};
pub(crate) use dial::{DialError, Dialled, Errand, dial, refusal_body};
pub(crate) use follow::{Followed, NodeLinks, Reading};
pub(crate) use list::list_rooms;
pub(crate) use misdirected::Misdirected;
pub(crate) use pipe::{Relayed, pipe};
pub(crate) use remote_seat::RemoteSeat;
pub(crate) use upstream::Upstreams;
