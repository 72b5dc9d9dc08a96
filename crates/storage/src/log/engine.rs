//! The engine: the database, the groups that are open, and the writer thread.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{JoinHandle, ThreadId};
use std::time::Duration;

use parking_lot::Mutex;
use rocksdb::DB;
use roomkeeper_sabotage::{self as sabotage, Bug};
use roomkeeper_types::ReplicaId;

use super::disk::{self, Disk, RocksDisk};
use super::group::{CacheShare, Group};
use super::marks::Marks;
use super::queue::{Ack, Job, Op, Queue, queue};
use super::tail::Recovered;
use super::writer::{Counters, Writer};
use super::{GroupLog, LogOptions, SyncTimes, recover};
use crate::Error;

const DB_FOLDER: &str = "db";
const MARKS_FILE: &str = "marks";

/// The raft log database of a node. Cheap to clone.
///
/// An error while writing stops the writer for good, and every later call is [`Error::Stopped`]. The last
/// clone that goes, groups included, closes it.
#[derive(Clone)]
pub struct LogEngine {
    engine: Arc<Engine>,
}

/// What all handles share. The writer thread has no part in it, so that it ends with the last handle.
pub(super) struct Engine {
    db: Arc<DB>,
    marks: Arc<Marks>,
    queue: Queue,
    /// The groups opened since the start. Removed ones stay, empty, so that none of them comes back.
    groups: Mutex<HashMap<ReplicaId, Arc<Group>>>,
    cache: Arc<CacheShare>,
    counters: Arc<Counters>,
    writer: Mutex<Option<JoinHandle<()>>>,
    writer_thread: ThreadId,
}

impl fmt::Debug for LogEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogEngine").field("path", &self.engine.db.path()).finish_non_exhaustive()
    }
}

impl LogEngine {
    /// Opens or creates the log in `path` (the database in `db`, the marks of what it had in `marks`) and starts
    /// its threads.
    ///
    /// # Errors
    /// [`Error::Open`], also when another process has it open.
    pub fn open(path: &Path) -> Result<Self, Error> {
        Self::open_with(path, LogOptions::default())
    }

    /// The folder of the database of the log in `path`, as opposed to its marks.
    #[must_use]
    pub fn database_in(path: &Path) -> PathBuf {
        path.join(DB_FOLDER)
    }

    /// [`LogEngine::open`] with other sizes.
    pub fn open_with(path: &Path, options: LogOptions) -> Result<Self, Error> {
        std::fs::create_dir_all(path).map_err(Error::io("making the folder of the raft log"))?;
        let db = Arc::new(disk::open(&path.join(DB_FOLDER), &options)?);
        let marks = Marks::open(&path.join(MARKS_FILE))?;
        let disk = RocksDisk::new(Arc::clone(&db));
        Self::start(path, db, disk, marks, &options)
    }

    pub(super) fn start(
        path: &Path,
        db: Arc<DB>,
        disk: impl Disk,
        marks: Marks,
        options: &LogOptions,
    ) -> Result<Self, Error> {
        let marks = Arc::new(marks);
        let (queue, jobs) = queue(options.queue_bytes);
        let cache = Arc::new(CacheShare {
            group_bytes: options.group_cache_bytes,
            all_bytes: options.cache_bytes,
            groups: AtomicUsize::new(0),
        });
        let counters = Arc::new(Counters::default());
        let writer = Writer {
            disk,
            marks: Arc::clone(&marks),
            gate: Arc::clone(queue.gate()),
            cache: Arc::clone(&cache),
            counters: Arc::clone(&counters),
            run_bytes: options.run_bytes,
            space_patience: options.space_patience,
        };
        let writer = std::thread::Builder::new()
            .name("raft-log".to_owned())
            .spawn(move || writer.run(&jobs))
            .map_err(|error| Error::Open { path: path.to_owned(), reason: error.to_string() })?;
        let writer_thread = writer.thread().id();
        let writer = Mutex::new(Some(writer));
        let engine =
            Engine { db, marks, queue, groups: Mutex::default(), cache, counters, writer, writer_thread };
        Ok(Self { engine: Arc::new(engine) })
    }

