//! Placement: which nodes hold a copy of each shard, and which of them should own it.
//!
//! Pure, and computed in one place only: the meta leader runs [`place`] once and [`rebalance`] from then on, and stores
//! what they yield, which everybody uses. A later version may therefore place differently without two nodes ever
//! disagreeing.

mod chain;
mod member;
mod moves;
mod place;
mod quota;
mod rebalance;
mod walk;

pub use member::{Member, RingError};
pub use moves::{Move, OwnerChange, moves};
pub use place::{Placement, ShardReplicas, place};
pub use rebalance::rebalance;
