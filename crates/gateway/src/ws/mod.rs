//! Sockets.
//!
//! One task per socket, in which a reader and a writer take turns:
//!
//! ```text
//! frames → inbox → desk → lane (one room) → seat (its owner: here, or over there)
//!                                             │ outcomes, subscriptions
//! frames ←──────── writer ←── outgoing ───────┘
//!                    └─── hub (what subscriptions pull: of this node's rooms, or of those that it follows)
//! ```
//!
//! What is bounded, and what happens then: commands under way, by units (the socket is not read); messages for
//! a slow subscriber, by having none but its position (it goes on from the log); what other owners push to one client
//! alone, by permits (their sockets are not read).

mod beat;
mod conn;
mod credit;
mod desk;
mod events;
mod inbox;
mod lane;
mod local_seat;
mod patience;
mod seat;
mod settled;
mod socket;
mod source;
mod subscription;
mod ticket;
mod upgrade;
mod window;
mod writer;

pub(crate) use conn::{Conn, ConnSetup, Outgoing};
pub(crate) use credit::Credit;
pub(crate) use inbox::Refusal;
pub(crate) use settled::settled;
pub(crate) use socket::{Purpose, Socket, serve};
pub(crate) use source::{Page, PageAsk, Source, Standing};
pub(crate) use subscription::{Handed, Subscription};
pub(crate) use ticket::Ticket;
pub(crate) use upgrade::{Handshake, HandshakeError};
pub(crate) use window::Answer;
pub(crate) use writer::{BACKLOG_BYTES, SILENT_LOOKS, close_message};
