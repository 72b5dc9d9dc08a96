//! Where things are: shards on nodes, and who votes in meta.
//!
//! Each part is a loop that compares what should be with what is, and does one step. All may run anywhere at any
//! time and be cut off anywhere.
//!
//! - [`first`] places all shards once, [`birth`] brings their groups to life.
//! - [`driver`], at meta's leader, turns joins, drains and losses into plans, a few at a time.
//! - [`moves`], at a shard's owner, carries out its plan, [`steps`] by step.
//! - [`restore`], at a shard's owner, gives it back to the preferred node.
//! - [`voters`], at meta's leader, chooses who votes in meta.

mod birth;
mod driver;
mod first;
mod moves;
mod restore;
mod silence;
mod steps;
mod table;
mod voters;

#[cfg(test)]
mod walk_test;

pub(crate) use birth::{initialise_shards, report_births};
pub(crate) use driver::drive_placement;
pub(crate) use first::place_shards;
pub(crate) use moves::carry_out_plans;
pub(crate) use restore::restore_owners;
pub(crate) use voters::reconcile_meta;
