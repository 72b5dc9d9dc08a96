//! What committed entries do: the trait, and its adapter to openraft over a replica's store.

use std::future::ready;
use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use openraft::storage::{EntryResponder, RaftStateMachine};
use openraft::{EntryPayload, OptionalSend, RaftSnapshotBuilder};
use parking_lot::Mutex;
use roomkeeper_room::{Outcome, Rows, RowsError, Write};
use roomkeeper_storage::ReplicaStore;
use roomkeeper_types::{Epoch, LogPosition};
use tokio::sync::watch;

use crate::format;
use crate::patience::Patience;
use crate::raft_types::{LogId, SnapshotMeta, StoredMembership, Types, position};
use crate::snapshot::{SnapshotData, export};

/// Key of a group's own row: what is applied. Table 0x00 is the adapter's; machines write other tables.
const APPLIED_KEY: &[u8] = &[0x00, 0x01];

/// Most entries applied in one atomic write. Bounds the memory of a run; entries are bounded at 1 MiB each
/// and are mostly far smaller.
const RUN_ENTRIES: usize = 64;

/// One committed entry. `payload` is `None` for Raft's own entries (blank, membership).
#[derive(Debug, Clone)]
pub struct Committed {
    /// Its place in the group's log.
    pub at: LogPosition,
    /// The command as it was proposed.
    pub payload: Option<Bytes>,
}

/// A machine's answer to the proposer of an entry. Never sent or stored.
#[derive(Debug)]
pub enum Reply {
    /// Raft's own entries.
    None,
    /// One per command of a shard's batch.
    Outcomes(Vec<Outcome>),
    /// Encoded by the machine (meta).
    Bytes(Bytes),
}

/// What a run of entries did.
pub struct Run {
    /// Written in one atomic step together with the group's applied row.
    pub writes: Vec<Write>,
    /// One per entry, in order.
    pub replies: Vec<Reply>,
    /// Called on the apply task after the writes are visible and before the replies are sent.
    pub after: Option<Box<dyn FnOnce() + Send>>,
}

/// A replicated state machine over a replica's rows. Called on the group's apply task, one call at a time; it
/// must not block on anything but the store.
///
/// - The same entries yield the same writes and replies on every replica: no clock, randomness, local
///   configuration or map order.
/// - An error means that rows could not be read: it takes the replica down. Bad input of one user is a reply.
/// - Keys of the writes do not begin with 0x00.
pub trait Machine: Send + 'static {
    /// Called before the first `apply` and after a snapshot was installed: drop what is cached, read anew.
    fn restore(&mut self, store: &ReplicaStore) -> Result<(), RowsError>;

    /// Applies a run of entries, in order.
    fn apply(&mut self, store: &ReplicaStore, entries: &[Committed]) -> Result<Run, RowsError>;
}

/// What a replica has applied, in memory.
#[derive(Clone, Default)]
struct Applied {
    last: Option<LogId>,
    membership: StoredMembership,
}

/// openraft's state machine: a [`Machine`] and the applied row.
///
/// Rows are not on disk when `apply` returns: the raft log is their write-ahead log. So nothing is reported as
/// a snapshot, and hence nothing purged, that was not flushed before.
pub(crate) struct MachineAdapter {
    machine: Mutex<Box<dyn Machine>>,
    store: ReplicaStore,
    scratch: Arc<Path>,
    patience: Patience,
    applied: Applied,
    /// What is known to be on disk: the newest snapshot that openraft may count on.
    flushed: Arc<Mutex<Option<SnapshotMeta>>>,
    /// Epoch of the last entry applied, for ownership.
    epoch: watch::Sender<Epoch>,
}

impl MachineAdapter {
    /// Over what the store holds. `epoch` is told when an entry of another term is applied.
    pub(crate) fn open(
        mut machine: Box<dyn Machine>,
        store: ReplicaStore,
        scratch: Arc<Path>,
        patience: Patience,
        epoch: watch::Sender<Epoch>,
    ) -> io::Result<Self> {
        machine.restore(&store).map_err(io::Error::other)?;
        let applied = read_applied(&store)?;
        // What a freshly opened store holds came from disk.
        let flushed = applied.last.is_some().then(|| applied.meta());
        epoch.send_replace(applied.epoch());
        Ok(Self {
            machine: Mutex::new(machine),
            store,
            scratch,
            patience,
            applied,
            flushed: Arc::new(Mutex::new(flushed)),
            epoch,
        })
    }

    /// The last entry that the rows hold.
    pub(crate) fn applied(&self) -> Option<LogId> {
        self.applied.last
    }

