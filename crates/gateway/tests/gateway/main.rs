//! Gateways over a cluster in memory, seen from outside: by the sockets and the HTTP of clients.

#![allow(clippy::unwrap_used, reason = "allowed in tests; clippy knows only functions with #[test] as such")]

mod auth;
mod bad_input;
mod bulk;
mod common;
mod crowd;
mod cursors;
mod drain;
mod ghosts;
mod handover;
mod heartbeat;
mod holds;
mod limits;
mod marks;
mod metrics;
mod moved;
mod options;
mod placement;
mod presence;
mod rates;
mod relay;
mod rest;
mod room_socket;
mod rooms;
mod routes;
mod session;
mod signals;
mod trimming;
mod zombie;
