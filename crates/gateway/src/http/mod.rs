//! Plain HTTP: the REST forms of the commands, and the handshakes of the sockets.

mod answer;
mod cluster;
mod commands;
mod count;
mod messages;
mod request;
mod rooms;
mod router;
mod settle;
mod sockets;

pub(crate) use router::{admin, client};
