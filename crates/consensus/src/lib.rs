//! Raft groups and the transport between nodes: the only crate that names openraft.
//!
//! [`Consensus`] is a node's share of it: the transport to its peers and the groups it has replicas of. A
//! [`Group`] is one replica of one group; its [`Machine`] says what committed entries do. What peers tell each
//! other beside Raft goes through [`PeerHandler`], opaque to this crate.

mod flush;
mod format;
mod group;
mod log_store;
mod machine;
mod membership;
mod network;
mod node;
mod patience;
mod peer;
mod raft_types;
mod registry;
mod removal;
mod snapshot;
mod standing;
#[cfg(test)]
mod suite_test;
mod wire;

pub use group::{Group, GroupError, GroupId, Member, ProposeError, Role, Status};
pub use machine::{Committed, Machine, Reply, Run};
pub use membership::Change;
pub use node::{Consensus, OpenError, Settings, Timing};
pub use peer::{PeerError, PeerHandler, PeerIdentity, ask_address};
pub use standing::{Inspection, Running, Standing};
