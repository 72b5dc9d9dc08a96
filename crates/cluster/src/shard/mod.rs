//! This node's replicas of shards, and what it does as their owner.

mod batcher;
mod local;
mod machine;
mod monitor;
mod ownership;
#[cfg(feature = "sabotage")]
mod sabotaged;
mod stamps;
mod sweeper;

#[cfg(test)]
pub(crate) mod testing;

pub use local::LocalCopy;
pub(crate) use local::{LocalShard, Shards, open_shards};
pub(crate) use monitor::watch_ownership;
pub use ownership::{Completion, Ownership, SubmitError};
