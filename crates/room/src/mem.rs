//! Rows in memory: for tests and models, here and in other crates.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;

use crate::rows::Visitor;
use crate::{Rows, RowsError, Write};

/// One shard's rows in memory. Two are equal when their rows are, byte for byte.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemRows {
    rows: BTreeMap<Bytes, Bytes>,
}

impl MemRows {
    /// Makes the writes in order.
    pub fn apply_writes(&mut self, writes: &[Write]) {
        for write in writes {
            match write {
                Write::Put(key, value) => {
                    self.rows.insert(key.clone(), value.clone());
                }
                Write::Delete(key) => {
                    self.rows.remove(key);
                }
                Write::DeleteRange(from, to) => {
                    self.rows.retain(|key, _| key < from || key >= to);
                }
            }
        }
    }

    /// All rows in key order.
    pub fn iter(&self) -> impl Iterator<Item = (&Bytes, &Bytes)> {
        self.rows.iter()
    }
}

impl Rows for MemRows {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, RowsError> {
        Ok(self.rows.get(key).cloned())
    }

    fn scan(&self, from: &[u8], to: &[u8], visit: Visitor<'_>) -> Result<(), RowsError> {
        if from < to {
            let range = (Bound::Included(from), Bound::Excluded(to));
            for (key, value) in self.rows.range::<[u8], _>(range) {
                if visit(key, value).is_break() {
                    break;
                }
            }
        }
        Ok(())
    }
}