    /// The log of one replica, empty if it never had one. At most one handle per replica may be written to.
    /// Blocks: the first time, it reads the log once.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when the log has a hole or cannot be read, [`Error::Forgotten`] when it is less than it
    /// was, [`Error::NoReplica`] when it was removed since the start.
    pub fn group(&self, replica: ReplicaId) -> Result<GroupLog, Error> {
        let open = self.engine.groups.lock().get(&replica).cloned();
        let group = match open {
            Some(group) => group,
            None => {
                // Not under the lock: other groups need not wait. Whoever comes first wins.
                let recovered = recover::group(&self.engine.db, replica)?;
                if !(sabotage::is(Bug::ShortLogVotes) || sabotage::is(Bug::AckBeforeFsync)) {
                    self.engine.marks.check(&self.engine.db, replica, &recovered)?;
                }
                Arc::clone(self.engine.groups.lock().entry(replica).or_insert_with(|| {
                    self.engine.cache.groups.fetch_add(1, Ordering::Relaxed);
                    Arc::new(Group::new(replica, recovered))
                }))
            }
        };
        if group.lock().is_removed() {
            return Err(Error::NoReplica(replica));
        }
        Ok(GroupLog::new(Arc::clone(&self.engine), group))
    }

    /// The replicas that have a log on disk or had one, in order; also those that no group was opened for. Blocks.
    pub fn replicas(&self) -> Result<Vec<ReplicaId>, Error> {
        let mut found = recover::replicas(&self.engine.db)?;
        found.extend(self.engine.marks.replicas());
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    /// Removes all of a replica's log, synced; also one that cannot be read. Its handles take no more calls.
    pub async fn remove(&self, replica: ReplicaId) -> Result<(), Error> {
        let op = Op::Remove;
        let permit = self.engine.queue.permit(op.waiting_bytes()).await?;
        let (ack, waiter) = Ack::channel();
        {
            let mut groups = self.engine.groups.lock();
            let group = Arc::clone(groups.entry(replica).or_insert_with(|| {
                self.engine.cache.groups.fetch_add(1, Ordering::Relaxed);
                Arc::new(Group::new(replica, Recovered::default()))
            }));
            let mut tail = group.lock();
            let number = tail.number_job();
            self.engine.queue.send(Job { group: Arc::clone(&group), number, op, ack, _permit: permit })?;
            if !tail.is_removed() {
                self.engine.cache.groups.fetch_sub(1, Ordering::Relaxed);
            }
            tail.remove();
        }
        waiter.wait().await
    }

    /// Synced writes since the start. Each carries all the appends, votes and marks that were waiting.
    pub fn synced_writes(&self) -> u64 {
        self.sync_times().count()
    }

    /// How long each of them took, the write included.
    #[must_use]
    pub fn sync_times(&self) -> SyncTimes {
        self.engine.counters.syncs.read()
    }

    /// How long the write or sync that the writer thread is in has taken so far; zero while it is in none. A disk
    /// that hangs shows here.
    pub fn sync_stalled_for(&self) -> Duration {
        self.engine.counters.busy_for()
    }

    /// Returns when a write or sync has failed, with the reason. What the disk holds is unknown then: nothing was
    /// acknowledged since, and the process must end.
    pub async fn failed(&self) -> String {
        self.engine.queue.gate().failed().await
    }

    /// Writes out what is queued, then stops the writer thread. Blocks until it has ended, unless it is called
    /// from a [`Done`](super::Done). The database's files are let go when the last handle is dropped.
    pub fn close(&self) {
        self.engine.close();
    }
}

impl Engine {
    pub(super) fn db(&self) -> &DB {
        &self.db
    }

    pub(super) fn queue(&self) -> &Queue {
        &self.queue
    }

    fn close(&self) {
        self.queue.close();
        // A callback may own the last handle; a thread cannot wait for itself.
        if std::thread::current().id() == self.writer_thread {
            return;
        }
        // The lock is held while waiting, so that whoever closes second waits as well.
        let mut writer = self.writer.lock();
        if let Some(writer) = writer.take()
            && writer.join().is_err()
        {
            tracing::error!("raft log writer panicked");
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.close();
    }
}
