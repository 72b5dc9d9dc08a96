//! The store as the room core sees it: ordered rows.

use std::ops::ControlFlow;

use bytes::Bytes;

/// Reading rows failed. Never "nothing there": the caller must stop, not go on without them.
#[derive(Debug, thiserror::Error)]
pub enum RowsError {
    /// The store could not read.
    #[error("cannot read rows: {0}")]
    Io(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A row's bytes make no sense.
    #[error("row {key:02x?} is unreadable: {reason}")]
    Corrupt {
        /// The row's key.
        key: Vec<u8>,
        /// What is wrong with it.
        reason: &'static str,
    },
}

impl RowsError {
    /// The row under `key` makes no sense.
    #[must_use]
    pub fn corrupt(key: &[u8], reason: &'static str) -> Self {
        Self::Corrupt { key: key.to_vec(), reason }
    }
}

/// Is shown a row's key and value, and says whether it wants the next one.
pub type Visitor<'v> = &'v mut (dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'v);

/// A consistent view of one shard's rows, sorted by key.
pub trait Rows {
    /// The row under this key.
    ///
    /// # Errors
    /// The read failed: the row may be there or not.
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, RowsError>;

    /// Visits the rows from `from` (inclusive) to `to` (exclusive) in key order until the visitor breaks.
    ///
    /// # Errors
    /// A failed read anywhere in the range, also after rows were visited: what was visited is then a part.
    fn scan(&self, from: &[u8], to: &[u8], visit: Visitor<'_>) -> Result<(), RowsError>;
}

/// One change of the rows. The writes of one applied run are made in one atomic step, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Store a row.
    Put(Bytes, Bytes),
    /// Remove a row.
    Delete(Bytes),
    /// Remove the rows from the first key (inclusive) to the second (exclusive).
    DeleteRange(Bytes, Bytes),
}
