//! The room state machine: what a shard's log entries do to its rooms.
//!
//! Pure: input is an entry and replicated rows, output is replies, effects and row writes. No clock,
//! randomness, lock or await, so that every replica computes the same.

// What goes in: commands, batched into the payload of a log entry.
mod codec;
pub mod command;
pub mod due;
mod wire;

// What is kept: rows under keys.
pub mod hash;
pub mod keys;
pub mod mem;
pub mod row;
pub mod rows;

// What happens: entries applied over the rows, and the rows read.
pub mod apply;
mod holds;
mod open;
mod outcome;
mod overlay;
pub mod read;
mod retention;
mod sweep;

pub use apply::{Applier, Effect, Outcome, Refusal};
pub use codec::CommandError;
pub use command::{
    Batch, Command, Commit, Create, Delete, Forward, Hold, HoldRef, NewMessage, Payload, PayloadKind,
    Publish, RoomOptions,
};
pub use due::{Due, DueKind, HoldId};
pub use hash::RoomHash;
pub use mem::MemRows;
pub use outcome::RefusedIds;
pub use retention::DEDUPE_MIN_MS;
pub use row::Item;
pub use rows::{Rows, RowsError, Write};
