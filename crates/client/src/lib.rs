//! Rust client of Roomkeeper.
//!
//! A [`Client`] knows a list of seed URLs. A [`Room`] is one WebSocket to one room, wherever its owner is:
//! the client follows redirects, comes back after a failover, publishes again what was not answered (with
//! the same ids, in the same order) and resumes its [`Subscription`] at the next offset, so that a caller
//! sees every message once and in order, or an error that says why not.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use futures::StreamExt;
//! use roomkeeper_client::{Client, ClientConfig, Event, message};
//! use roomkeeper_client::protocol::{Data, From};
//!
//! let client = Client::new(ClientConfig::new(["http://127.0.0.1:7700"]))?;
//! let room = client.room("general".parse()?);
//! let mut subscription = room.subscribe(From::Latest).await?;
//! room.publish(vec![message(Data::json_string("hello"))]).await?;
//! if let Some(Event::Items(items)) = subscription.next().await.transpose()? {
//!     println!("{} at {}", items[0].id, items[0].offset);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! [`Room::subscribe`] has an example of a consumer with a durable cursor, [`TokenSource`] of tokens.
//!
//! The parts: [`session`] is the protocol's state without a socket or a clock, [`feed`] that of a
//! subscription: where it stands ([`resume`]), how much it may be sent ([`flow`]), who is there
//! ([`roster`]). [`driver`] is the task that owns a socket and does what the session says; [`dial`] opens
//! sockets and follows redirects; [`silence`] finds out about servers that say nothing any more. Heartbeats
//! go by themselves. What this crate does not do yet: TLS, and many rooms on one socket.

mod backoff;
mod calls;
mod client;
mod config;
mod dial;
mod driver;
mod error;
mod feed;
mod flow;
mod handle;
mod heartbeat;
mod hedge;
mod http;
mod link;
mod looks;
mod metrics;
mod model;
mod options;
mod outlet;
mod publish;
mod rest;
mod resume;
mod room;
mod roster;
mod session;
mod silence;
mod subscription;
mod targets;
mod token;

pub use client::Client;
pub use config::{ClientConfig, Route};
pub use error::Error;
pub use metrics::{Counts, Metrics};
pub use model::{
    ClusterMap, LocalCopy, NodeEntry, NodeLoad, NodeState, ReplicaEntry, ReplicaLag, RoomInfo, ShardEntry,
};
pub use options::SubscribeOptions;
pub use publish::{PublishTicket, message};
pub use room::Room;
pub use subscription::{Event, Presence, Subscription};
pub use token::TokenSource;

/// The protocol's vocabulary: what is published, what comes back.
pub use roomkeeper_protocol as protocol;
/// Ids, names and positions.
pub use roomkeeper_types as types;
