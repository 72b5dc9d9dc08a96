//! openraft's own storage suite on the real stores.

use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite};
use roomkeeper_room::RowsError;
use roomkeeper_storage::{DataStore, LogEngine, ReplicaStore};
use roomkeeper_types::{Epoch, ReplicaId};
use tempfile::TempDir;
use tokio::sync::watch;

use crate::log_store::LogStore;
use crate::machine::{Committed, Machine, MachineAdapter, Reply, Run};
use crate::patience::Patience;
use crate::raft_types::Types;

/// Answers everything and keeps nothing: the suite looks at the applied position and membership.
struct Idle;

impl Machine for Idle {
    fn restore(&mut self, _: &ReplicaStore) -> Result<(), RowsError> {
        Ok(())
    }

    fn apply(&mut self, _: &ReplicaStore, entries: &[Committed]) -> Result<Run, RowsError> {
        let replies = entries.iter().map(|_| Reply::None).collect();
        Ok(Run { writes: Vec::new(), replies, after: None })
    }
}

struct OnDisk;

impl StoreBuilder<Types, LogStore, MachineAdapter, TempDir> for OnDisk {
    async fn build(&self) -> Result<(TempDir, LogStore, MachineAdapter), StorageError<Types>> {
        let dir = TempDir::new().unwrap();
        let log = LogEngine::open(&dir.path().join("log")).unwrap();
        let data = DataStore::open(&dir.path().join("data")).unwrap();
        let store = data.replica(ReplicaId(1)).unwrap();
        let (epoch, _) = watch::channel(Epoch(0));
        let machine = MachineAdapter::open(
            Box::new(Idle),
            store,
            dir.path().join("scratch").into(),
            Patience::default(),
            epoch,
        )
        .unwrap();
        Ok((dir, LogStore::new(log.group(ReplicaId(1)).unwrap()), machine))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn openraft_storage_suite_passes() {
    Suite::test_all(OnDisk).await.unwrap();
}
