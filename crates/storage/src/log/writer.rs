//! The writer thread: takes all that waits, writes it at once, syncs once, tells everyone in order.

use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use roomkeeper_sabotage::{self as sabotage, Bug};

use super::disk::Disk;
use super::group::CacheShare;
use super::marks::Marks;
use super::queue::{Gate, Job, Message, Op};
use super::times;
use crate::Error;

/// Between two attempts of a write that finds the disk full.
const SPACE_PAUSE: Duration = Duration::from_millis(50);

/// What others see of the writer.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub syncs: times::Counted,
    /// Since when it has been in the write that it is in.
    busy_since: Mutex<Option<Instant>>,
}

impl Counters {
    /// How long the present write has taken so far; zero when there is none.
    pub(super) fn busy_for(&self) -> Duration {
        self.busy_since.lock().map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// A write begins; it ends when this is dropped.
    fn busy(self: &Arc<Self>) -> impl Drop + use<> {
        *self.busy_since.lock() = Some(Instant::now());
        Busy(Arc::clone(self))
    }
}

struct Busy(Arc<Counters>);

impl Drop for Busy {
    fn drop(&mut self) {
        *self.0.busy_since.lock() = None;
    }
}

pub(super) struct Writer<D> {
    pub disk: D,
    pub marks: Arc<Marks>,
    pub gate: Arc<Gate>,
    pub cache: Arc<CacheShare>,
    pub counters: Arc<Counters>,
    pub run_bytes: usize,
    pub space_patience: Duration,
}

impl<D: Disk> Writer<D> {
    /// Runs until it is told to close, nobody can send any more, or a write fails.
    pub(super) fn run(mut self, jobs: &Receiver<Message>) {
        let mut run = Vec::new();
        while let Ok(message) = jobs.recv() {
            let closing = self.collect(message, jobs, &mut run);
            if closing {
                self.gate.close();
            }
            if let Err(error) = self.write(&mut run) {
                self.fail(error, run, jobs);
                return;
            }
            if closing {
                break;
            }
        }
        self.finish(run, jobs);
    }

    /// Collects `first` and what waits behind it, up to the size of a run. True when asked to close.
    fn collect(&self, first: Message, jobs: &Receiver<Message>, run: &mut Vec<Job>) -> bool {
        let mut bytes = 0;
        let mut next = Some(first);
        while let Some(message) = next {
            match message {
                Message::Close => return true,
                Message::Job(job) => {
                    bytes += job.op.written_bytes();
                    run.push(job);
                }
            }
            next = if bytes < self.run_bytes { jobs.try_recv().ok() } else { None };
        }
        false
    }

    /// Writes a run and acknowledges it. On an error nothing of it is acknowledged and it stays in `run`.
    fn write(&mut self, run: &mut Vec<Job>) -> Result<(), Error> {
        if run.is_empty() {
            return Ok(());
        }
        let sync = run.iter().any(|job| job.op.needs_sync());
        let begun = Instant::now();
        let _watched = self.counters.busy();
        if sabotage::is(Bug::AckBeforeWrite) {
            std::thread::sleep(Duration::from_millis(50));
        }
        self.marks.before(run)?;
        self.write_when_there_is_space(run, sync)?;
        if sync {
            self.marks.after(run)?;
            self.counters.syncs.add(begun.elapsed());
        }
        for job in run.iter() {
            if matches!(job.op, Op::Append { .. }) {
                job.group.written(job.number, &self.cache);
            }
        }
        for job in run.drain(..) {
            job.ack.fire(Ok(()));
        }
        Ok(())
    }

    /// Waits while the disk is full: nothing was written then, and what is on disk is known. [`Counters::busy_for`]
    /// tells the node meanwhile that its disk hangs.
    fn write_when_there_is_space(&mut self, run: &[Job], sync: bool) -> Result<(), Error> {
        let begun = Instant::now();
        let mut told = false;
        loop {
            match self.disk.write(run, sync) {
                Err(error) if error.is_no_space() && self.may_wait_since(begun) => {
                    if !std::mem::replace(&mut told, true) {
                        tracing::error!(%error, "the raft log waits for room on the disk");
                    }
                    std::thread::sleep(SPACE_PAUSE);
                }
                written => {
                    if told && written.is_ok() {
                        tracing::warn!(waited = ?begun.elapsed(), "the raft log has room again");
                    }
                    return written;
                }
            }
        }
    }

    fn may_wait_since(&self, begun: Instant) -> bool {
        begun.elapsed() < self.space_patience && !self.gate.is_closing()
    }

    /// Writes what was queued behind the request to close.
    fn finish(mut self, mut run: Vec<Job>, jobs: &Receiver<Message>) {
        while let Ok(message) = jobs.try_recv() {
            self.collect(message, jobs, &mut run);
            if let Err(error) = self.write(&mut run) {
                self.fail(error, run, jobs);
                return;
            }
        }
    }

    /// Stops for good. After a failed sync nobody knows what the disk holds, and a second sync that succeeds
    /// proves nothing: the kernel may have dropped the pages.
    fn fail(self, error: Error, run: Vec<Job>, jobs: &Receiver<Message>) {
        tracing::error!(%error, jobs = run.len(), "raft log write failed, the writer stops for good");
        self.gate.fail(error.to_string());
        for job in run {
            job.ack.fire(Err(error.clone()));
        }
        while let Ok(message) = jobs.try_recv() {
            if let Message::Job(job) = message {
                job.ack.fire(Err(error.clone()));
            }
        }
    }
}
