//! Where things are: shards on nodes, and who votes in meta.
//!
//! Each part is a loop that compares what should be with what is, and does one step. All may run anywhere at any
//! time and be cut off anywhere. Moves of shards that are placed come with membership changes.

mod birth;
mod first;
mod steps;
mod voters;

pub(crate) use birth::{initialise_shards, report_births};
pub(crate) use first::place_shards;
pub(crate) use voters::reconcile_meta;
