//! What the cluster agreed on: one Raft group, one small state.
//!
//! [`state`] is pure: values and what commands do to them; [`plans`] moves shards, [`members`] lets nodes go. [`machine`] puts it behind the group's log, and
//! [`client`] brings a command to whoever leads the group.

pub(crate) mod client;
mod command;
pub(crate) mod machine;
mod members;
mod plans;
mod shard;
mod state;

#[cfg(test)]
mod script_test;
#[cfg(test)]
pub(crate) mod testing;

pub(crate) use command::{Joined, MetaCommand, MetaReply, NodeSpec, Refusal};
pub(crate) use shard::{Plan, PlanVersion, ShardRecord, voters};
pub use state::NodeState;
pub(crate) use state::{MetaState, NodeRecord};
