//! The client edge of a node: HTTP and WebSocket on one port, fan-out, and the way to rooms of other nodes.
//!
//! In reading order:
//!
//! - [`host`]: the cluster as the gateway sees it.
//! - `hub`: from the apply thread to subscribers.
//! - `local`: commands on rooms that this node owns.
//! - `ws`: sockets; `http`: plain HTTP and handshakes.
//! - `route`: what happens to a request for a room of another node; `relay`: the way through this one.
//! - `identity`: who a client is, and what it may do.
//! - `limits`: how much clients may ask for; `metrics`: what all of them count.
//!
//! Not here yet: TLS.

pub mod host;

mod clock;
mod config;
mod defaults;
mod draining;
mod edge;
mod failure;
mod http;
mod hub;
mod identity;
mod limits;
mod local;
mod metrics;
mod relay;
mod route;
mod serve;
mod ws;

pub use config::{ConfigError, GatewayConfig, RateLimits};
pub use defaults::RoomDefaults;
pub use draining::Drain;
pub use hub::Hub;
pub use identity::Access;
pub use serve::Gateway;
