//! Meta's state machine: the state in one row, and in memory for everybody on this node.

use std::sync::Arc;

use bytes::Bytes;
use roomkeeper_consensus::{Committed, Machine, Reply, Run};
use roomkeeper_room::{Rows, RowsError, Write};
use roomkeeper_storage::ReplicaStore;
use roomkeeper_types::LogPosition;
use tokio::sync::watch;

use super::{MetaCommand, MetaState};
use crate::versioned::DecodeError;

/// Key of the only row of meta's own: the state. Table 0x00 is the consensus adapter's.
const STATE_KEY: &[u8] = &[0x01];

/// An entry that this node cannot carry out. The replica stops: going on would lose what the entry says.
#[derive(Debug, thiserror::Error)]
#[error("meta's entry {at} is unreadable: {source}")]
struct UnreadableEntry {
    at: LogPosition,
    source: DecodeError,
}

/// Meta's state machine.
pub(crate) struct MetaMachine {
    state: MetaState,
    /// Shown to this node when it is in the rows.
    shown: watch::Sender<Arc<MetaState>>,
}

impl MetaMachine {
    pub(crate) fn new(shown: watch::Sender<Arc<MetaState>>) -> Self {
        Self { state: MetaState::default(), shown }
    }
}

impl Machine for MetaMachine {
    fn restore(&mut self, store: &ReplicaStore) -> Result<(), RowsError> {
        self.state = read_state(store)?;
        self.shown.send_replace(Arc::new(self.state.clone()));
        Ok(())
    }

    fn apply(&mut self, _store: &ReplicaStore, entries: &[Committed]) -> Result<Run, RowsError> {
        let mut replies = Vec::with_capacity(entries.len());
        let mut changed = false;
        for Committed { at, payload } in entries {
            let Some(payload) = payload else {
                replies.push(Reply::None);
                continue;
            };
            let command = MetaCommand::decode(payload)
                .map_err(|source| RowsError::Io(Box::new(UnreadableEntry { at: *at, source })))?;
            replies.push(Reply::Bytes(self.state.apply(command).encode()));
            changed = true;
        }
        if !changed {
            return Ok(Run { writes: Vec::new(), replies, after: None });
        }
        let (state, shown) = (Arc::new(self.state.clone()), self.shown.clone());
        let writes = vec![Write::Put(Bytes::from_static(STATE_KEY), state.encode())];
        let after = move || drop(shown.send_replace(state));
        Ok(Run { writes, replies, after: Some(Box::new(after)) })
    }
}

/// The state in these rows; the default where none was applied.
pub(crate) fn read_state<R: Rows>(rows: &R) -> Result<MetaState, RowsError> {
    match rows.get(STATE_KEY)? {
        Some(row) => MetaState::decode(&row).map_err(|error| RowsError::Io(Box::new(error))),
        None => Ok(MetaState::default()),
    }
}