    async fn apply_run(&mut self, run: Vec<EntryResponder<Types>>) -> io::Result<()> {
        let mut applied = self.applied.clone();
        let mut committed = Vec::with_capacity(run.len());
        let mut responders = Vec::with_capacity(run.len());
        for (entry, responder) in run {
            // A snapshot may hold more than its sender's Raft knew: its entries come again and are no news.
            if applied.last.is_some_and(|last| entry.log_id.index <= last.index) {
                if let Some(responder) = responder {
                    responder.send(Reply::None);
                }
                continue;
            }
            applied.last = Some(entry.log_id);
            let payload = match entry.payload {
                EntryPayload::Blank => None,
                EntryPayload::Normal(payload) => Some(payload.0),
                EntryPayload::Membership(membership) => {
                    applied.membership = StoredMembership::new(Some(entry.log_id), membership);
                    None
                }
            };
            committed.push(Committed { at: position(&entry.log_id), payload });
            responders.push(responder);
        }
        if committed.is_empty() {
            return Ok(());
        }
        let Run { mut writes, replies, after } =
            self.machine.lock().apply(&self.store, &committed).map_err(io::Error::other)?;
        assert_eq!(replies.len(), responders.len(), "a machine answers every entry");

        let row = format::encode_applied(applied.last.as_ref(), &applied.membership)?;
        writes.push(Write::Put(Bytes::from_static(APPLIED_KEY), row));
        self.patience.until_taken(|| ready(self.store.write(&writes))).await?;
        self.applied = applied;
        if let Some(after) = after {
            after();
        }
        let epoch = self.applied.epoch();
        self.epoch.send_if_modified(|known| std::mem::replace(known, epoch) != epoch);
        for (responder, reply) in responders.into_iter().zip(replies) {
            if let Some(responder) = responder {
                responder.send(reply);
            }
        }
        Ok(())
    }
}

impl Applied {
    fn epoch(&self) -> Epoch {
        self.last.map_or(Epoch(0), |last| Epoch(last.leader_id.term))
    }

    fn meta(&self) -> SnapshotMeta {
        SnapshotMeta { last_log_id: self.last, last_membership: self.membership.clone() }
    }
}

fn read_applied<R: Rows>(rows: &R) -> io::Result<Applied> {
    match rows.get(APPLIED_KEY).map_err(io::Error::other)? {
        Some(bytes) => {
            let (last, membership) = format::decode_applied(bytes)?;
            Ok(Applied { last, membership })
        }
        None => Ok(Applied::default()),
    }
}

/// The last entry that a store's rows hold, and the group's members then.
pub(crate) fn applied_in<R: Rows>(rows: &R) -> io::Result<(Option<LogId>, StoredMembership)> {
    read_applied(rows).map(|applied| (applied.last, applied.membership))
}

/// What a view of a store holds, for the snapshot made of it.
pub(crate) fn snapshot_meta<R: Rows>(rows: &R) -> io::Result<SnapshotMeta> {
    read_applied(rows).map(|applied| applied.meta())
}

impl RaftStateMachine<Types> for MachineAdapter {
    type SnapshotData = SnapshotData;
    type SnapshotBuilder = Flusher;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        Ok((self.applied.last, self.applied.membership.clone()))
    }

    async fn apply<S>(&mut self, entries: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<Types>>> + Unpin + OptionalSend,
    {
        let mut runs = entries.ready_chunks(RUN_ENTRIES);
        while let Some(run) = runs.next().await {
            self.apply_run(run.into_iter().collect::<io::Result<_>>()?).await?;
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Flusher {
        // Called between two runs: what is applied now is in the memtable as a whole.
        Flusher {
            store: self.store.clone(),
            patience: self.patience.clone(),
            meta: self.applied.meta(),
            flushed: self.flushed.clone(),
        }
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, snapshot: SnapshotData) -> io::Result<()> {
        let files = match snapshot {
            SnapshotData::Received(files) => files,
            SnapshotData::Local(other) => {
                let scratch = self.scratch.clone();
                tokio::task::spawn_blocking(move || export(&other, &scratch)).await??.1
            }
        };
        let (store, files) = (self.store.clone(), Arc::new(files));
        let install = move || store.install(files.files());
        self.patience.until_taken_blocking("installing a snapshot", install).await?;
        self.machine.lock().restore(&self.store).map_err(io::Error::other)?;
        self.applied = read_applied(&self.store)?;
        if self.applied.last < meta.last_log_id {
            let (found, told) = (&self.applied.last, &meta.last_log_id);
            return Err(io::Error::other(format!("snapshot holds {found:?} only, its sender said {told:?}")));
        }
        *self.flushed.lock() = Some(self.applied.meta());
        self.epoch.send_replace(self.applied.epoch());
        Ok(())
    }

    async fn get_current_snapshot(
        &mut self,
    ) -> io::Result<Option<openraft::alias::SnapshotOf<Types, SnapshotData>>> {
        let meta = self.flushed.lock().clone();
        let data = || SnapshotData::Local(self.store.clone());
        Ok(meta.map(|meta| openraft::alias::SnapshotOf::<Types, _> { meta, snapshot: data() }))
    }
}

/// Builds a snapshot by flushing the rows. Files are written only when a peer needs them.
pub(crate) struct Flusher {
    store: ReplicaStore,
    patience: Patience,
    meta: SnapshotMeta,
    flushed: Arc<Mutex<Option<SnapshotMeta>>>,
}

impl RaftSnapshotBuilder<Types> for Flusher {
    type SnapshotData = SnapshotData;

    async fn build_snapshot(&mut self) -> io::Result<openraft::alias::SnapshotOf<Types, SnapshotData>> {
        let store = self.store.clone();
        self.patience.until_taken_blocking("flushing rows", move || store.flush()).await?;
        let mut flushed = self.flushed.lock();
        if flushed.as_ref().is_none_or(|known| known.last_log_id < self.meta.last_log_id) {
            *flushed = Some(self.meta.clone());
        }
        let snapshot = SnapshotData::Local(self.store.clone());
        Ok(openraft::alias::SnapshotOf::<Types, _> { meta: self.meta.clone(), snapshot })
    }
}
