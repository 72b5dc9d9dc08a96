//! A node of the cluster: its shards, who owns what, placement and membership.

mod api;

pub use api::*;
