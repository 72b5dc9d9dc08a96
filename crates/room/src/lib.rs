//! The room state machine: what a shard's log entries do to its rooms.
//!
//! Pure: input is an entry and replicated rows, output is replies, effects and row writes. No clock,
//! randomness, lock or await, so that every replica computes the same.

pub mod apply;
pub mod command;
pub mod keys;
pub mod read;
pub mod row;
pub mod rows;

pub use apply::{Applier, Effect, Outcome, Refusal};
pub use command::{Batch, Command, Create, Delete, NewMessage, Payload, PayloadKind, Publish};
pub use row::{Item, RoomHash};
pub use rows::{Rows, RowsError, Write};
