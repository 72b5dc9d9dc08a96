//! The thread that keeps the marks on disk, beside the writer of the log.
//!
//! Whoever changes the table hands it over and gets a version; the thread writes whatever is the newest, so that it
//! is never more than the one write it is in behind. After an error nothing more is written, and whoever waits is
//! told: what the disk holds is unknown.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::{Condvar, Mutex};

use super::table::Table;
use crate::Error;

/// Where marks are written to. A trait so that tests can let it fail.
pub(in crate::log) trait MarkDisk: Send + 'static {
    /// Writes bytes at an offset, growing the file if need be; on disk when it returns.
    fn write(&mut self, at: u64, bytes: &[u8]) -> io::Result<()>;
}

/// The file of marks.
pub(in crate::log) struct MarkFile(File);

impl MarkFile {
    /// Opens or creates it, and reads what is in it.
    pub(in crate::log) fn open(path: &Path) -> io::Result<(Self, Vec<u8>)> {
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        if let Some(folder) = path.parent() {
            File::open(folder)?.sync_all()?;
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok((Self(file), bytes))
    }
}

impl MarkDisk for MarkFile {
    fn write(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, at)?;
        self.0.sync_data()
    }
}

/// The table, and the thread that writes it.
pub(super) struct Keeper {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    /// The thread has something to do.
    wanted: Condvar,
    /// A version is on disk, or none will be any more.
    done: Condvar,
}

struct State {
    table: Table,
    handed_over: u64,
    on_disk: u64,
    failed: Option<Error>,
    closing: bool,
}

impl Keeper {
    pub(super) fn start(disk: impl MarkDisk, table: Table) -> io::Result<Self> {
        let state = State { table, handed_over: 0, on_disk: 0, failed: None, closing: false };
        let shared =
            Arc::new(Shared { state: Mutex::new(state), wanted: Condvar::new(), done: Condvar::new() });
        let thread = std::thread::Builder::new().name("raft-log-marks".to_owned()).spawn({
            let shared = Arc::clone(&shared);
            move || shared.keep(disk)
        })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Looks at the table or changes it.
    pub(super) fn with<T>(&self, look: impl FnOnce(&mut Table) -> T) -> T {
        look(&mut self.shared.state.lock().table)
    }

    /// Has the table written as it is now; returns the version to wait for.
    pub(super) fn hand_over(&self) -> u64 {
        let mut state = self.shared.state.lock();
        state.handed_over += 1;
        self.shared.wanted.notify_one();
        state.handed_over
    }

    /// The last version that was handed over.
    pub(super) fn handed_over(&self) -> u64 {
        self.shared.state.lock().handed_over
    }

    /// Waits until a version is on disk.
    pub(super) fn wait(&self, version: u64) -> Result<(), Error> {
        let mut state = self.shared.state.lock();
        loop {
            if let Some(error) = &state.failed {
                return Err(error.clone());
            }
            if state.on_disk >= version {
                return Ok(());
            }
            self.shared.done.wait(&mut state);
        }
    }
}

impl Drop for Keeper {
    /// What was handed over is written first.
    fn drop(&mut self) {
        self.shared.state.lock().closing = true;
        self.shared.wanted.notify_one();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of the marks panicked");
        }
    }
}

impl Shared {
    fn keep(&self, mut disk: impl MarkDisk) {
        let mut state = self.state.lock();
        loop {
            if state.on_disk == state.handed_over {
                if state.closing {
                    return;
                }
                self.wanted.wait(&mut state);
                continue;
            }
            let (version, dirty) = (state.handed_over, state.table.take_dirty());
            drop(state);
            let written = dirty.map_or(Ok(()), |(at, bytes)| disk.write(at, &bytes));
            state = self.state.lock();
            match written {
                Ok(()) => state.on_disk = version,
                Err(error) => {
                    tracing::error!(%error, "the marks of the logs cannot be written");
                    state.failed = Some(Error::io("writing the marks of the logs")(error));
                }
            }
            self.done.notify_all();
            if state.failed.is_some() {
                return;
            }
        }
    }
}
