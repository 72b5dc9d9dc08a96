//! The end of a replica's data: tombstone, store, log, in this order.
//!
//! The tombstone is synced first, so a removal that has begun is finished at the next start, and what is left of
//! the replica until then is never opened. The log goes last: rows without a log would look like a loss.

use roomkeeper_storage::{DataStore, Error, LogEngine};
use roomkeeper_types::ReplicaId;

use crate::patience::Patience;

/// Removes what this node has of a replica that does not run. May be repeated.
pub(crate) async fn remove(
    log: &LogEngine,
    data: &DataStore,
    patience: &Patience,
    replica: ReplicaId,
) -> Result<(), Error> {
    let store = data.clone();
    patience.until_taken_blocking("removing a replica", move || store.remove(replica)).await?;
    log.remove(replica).await
}

/// Removes the logs of replicas whose removal was cut off. Their stores went when the database was opened.
pub(crate) async fn finish(log: &LogEngine, data: &DataStore) -> Result<(), Error> {
    let (engine, store) = (log.clone(), data.clone());
    let logs = move || {
        let tombstones = store.tombstones()?;
        let mut logs = engine.replicas()?;
        logs.retain(|replica| tombstones.contains(replica));
        Ok(logs)
    };
    let logs = tokio::task::spawn_blocking(logs).await.map_err(|error| Error::Io {
        action: "looking for removals that were cut off",
        reason: error.to_string(),
    })??;
    for replica in logs {
        tracing::info!(%replica, "finishing the removal of a replica");
        log.remove(replica).await?;
    }
    Ok(())
}
