//! The data of all replicas of a node: one database, a column family per replica, no WAL for data (the raft
//! log is its WAL).
//!
//! The default family says which replica has which column family ([`keys`]); it has a WAL and is synced. A
//! family that it does not point to is a leftover of a crash, dropped at open. So making, replacing and removing
//! a store each have one moment, a synced row, at which they happen.
//!
//! What a replica's family holds after a crash is what it held after some earlier write: each write goes into
//! one memtable as a whole, and a family's memtables reach the disk in order. There is no such promise between
//! two replicas.

mod damage;
mod files;
mod keys;
mod options;
mod replica;
mod store;
mod view;

#[cfg(test)]
mod leftover_test;

pub use files::SnapshotFiles;
pub use options::DataOptions;
pub use replica::ReplicaStore;
pub use store::DataStore;
pub use view::View;
