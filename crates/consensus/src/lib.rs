//! Raft groups and the transport between nodes: the only crate that names openraft.
//!
//! [`Consensus`] is a node's share of it: the transport to its peers and the groups it has replicas of. A
//! [`Group`] is one replica of one group; its [`Machine`] says what committed entries do.

mod api;

pub use api::*;
